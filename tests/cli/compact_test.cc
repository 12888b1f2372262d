// SPDX-License-Identifier: Apache-2.0
// tain compact of a vault that is not mounted, as a user meets it. tests/e2e/compact.sh has the rest.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "store/content.h"
#include "store/tree.h"
#include "tests/cli/vault_fixture.h"

namespace tain::cli {
namespace {

using nlohmann::json;

constexpr size_t kSize = size_t{8} << 20;  // bytes: nearly all of the database

class CompactCommandTest : public VaultCommandTest {
 protected:
  void fill(store::Vault& vault) override {
    const Ino file = vault.tree().make(kRootIno, "file", {.mode = S_IFREG | 0600}).value().ino;
    ASSERT_TRUE(vault.content().write(file, 0, Bytes(kSize, 'x')).ok());
    ASSERT_TRUE(vault.sync().ok());
    ASSERT_TRUE(vault.tree().unlink(kRootIno, "file").ok());
    ASSERT_TRUE(vault.tree().reap(file).ok());
  }
  int compact(const std::string& passfile, bool as_json = false) { return run("compact", passfile, as_json); }
};

TEST_F(CompactCommandTest, SaysWhatItGaveBackAndTheVaultIsSound) {
  EXPECT_EQ(compact(pass_), 0) << fake_.err.str();
  EXPECT_TRUE(fake_.out.str().starts_with("gave back 8.")) << fake_.out.str();
  EXPECT_NE(fake_.out.str().find("of the disk, before 8."), std::string::npos) << fake_.out.str();
  EXPECT_EQ(fake_.err.str(), "") << "no progress in a pipe";
  clear();
  EXPECT_EQ(fake_.run({"check", "--passfile", pass_, vault_}), 0) << fake_.out.str() << fake_.err.str();
}

TEST_F(CompactCommandTest, JsonHasTheBytes) {
  ASSERT_EQ(compact(pass_, true), 0) << fake_.err.str();
  const json report = json::parse(fake_.out.str());
  EXPECT_EQ(report["vault"], vault_);
  EXPECT_EQ(report["mounted"], false);
  EXPECT_GE(report["returned_bytes"], kSize);
  EXPECT_GE(report["before_bytes"], kSize);
  EXPECT_LT(report["after_bytes"], kSize / 2);
}

TEST_F(CompactCommandTest, TheWrongPasswordIs12AndNothingIsDone) {
  const std::string wrong = fake_.directory.file("wrong", "wrong");
  ::chmod(wrong.c_str(), 0600);
  EXPECT_EQ(compact(wrong), 12);
  EXPECT_GT(std::filesystem::file_size(vault_ + "/data.mdb"), kSize);
}

TEST_F(CompactCommandTest, WhatIsNoVaultIs6) {
  EXPECT_EQ(fake_.run({"compact", "--passfile", pass_, fake_.directory.directory("empty")}), 6);
}

}  // namespace
}  // namespace tain::cli
