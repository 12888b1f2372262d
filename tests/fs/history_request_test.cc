// SPDX-License-Identifier: Apache-2.0
// Requests of history as clients send them. tests/cli/history_command_test.cc has what people see of them.
#include "fs/history_request.h"

#include <gtest/gtest.h>

#include <set>

#include "fs/restore.h"
#include "fs/retention_request.h"
#include "store/codec.h"
#include "store/past.h"
#include "tests/store/vault_edits.h"
#include "tests/support/temp_vault.h"

namespace tain::fs {
namespace {

using nlohmann::json;

class HistoryRequestTest : public testing::Test {
 protected:
  static store::OpenOptions options() {
    store::OpenOptions out;
    out.committer_thread = false;
    out.history = true;
    return out;
  }
  json ask(json request) {
    return answer_history(vault_.vault(), request,
                          {.changed = [this](Ino directory, const std::string& name) { changed_.emplace_back(directory, name); },
                           .unlinked = [this](const store::Unlinked& one) { unlinked_.push_back(one); }});
  }
  /// All replies' rows.
  json ask_all(json request, const char* member) {
    json out = json::array();
    for (replies_ = 1;; ++replies_) {
      const json reply = ask(request);
      EXPECT_EQ(reply["ok"], true) << reply;
      EXPECT_LT(to_line(reply).size(), 256u * 1024) << "more than a client may leave unread";
      for (const json& row : reply.value(member, json::array())) out.push_back(row);
      if (!reply.contains("next")) return out;
      request["from"] = reply["next"];
    }
  }
  void stand() {
    vault_.clock().advance_seconds(2);
    ASSERT_TRUE(vault_.vault().sync().ok());
  }

  test::TempVault vault_{options()};
  std::vector<std::pair<Ino, std::string>> changed_;
  std::vector<store::Unlinked> unlinked_;
  int replies_ = 0;
};

TEST_F(HistoryRequestTest, ALongHistoryComesInPieces) {
  const Ino file = vault_.make_file(kRootIno, "a.md");
  for (int i = 0; i < 450; ++i) {
    vault_.write(file, 0, std::to_string(i));
    stand();
  }
  const json rows = ask_all({{"op", "log"}, {"path", "a.md"}}, "versions");

  ASSERT_EQ(rows.size(), 450u);
  EXPECT_EQ(replies_, 2);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i]["number"], rows.size() - i);
}

TEST_F(HistoryRequestTest, AFullTrashComesInPiecesWithPaths) {
  const Ino folder = vault_.make_directory(kRootIno, "folder");
  for (int i = 0; i < 450; ++i) vault_.make_file(folder, "file " + std::to_string(i));
  stand();
  for (int i = 0; i < 450; ++i) {
    const auto gone = vault_.tree().unlink(folder, "file " + std::to_string(i));
    ASSERT_TRUE(gone.ok());
    if (gone->orphan) { ASSERT_TRUE(vault_.tree().reap(gone->ino).ok()); }
  }
  const json rows = ask_all({{"op", "trash_list"}}, "items");

  ASSERT_EQ(rows.size(), 450u);
  EXPECT_EQ(replies_, 2);
  EXPECT_EQ(rows[0]["path"], "folder/file 449") << "the last one first";
  std::set<std::string> ids;
  for (const json& row : rows) ids.insert(row["id"].get<std::string>());
  EXPECT_EQ(ids.size(), 450u);
  const json restored = ask({{"op", "trash_restore"}, {"id", rows[10]["id"]}});
  EXPECT_EQ(restored["path"], rows[10]["path"]);
  ASSERT_EQ(changed_.size(), 1u) << "the kernel has to be told";
  EXPECT_EQ(changed_[0].first, folder);
  EXPECT_EQ("folder/" + changed_[0].second, rows[10]["path"]);
}

TEST_F(HistoryRequestTest, RestoreTellsWhatHasChangedAndLeavesNothingElse) {
  const Ino file = vault_.make_file(kRootIno, "a");
  vault_.write(file, 0, std::string(3 << 20, 'x'));
  stand();
  vault_.write(file, 1 << 20, "changed");
  stand();
  const json reply = ask({{"op", "restore"}, {"path", "a"}, {"number", 1}});

  ASSERT_EQ(reply["ok"], true) << reply;
  ASSERT_EQ(changed_.size(), 1u);
  EXPECT_EQ(changed_[0].second, "a");
  EXPECT_EQ(vault_.read(vault_.tree().lookup(kRootIno, "a")->ino), std::string(3 << 20, 'x'));
  EXPECT_EQ(vault_.tree().getattr(kRootIno)->nlink, 2u);
  size_t names = 0;
  ASSERT_TRUE(vault_.tree().list(kRootIno, Cookie{0}, [&](const store::ListItem&) { return ++names > 0; }).ok());
  EXPECT_EQ(names, 1u);
  EXPECT_EQ(ask_all({{"op", "log"}, {"path", "a"}}, "versions").size(), 3u);
}

TEST_F(HistoryRequestTest, RestoreTakesNobodysName) {
  for (const char* name : {".tain-restore~", ".tain-restore-0000000000000000~"})
    vault_.write(vault_.make_file(kRootIno, name), 0, name);
  ASSERT_TRUE(vault_.tree().make(kRootIno, "link", {.mode = S_IFLNK | 0777, .symlink = "first"}).ok());
  vault_.write(vault_.make_file(kRootIno, "a"), 0, "first");
  stand();
  ASSERT_TRUE(vault_.tree().make(kRootIno, "other link", {.mode = S_IFLNK | 0777, .symlink = "second"}).ok());
  ASSERT_TRUE(vault_.tree().rename(kRootIno, "other link", kRootIno, "link", store::RenameMode::replace).ok());
  vault_.write(vault_.tree().lookup(kRootIno, "a")->ino, 0, "other");
  stand();
  for (const char* path : {"a", "link"}) {
    ASSERT_EQ(ask({{"op", "restore"}, {"path", path}, {"number", 1}})["ok"], true) << path;
    ASSERT_EQ(ask({{"op", "restore"}, {"path", path}, {"number", 1}, {"to", std::string(path) + " then"}})["ok"], true);
    EXPECT_EQ(ask_all({{"op", "log"}, {"path", path}}, "versions").size(), 3u) << path;
  }
  for (const char* name : {"a", "a then"}) EXPECT_EQ(vault_.read(vault_.tree().lookup(kRootIno, name)->ino), "first");
  for (const char* name : {"link", "link then"})
    EXPECT_EQ(vault_.tree().readlink(vault_.tree().lookup(kRootIno, name)->ino).value(), "first");
  for (const char* name : {".tain-restore~", ".tain-restore-0000000000000000~"})
    EXPECT_EQ(vault_.read(vault_.tree().lookup(kRootIno, name)->ino), name);
  size_t names = 0;
  ASSERT_TRUE(vault_.tree().list(kRootIno, Cookie{0}, [&](const store::ListItem&) { return ++names > 0; }).ok());
  EXPECT_EQ(names, 6u);
}

/// Also where so many were made of late that others are thinned.
TEST_F(HistoryRequestTest, RestoreKeepsWhatItReplacesHoweverManyVersionsThereAre) {
  vault_.write(vault_.make_file(kRootIno, "a"), 0, "first");
  stand();
  const auto save = [&](const std::string& text) {
    vault_.write(vault_.make_file(kRootIno, ".goutputstream-1"), 0, text);
    const auto gone = vault_.tree().rename(kRootIno, ".goutputstream-1", kRootIno, "a", store::RenameMode::replace);
    ASSERT_TRUE(gone.ok());
    if (*gone && (*gone)->orphan) { ASSERT_TRUE(vault_.tree().reap((*gone)->ino).ok()); }
  };
  for (int i = 0; i < 200; ++i) save("quick " + std::to_string(i));
  save("present");
  const json before = ask_all({{"op", "log"}, {"path", "a"}}, "versions");
  ASSERT_LT(before.size(), 150u) << "they were not thinned";

  for (const char* replaced : {"present", "first"}) {
    ASSERT_EQ(ask({{"op", "restore"}, {"path", "a"}, {"number", 1}})["ok"], true);
    EXPECT_TRUE(unlinked_.empty() || !unlinked_.back().orphan);
    const auto log = vault_.vault().past().log(vault_.tree().lookup(kRootIno, "a")->ino);
    ASSERT_TRUE(log.ok());
    Bytes text(log->at(1).inode.content.size);
    ASSERT_TRUE(vault_.vault().past().read(log->at(1), 0, text).ok());
    EXPECT_EQ(as_text(text), replaced);
  }
}

TEST_F(HistoryRequestTest, RestoreKeepsWhatItReplacesInAMountWithoutHistory) {
  store::OpenOptions without = options();
  without.history = false;
  test::TempVault plain(without);
  plain.write(plain.make_file(kRootIno, "a"), 0, "one");
  plain.write(plain.make_file(kRootIno, "b"), 0, "other");
  const Ino other = plain.tree().lookup(kRootIno, "b")->ino;
  ASSERT_TRUE(plain.tree().link(other, kRootIno, "b too").ok());
  const auto log = plain.vault().past().log(plain.tree().lookup(kRootIno, "a")->ino);
  ASSERT_TRUE(log.ok());
  const Server server{.changed = [](Ino, const std::string&) {}, .unlinked = [](const store::Unlinked& one) { EXPECT_FALSE(one.orphan); }};
  for (const char* name : {"a", "b", "b too"}) {
    const Ino there = plain.tree().lookup(kRootIno, name)->ino;
    ASSERT_TRUE(restore_version(plain.vault(), log->at(0), {kRootIno, name}, server).ok());
    const auto now = plain.vault().past().log(plain.tree().lookup(kRootIno, name)->ino);
    ASSERT_TRUE(now.ok());
    EXPECT_EQ(now->size(), 2u) << name;
    EXPECT_EQ(now->back().inode.ino, there) << name;
  }
}

TEST_F(HistoryRequestTest, WhatIsReplacedAndNotKeptStaysForWhoHasItOpen) {
  const Ino file = vault_.make_file(kRootIno, "backup~");  // of which no history is kept
  vault_.write(file, 0, "somebody has it open");
  ASSERT_EQ(ask({{"op", "restore"}, {"path", "backup~"}, {"number", 1}})["ok"], true);

  ASSERT_EQ(unlinked_.size(), 1u);
  EXPECT_EQ(unlinked_[0].ino, file);
  EXPECT_TRUE(unlinked_[0].orphan);
  EXPECT_EQ(vault_.read(file), "somebody has it open");
  ASSERT_TRUE(vault_.tree().reap(file).ok());
}

TEST_F(HistoryRequestTest, WhatMakesNoSenseIsRefused) {
  vault_.make_file(kRootIno, "a");
  for (const json& request :
       {json{{"op", "log"}}, json{{"op", "log"}, {"path", 7}}, json{{"op", "log"}, {"path", ""}}, json{{"op", "log"}, {"path", "../a"}},
        json{{"op", "log"}, {"path", "a"}, {"from", "x"}}, json{{"op", "log"}, {"path", {{"hex", "zz"}}}},
        json{{"op", "restore"}, {"path", "a"}}, json{{"op", "restore"}, {"path", "a"}, {"number", 0}},
        json{{"op", "restore"}, {"path", "a"}, {"number", 2}}, json{{"op", "trash_empty"}, {"before_ms", "now"}}}) {
    const json reply = ask(request);
    EXPECT_EQ(reply["code"], "bad_request") << request << reply;
  }
  EXPECT_EQ(ask({{"op", "log"}, {"path", "b"}})["code"], "not_found");
  EXPECT_EQ(ask({{"op", "trash_restore"}, {"id", "1.2"}})["code"], "not_found");
  EXPECT_EQ(ask({{"op", "restore"}, {"path", "a"}, {"number", 1}, {"to", "a"}})["code"], "exists");
  EXPECT_EQ(ask({{"op", "restore"}, {"path", "a"}, {"number", 1}, {"to", ".tain"}})["code"], "exists");
  EXPECT_FALSE(is_history_request("status"));
  EXPECT_FALSE(is_history_request(7));
}

TEST_F(HistoryRequestTest, ADamagedVersionIsListedAsSuchAndNotRestored) {
  const Ino file = vault_.make_file(kRootIno, "a.md");
  for (const char* text : {"one", "two", "three", "4 more"}) {
    vault_.write(file, 0, text);
    stand();
  }
  const uint64_t ended = vault_.vault().past().log(file).value().at(2).ended_hlc;
  ASSERT_TRUE(vault_.vault().close().ok());
  vault_.close();
  test::edit_value(vault_.directory(), store::Table::versions, store::version_key(file, ended),
                   [](Bytes& value) { value[100] ^= 1; });
  vault_.reopen();
  const json rows = ask_all({{"op", "log"}, {"path", "a.md"}}, "versions");

  ASSERT_EQ(rows.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(rows[i].value("damaged", false), i == 2) << i;
  EXPECT_FALSE(rows[2].contains("size"));
  EXPECT_EQ(rows[2]["changed"], json{"damaged"});
  EXPECT_EQ(rows[1]["changed"], json{"content"}) << "compared with the version before";
  EXPECT_EQ(ask({{"op", "restore"}, {"path", "a.md"}, {"number", 2}})["code"], "corrupt");
  EXPECT_EQ(vault_.read(file), "4 more");
  EXPECT_EQ(ask({{"op", "restore"}, {"path", "a.md"}, {"number", 1}})["ok"], true);
}

TEST_F(HistoryRequestTest, ThePolicyIsTheVaultsAndPruningFollowsIt) {
  const Ino file = vault_.make_file(kRootIno, "a.md");
  vault_.make_file(kRootIno, "gone");
  for (const char* text : {"one", "two", "three"}) {
    vault_.write(file, 0, text);
    stand();
  }
  ASSERT_TRUE(vault_.tree().unlink(kRootIno, "gone").ok());
  stand();
  json reply = ask({{"op", "retention"}});
  EXPECT_EQ(reply["preset"], "default");
  EXPECT_EQ(reply["policy"]["monthly_s"], json());
  EXPECT_EQ(reply["policy"]["trash_s"], 30 * 86400);
  EXPECT_EQ(reply["states"], 0);
  EXPECT_EQ(ask_all({{"op", "trash_list"}}, "items")[0]["kept_until_ms"].get<int64_t>() -
                ask_all({{"op", "trash_list"}}, "items")[0]["removed_ms"].get<int64_t>(),
            int64_t{30} * 86'400'000);

  json policy = reply["policy"];
  policy.update({{"all_s", 1}, {"hourly_s", 0}, {"daily_s", 0}, {"monthly_s", 0}, {"trash_s", 100}});
  vault_.clock().advance_seconds(100);
  reply = ask({{"op", "retention"}, {"policy", policy}, {"dry_run", true}});
  EXPECT_EQ(reply["states"], 3) << "one of them is the root's, before something was removed from it";
  EXPECT_EQ(reply["entries"], 1);
  EXPECT_EQ(vault_.vault().retention(), store::RetentionPolicy()) << "a dry run";
  reply = ask({{"op", "retention"}, {"policy", policy}});
  EXPECT_EQ(reply["policy"], policy);
  EXPECT_FALSE(reply.contains("preset"));
  EXPECT_EQ(policy_to_json(vault_.vault().retention()), policy);

  reply = ask({{"op", "prune"}, {"dry_run", true}});
  EXPECT_EQ(reply["states"], 3);
  EXPECT_EQ(reply["entries"], 1);
  ASSERT_EQ(reply["items"].size(), 4u) << reply;
  EXPECT_EQ(reply["items"][0]["path"], "");
  EXPECT_EQ(reply["items"][1]["path"], "a.md");
  EXPECT_EQ(reply["items"][3]["path"], "gone");
  EXPECT_EQ(reply["items"][3]["trash"], true);
  EXPECT_EQ(ask_all({{"op", "log"}, {"path", "a.md"}}, "versions").size(), 3u);
  reply = ask({{"op", "prune"}});
  EXPECT_EQ(reply["states"], 3);
  EXPECT_EQ(reply["entries"], 1);
  EXPECT_EQ(ask_all({{"op", "log"}, {"path", "a.md"}}, "versions").size(), 1u);
  EXPECT_TRUE(ask_all({{"op", "trash_list"}}, "items").empty());
  EXPECT_EQ(vault_.vault().stats().retired_entries, 0u);
}

TEST_F(HistoryRequestTest, WhatIsDueComesInPieces) {
  const Ino file = vault_.make_file(kRootIno, "a.md");
  for (int i = 0; i < 950; ++i) {
    vault_.write(file, 0, std::to_string(i));
    stand();
  }
  vault_.clock().advance_seconds(3600);
  ASSERT_TRUE(vault_.vault().set_retention({.states = {0, 0, 0, 0}, .trash_s = 0}).ok());
  const json rows = ask_all({{"op", "prune"}, {"dry_run", true}}, "items");

  ASSERT_EQ(rows.size(), 949u);
  EXPECT_EQ(replies_, 3);
  std::set<int64_t> ends;
  for (const json& row : rows) ends.insert(row["until_ms"].get<int64_t>());
  EXPECT_EQ(ends.size(), 949u);
  EXPECT_EQ(ask({{"op", "prune"}, {"dry_run", true}})["states"], 949);
}

TEST_F(HistoryRequestTest, APolicyThatMakesNoSenseIsRefused) {
  const json good = policy_to_json({});
  for (const json& wrong : {json("soon"), json(-1), json(1.5), json(UINT64_MAX)}) {
    json policy = good;
    policy["daily_s"] = wrong;
    EXPECT_EQ(ask({{"op", "retention"}, {"policy", policy}})["code"], "bad_request") << wrong;
  }
  json short_one = good;
  short_one.erase("trash_s");
  EXPECT_EQ(ask({{"op", "retention"}, {"policy", short_one}})["code"], "bad_request");
  EXPECT_EQ(ask({{"op", "retention"}, {"policy", 7}})["code"], "bad_request");
  EXPECT_EQ(vault_.vault().retention(), store::RetentionPolicy());
}

TEST_F(HistoryRequestTest, NamesThatAreNoTextArriveWhole) {
  const std::string name = "caf\xe9";
  vault_.make_file(kRootIno, name);
  EXPECT_EQ(ask_all({{"op", "log"}, {"path", path_to_json(name)}}, "versions").size(), 1u);
  for (const std::string& path : {name, std::string("café"), std::string("a/b \"c\"\n")})
    EXPECT_EQ(path_from_json(json::parse(to_line(path_to_json(path)))).value(), path);
}

}  // namespace
}  // namespace tain::fs
