// SPDX-License-Identifier: Apache-2.0
// What the kernel is told of an inode, and for how long it may believe it.
#include "fs/reply.h"

#include <gtest/gtest.h>

namespace tain::fs {
namespace {

TEST(ReplyTest, EntryCarriesEveryAttribute) {
  store::Attr attr;
  attr.ino = Ino{42};
  attr.mode = S_IFREG | 0640;
  attr.nlink = 3;
  attr.uid = 1000;
  attr.gid = 100;
  attr.size = uint64_t{5} << 32;
  attr.blocks = 17;
  attr.atime = {.seconds = 1, .nanoseconds = 2};
  attr.mtime = {.seconds = -3, .nanoseconds = 999'999'999};
  attr.ctime = {.seconds = 5, .nanoseconds = 6};

  const fuse_entry_param entry = to_entry(attr);

  EXPECT_EQ(entry.ino, 42u);
  EXPECT_EQ(entry.attr.st_ino, 42u);
  EXPECT_EQ(entry.attr.st_mode, static_cast<mode_t>(S_IFREG | 0640));
  EXPECT_EQ(entry.attr.st_nlink, 3u);
  EXPECT_EQ(entry.attr.st_uid, 1000u);
  EXPECT_EQ(entry.attr.st_gid, 100u);
  EXPECT_EQ(entry.attr.st_size, off_t{5} << 32);
  EXPECT_EQ(entry.attr.st_blocks, 17);
  EXPECT_EQ(entry.attr.st_atim.tv_nsec, 2);
  EXPECT_EQ(entry.attr.st_mtim.tv_sec, -3);
  EXPECT_EQ(entry.attr.st_mtim.tv_nsec, 999'999'999);
  EXPECT_EQ(entry.attr.st_ctim.tv_sec, 5);
  EXPECT_GE(entry.attr_timeout, 3600);
  EXPECT_GE(entry.entry_timeout, 3600);
}

TEST(ReplyTest, KernelNeverRemembersAttributesThatAWriteMayTakeAway) {
  store::Attr attr;
  const auto timeout = [&](uint32_t mode) {
    attr.mode = mode;
    return to_entry(attr).attr_timeout;
  };

  EXPECT_EQ(timeout(S_IFREG | 04755), 0);
  EXPECT_EQ(timeout(S_IFREG | 02755), 0);
  EXPECT_GE(timeout(S_IFREG | 0755), 3600);
  EXPECT_GE(timeout(S_IFDIR | 02755), 3600) << "a directory keeps its set-group-id";
}

}  // namespace
}  // namespace tain::fs
