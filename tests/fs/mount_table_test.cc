// SPDX-License-Identifier: Apache-2.0
#include "fs/mount_table.h"

#include <gtest/gtest.h>

namespace tain::fs {
namespace {

TEST(MountTableTest, ReadsAVaultWithBlanksInItsNames) {
  const auto table = parse_mount_table(
      "36 35 0:53 / /home/you/My\\040Journal rw,nosuid,nodev shared:7 master:1 - fuse.tain /home/you/j\\134\\011v rw,user_id=1000,group_id=100\n");

  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table[0].id, 36u);
  EXPECT_EQ(table[0].device_minor, 53u);
  EXPECT_EQ(table[0].mountpoint, "/home/you/My Journal");
  EXPECT_EQ(table[0].source, "/home/you/j\\\tv");
  EXPECT_EQ(table[0].owner, 1000u);
  EXPECT_TRUE(table[0].is_vault());
  EXPECT_FALSE(table[0].read_only);
}

TEST(MountTableTest, ReadOnlyMayBeSaidOnEitherSide) {
  const auto table = parse_mount_table(
      "1 0 0:1 / /a ro,nosuid - fuse.tain /v rw,user_id=0\n"
      "2 0 0:2 / /b rw - fuse.tain /w ro,user_id=0\n"
      "3 0 0:3 / /c rw,errors=remount-ro - fuse.tain /x rw,user_id=0\n");

  ASSERT_EQ(table.size(), 3u);
  EXPECT_TRUE(table[0].read_only);
  EXPECT_TRUE(table[1].read_only);
  EXPECT_FALSE(table[2].read_only);
}

TEST(MountTableTest, LeavesOutLinesThatDoNotParse) {
  for (const char* line : {"", "garbage", "1 2 3", "1 0 0:1 / /a rw fuse.tain /v rw", "x 0 0:1 / /a rw - fuse.tain /v rw",
                           "1 0 01 / /a rw - fuse.tain /v rw", "1 0 0:1 / /a rw - fuse.tain /v"}) {
    EXPECT_TRUE(parse_mount_table(line).empty()) << line;
  }
}

TEST(MountTableTest, FindsTheMountOnTop) {
  const auto table = parse_mount_table(
      "1 0 0:1 / /m rw - ext4 /dev/sda rw\n"
      "2 1 0:2 / /m rw - fuse.tain /v rw,user_id=0\n");

  EXPECT_EQ(find_mount_at(table, "/m")->id, 2u);
  EXPECT_EQ(find_mount_of(table, "/v")->id, 2u);
  EXPECT_FALSE(find_mount_at(table, "/m/sub").has_value());
  EXPECT_FALSE(find_mount_of(table, "/dev/sda").has_value());
}

TEST(MountTableTest, ReadsTheRealTable) {
  auto table = read_mount_table();

  ASSERT_TRUE(table.ok());
  EXPECT_TRUE(find_mount_at(*table, "/").has_value());
}

TEST(MountTableTest, WithinMeansWholeComponents) {
  EXPECT_TRUE(is_within("/a/b", "/a"));
  EXPECT_TRUE(is_within("/a", "/a"));
  EXPECT_TRUE(is_within("/a", "/"));
  EXPECT_FALSE(is_within("/ab", "/a"));
  EXPECT_FALSE(is_within("/a", "/a/b"));
}

}  // namespace
}  // namespace tain::fs
