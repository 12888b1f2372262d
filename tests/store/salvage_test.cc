// SPDX-License-Identifier: Apache-2.0
// Where tain salvage builds the new vault, and what a failed run leaves. What it saves is tested in damage_test.cc.
#include "store/salvage.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempDir;
using test::TempVault;

class SalvageTest : public testing::Test {
 protected:
  void SetUp() override {
    const Ino file = vault_.make_file(kRootIno, "file");
    vault_.write(file, 0, std::string(100'000, 'x'));
    ASSERT_TRUE(vault_.vault().close().ok());
    vault_.close();
  }
  Result<SalvageReport> salvage(const std::string& to) {
    return salvage_vault(vault_.directory(), to, TempVault::password(), {});
  }
  static bool is_empty(const std::string& directory) { return std::filesystem::is_empty(directory); }

  TempVault vault_{OpenOptions{.committer_thread = false}};
  TempDir place_;
  const std::string to_ = place_.path() + "/new";
};

TEST_F(SalvageTest, TheNewVaultStandsInItsPlaceAlone) {
  auto report = salvage(to_ + "/");
  ASSERT_TRUE(report.ok()) << report.error().message();

  EXPECT_EQ(report->entries, 2u);
  EXPECT_FALSE(std::filesystem::exists(to_ + ".unfinished"));
  OpenOptions options;
  options.read_only = true;
  auto opened = Vault::open(to_, options, TempVault::password());
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  EXPECT_EQ((*opened)->tree().lookup(kRootIno, "file")->size, 100'000u);
}

TEST_F(SalvageTest, AnEmptyDirectoryIsTakenAndAnotherIsNot) {
  std::filesystem::create_directory(to_);
  EXPECT_TRUE(salvage(to_).ok());

  EXPECT_TRUE(salvage(to_).is(Code::not_empty)) << "it is a vault now";
  EXPECT_TRUE(salvage(place_.path() + "/no/such/place").is(Code::not_found));
}

TEST_F(SalvageTest, AFailedRunLeavesNothing) {
  // As on a full disk: no file may grow to what the journal takes.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);

  const auto report = salvage(to_);

  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(report.ok());
  EXPECT_TRUE(is_empty(place_.path()));
  EXPECT_TRUE(salvage(to_).ok()) << "and is not in the way of the next";
}

TEST_F(SalvageTest, WhatAKilledRunLeftIsNamedAndNotTouched) {
  const std::string left = to_ + ".unfinished";
  std::filesystem::create_directory(left);

  const auto report = salvage(to_);

  ASSERT_TRUE(report.is(Code::exists));
  EXPECT_NE(report.error().message().find(left), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(left));
  EXPECT_FALSE(std::filesystem::exists(to_));
}

}  // namespace
}  // namespace tain::store
