// SPDX-License-Identifier: Apache-2.0
// Time locks as a mount has them: requests, the attribute that shows them, and .tain/. tests/store/time_lock_test.cc has
// the rule itself, tests/e2e/timelock.sh the kernel's part.
#include "fs/time_lock_request.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/moment.h"
#include "fs/filesystem.h"
#include "fs/history_request.h"
#include "fs/virtual_tree.h"
#include "store/time_lock.h"
#include "tests/support/callers.h"
#include "tests/support/temp_vault.h"

namespace tain::fs {
namespace {

using test::kAnn;

using nlohmann::json;

constexpr int64_t kDay_s = 86'400;
const std::string kAttribute(store::kUnlockXattr);
const Server kNobody{.changed = [](Ino, const std::string&) {}, .unlinked = [](const store::Unlinked&) {}};

class TimeLockRequestTest : public testing::Test {
 protected:
  static store::OpenOptions options() {
    store::OpenOptions out;
    out.committer_thread = false;
    out.history = true;
    return out;
  }
  json ask(const json& request) {
    EXPECT_TRUE(is_time_lock_request(request["op"]));
    return answer_time_lock(vault_.vault(), request, [this] { ++changes_; });
  }
  json lock(const std::string& path, int64_t seconds = kDay_s) {
    const json reply = ask({{"op", "timelock"}, {"path", path}, {"for_s", seconds}});
    EXPECT_EQ(reply["ok"], true) << reply;
    stand();
    return reply;
  }
  Ino make(const std::string& name, const std::string& text, Ino directory = kRootIno) {
    const Ino ino = vault_.make_file(directory, name);
    vault_.write(ino, 0, text);
    return ino;
  }
  void stand() {
    vault_.clock().advance_seconds(2);
    ASSERT_TRUE(vault_.vault().sync().ok());
    vault_.clock().advance_seconds(2);
  }
  static Result<store::Attr> walk(Filesystem& fs, const std::string& path) {
    store::Attr at;
    at.ino = kRootIno;
    for (size_t start = 0; start < path.size();) {
      const size_t slash = std::min(path.find('/', start), path.size());
      at = TRY(fs.lookup(at.ino, path.substr(start, slash - start)));
      start = slash + 1;
    }
    return at;
  }
  static std::string text_of(Filesystem& fs, Ino ino) {
    Bytes out(100);
    const auto got = fs.read(ino, 0, out);
    if (!got.ok()) return got.is(Code::time_locked) ? "locked" : got.error().message();
    return std::string(as_text(ByteView(out).first(*got)));
  }

  test::TempVault vault_{options()};
  int changes_ = 0;
};

TEST_F(TimeLockRequestTest, LocksAsksAndOpens) {
  const Ino folder = vault_.make_directory(kRootIno, "2026");
  make("a.md", "secret", folder);

  const json locked = lock("2026");
  EXPECT_EQ(locked["entries"], 2);
  EXPECT_EQ(locked["failed"], 0);
  EXPECT_EQ(changes_, 1) << "the kernel has to forget";
  const int64_t until_s = locked["until_s"];
  EXPECT_EQ(locked["unlock_at"], store::unlock_text(until_s));
  EXPECT_EQ(ask({{"op", "timelock"}, {"path", "2026/a.md"}})["until_s"], until_s);
  EXPECT_EQ(ask({{"op", "timelock"}, {"path", "2026"}, {"until_s", until_s - 1}})["code"], "failed");
  EXPECT_EQ(ask({{"op", "timelock"}, {"path", "2026"}, {"until_s", until_s + 1}})["until_s"], until_s + 1);
  stand();

  const json opened = ask({{"op", "timelock"}, {"path", "2026"}, {"override", true}});
  EXPECT_EQ(opened["ok"], true) << opened;
  EXPECT_FALSE(opened.contains("until_s"));
  stand();
  const json log = answer_history(vault_.vault(), {{"op", "log"}, {"path", "2026/a.md"}}, kNobody);
  EXPECT_EQ(log["versions"][0]["changed"], json::array({"time lock"})) << "history tells";
}

TEST_F(TimeLockRequestTest, RefusesNonsense) {
  make("a.md", "secret");
  const json base = {{"op", "timelock"}, {"path", "a.md"}};
  for (const json& more : {json{{"for_s", 0}}, json{{"for_s", "1d"}}, json{{"for_s", INT64_MAX}}, json{{"until_s", INT64_MAX}},
                           json{{"for_s", 5}, {"until_s", 5}}, json{{"path", 5}}, json{{"path", ""}}}) {
    json request = base;
    request.update(more);
    EXPECT_EQ(ask(request)["code"], "bad_request") << request;
  }
  EXPECT_EQ(ask({{"op", "timelock"}, {"path", "b.md"}, {"for_s", 5}})["code"], "not_found");
  EXPECT_EQ(changes_, 0);
}

TEST_F(TimeLockRequestTest, ListsInPieces) {
  for (int i = 0; i < 401; ++i) {
    const Ino file = make("f" + std::to_string(1000 + i), "x");
    ASSERT_TRUE(vault_.vault().time_locks().lock(file, vault_.vault().time_locks().now_s() + kDay_s).ok());
  }
  const json first = ask({{"op", "timelock_list"}});
  ASSERT_EQ(first["items"].size(), 400u);
  EXPECT_LT(to_line(first).size(), kControlLineMax);
  EXPECT_EQ(first["items"][0]["path"], "f1000");
  EXPECT_EQ(first["items"][0]["type"], "file");
  const json last = ask({{"op", "timelock_list"}, {"from", first["next"]}});
  ASSERT_EQ(last["items"].size(), 1u);
  EXPECT_EQ(last["items"][0]["path"], "f1400");
  EXPECT_FALSE(last.contains("next"));
}

TEST_F(TimeLockRequestTest, TheAttributeShowsItAndCannotBeSet) {
  const Ino file = make("a.md", "secret"), free = make("b.md", "other");
  const std::string until = lock("a.md")["unlock_at"];
  Filesystem fs(vault_.vault());

  EXPECT_EQ(as_text(fs.get_xattr(file, kAttribute).value()), until);
  EXPECT_NE(fs.list_xattrs(file, kAnn).value().find(kAttribute), std::string::npos);
  EXPECT_TRUE(fs.set_xattr(file, kAttribute, as_bytes("2000-01-01T00:00:00Z"), 0, kAnn).is(Code::not_permitted));
  EXPECT_TRUE(fs.remove_xattr(file, kAttribute).is(Code::not_permitted));
  EXPECT_TRUE(fs.set_xattr(free, kAttribute, as_bytes(until), 0, kAnn).is(Code::not_permitted));
  EXPECT_TRUE(fs.get_xattr(free, kAttribute).is(Code::no_attribute));
  EXPECT_TRUE(fs.remove_xattr(free, kAttribute).is(Code::no_attribute));
  EXPECT_EQ(fs.list_xattrs(free, kAnn).value(), "");
  vault_.clock().advance_seconds(kDay_s);
  EXPECT_TRUE(fs.get_xattr(file, kAttribute).is(Code::no_attribute));
  EXPECT_EQ(fs.list_xattrs(file, kAnn).value(), "");
}

TEST_F(TimeLockRequestTest, ThePastOfAMountIsLockedToo) {
  const Ino file = make("a.md", "one");
  stand();
  const int64_t before_ms = ms_of_hlc(vault_.vault().hlc_now());
  vault_.clock().advance_seconds(1);
  vault_.write(file, 0, "two");
  stand();
  Filesystem fs(vault_.vault());
  Filesystem as_of(vault_.vault(), {.past = {.root_hlc = hlc_of_ms(before_ms)}});
  const Ino known = walk(fs, ".tain/at/" + moment_name(before_ms) + "/a.md").value().ino;  // the kernel has it open
  ASSERT_EQ(text_of(fs, known), "one");

  const std::string until = lock("a.md")["unlock_at"];

  EXPECT_EQ(text_of(fs, known), "locked");
  EXPECT_EQ(as_text(fs.get_xattr(known, kAttribute).value()), until);
  EXPECT_EQ(text_of(as_of, walk(as_of, "a.md").value().ino), "locked");
  std::vector<std::string> names;
  const Ino history = walk(fs, ".tain/history/a.md").value().ino;
  ASSERT_TRUE(fs.list(history, 0, [&](const DirectoryItem& item) {
    if (item.name[0] != '.') names.emplace_back(item.name);
    return true;
  }).ok());
  ASSERT_GE(names.size(), 2u);
  for (const std::string& name : names) EXPECT_EQ(text_of(fs, fs.lookup(history, name).value().ino), "locked") << name;
  const json restored = answer_history(vault_.vault(), {{"op", "restore"}, {"path", "a.md"}, {"number", 1}, {"to", "b.md"}}, kNobody);
  EXPECT_EQ(restored["code"], "time_locked");
  EXPECT_TRUE(vault_.tree().lookup(kRootIno, "b.md").is(Code::not_found));
  vault_.clock().advance_seconds(kDay_s);
  EXPECT_EQ(text_of(fs, known), "one");
}

}  // namespace
}  // namespace tain::fs
