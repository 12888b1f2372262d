// SPDX-License-Identifier: Apache-2.0
#include "cli/placement.h"

#include <gtest/gtest.h>

#include "tests/cli/fake_world.h"

namespace tain::cli {
namespace {

TEST(PlacementTest, KnowsFoldersByName) {
  EXPECT_EQ(sync_client_of("/home/you/Dropbox/journal"), "Dropbox");
  EXPECT_EQ(sync_client_of("/home/you/Dropbox (Personal)/journal"), "Dropbox");
  EXPECT_EQ(sync_client_of("/home/you/OneDrive - Company/a/b"), "OneDrive");
  EXPECT_EQ(sync_client_of("/home/you/Nextcloud"), "Nextcloud");
  EXPECT_EQ(sync_client_of("/home/you/MEGA/v"), "MEGA");
  EXPECT_EQ(sync_client_of("/home/you/Dropboxes/v"), "");
  EXPECT_EQ(sync_client_of("/home/you/journal"), "");
}

TEST(PlacementTest, KnowsFoldersByTheirMarkers) {
  test::TempDirectory root;
  root.directory("a/b/.stfolder");
  root.directory("c/d");
  root.file("c/.sync_4f2a.db", "");

  EXPECT_EQ(sync_client_of(root.path("a/b/not/yet/there")), "Syncthing");
  EXPECT_EQ(sync_client_of(root.path("c/d")), "Nextcloud or ownCloud");
  EXPECT_EQ(sync_client_of(root.path("a")), "");
}

TEST(PlacementTest, TheHomeOfADropboxUserIsNotItsFolder) {
  test::TempDirectory home;
  home.directory(".dropbox");
  home.file(".dropbox/info.json", "{}");

  EXPECT_EQ(sync_client_of(home.path("journal")), "");
}

TEST(PlacementTest, ALocalDirectoryIsNotRemote) { EXPECT_EQ(remote_file_system_of("/proc/self/nowhere"), ""); }

TEST(PlacementTest, WarnsWithANextStep) {
  FakeWorld fake;

  warn_about_placement(fake.world, fake.directory.path("Dropbox/vault"));

  EXPECT_NE(fake.err.str().find("tain: warning: "), std::string::npos);
  EXPECT_NE(fake.err.str().find("tain: hint: "), std::string::npos);
  EXPECT_EQ(fake.out.str(), "");
}

}  // namespace
}  // namespace tain::cli
