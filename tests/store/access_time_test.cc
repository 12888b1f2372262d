// SPDX-License-Identifier: Apache-2.0
// When reading changes atime, and when that reaches the disk.
#include <gtest/gtest.h>

#include "store/tree.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

class AccessTimeTest : public testing::Test {
 protected:
  void SetUp() override {
    ino_ = temp_.make_file(kRootIno, "a");
    ASSERT_TRUE(temp_.vault().sync().ok());
    temp_.clock().advance_seconds(100);
  }
  Attr attr() { return *temp_.tree().getattr(ino_); }
  void access() { temp_.tree().note_access(ino_); }

  test::TempVault temp_;
  Ino ino_{};
};

TEST_F(AccessTimeTest, TheFirstReadAfterAChangeMovesItAndTheNextDoesNot) {
  const Attr made = attr();

  access();
  const Attr first = attr();
  temp_.clock().advance_seconds(100);
  access();

  EXPECT_GT(first.atime, made.atime);
  EXPECT_EQ(first.ctime, made.ctime);
  EXPECT_EQ(attr().atime, first.atime);

  temp_.write(ino_, 0, "x");
  temp_.clock().advance_seconds(1);
  access();
  EXPECT_GT(attr().atime, attr().mtime);
}

TEST_F(AccessTimeTest, AReadOfContentMovesItIfItIsToBeNoted) {
  temp_.write(ino_, 0, "x");
  temp_.clock().advance_seconds(1);
  const Attr made = attr();
  Bytes room(1);

  ASSERT_TRUE(temp_.content().read(ino_, 0, room).ok());
  EXPECT_EQ(attr().atime, made.atime);
  ASSERT_TRUE(temp_.content().read(ino_, 0, room, Access::noted).ok());
  EXPECT_GT(attr().atime, made.mtime);
}

TEST_F(AccessTimeTest, AReadADayLaterMovesIt) {
  access();
  const Attr first = attr();

  temp_.clock().advance_seconds(24 * 3600 + 1);
  access();

  EXPECT_GT(attr().atime, first.atime);
}

TEST_F(AccessTimeTest, ItIsKeptWhenTheVaultIsClosed) {
  access();
  const Attr read = attr();

  temp_.reopen();

  EXPECT_EQ(attr().atime, read.atime);
}

TEST_F(AccessTimeTest, ItAloneMakesNoCommitAndAChangeTakesItAlong) {
  const Attr made = attr();
  access();
  ASSERT_TRUE(temp_.vault().sync().ok());
  temp_.crash();
  EXPECT_EQ(attr().atime, made.atime);

  access();
  const Attr read = attr();
  AttrChange change;
  change.mode = 0600;
  ASSERT_TRUE(temp_.tree().setattr(ino_, change).ok());
  ASSERT_TRUE(temp_.vault().sync().ok());
  temp_.crash();
  EXPECT_EQ(attr().atime, read.atime);
}

}  // namespace
}  // namespace tain::store
