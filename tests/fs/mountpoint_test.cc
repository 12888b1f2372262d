// SPDX-License-Identifier: Apache-2.0
#include "fs/mountpoint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/temp_directory.h"

namespace tain::fs {
namespace {

class MountpointTest : public testing::Test {
 protected:
  ~MountpointTest() override { (void)release_mountpoint(mountpoint_).ok(); }  // or it could not be removed

  test::TempDirectory root_;
  std::string vault_ = root_.directory("vault");
  std::string mountpoint_ = root_.path("mnt");
};

TEST_F(MountpointTest, RefusesWhatCannotBeUsed) {
  const std::string file = root_.file("file", "x");
  const std::string full = root_.directory("full");
  root_.file("full/thing", "x");

  EXPECT_TRUE(check_mountpoint(file, vault_).is(Code::mountpoint));
  EXPECT_TRUE(check_mountpoint(full, vault_).is(Code::mountpoint));
  EXPECT_TRUE(check_mountpoint(vault_, vault_).is(Code::mountpoint));
  EXPECT_TRUE(check_mountpoint(vault_ + "/mnt", vault_).is(Code::mountpoint));
  EXPECT_TRUE(check_mountpoint(root_.path(), vault_).is(Code::mountpoint));
  EXPECT_TRUE(check_mountpoint("/proc", vault_).is(Code::mountpoint));
  EXPECT_TRUE(resolve_path(root_.path("no/parent")).is(Code::not_found));
  EXPECT_TRUE(resolve_path("").is(Code::not_found));
}

TEST_F(MountpointTest, AcceptsAnEmptyAndAMissingDirectory) {
  EXPECT_TRUE(check_mountpoint(root_.directory("empty"), vault_).ok());
  EXPECT_TRUE(check_mountpoint(mountpoint_, vault_).ok());
  EXPECT_FALSE(std::filesystem::exists(mountpoint_)) << "a check must not change anything";
}

TEST_F(MountpointTest, ResolvesAMissingLastPart) {
  root_.directory("a/b");
  std::filesystem::create_directory_symlink(root_.path("a"), root_.path("link"));

  EXPECT_EQ(resolve_path(root_.path("link/b/../new//")).value(), root_.path("a/new"));
  EXPECT_EQ(resolve_path("/nowhere-tain").value(), "/nowhere-tain");
}

TEST_F(MountpointTest, WhatItMadeIsRemovedAtTheEnd) {
  {
    auto made = Mountpoint::prepare(mountpoint_, vault_);
    ASSERT_TRUE(made.ok()) << made.error().message();
    EXPECT_TRUE(std::filesystem::is_directory(mountpoint_));
    (void)made->protect().ok();
  }

  EXPECT_FALSE(std::filesystem::exists(mountpoint_));
}

TEST_F(MountpointTest, WhatWasThereStaysAndRefusesWrites) {
  root_.directory("mnt");
  {
    auto there = Mountpoint::prepare(mountpoint_, vault_);
    ASSERT_TRUE(there.ok());
    auto covered = there->protect();
    if (!covered.ok()) GTEST_SKIP() << covered.error().message();
  }

  EXPECT_FALSE(UniqueFd(::open((mountpoint_ + "/leak").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).valid());
  EXPECT_TRUE(Mountpoint::prepare(mountpoint_, vault_).ok()) << "mounting again must work";
  ASSERT_TRUE(release_mountpoint(mountpoint_).ok());
  EXPECT_TRUE(UniqueFd(::open((mountpoint_ + "/file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).valid());
}

TEST_F(MountpointTest, ADirectoryThatGotSomethingIsNotRemoved) {
  {
    auto made = Mountpoint::prepare(mountpoint_, vault_);
    ASSERT_TRUE(made.ok());
    root_.file("mnt/precious", "x");
  }

  EXPECT_TRUE(std::filesystem::exists(mountpoint_ + "/precious"));
}

TEST_F(MountpointTest, ReleaseOfNothingIsNotFound) {
  EXPECT_TRUE(release_mountpoint(mountpoint_).is(Code::not_found));
}

}  // namespace
}  // namespace tain::fs
