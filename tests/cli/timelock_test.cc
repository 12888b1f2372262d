// SPDX-License-Identifier: Apache-2.0
// tain timelock of a vault that is not mounted, and what other commands say then.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <regex>

#include "store/content.h"
#include "store/tree.h"
#include "tests/cli/vault_fixture.h"

namespace tain::cli {
namespace {

using nlohmann::json;

class TimelockTest : public VaultCommandTest {
 protected:
  void fill(store::Vault& vault) override {
    const Ino folder = vault.tree().make(kRootIno, "2026", {.mode = S_IFDIR | 0700}).value().ino;
    const Ino file = vault.tree().make(folder, "a.md", {.mode = S_IFREG | 0600}).value().ino;
    ASSERT_TRUE(vault.content().write(file, 0, as_bytes("secret\n")).ok());
  }
  int run(std::vector<std::string> words) {
    clear();
    words.insert(words.end(), {"--passfile", pass_});
    return fake_.run(words);
  }
  std::string out() { return fake_.out.str(); }
  std::string err() { return fake_.err.str(); }
  std::string entry(const std::string& path = "2026/a.md") { return vault_ + ":" + path; }
};

TEST_F(TimelockTest, LocksUntilADateAndSaysSo) {
  ASSERT_EQ(run({"timelock", entry(), "--until", "2099-01-01Z"}), 0) << err();
  EXPECT_TRUE(std::regex_search(out(), std::regex("2026/a.md is time-locked until (2098-12-31|2099-01-01) "))) << out();
  EXPECT_NE(err().find("whoever has the password can read it"), std::string::npos) << "no false promise";

  ASSERT_EQ(run({"timelock", entry(), "--json"}), 0) << err();
  EXPECT_EQ(json::parse(out())["unlock_at"], "2099-01-01T00:00:00Z") << "the beginning of that day";
  EXPECT_EQ(run({"cat", entry()}), 28);
  EXPECT_EQ(out(), "");
  EXPECT_NE(err().find("time-locked until 2099-01-01T00:00:00Z"), std::string::npos) << err();
  EXPECT_EQ(run({"cat", entry() + "@1"}), 28) << err();
  EXPECT_EQ(run({"restore", entry() + "@1", "--to", entry("b.md")}), 28) << err();
  EXPECT_EQ(run({"ls", "-l", entry("2026")}), 0) << err();
  EXPECT_NE(out().find("a.md"), std::string::npos);
  EXPECT_EQ(run({"log", entry()}), 0) << err();
}

TEST_F(TimelockTest, OverrideWantsToBeConfirmedAndIsRecorded) {
  ASSERT_EQ(run({"timelock", entry("2026"), "--for", "1d"}), 0) << err();
  EXPECT_NE(out().find("2 entries"), std::string::npos) << out();

  EXPECT_EQ(run({"timelock", entry("2026"), "--override"}), 28);
  EXPECT_NE(err().find("--override --yes"), std::string::npos) << err();
  EXPECT_EQ(run({"cat", entry()}), 28);
  ASSERT_EQ(run({"timelock", entry("2026"), "--override", "--yes"}), 0) << err();
  EXPECT_EQ(run({"cat", entry()}), 0);
  EXPECT_EQ(out(), "secret\n");
  ASSERT_EQ(run({"log", entry()}), 0);
  EXPECT_NE(out().find("time lock  (as it is now)"), std::string::npos) << out();
  EXPECT_EQ(run({"timelock", entry("2026"), "--override", "--yes"}), 1) << "there is none";
}

TEST_F(TimelockTest, ALockIsNotShortened) {
  ASSERT_EQ(run({"timelock", entry(), "--for", "2d"}), 0) << err();

  EXPECT_EQ(run({"timelock", entry(), "--for", "1d"}), 1);
  EXPECT_NE(err().find("not shortened"), std::string::npos) << err();
  EXPECT_EQ(run({"timelock", entry(), "--for", "3d"}), 0) << err();
}

TEST_F(TimelockTest, ListAndQueryWithoutALock) {
  EXPECT_EQ(run({"timelock", entry()}), 0) << err();
  EXPECT_EQ(out(), "2026/a.md is not time-locked\n");
  EXPECT_EQ(run({"timelock", "list", vault_}), 0) << err();
  EXPECT_EQ(out(), "");
  ASSERT_EQ(run({"timelock", entry("2026"), "--for", "1d"}), 0) << err();
  EXPECT_EQ(run({"timelock", "list", vault_}), 0) << err();
  EXPECT_TRUE(std::regex_match(out(), std::regex("\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d  2026/\n"))) << out();
  EXPECT_EQ(run({"timelock", "list", "--json", vault_}), 0) << err();
  EXPECT_EQ(json::parse(out())[0]["path"], "2026");
}

TEST_F(TimelockTest, RefusesWhatItDoesNotUnderstand) {
  for (const char* date : {"2099", "2099-01", "2099-13-01", "tomorrow", "yesterday", "10:00", "3h ago", "2099-01-01T25", ""})
    EXPECT_EQ(run({"timelock", entry(), "--until", date}), 2) << date;
  EXPECT_EQ(run({"timelock", entry(), "--for", "1"}), 2);
  EXPECT_EQ(run({"timelock", entry(), "--for", "1d", "--until", "2099-01-01"}), 2);
  EXPECT_EQ(run({"timelock", entry(), "--yes"}), 2);
  EXPECT_EQ(run({"timelock", entry() + "@1", "--for", "1d"}), 2);
  EXPECT_EQ(run({"timelock", entry(), "--until", "2001-01-01"}), 1) << "is over";
  EXPECT_EQ(run({"timelock", entry("no.md"), "--for", "1d"}), 1);
  EXPECT_EQ(run({"cat", entry()}), 0) << "nothing was locked";
}

}  // namespace
}  // namespace tain::cli
