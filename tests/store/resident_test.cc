// SPDX-License-Identifier: Apache-2.0
#include "store/resident.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <fstream>

#include "store/database.h"
#include "tests/support/temp_directory.h"

namespace tain::store {
namespace {

uint64_t mapped_file_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t size = 0, resident = 0, of_files = 0;
  statm >> size >> resident >> of_files;
  return of_files * 4096;
}

TEST(ResidentTest, WhatWasReadDoesNotStayMapped) {
  constexpr uint64_t kValues = 4000, kValueSize = 60'000;
  test::TempDirectory directory;
  auto env = Env::open(directory.path("data.mdb"), {.map_size_bytes = uint64_t{1} << 29, .create = true}).value();
  const uint64_t before = mapped_file_bytes();
  uint64_t most = 0;
  for (uint64_t first = 0; first < kValues; first += 500) {
    auto txn = WriteTxn::begin(*env).value();
    for (uint64_t i = first; i < first + 500; ++i)
      ASSERT_TRUE(txn.put(Table::blocks, block_key({1, i}), Bytes(kValueSize, static_cast<uint8_t>(i))).ok());
    ASSERT_TRUE(std::move(txn).commit().ok());
    most = std::max(most, mapped_file_bytes());
  }
  for (uint64_t i = 0; i < kValues; ++i) {
    auto txn = ReadTxn::begin(*env).value();
    const auto value = txn.get(Table::blocks, block_key({1, i})).value();
    ASSERT_TRUE(value.has_value());
    uint64_t sum = 0;
    for (uint8_t byte : *value) sum += byte;
    ASSERT_EQ(sum, (i & 0xff) * kValueSize);
    if (i % 16 == 0) most = std::max(most, mapped_file_bytes());
  }
  // Looked at every 16 transactions, each of which maps a value and what the kernel reads around it. There is no lower
  // bound: the kernel may take mapped pages back at any time. But everything together is far more than the upper one.
  constexpr uint64_t kAllowed = ResidentBound::kResidentMax + 64 * 2 * kValueSize + (uint64_t{16} << 20);
  static_assert(kValues * kValueSize > kAllowed * 3 / 2, "this test maps too little");
  EXPECT_LT(most, before + kAllowed);
}

TEST(ResidentTest, BothMapsOfTheDatabaseAreKnown) {
  test::TempDirectory directory;
  const std::string path = directory.file("some", std::string(10'000, 'x'));
  UniqueFd fd(::open(path.c_str(), O_RDONLY));
  EXPECT_EQ(find_map(fd.get(), 12288), nullptr);
  void* map = ::mmap(nullptr, 12288, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(find_map(fd.get(), 12288), map);
  EXPECT_EQ(find_map(fd.get(), 16384), nullptr);
  void* second = ::mmap(nullptr, 12288, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(second, MAP_FAILED);
  EXPECT_EQ(find_map(fd.get(), 12288), nullptr) << "whose is whose is not known";
  ::munmap(map, 12288);
  ::munmap(second, 12288);
}

}  // namespace
}  // namespace tain::store
