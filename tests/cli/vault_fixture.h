// SPDX-License-Identifier: Apache-2.0
// A vault in a folder, with its password in a file, for tests of commands that open it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "store/vault.h"
#include "tests/cli/fake_world.h"

namespace tain::cli {

class VaultCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    pass_ = fake_.directory.file("pass", "pass");
    ::chmod(pass_.c_str(), 0600);
    ASSERT_EQ(fake_.run({"init", "--kdf-time", "0", "--passfile", pass_, vault_}), 0) << fake_.err.str();
    std::unique_ptr<store::Vault> vault = open();
    fill(*vault);
    ASSERT_TRUE(vault->close().ok());
    clear();
  }
  /// What is in the vault before the test begins.
  virtual void fill(store::Vault& vault) = 0;

  std::unique_ptr<store::Vault> open() {
    return store::Vault::open(vault_, {}, Secret::copy_of(as_bytes("pass"))).value();
  }
  void clear() {
    fake_.out.str("");
    fake_.err.str("");
  }
  /// The exit status of `command`, with the vault and `passfile`; what it printed is in fake_.out and fake_.err.
  int run(const std::string& command, const std::string& passfile, bool as_json) {
    clear();
    std::vector<std::string> words = {command, "--passfile", passfile, vault_};
    if (as_json) words.emplace_back("--json");
    return fake_.run(words);
  }

  FakeWorld fake_;
  const std::string vault_ = fake_.directory.path("vault");
  std::string pass_;
};

}  // namespace tain::cli
