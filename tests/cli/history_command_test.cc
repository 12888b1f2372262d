// SPDX-License-Identifier: Apache-2.0
// tain log, diff, cat, restore, trash and prune of a vault that is not mounted. tests/e2e/history.sh has the rest.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/moment.h"
#include "cli/history_source.h"
#include "store/content.h"
#include "store/tree.h"
#include "store/vault.h"
#include "tests/cli/fake_world.h"
#include "tests/support/temp_vault.h"

namespace tain::cli {
namespace {

using nlohmann::json;

class HistoryCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    pass_ = fake_.directory.file("pass", "pass");
    ::chmod(pass_.c_str(), 0600);
    // What the commands see by the system's clock is some hours old.
    clock_.advance_seconds((system_clock().wall_ns() - clock_.wall_ns()) / 1'000'000'000 - 10 * 3600);
    ASSERT_EQ(fake_.run({"init", "--kdf-time", "0", "--passfile", pass_, vault_}), 0) << fake_.err.str();
    change([this](store::Vault& vault) {
      const Ino folder = vault.tree().make(kRootIno, "folder", {.mode = S_IFDIR | 0700}).value().ino;
      for (const char* text : {"one\n", "one\ntwo\n", "three\n"}) {
        save(vault, folder, "notes.md", text);
        clock_.advance_seconds(3600);
      }
    });
  }
  /// Opens the vault as a mount does, with a clock of its own.
  void change(const std::function<void(store::Vault&)>& what) {
    store::OpenOptions options;
    options.history = true;
    options.committer_thread = false;
    options.clock = &clock_;
    auto vault = store::Vault::open(vault_, options, Secret::copy_of(as_bytes("pass"))).value();
    what(*vault);
    ASSERT_TRUE(vault->close().ok());
  }
  static void save(store::Vault& vault, Ino folder, const std::string& name, const std::string& text) {
    const Ino file = vault.tree().make(folder, name + ".new~", {.mode = S_IFREG | 0640}).value().ino;
    ASSERT_TRUE(vault.content().write(file, 0, as_bytes(text)).ok());
    ASSERT_TRUE(vault.tree().rename(folder, name + ".new~", folder, name, store::RenameMode::replace).ok());
  }
  int run(std::vector<std::string> words) {
    fake_.out.str("");
    fake_.err.str("");
    words.insert(words.end(), {"--passfile", pass_});
    return fake_.run(words);
  }
  std::string out() { return fake_.out.str(); }
  std::string entry(const std::string& path = "folder/notes.md") { return vault_ + ":" + path; }

  test::FakeClock clock_;
  FakeWorld fake_;
  const std::string vault_ = fake_.directory.path("vault");
  std::string pass_;
};

TEST_F(HistoryCommandTest, LogShowsTheVersionsNewestFirst) {
  ASSERT_EQ(run({"log", entry()}), 0) << fake_.err.str();
  const std::string text = out();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;
  EXPECT_LT(text.find("  3  "), text.find("  2  "));
  EXPECT_LT(text.find("  2  "), text.find("  1  "));
  EXPECT_NE(text.find("(as it is now)"), std::string::npos);

  ASSERT_EQ(run({"log", "--json", entry()}), 0);
  const json log = json::parse(out());
  EXPECT_EQ(log["path"], "folder/notes.md");
  ASSERT_EQ(log["versions"].size(), 3u);
  EXPECT_EQ(log["versions"][0]["size"], 6);
  EXPECT_FALSE(log["versions"][0].contains("until_ms"));
  EXPECT_EQ(log["versions"][2]["number"], 1);
  EXPECT_EQ(log["versions"][1]["since_ms"], log["versions"][2]["until_ms"]);
}

TEST_F(HistoryCommandTest, CatShowsAVersionByNumberAndByTime) {
  ASSERT_EQ(run({"cat", entry()}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "three\n");
  for (const char* version : {"1", "-2"}) {
    ASSERT_EQ(run({"cat", entry() + "@" + version}), 0) << fake_.err.str();
    EXPECT_EQ(out(), "one\n") << version;
  }
  ASSERT_EQ(run({"cat", vault_, "folder/notes.md@2"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "one\ntwo\n");
  ASSERT_EQ(run({"log", "--json", entry()}), 0);
  const int64_t since = json::parse(out())["versions"][1]["since_ms"];
  ASSERT_EQ(run({"cat", entry() + "@" + moment_name(since)}), 0);
  EXPECT_EQ(out(), "one\ntwo\n");
  ASSERT_EQ(run({"cat", entry() + "@" + moment_name(since - 1)}), 0);
  EXPECT_EQ(out(), "one\n");
  EXPECT_EQ(run({"cat", entry() + "@4"}), 1);
  EXPECT_EQ(run({"cat", entry() + "@2000-01-01"}), 1);
  EXPECT_NE(fake_.err.str().find("was not there"), std::string::npos);
}

TEST_F(HistoryCommandTest, AnAtThatIsNoVersionBelongsToTheName) {
  change([](store::Vault& vault) { save(vault, kRootIno, "me@home.md", "mail\n"); });
  ASSERT_EQ(run({"cat", entry("me@home.md")}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "mail\n");
  ASSERT_EQ(run({"cat", entry("me@home.md@1")}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "mail\n");
}

TEST_F(HistoryCommandTest, AnEntryWithThatVeryNameComesBeforeAVersion) {
  change([](store::Vault& vault) {
    const Ino folder = vault.tree().lookup(kRootIno, "folder").value().ino;
    save(vault, folder, "notes.md@1", "a name\n");
    save(vault, folder, "notes.md@yesterday", "another name\n");
  });
  ASSERT_EQ(run({"cat", entry() + "@1"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "a name\n");
  ASSERT_EQ(run({"cat", vault_, "folder/notes.md@1"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "a name\n");
  ASSERT_EQ(run({"cat", entry() + "@yesterday"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "another name\n");
  ASSERT_EQ(run({"log", "--json", entry() + "@1"}), 0) << fake_.err.str();
  EXPECT_EQ(json::parse(out())["path"], "folder/notes.md@1");
  EXPECT_EQ(json::parse(out())["versions"].size(), 1u);
  ASSERT_EQ(run({"diff", "--json", entry() + "@1", entry() + "@2"}), 0) << fake_.err.str();
  EXPECT_EQ(json::parse(out())["new"]["number"], 2) << "there is no notes.md@2";
  EXPECT_EQ(run({"restore", entry() + "@1"}), 2) << "it is there, and no version is named";

  // The other meaning.
  ASSERT_EQ(run({"cat", entry() + "@@1"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "one\n");
  ASSERT_EQ(run({"cat", entry() + "@1@1"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "a name\n");
  ASSERT_EQ(run({"restore", entry() + "@@1", "--to", "folder/back@2"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "restored folder/notes.md as folder/back@2\n") << "--to is a name as it stands";
}

TEST_F(HistoryCommandTest, ADoubledAtIsPartOfANameThatIsThere) {
  change([](store::Vault& vault) { save(vault, kRootIno, "a@", "with an at\n"); });
  ASSERT_EQ(run({"cat", entry("a@@1")}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "with an at\n");
}

TEST_F(HistoryCommandTest, WhatWasRemovedHasItsHistoryUntilItIsGone) {
  change([this](store::Vault& vault) {
    const Ino folder = vault.tree().lookup(kRootIno, "folder").value().ino;
    ASSERT_TRUE(vault.tree().unlink(folder, "notes.md").ok());
    clock_.advance_seconds(3600);
    save(vault, folder, "notes.md", "again\n");
    clock_.advance_seconds(3600);
    ASSERT_TRUE(vault.tree().unlink(folder, "notes.md").ok());
    clock_.advance_seconds(60);
  });
  ASSERT_EQ(run({"log", entry()}), 0) << fake_.err.str();
  const std::string text = out();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2 + 1 + 3) << text;
  EXPECT_NE(text.find("folder/notes.md: in the trash, since "), std::string::npos) << text;
  EXPECT_NE(text.find("tain trash restore PATH brings it back"), std::string::npos) << text;
  EXPECT_EQ(text.find("(as it is now)"), std::string::npos) << text;
  ASSERT_EQ(run({"log", "--json", entry()}), 0) << fake_.err.str();
  const json log = json::parse(out());
  EXPECT_TRUE(log["versions"].empty()) << log;
  ASSERT_EQ(log["removed"].size(), 2u) << log;
  EXPECT_EQ(log["removed"][0]["versions"].size(), 1u) << "what was removed last comes first";
  EXPECT_EQ(log["removed"][1]["versions"].size(), 3u);
  const int64_t second_ms = log["removed"][1]["versions"][1]["since_ms"];

  // The last one, or the one that was there at a time.
  ASSERT_EQ(run({"cat", entry()}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "again\n");
  EXPECT_NE(fake_.err.str().find("is in the trash"), std::string::npos) << fake_.err.str();
  ASSERT_EQ(run({"cat", entry() + "@-1"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "again\n");
  ASSERT_EQ(run({"cat", entry() + "@" + moment_name(second_ms)}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "one\ntwo\n");
  EXPECT_EQ(run({"cat", entry() + "@now"}), 1);
  EXPECT_NE(fake_.err.str().find("it was removed before"), std::string::npos) << fake_.err.str();
  EXPECT_EQ(run({"cat", entry() + "@2"}), 1) << "the last one has one version";
  EXPECT_EQ(run({"cat", entry() + "@2000-01-01"}), 1);
  ASSERT_EQ(run({"log", "--json", entry() + "@" + moment_name(second_ms)}), 0) << fake_.err.str();
  EXPECT_EQ(json::parse(out())["removed"].size(), 1u) << out();
  ASSERT_EQ(run({"diff", entry() + "@" + moment_name(second_ms), entry()}), 0) << fake_.err.str();
  EXPECT_NE(out().find("-one\n-two\n+again\n"), std::string::npos) << out();
  ASSERT_EQ(run({"diff", entry()}), 0) << fake_.err.str();
  EXPECT_NE(fake_.err.str().find("one version only"), std::string::npos);

  // Back as it was then, with its history.
  ASSERT_EQ(run({"restore", entry() + "@" + moment_name(second_ms)}), 0) << fake_.err.str();
  ASSERT_EQ(run({"cat", entry()}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "one\ntwo\n");
  ASSERT_EQ(run({"log", "--json", entry(), "--removed"}), 0) << fake_.err.str();
  EXPECT_EQ(json::parse(out())["versions"].size(), 4u) << out();
  EXPECT_EQ(json::parse(out())["removed"].size(), 1u) << out();
  // What is there has its place; what was there before it is still found by a time.
  ASSERT_EQ(run({"cat", entry() + "@" + moment_name(log["removed"][0]["versions"][0]["since_ms"])}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "three\n") << "of what is there now: it did not end when it was in the trash";
}

TEST_F(HistoryCommandTest, WhatIsInARemovedFolderIsFoundToo) {
  change([](store::Vault& vault) {
    const Ino folder = vault.tree().lookup(kRootIno, "folder").value().ino;
    ASSERT_TRUE(vault.tree().unlink(folder, "notes.md").ok());
    ASSERT_TRUE(vault.tree().rmdir(kRootIno, "folder").ok());
  });
  ASSERT_EQ(run({"cat", entry() + "@1"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "one\n");
  EXPECT_EQ(run({"restore", entry()}), 1) << "its folder is gone";
  EXPECT_NE(fake_.err.str().find("--to"), std::string::npos) << fake_.err.str();
  ASSERT_EQ(run({"restore", entry() + "@2", "--to", "notes.md"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "restored folder/notes.md as notes.md\n");
  ASSERT_EQ(run({"cat", entry("notes.md")}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "one\ntwo\n");
}

TEST_F(HistoryCommandTest, DiffShowsTheLastChangeOrTheChangeSinceAVersion) {
  ASSERT_EQ(run({"diff", entry()}), 0) << fake_.err.str();
  EXPECT_NE(out().find("-two\n+three\n"), std::string::npos) << out();
  EXPECT_NE(out().find("--- folder/notes.md\t"), std::string::npos) << out();
  ASSERT_EQ(run({"diff", entry() + "@1"}), 0);
  EXPECT_NE(out().find("-one\n+three\n"), std::string::npos) << out();
  ASSERT_EQ(run({"diff", entry() + "@1", entry() + "@2"}), 0);
  EXPECT_NE(out().find(" one\n+two\n"), std::string::npos) << out();
  ASSERT_EQ(run({"diff", "--json", entry() + "@1", entry() + "@1"}), 0);
  EXPECT_EQ(json::parse(out())["identical"], true);
}

TEST_F(HistoryCommandTest, RestoreMakesANewVersionOfAnOldOne) {
  ASSERT_EQ(run({"restore", entry() + "@1"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "restored folder/notes.md\n");
  ASSERT_EQ(run({"cat", entry()}), 0);
  EXPECT_EQ(out(), "one\n");
  ASSERT_EQ(run({"log", "--json", entry()}), 0);
  EXPECT_EQ(json::parse(out())["versions"].size(), 4u) << out();
  ASSERT_EQ(run({"cat", entry() + "@-1"}), 0);
  EXPECT_EQ(out(), "three\n") << "what was there is a version";
  EXPECT_EQ(run({"restore", entry()}), 2) << "which version?";
}

TEST_F(HistoryCommandTest, RestoreElsewhereTakesNobodysPlace) {
  ASSERT_EQ(run({"restore", entry() + "@1", "--to", "copy.md"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "restored folder/notes.md as copy.md\n");
  ASSERT_EQ(run({"restore", entry() + "@2", "--to", entry("copy.md"), "--json"}), 0) << fake_.err.str();
  EXPECT_EQ(json::parse(out())["path"], "copy (restored).md");
  ASSERT_EQ(run({"cat", entry("copy.md")}), 0);
  EXPECT_EQ(out(), "one\n");
  ASSERT_EQ(run({"cat", entry("copy (restored).md")}), 0);
  EXPECT_EQ(out(), "one\ntwo\n");
  ASSERT_EQ(run({"ls", "--json", vault_}), 0);
  EXPECT_EQ(json::parse(out()).size(), 3u) << "nothing else is left: " << out();
  EXPECT_EQ(run({"restore", entry() + "@1", "--to", ".tain"}), 1);
}

TEST_F(HistoryCommandTest, TheTrashIsListedAndGivesBack) {
  change([this](store::Vault& vault) {
    const Ino folder = vault.tree().lookup(kRootIno, "folder").value().ino;
    ASSERT_TRUE(vault.tree().unlink(folder, "notes.md").ok());
    ASSERT_TRUE(vault.tree().rmdir(kRootIno, "folder").ok());
    clock_.advance_seconds(60);
    save(vault, kRootIno, "folder", "in the way\n");
  });
  ASSERT_EQ(run({"trash", "list", vault_}), 0) << fake_.err.str();
  EXPECT_NE(out().find("folder/  (2 entries)\n"), std::string::npos) << out();
  ASSERT_EQ(run({"trash", "list", "--json", vault_}), 0);
  const json items = json::parse(out());
  ASSERT_EQ(items.size(), 1u) << out();
  EXPECT_EQ(items[0]["path"], "folder");
  EXPECT_EQ(items[0]["type"], "directory");
  ASSERT_EQ(run({"trash", "restore", entry("folder")}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "restored folder as folder (restored), 2 entries\n");
  ASSERT_EQ(run({"log", "--json", entry("folder (restored)/notes.md")}), 0) << fake_.err.str();
  EXPECT_EQ(json::parse(out())["versions"].size(), 3u) << "with its history";
  EXPECT_EQ(run({"trash", "restore", entry("folder")}), 1) << "it is not there any more";
}

TEST_F(HistoryCommandTest, RestoreWithoutAVersionTakesFromTheTrash) {
  change([](store::Vault& vault) {
    const Ino folder = vault.tree().lookup(kRootIno, "folder").value().ino;
    ASSERT_TRUE(vault.tree().unlink(folder, "notes.md").ok());
  });
  EXPECT_EQ(run({"log", entry("folder/other.md")}), 1);
  EXPECT_NE(fake_.err.str().find("tain trash list"), std::string::npos);
  ASSERT_EQ(run({"restore", entry()}), 0) << fake_.err.str();
  ASSERT_EQ(run({"cat", entry()}), 0);
  EXPECT_EQ(out(), "three\n");
}

TEST_F(HistoryCommandTest, EmptyingAndPruningSayHowMuchGoes) {
  ASSERT_EQ(run({"prune", "--dry-run", vault_, "--json"}), 0) << fake_.err.str();
  const json dry = json::parse(out());
  EXPECT_EQ(dry["dry_run"], true);
  ASSERT_EQ(run({"prune", vault_, "--json"}), 0) << fake_.err.str();
  const json pruned = json::parse(out());
  EXPECT_EQ(pruned["states"], dry["states"]);
  change([](store::Vault& vault) {
    const Ino folder = vault.tree().lookup(kRootIno, "folder").value().ino;
    ASSERT_TRUE(vault.tree().unlink(folder, "notes.md").ok());
  });
  ASSERT_EQ(run({"trash", "empty", vault_}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "removed 1 entry for good\n");
  ASSERT_EQ(run({"trash", "list", vault_}), 0);
  EXPECT_EQ(out(), "");
}

TEST_F(HistoryCommandTest, WhatIsPurgedIsGoneWithItsHistory) {
  change([this](store::Vault& vault) {
    const Ino folder = vault.tree().lookup(kRootIno, "folder").value().ino;
    save(vault, folder, "other.md", "other\n");
    save(vault, kRootIno, "kept.md", "kept\n");
    const Ino notes = vault.tree().lookup(folder, "notes.md").value().ino;
    ASSERT_TRUE(vault.tree().link(notes, kRootIno, "second name").ok());
    clock_.advance_seconds(60);
  });
  EXPECT_EQ(run({"purge", entry()}), 130) << "nobody answers";
  fake_.terminal.answers = {"no"};
  EXPECT_EQ(run({"purge", entry()}), 130);
  EXPECT_EQ(run({"purge", entry() + "@1", "--yes"}), 2) << "a version alone";
  ASSERT_EQ(run({"cat", entry() + "@1"}), 0) << fake_.err.str();

  // One of two names: the file stays.
  fake_.terminal.answers = {"yes"};
  ASSERT_EQ(run({"purge", entry()}), 0) << fake_.err.str();
  ASSERT_EQ(run({"cat", entry("second name@1")}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "one\n");
  ASSERT_EQ(run({"purge", entry("second name"), "--yes", "--json"}), 0) << fake_.err.str();
  EXPECT_EQ(json::parse(out())["entries"], 1);
  for (const char* path : {"second name", "folder/notes.md"}) EXPECT_EQ(run({"log", entry(path)}), 1) << path;

  // A folder, and what is in it.
  ASSERT_EQ(run({"purge", entry("folder"), "--yes"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "removed folder for good: 2 entries\n");
  EXPECT_NE(fake_.err.str().find("backups"), std::string::npos) << fake_.err.str();
  ASSERT_EQ(run({"trash", "list", "--json", vault_}), 0);
  EXPECT_TRUE(json::parse(out()).empty()) << out();
  ASSERT_EQ(run({"cat", entry("kept.md")}), 0);
  change([](store::Vault& vault) { EXPECT_EQ(vault.stats().retired_entries, 0u); });
  ASSERT_EQ(run({"check", vault_}), 0) << out() << fake_.err.str();
}

TEST_F(HistoryCommandTest, OfTheTrashOnlyWhatIsNamedIsPurged) {
  change([this](store::Vault& vault) {
    const Ino folder = vault.tree().lookup(kRootIno, "folder").value().ino;
    save(vault, kRootIno, "other.md", "other\n");
    clock_.advance_seconds(60);
    ASSERT_TRUE(vault.tree().unlink(folder, "notes.md").ok());
    ASSERT_TRUE(vault.tree().rmdir(kRootIno, "folder").ok());
    ASSERT_TRUE(vault.tree().unlink(kRootIno, "other.md").ok());
  });
  ASSERT_EQ(run({"purge", entry("folder"), "--yes"}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "removed folder for good: 2 entries\n");
  EXPECT_EQ(run({"cat", entry()}), 1);
  ASSERT_EQ(run({"cat", entry("other.md")}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "other\n");
  EXPECT_EQ(run({"purge", entry("folder"), "--yes"}), 1) << "it is gone";
  ASSERT_EQ(run({"check", vault_}), 0) << out() << fake_.err.str();
}

TEST_F(HistoryCommandTest, RetentionIsShownAndSet) {
  ASSERT_EQ(run({"retention", vault_}), 0) << fake_.err.str();
  EXPECT_EQ(out(),
            "preset    default\nall       1 day\nhourly    7 days\ndaily     91 days\nmonthly   for ever\ntrash     30 days\n"
            "due       0 versions and 0 entries of the trash\n");
  ASSERT_EQ(run({"retention", vault_, "week", "--hourly", "14d", "--trash", "36h", "--monthly", "0", "--json"}), 0);
  json set = json::parse(out());
  EXPECT_FALSE(set.contains("preset"));
  const json expected = {{"all_s", 7 * 86400}, {"hourly_s", 14 * 86400}, {"daily_s", 0}, {"monthly_s", 0}, {"trash_s", 36 * 3600}};
  EXPECT_EQ(set["policy"], expected);
  ASSERT_EQ(run({"retention", vault_, "--daily", "forever", "--dry-run", "--json"}), 0);
  EXPECT_EQ(json::parse(out())["policy"]["daily_s"], json());
  ASSERT_EQ(run({"retention", vault_, "--json"}), 0);
  EXPECT_EQ(json::parse(out())["policy"], expected) << "it lasts, and the dry run changed nothing";
  for (const char* preset : {"all", "week", "day", "default"}) {
    ASSERT_EQ(run({"retention", vault_, preset, "--json"}), 0);
    EXPECT_EQ(json::parse(out())["preset"], preset);
  }
  EXPECT_EQ(run({"retention", vault_, "month"}), 2);
  EXPECT_EQ(run({"retention", vault_, "--all", "long"}), 2);
}

TEST_F(HistoryCommandTest, PruningListsWhatItWouldDropAndDropsThat) {
  change([](store::Vault& vault) {
    ASSERT_TRUE(vault.set_retention({.states = {.all_s = 0, .hourly_s = 0, .daily_s = 0, .monthly_s = 0}, .trash_s = 0}).ok());
    const Ino folder = vault.tree().lookup(kRootIno, "folder").value().ino;
    ASSERT_TRUE(vault.tree().unlink(folder, "notes.md").ok());
    save(vault, folder, "kept.md", "text\n");
  });
  ASSERT_EQ(run({"prune", "--dry-run", vault_}), 0) << fake_.err.str();
  EXPECT_NE(out().find("  trash    folder/notes.md\n"), std::string::npos) << out();
  EXPECT_NE(out().find("would drop 1 version and 1 entry of the trash\n"), std::string::npos) << out();
  ASSERT_EQ(run({"trash", "list", "--json", vault_}), 0);
  EXPECT_EQ(json::parse(out()).size(), 1u);
  ASSERT_EQ(run({"prune", vault_}), 0) << fake_.err.str();
  EXPECT_EQ(out(), "dropped 1 version and 1 entry of the trash\n");
  ASSERT_EQ(run({"trash", "list", "--json", vault_}), 0);
  EXPECT_TRUE(json::parse(out()).empty());
  ASSERT_EQ(run({"cat", entry("folder/kept.md")}), 0);
  EXPECT_EQ(out(), "text\n");
}

TEST_F(HistoryCommandTest, WhatNamesNoEntryIsAUsageError) {
  EXPECT_EQ(run({"log", fake_.directory.path("elsewhere")}), 2);
  EXPECT_EQ(run({"log", vault_ + ":"}), 2);
  EXPECT_EQ(run({"log", entry("missing")}), 1);
}

TEST(PickVersionTest, ByNumberFromBehindAndByTime) {
  std::vector<VersionInfo> versions(3);
  for (uint64_t i = 0; i < 3; ++i) versions[i] = {.number = 3 - i, .since_ms = static_cast<int64_t>(3 - i) * 1000};
  const auto number = [&](const std::string& text) {
    auto found = pick_version(versions, text, 10'000);
    return found.ok() ? found->number : 0;
  };
  EXPECT_EQ(number("1"), 1u);
  EXPECT_EQ(number("3"), 3u);
  EXPECT_EQ(number("-1"), 2u);
  EXPECT_EQ(number("-2"), 1u);
  EXPECT_EQ(number("-3"), 0u);
  EXPECT_EQ(number("0"), 0u);
  EXPECT_EQ(number("4"), 0u);
  EXPECT_EQ(number("now"), 3u);
  EXPECT_EQ(number("8s ago"), 2u);
  EXPECT_TRUE(pick_version(versions, "rubbish", 0).is(Code::invalid_argument));
}

}  // namespace
}  // namespace tain::cli
