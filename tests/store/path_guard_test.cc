// SPDX-License-Identifier: Apache-2.0
// Where LMDB merges branch pages it takes keys from leaves that no changed key is on: these are looked at first, too.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "store/database.h"
#include "tests/support/temp_directory.h"

namespace tain::store {
namespace {

/// A tree of three levels. `branches_` are the pages of its second.
class PathGuardTest : public testing::Test {
 protected:
  static constexpr Table kTable = Table::dirents;
  static constexpr uint64_t kCount = 30'000;
  static constexpr size_t kPointers = 16;  // bytes from a page's beginning to the places of its nodes

  void SetUp() override {
    auto env = Env::open(path(), {.map_size_bytes = uint64_t{1} << 26, .create = true}).value();
    WriteTxn txn = WriteTxn::begin(*env).value();
    for (uint64_t i = 0; i < kCount; ++i) ASSERT_TRUE(txn.put(kTable, key(i), Bytes(100, 'v')).ok());
    ASSERT_TRUE(std::move(txn).commit().ok());
    ReadTxn read = ReadTxn::begin(*env).value();
    ASSERT_EQ(read.snapshot().root(kTable).depth, 3);
    const Bytes root = page(read.snapshot().root(kTable).page);
    const TreePage top = TreePage::parse(root, read.snapshot().root(kTable).page).value();
    for (size_t i = 0; i < top.count(); ++i) {
      branches_.push_back(top.node(i).value().page);
      const ByteView low = top.node(i).value().key;
      low_.emplace_back(low.begin(), low.end());
    }
    ASSERT_GE(branches_.size(), 4u);
  }

  static std::array<uint8_t, 16> key(uint64_t i) { return dirent_key(Ino{1}, Cookie{i << 20}); }
  std::string path() const { return directory_.path("data.mdb"); }
  Bytes page(uint64_t number) const {
    UniqueFd fd(::open(path().c_str(), O_RDONLY | O_CLOEXEC));
    Bytes out(kPageSize);
    EXPECT_TRUE(read_exactly(fd.get(), out, number * kPageSize).ok());
    return out;
  }
  uint64_t leaf(size_t branch, bool last) const {
    const Bytes bytes = page(branches_[branch]);
    const TreePage parsed = TreePage::parse(bytes, branches_[branch]).value();
    return parsed.node(last ? parsed.count() - 1 : 0).value().page;
  }
  /// The page keeps its form; LMDB would not notice.
  void exchange_first_nodes(uint64_t number) const {
    Bytes bytes = page(number);
    std::swap_ranges(bytes.begin() + kPointers, bytes.begin() + kPointers + 2, bytes.begin() + kPointers + 2);
    UniqueFd fd(::open(path().c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(write_exactly(fd.get(), bytes, number * kPageSize).ok());
  }
  /// The keys below one branch, without the first `spared`.
  std::vector<uint64_t> keys_below(size_t branch, size_t spared) const {
    std::vector<uint64_t> out;
    for (uint64_t i = 0; i < kCount; ++i) {
      if (branch > 0 && compare_keys(key(i), low_[branch]) < 0) continue;
      if (branch + 1 < low_.size() && compare_keys(key(i), low_[branch + 1]) >= 0) break;
      if (spared > 0)
        --spared;
      else
        out.push_back(i);
    }
    return out;
  }
  /// Removes them all in one transaction; how many it took until one was refused.
  size_t remove(const std::vector<uint64_t>& keys) const {
    auto env = Env::open(path(), {.map_size_bytes = uint64_t{1} << 26}).value();
    WriteTxn txn = WriteTxn::begin(*env).value();
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto removed = txn.remove(kTable, key(keys[i]));
      if (removed.ok()) continue;
      EXPECT_TRUE(removed.is(Code::corrupt)) << removed.error().message();
      return i;
    }
    EXPECT_TRUE(std::move(txn).commit().ok());
    return keys.size();
  }
  void expect_refusal(const std::vector<uint64_t>& keys) const {
    const size_t done = remove(keys);
    EXPECT_LT(done, keys.size()) << "LMDB took a key from a damaged page";
    EXPECT_GT(done, 30u) << "refused before there was anything to merge";
  }

  test::TempDirectory directory_;
  std::vector<uint64_t> branches_;
  std::vector<Bytes> low_;  // the first key below each; empty below the first
};

TEST_F(PathGuardTest, WithoutDamageABranchIsEmptied) {
  const auto keys = keys_below(1, 0);
  EXPECT_EQ(remove(keys), keys.size());
}

TEST_F(PathGuardTest, TheFirstLeafBelowTheNextBranchIsLookedAtBeforeAMerge) {
  exchange_first_nodes(leaf(1, false));
  expect_refusal(keys_below(0, 0));
}

TEST_F(PathGuardTest, TheLastLeafBelowTheBranchBeforeIsLookedAtBeforeAMerge) {
  exchange_first_nodes(leaf(1, true));
  expect_refusal(keys_below(2, 0));
}

TEST_F(PathGuardTest, TheFirstLeafOfTheBranchItselfIsLookedAtBeforeAMerge) {
  exchange_first_nodes(leaf(2, false));
  expect_refusal(keys_below(2, 200));
}

TEST_F(PathGuardTest, SomeRemovalsDoNotMindDamageUnderAnotherBranch) {
  exchange_first_nodes(leaf(1, false));
  auto keys = keys_below(0, 0);
  keys.resize(30);
  EXPECT_EQ(remove(keys), keys.size());
}

}  // namespace
}  // namespace tain::store
