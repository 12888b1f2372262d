// SPDX-License-Identifier: Apache-2.0
#include "cli/mount_options.h"

#include <gtest/gtest.h>

namespace tain::cli {
namespace {

using Words = std::vector<std::string>;

TEST(MountOptionsTest, TakesWhatItKnows) {
  MountFlags flags;

  ASSERT_TRUE(add_mount_options("ro,allow_other,noexec,noatime", flags).ok());
  EXPECT_TRUE(flags.read_only);
  EXPECT_TRUE(flags.allow_other);
  EXPECT_EQ(flags.fuse_options, (Words{"noexec", "noatime"}));
  ASSERT_TRUE(add_mount_options("rw", flags).ok());
  EXPECT_FALSE(flags.read_only) << "the last one counts";
}

TEST(MountOptionsTest, TakesATimeOfThePast) {
  MountFlags flags;

  ASSERT_TRUE(add_mount_options("noexec,at=3h ago", flags).ok());
  EXPECT_EQ(flags.at, "3h ago");
}

TEST(MountOptionsTest, HistoryIsKeptUnlessSomebodySaysOtherwise) {
  MountFlags flags;
  EXPECT_TRUE(flags.history);

  ASSERT_TRUE(add_mount_options("nohistory", flags).ok());
  EXPECT_FALSE(flags.history);
  ASSERT_TRUE(add_mount_options("history", flags).ok());
  EXPECT_TRUE(flags.history);
}

TEST(MountOptionsTest, IsConfinedUnlessSomebodySaysOtherwise) {
  MountFlags flags;
  EXPECT_TRUE(flags.confined);

  ASSERT_TRUE(add_mount_options("unconfined", flags).ok());
  EXPECT_FALSE(flags.confined);
}

TEST(MountOptionsTest, TellsHowToScrub) {
  MountFlags flags;
  EXPECT_EQ(flags.scrub_rate_bytes_s, uint64_t{4} << 20);

  ASSERT_TRUE(add_mount_options("scrub_rate=500K,scrub_after=1h", flags).ok());
  EXPECT_EQ(flags.scrub_rate_bytes_s, 512'000u);
  EXPECT_EQ(flags.scrub_after_s, 3600);
  ASSERT_TRUE(add_mount_options("scrub_rate=off", flags).ok());
  EXPECT_EQ(flags.scrub_rate_bytes_s, 0u);
  EXPECT_TRUE(add_mount_options("scrub_rate=fast", flags).is(Code::usage));
  EXPECT_TRUE(add_mount_options("scrub_after=0", flags).is(Code::usage));
}

TEST(MountOptionsTest, IgnoresWhatIsMeantForOthers) {
  MountFlags flags;

  ASSERT_TRUE(add_mount_options("x-systemd.automount,_netdev,nofail,user,noauto,user=me,nosuid,nodev,x-gvfs-hide,,", flags).ok());
  EXPECT_TRUE(flags.fuse_options.empty());
}

TEST(MountOptionsTest, NamesTheOptionItDoesNotKnow) {
  MountFlags flags;
  for (const char* option : {"suid", "dev", "frobnicate", "max_read=4096", "fsname=x", "xfoo"}) {
    auto outcome = add_mount_options(std::string("ro,") + option, flags);
    ASSERT_TRUE(outcome.is(Code::usage)) << option;
    EXPECT_NE(outcome.error().message().find(option), std::string::npos);
  }
}

TEST(MountHelperTest, TranslatesWhatMountSays) {
  auto words = mount_helper_words({"/vault", "/mnt/with space", "-n", "-v", "-t", "fuse.tain", "-o", "rw,passfile=/etc/pass,noatime"});

  ASSERT_TRUE(words.ok());
  EXPECT_EQ(*words, (Words{"--passfile", "/etc/pass", "-o", "rw,noatime", "--", "/vault", "/mnt/with space"}));
}

TEST(MountHelperTest, ADeviceOpensAVaultOfFstab) {
  for (const std::string device : {"tpm2", "keyring", "fido2"})
    EXPECT_EQ(mount_helper_words({"/vault", "/mnt", "-o", device + ",ro"}).value(), (Words{"--" + device, "-o", "ro", "--", "/vault", "/mnt"}));
}

TEST(MountHelperTest, AVaultNamedLikeAnOptionStaysAWord) {
  EXPECT_EQ(mount_helper_words({"--", "-x", "/m"}).value(), (Words{"--", "-x", "/m"}));
}

TEST(MountHelperTest, ADryRunDoesNothing) { EXPECT_TRUE(mount_helper_words({"/vault", "/mnt", "-f"})->empty()); }

TEST(MountHelperTest, RefusesOtherCommandLines) {
  EXPECT_TRUE(mount_helper_words({"/vault"}).is(Code::usage));
  EXPECT_TRUE(mount_helper_words({"/vault", "/mnt", "-Z"}).is(Code::usage));
}

}  // namespace
}  // namespace tain::cli
