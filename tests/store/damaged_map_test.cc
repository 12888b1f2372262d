// SPDX-License-Identifier: Apache-2.0
// A map node that cannot be read stops changes of its own file where they would need it, and no commit.
#include <gtest/gtest.h>

#include "tests/store/vault_edits.h"

namespace tain::store {
namespace {

using test::TempVault;

/// A file of 40 blocks, whose references are all in one node.
class DamagedMapTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = temp_.make_file(kRootIno, "file");
    temp_.write(file_, 0, std::string(40 * kBlockSize, 'x'));
    other_ = temp_.make_file(kRootIno, "other");
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.reopen();
  }

  /// Behind the back of the vault, which is closed. `keep_frames` leaves what is in its journal for the next opening.
  void damage_the_node() {
    BlockRef node;
    test::change_database(temp_.directory(), [&](Env& env, const Cipher& cipher) {
      Database database(env, cipher, 0);
      auto txn = ReadTxn::begin(env).value();
      const Inode inode = database.load_inode(txn, file_).value().value();
      ASSERT_EQ(inode.content.height, 1);
      node = inode.content.root.at(0);
    });
    test::edit_value(temp_.directory(), Table::blocks, block_key(node.id), [](Bytes& value) { value.at(20) ^= 1; });
  }

  void expect_commits() {
    temp_.write(other_, 0, "changed");
    auto synced = temp_.vault().sync();
    EXPECT_TRUE(synced.ok()) << synced.error().message();
  }
  Result<Attr> truncate(uint64_t size) { return temp_.tree().setattr(file_, {.size = size}); }

  TempVault temp_;
  Ino file_{}, other_{};
};

TEST_F(DamagedMapTest, ACutBetweenTwoBlocksIsRefusedAndTheRestIsCommitted) {
  temp_.close();
  damage_the_node();
  temp_.reopen();

  EXPECT_TRUE(truncate(10 * kBlockSize).is(Code::corrupt));
  EXPECT_TRUE(truncate(10 * kBlockSize + 1).is(Code::corrupt));
  EXPECT_TRUE(temp_.content().write(file_, 3 * kBlockSize, Bytes(kBlockSize, 'y')).is(Code::corrupt));
  EXPECT_TRUE(temp_.content().write(file_, kBlockSize / 2, Bytes(20 * kBlockSize, 'y')).is(Code::corrupt));
  EXPECT_TRUE(temp_.content().zero(file_, 3 * kBlockSize, 2 * kBlockSize, false).is(Code::corrupt));
  EXPECT_TRUE(temp_.content().zero(file_, 3 * kBlockSize, 37 * kBlockSize, false).is(Code::corrupt));
  expect_commits();
}

TEST_F(DamagedMapTest, WhatNeedsNothingOfTheNodeIsDone) {
  temp_.close();
  damage_the_node();
  temp_.reopen();

  temp_.write(file_, 2000 * kBlockSize, "past all that the root reaches by now");
  expect_commits();
  EXPECT_TRUE(truncate(0).ok());
  expect_commits();
  temp_.write(file_, 0, "new");
  expect_commits();
  temp_.reopen();
  EXPECT_EQ(temp_.read(file_), "new");
}

class DamagedMapAtReplayTest : public DamagedMapTest, public testing::WithParamInterface<int> {};

TEST_P(DamagedMapAtReplayTest, TheChangeOfTheFileIsLeftOutAndTheRestIsCommitted) {
  const auto change = [&]() -> Result<> {
    switch (GetParam()) {
      case 0: TRY(truncate(10 * kBlockSize)); break;
      case 1: TRY(truncate(10 * kBlockSize + 5)); break;
      case 2: TRY(temp_.content().zero(file_, 3 * kBlockSize, 2 * kBlockSize, false)); break;
      case 3: TRY(temp_.content().write(file_, 3 * kBlockSize, Bytes(kBlockSize, 'y'))); break;
      default: TRY(temp_.content().write(file_, 7, Bytes(5, 'y'))); break;
    }
    return {};
  };
  ASSERT_TRUE(change().ok());
  temp_.write(other_, 0, "fsynced");
  ASSERT_TRUE(temp_.vault().fsync(other_).ok());
  temp_.leave_crashed();
  damage_the_node();
  temp_.reopen();

  EXPECT_EQ(temp_.read(other_), "fsynced");
  expect_commits();
  EXPECT_TRUE(temp_.vault().close().ok());
}

INSTANTIATE_TEST_SUITE_P(Changes, DamagedMapAtReplayTest, testing::Range(0, 5));

}  // namespace
}  // namespace tain::store
