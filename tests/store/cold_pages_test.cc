// SPDX-License-Identifier: Apache-2.0
#include "store/cold_pages.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <vector>

#include "base/file.h"
#include "store/database.h"
#include "tests/support/temp_directory.h"

namespace tain::store {
namespace {

constexpr size_t kPageBytes = 4096;

/// A file's pages that the kernel's cache has.
std::vector<bool> cached_pages(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  EXPECT_EQ(::fstat(fd.get(), &st), 0);
  const auto size = static_cast<size_t>(st.st_size);
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  EXPECT_NE(map, MAP_FAILED);
  std::vector<unsigned char> in_core((size + kPageBytes - 1) / kPageBytes);
  EXPECT_EQ(::mincore(map, size, in_core.data()), 0);
  ::munmap(map, size);
  std::vector<bool> out;
  for (const unsigned char byte : in_core) out.push_back((byte & 1) != 0);
  return out;
}

size_t count_cached(const std::string& path) {
  const auto pages = cached_pages(path);
  return static_cast<size_t>(std::count(pages.begin(), pages.end(), true));
}

/// A file system in memory keeps every page.
bool is_on_a_disk(const std::string& path) {
  struct statfs fs {};
  EXPECT_EQ(::statfs(path.c_str(), &fs), 0);
  return fs.f_type != TMPFS_MAGIC;
}

TEST(ColdPagesTest, OnlyWhatWasAddedIsDropped) {
  test::TempDirectory directory;
  const std::string path = directory.file("some", std::string(4096 * kPageBytes, 'x'));
  if (!is_on_a_disk(path)) GTEST_SKIP() << "needs a folder on a disk";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::fsync(fd.get()), 0);
  ColdPages cold;
  cold.add(1024, 512);
  cold.add(1536, 512);
  cold.add(3072, 512);
  cold.drop(fd.get(), kPageBytes);
  const auto pages = cached_pages(path);
  ASSERT_EQ(pages.size(), 4096u);
  const auto count = [&](size_t from, size_t to) {
    return std::count(pages.begin() + static_cast<std::ptrdiff_t>(from), pages.begin() + static_cast<std::ptrdiff_t>(to), true);
  };
  EXPECT_EQ(count(1024, 2048), 0);
  EXPECT_EQ(count(3072, 3584), 0);
  EXPECT_GT(count(0, 1024) + count(2048, 3072) + count(3584, 4096), 2000) << "the rest stays, if there is memory";
}

TEST(ColdPagesTest, ALargeCommitLeavesItsBlocksOnTheDiskAlone) {
  constexpr size_t kValues = 200, kSize = 70'000;
  test::TempDirectory directory;
  const std::string path = directory.path("data.mdb");
  auto env = Env::open(path, {.map_size_bytes = uint64_t{1} << 29, .create = true}).value();
  if (!is_on_a_disk(path)) GTEST_SKIP() << "needs a folder on a disk";
  const auto put = [&](uint64_t first, bool reserved) {
    auto txn = WriteTxn::begin(*env).value();
    for (uint64_t i = first; i < first + kValues; ++i) {
      const Bytes value(kSize, static_cast<uint8_t>(i));
      if (!reserved) {
        ASSERT_TRUE(txn.put(Table::blocks, block_key({1, i}), value).ok());
        continue;
      }
      const ByteSpan to = txn.reserve(Table::blocks, block_key({1, i}), kSize).value();
      std::copy(value.begin(), value.end(), to.begin());
    }
    ASSERT_TRUE(std::move(txn).commit().ok());
  };
  constexpr size_t kPages = kValues * (kSize / kPageBytes + 1);
  const size_t before = count_cached(path);
  put(1, false);
  EXPECT_GT(count_cached(path), before + kPages / 2) << "else this test cannot tell";
  put(1 + kValues, true);
  EXPECT_LT(count_cached(path), before + kPages + kPages / 2);

  auto txn = ReadTxn::begin(*env).value();
  for (uint64_t i = 1; i <= 2 * kValues; ++i) {
    const auto value = txn.get(Table::blocks, block_key({1, i})).value();
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ(Bytes(value->begin(), value->end()), Bytes(kSize, static_cast<uint8_t>(i)));
  }
}

}  // namespace
}  // namespace tain::store
