// SPDX-License-Identifier: Apache-2.0
// Requests of history as clients send them. tests/cli/history_command_test.cc has what people see of them.
#include "fs/history_request.h"

#include <gtest/gtest.h>

#include <set>

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
    return answer_history(vault_.vault(), request, [this](Ino directory, const std::string& name) { changed_.emplace_back(directory, name); });
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

TEST_F(HistoryRequestTest, NamesThatAreNoTextArriveWhole) {
  const std::string name = "caf\xe9";
  vault_.make_file(kRootIno, name);
  EXPECT_EQ(ask_all({{"op", "log"}, {"path", path_to_json(name)}}, "versions").size(), 1u);
  for (const std::string& path : {name, std::string("café"), std::string("a/b \"c\"\n")})
    EXPECT_EQ(path_from_json(json::parse(to_line(path_to_json(path)))).value(), path);
}

}  // namespace
}  // namespace tain::fs
