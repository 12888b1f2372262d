// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "cli/checks.h"
#include "tests/cli/fake_world.h"

namespace tain::cli {
namespace {

using nlohmann::json;

class CommandsTest : public testing::Test {
 protected:
  std::string password_file(std::string_view password) {
    const std::string path = fake_.directory.file("pass", password);
    ::chmod(path.c_str(), 0600);
    return path;
  }
  int init(const std::string& directory) {
    return fake_.run({"init", "--kdf-time", "0", "--passfile", password_file("pass"), "--json", directory});
  }
  bool err_has(std::string_view text) const { return fake_.err.str().find(text) != std::string::npos; }

  FakeWorld fake_;
};

TEST(CommandTableTest, ACommandOfOneWordMayHaveOthersOfTwo) {
  EXPECT_EQ(find_spoken({"timelock", "PATH"}).command->name, "timelock");
  EXPECT_EQ(find_spoken({"timelock", "PATH"}).words, 1u);
  EXPECT_EQ(find_spoken({"timelock"}).command->name, "timelock");
  EXPECT_EQ(find_spoken({"timelock", "list", "VAULT"}).command->name, "timelock list");
  EXPECT_EQ(find_spoken({"timelock", "list", "VAULT"}).words, 2u);
  EXPECT_EQ(find_spoken({"key", "PATH"}).command, nullptr);
  EXPECT_EQ(find_spoken({"key", "PATH"}).name, "key PATH");
}

TEST(CommandTableTest, NamesAndOptionsAreUnique) {
  std::set<std::string_view> names;
  for (const Command& command : commands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    for (std::string_view alias : command.aliases) EXPECT_TRUE(names.insert(alias).second) << alias;
    std::set<std::string_view> options;
    std::set<char> letters;
    for (const Option& option : command.options) {
      EXPECT_TRUE(options.insert(option.name).second) << command.name << " --" << option.name;
      EXPECT_TRUE(option.letter == 0 || letters.insert(option.letter).second) << command.name << " -" << option.letter;
    }
    EXPECT_EQ(find_command(command.name), &command);
  }
  EXPECT_EQ(find_command("lock")->name, "unmount");
  EXPECT_EQ(find_command("nope"), nullptr);
}

TEST_F(CommandsTest, WithoutACommandTheOverviewIsPrinted) {
  EXPECT_EQ(fake_.run({}), 0);
  for (const Command& command : commands()) EXPECT_NE(fake_.out.str().find(command.summary), std::string::npos) << command.name;
  EXPECT_EQ(fake_.err.str(), "");
}

TEST_F(CommandsTest, EveryCommandHasAHelp) {
  for (const Command& command : commands()) {
    fake_.out.str("");
    EXPECT_EQ(fake_.run({std::string(command.name), "--help"}), 0);
    EXPECT_NE(fake_.out.str().find("usage: tain " + std::string(command.name)), std::string::npos);
    for (const Option& option : command.options) EXPECT_NE(fake_.out.str().find("--" + std::string(option.name)), std::string::npos);
  }
}

TEST_F(CommandsTest, MistakesAreUsageErrorsWithAHint) {
  EXPECT_EQ(fake_.run({"mout", "a", "b"}), 2);
  EXPECT_TRUE(err_has("tain: unknown command mout\ntain: hint: did you mean tain mount?\n"));
  EXPECT_EQ(fake_.run({"mount", "a"}), 2);
  EXPECT_EQ(fake_.run({"list", "a"}), 2);
  EXPECT_EQ(fake_.run({"init", "--nope", "a"}), 2);
  EXPECT_EQ(fake_.run({"init", "--cipher", "rot13", "a"}), 2);
  EXPECT_EQ(fake_.run({"init", "--kdf-time", "soon", "a"}), 2);
  EXPECT_EQ(fake_.run({"init", "--kdf-time", "-1", "a"}), 2);
  EXPECT_EQ(fake_.run({"mount", "-o", "frobnicate", "a", "b"}), 2);
  EXPECT_EQ(fake_.out.str(), "") << "results only on stdout";
}

TEST_F(CommandsTest, InitMakesAVaultAndStatusKnowsIt) {
  const std::string vault = fake_.directory.path("vault");

  ASSERT_EQ(init(vault), 0) << fake_.err.str();
  const json made = json::parse(fake_.out.str());
  EXPECT_EQ(made["vault"], vault);

  fake_.out.str("");
  ASSERT_EQ(fake_.run({"status", "--json", vault}), 0) << fake_.err.str();
  const json status = json::parse(fake_.out.str());
  EXPECT_EQ(status["vault_id"], made["vault_id"]);
  EXPECT_EQ(status["mounted"], false);
  EXPECT_EQ(status["header"]["copy_used"], false);
}

TEST_F(CommandsTest, InitRefusesWhatIsThere) {
  fake_.directory.directory("full");
  fake_.directory.file("full/thing", "");

  EXPECT_EQ(init(fake_.directory.path("full")), 1);
  EXPECT_TRUE(err_has("is not empty\ntain: hint: "));
  EXPECT_EQ(init(fake_.directory.path("full/thing")), 1);
  EXPECT_EQ(init(fake_.directory.path("no/parent")), 1);
  ASSERT_EQ(init(fake_.directory.path("vault")), 0);
  EXPECT_EQ(init(fake_.directory.path("vault")), 1);
  EXPECT_TRUE(err_has("already holds a vault"));
}

TEST_F(CommandsTest, InitWithAnEmptyPasswordLeavesNothing) {
  const std::string vault = fake_.directory.path("vault");

  EXPECT_EQ(fake_.run({"init", "--passfile", password_file("\n"), vault}), 22);
  EXPECT_FALSE(std::filesystem::exists(vault));
}

TEST_F(CommandsTest, ListAndCatLookIntoAClosedVault) {
  const std::string vault = fake_.directory.path("vault");
  ASSERT_EQ(init(vault), 0);
  fake_.out.str("");

  EXPECT_EQ(fake_.run({"ls", "--json", "--passfile", password_file("pass"), vault}), 0) << fake_.err.str();
  EXPECT_EQ(json::parse(fake_.out.str()), json::array());
  EXPECT_EQ(fake_.run({"cat", "--passfile", password_file("pass"), vault, "nothing"}), 1);
  EXPECT_EQ(fake_.run({"ls", "--passfile", password_file("pass"), vault, "../.."}), 1);
  EXPECT_TRUE(err_has("leads out of the vault"));
  EXPECT_EQ(fake_.run({"ls", "--passfile", password_file("wrong"), vault}), 12);
}

TEST_F(CommandsTest, PasswdChangesThePassword) {
  const std::string vault = fake_.directory.path("vault");
  ASSERT_EQ(init(vault), 0);

  fake_.set_stdin("pass\nnext\n");
  ASSERT_EQ(fake_.run({"passwd", "--kdf-time", "0", vault}), 0) << fake_.err.str();
  EXPECT_TRUE(err_has("does not revoke"));
  fake_.set_stdin("pass\n");
  EXPECT_EQ(fake_.run({"ls", vault}), 12);
  fake_.set_stdin("next\n");
  EXPECT_EQ(fake_.run({"ls", vault}), 0) << fake_.err.str();
}

TEST_F(CommandsTest, WhatIsNotAVaultIsSix) {
  EXPECT_EQ(fake_.run({"status", fake_.directory.directory("plain")}), 6);
  EXPECT_EQ(fake_.run({"mount", fake_.directory.path("plain"), fake_.directory.path("mnt")}), 6);
  EXPECT_EQ(fake_.run({"mount", fake_.directory.path("missing"), fake_.directory.path("mnt")}), 6);
  EXPECT_EQ(fake_.run({"passwd", fake_.directory.path("missing")}), 6);
}

TEST_F(CommandsTest, UnmountOfWhatIsNotMountedSaysSo) {
  EXPECT_EQ(fake_.run({"unmount", fake_.directory.directory("plain")}), 10);
  EXPECT_TRUE(err_has("is not mounted"));
}

TEST_F(CommandsTest, DoctorFindsADamagedHeader) {
  const std::string vault = fake_.directory.path("vault");
  ASSERT_EQ(init(vault), 0);
  std::filesystem::resize_file(vault + "/header", 50);
  fake_.out.str("");

  EXPECT_EQ(fake_.run({"doctor", "--json", vault}), 26);
  const json checks = json::parse(fake_.out.str());
  EXPECT_TRUE(std::any_of(checks.begin(), checks.end(), [](const json& check) { return check["check"] == "header" && check["level"] == "fail"; }));
}

TEST_F(CommandsTest, VersionNamesTheLibraries) {
  ASSERT_EQ(fake_.run({"version", "--json"}), 0);
  const json version = json::parse(fake_.out.str());

  for (const char* library : {"libsodium", "LMDB", "xxHash", "libfuse"}) EXPECT_FALSE(version["libraries"][library].get<std::string>().empty());
}

TEST(ChecksTest, SwapIsClearUnlessKnownOtherwise) {
  const auto uuid = [](const std::string& device) { return device == "dm-1" ? "CRYPT-PLAIN-swap" : "LVM-abc"; };
  const std::string heading = "Filename\tType\tSize\tUsed\tPriority\n";

  EXPECT_EQ(clear_swap(heading, uuid), std::nullopt);
  EXPECT_EQ(clear_swap(heading + "/dev/zram0 partition 1 0 1\n/dev/dm-1 partition 1 0 1\n", uuid), std::nullopt);
  EXPECT_EQ(clear_swap(heading + "/dev/dm-0 partition 1 0 1\n", uuid), "/dev/dm-0");
  EXPECT_EQ(clear_swap(heading + "/swapfile file 1 0 1\n", uuid), "/swapfile");
}

TEST(WorldTest, ColourOnlyOnATerminalThatWantsIt) {
  FakeWorld fake;

  EXPECT_EQ(coloured(fake.world, false, Colour::red, "x"), "x");
  EXPECT_NE(coloured(fake.world, true, Colour::red, "x"), "x");
  fake.environment["NO_COLOR"] = "1";
  EXPECT_EQ(coloured(fake.world, true, Colour::red, "x"), "x");
}

TEST(WorldTest, ATerminalGetsNoControlCharacters) {
  FakeWorld fake;

  EXPECT_EQ(printable(fake.world, "a\033[2Jb"), "a\033[2Jb");
  fake.world.out_is_tty = true;
  EXPECT_EQ(printable(fake.world, "a\033[2Jb\xC3\xA9"), "a?[2Jb\xC3\xA9");
}

}  // namespace
}  // namespace tain::cli
