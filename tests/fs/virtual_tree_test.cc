// SPDX-License-Identifier: Apache-2.0
// The folder .tain through fs/filesystem, without FUSE.
#include "fs/virtual_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>

#include "base/moment.h"
#include "fs/filesystem.h"
#include "store/trash.h"
#include "store/codec.h"
#include "tests/store/vault_edits.h"
#include "tests/support/callers.h"
#include "tests/support/temp_vault.h"

namespace tain::fs {
namespace {

using test::kAnn;

using store::Attr;
using Names = std::vector<std::string>;

class VirtualTreeTest : public testing::Test {
 protected:
  static store::OpenOptions options() {
    store::OpenOptions out;
    out.committer_thread = false;
    out.history = true;
    return out;
  }
  void SetUp() override { open({}); }
  void open(VirtualTree::Options past) {
    past.status = [this] { return "{\"asked\":" + std::to_string(++asked_) + "}"; };
    fs_ = std::make_unique<Filesystem>(vault_.vault(), Filesystem::Options{.past = std::move(past)});
  }
  Filesystem& fs() { return *fs_; }
  int64_t now_ms() { return ms_of_hlc(vault_.vault().hlc_now()); }

  /// Time passes, and the committer has done its work.
  void stand(int64_t seconds = 10) {
    vault_.clock().advance_seconds(1);
    ASSERT_TRUE(vault_.vault().sync().ok());
    vault_.clock().advance_seconds(seconds - 1);
  }
  Ino make(const std::string& name, const std::string& text, Ino directory = kRootIno, uint32_t mode = 0644) {
    auto made = fs().make(directory, name, S_IFREG | mode, kAnn);
    EXPECT_TRUE(made.ok()) << name;
    if (!made.ok()) return Ino{0};
    EXPECT_TRUE(fs().write(made->ino, 0, as_bytes(text), kAnn).ok());
    fs().forget(made->ino, 1);
    return made->ino;
  }
  Ino make_folder(const std::string& name, Ino directory = kRootIno) {
    auto made = fs().make(directory, name, S_IFDIR | 0755, kAnn);
    EXPECT_TRUE(made.ok()) << name;
    return made.ok() ? made->ino : Ino{0};
  }
  void overwrite(Ino ino, const std::string& text) {
    store::AttrChange cut;
    cut.size = 0;
    ASSERT_TRUE(fs().setattr(ino, cut, kAnn).ok());
    ASSERT_TRUE(fs().write(ino, 0, as_bytes(text), kAnn).ok());
  }
  /// Looked up, as far as `path` goes; the kernel keeps every inode on the way.
  Result<Attr> walk(const std::string& path) {
    Attr at;
    at.ino = kRootIno;
    for (size_t start = 0; start < path.size();) {
      const size_t slash = std::min(path.find('/', start), path.size());
      at = TRY(fs().lookup(at.ino, path.substr(start, slash - start)));
      start = slash + 1;
    }
    return at;
  }
  Names list(Ino directory) {
    Names out;
    auto listed = fs().list(directory, 0, [&](const DirectoryItem& item) {
      if (item.name != "." && item.name != "..") out.emplace_back(item.name);
      return true;
    });
    EXPECT_TRUE(listed.ok());
    return out;
  }
  Names list(const std::string& path) {
    auto found = walk(path);
    EXPECT_TRUE(found.ok()) << path;
    return found.ok() ? list(found->ino) : Names();
  }
  std::string text_of(Ino ino) {
    Bytes out(1 << 20);
    auto count = fs().read(ino, 0, out);
    if (!count.ok()) return "error: " + count.error().message();
    out.resize(*count);
    return std::string(as_text(out));
  }
  std::string text_at(const std::string& path) {
    auto found = walk(path);
    if (!found.ok()) return "error: " + found.error().message();
    const std::string text = text_of(found->ino);
    EXPECT_EQ(found->size, text.size()) << path;
    return text;
  }
  /// One bit of a version record turns over; `i` counts from the newest.
  void damage_version(Ino ino, size_t i) {
    const uint64_t ended = vault_.vault().past().log(ino).value().at(i + 1).ended_hlc;
    fs_.reset();
    ASSERT_TRUE(vault_.vault().close().ok());
    vault_.close();
    test::edit_value(vault_.directory(), store::Table::versions, store::version_key(ino, ended),
                     [](Bytes& value) { value[100] ^= 1; });
    vault_.reopen();
    open({});
  }
  std::string at(int64_t ms) { return ".tain/at/" + moment_name(ms); }

  test::TempVault vault_{options()};
  std::unique_ptr<Filesystem> fs_;
  int asked_ = 0;
};

TEST_F(VirtualTreeTest, IsFoundButNeverListed) {
  make("a", "text");

  EXPECT_EQ(list(kRootIno), Names{"a"});
  const auto top = walk(".tain");
  ASSERT_TRUE(top.ok());
  EXPECT_TRUE(S_ISDIR(top->mode));
  EXPECT_TRUE(is_virtual(top->ino));
  EXPECT_EQ(list(".tain"), (Names{"status.json", "history", "at", "trash", "conflicts"}));
  EXPECT_TRUE(list(".tain/conflicts").empty());
  const Ino folder = make_folder("folder");
  EXPECT_TRUE(fs().lookup(folder, ".tain").is(Code::not_found)) << "only in the root";
}

TEST_F(VirtualTreeTest, HistoryHasAFolderOfStatesForEachEntry) {
  const Ino folder = make_folder("2026");
  const Ino file = make("notes.md", "one", folder);
  const int64_t made_ms = now_ms();
  stand();
  overwrite(file, "second");
  const int64_t second_ms = now_ms();
  stand();
  overwrite(file, "3rd");
  stand();

  EXPECT_EQ(list(".tain/history"), Names{"2026"});
  EXPECT_EQ(list(".tain/history/2026"), Names{"notes.md"});
  const Names states = list(".tain/history/2026/notes.md");
  ASSERT_EQ(states.size(), 3u);
  EXPECT_TRUE(std::is_sorted(states.begin(), states.end()));
  EXPECT_EQ(states[0], moment_name(made_ms) + ".md");
  EXPECT_EQ(states[1].substr(0, 19), moment_name(second_ms).substr(0, 19));
  const std::string base = ".tain/history/2026/notes.md/";
  EXPECT_EQ(text_at(base + states[0]), "one");
  EXPECT_EQ(text_at(base + states[1]), "second");
  EXPECT_EQ(text_at(base + states[2]), "3rd");
  EXPECT_EQ(text_at(base + "other.md").substr(0, 5), "error");
}

TEST_F(VirtualTreeTest, ANewStateShowsInTheFolderAtOnce) {
  const Ino file = make("a.md", "one");
  stand();
  EXPECT_EQ(list(".tain/history/a.md").size(), 1u);
  const auto before = walk(".tain/history/a.md");
  overwrite(file, "two");

  EXPECT_EQ(list(".tain/history/a.md").size(), 2u);
  EXPECT_NE(walk(".tain/history/a.md")->mtime, before->mtime) << "the kernel's listing is out of date";
  EXPECT_TRUE(is_volatile(before->ino));
}

TEST_F(VirtualTreeTest, StatesOfOneMomentAreListedInTheirOrder) {
  make("a.md", "0");
  stand();
  for (int i = 1; i <= 4; ++i) {
    make(".new", std::to_string(i));
    ASSERT_TRUE(fs().rename(kRootIno, ".new", kRootIno, "a.md", 0, kAnn).ok());
  }

  const Names states = list(".tain/history/a.md");
  ASSERT_EQ(states.size(), 5u);
  EXPECT_EQ(std::count_if(states.begin(), states.end(), [&](const auto& name) { return name.starts_with(states[1].substr(0, 20)); }), 4);
  EXPECT_TRUE(std::is_sorted(states.begin(), states.end())) << states[1] << " " << states[2];
  for (size_t i = 0; i < states.size(); ++i) EXPECT_EQ(text_at(".tain/history/a.md/" + states[i]), std::to_string(i));
}

TEST_F(VirtualTreeTest, TheVaultAtATimeIsAsItWas) {
  const Ino folder = make_folder("folder");
  const Ino a = make("a", "a1", folder);
  make("b", "b1", folder, 0600);
  ASSERT_TRUE(fs().symlink("folder/a", kRootIno, "link", kAnn).ok());
  ASSERT_TRUE(fs().link(a, kRootIno, "hard").ok());
  ASSERT_TRUE(fs().set_xattr(a, "user.x", as_bytes("old"), 0, kAnn).ok());
  stand(60);
  const int64_t first = now_ms();
  stand(60);
  overwrite(a, "a2 longer");
  ASSERT_TRUE(fs().set_xattr(a, "user.x", as_bytes("new"), 0, kAnn).ok());
  ASSERT_TRUE(fs().rename(folder, "b", kRootIno, "moved", 0, kAnn).ok());
  ASSERT_TRUE(fs().unlink(kRootIno, "link").ok());
  make("c", "c1");
  stand(60);

  const std::string then = at(first);
  EXPECT_EQ(list(then).size(), 3u);
  EXPECT_EQ(list(then + "/folder").size(), 2u);
  EXPECT_EQ(text_at(then + "/folder/a"), "a1");
  EXPECT_EQ(text_at(then + "/folder/b"), "b1");
  EXPECT_EQ(walk(then + "/folder/b")->mode & 07777, 0600u);
  EXPECT_EQ(walk(then + "/folder/a")->ino, walk(then + "/hard")->ino);
  EXPECT_EQ(*fs().readlink(walk(then + "/link")->ino), "folder/a");
  EXPECT_EQ(*fs().get_xattr(walk(then + "/folder/a")->ino, "user.x"), (Bytes{'o', 'l', 'd'}));
  EXPECT_TRUE(walk(then + "/moved").is(Code::not_found));
  EXPECT_TRUE(walk(then + "/c").is(Code::not_found));
  const std::string now = at(now_ms() - 1000);
  EXPECT_EQ(text_at(now + "/folder/a"), "a2 longer");
  EXPECT_EQ(text_at(now + "/moved"), "b1");
  EXPECT_EQ(walk(now + "/moved")->ino, walk(then + "/folder/b")->ino) << "one state, one number";
  EXPECT_FALSE(is_volatile(walk(then)->ino)) << "it will not change any more";
}

TEST_F(VirtualTreeTest, RelativeTimesStandStillWhileTheyAreUsed) {
  const Ino file = make("a", "one");
  stand(3600);
  const auto first = walk(".tain/at/30min ago");
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(is_volatile(first->ino));
  vault_.clock().advance_seconds(50);
  EXPECT_EQ(walk(".tain/at/30min ago")->ino, first->ino);
  vault_.clock().advance_seconds(50);
  EXPECT_EQ(walk(".tain/at/30min ago")->ino, first->ino);
  overwrite(file, "two");
  stand(7200);

  EXPECT_NE(walk(".tain/at/30min ago")->ino, first->ino);
  EXPECT_EQ(text_at(".tain/at/30min ago/a"), "two");
  EXPECT_TRUE(walk(".tain/at/30 parsecs ago").is(Code::not_found));
  EXPECT_EQ(text_at(".tain/at/now/a"), "two");
}

TEST_F(VirtualTreeTest, ListsTimesThatCanBeLookedAt) {
  make("a", "text");
  // The vault was made by the system's clock.
  const int64_t made_ms = vault_.tree().getattr(kRootIno)->btime.seconds * 1000;
  stand(40 * 86400 + std::max<int64_t>(0, made_ms - now_ms()) / 1000);

  const Names times = list(".tain/at");
  EXPECT_GE(times.size(), 10u);
  for (const std::string& time : times) EXPECT_EQ(text_at(".tain/at/" + time + "/a"), "text") << time;
}

TEST_F(VirtualTreeTest, TheTrashHasWhatWasRemovedByName) {
  make("a.md", "first");
  stand(60);
  ASSERT_TRUE(fs().unlink(kRootIno, "a.md").ok());
  stand(60);
  make("a.md", "second");
  const Ino folder = make_folder("folder");
  make("in", "inside", folder);
  stand(60);
  ASSERT_TRUE(fs().unlink(kRootIno, "a.md").ok());
  ASSERT_TRUE(fs().unlink(folder, "in").ok());
  ASSERT_TRUE(fs().rmdir(kRootIno, "folder").ok());
  stand(60);

  const Names names = list(".tain/trash");
  ASSERT_EQ(names.size(), 3u);
  EXPECT_EQ(text_at(".tain/trash/a.md"), "second") << "the one that was removed last";
  const auto other = std::find_if(names.begin(), names.end(), [](const std::string& name) { return name.starts_with("a ("); });
  ASSERT_NE(other, names.end());
  EXPECT_TRUE(other->ends_with(").md"));
  EXPECT_EQ(text_at(".tain/trash/" + *other), "first");
  EXPECT_EQ(list(".tain/trash/folder"), Names{"in"});
  EXPECT_EQ(text_at(".tain/trash/folder/in"), "inside");
  ASSERT_TRUE(vault_.vault().trash().empty(UINT64_MAX).ok());
  EXPECT_EQ(list(".tain/trash"), Names{"folder"}) << "the kernel knows it: somebody may be in it";
  fs().forget(folder, 1);
  ASSERT_TRUE(vault_.vault().trash().empty(UINT64_MAX).ok());
  EXPECT_TRUE(list(".tain/trash").empty());
}

TEST_F(VirtualTreeTest, EverythingInItRefusesToChange) {
  make("a", "one");
  stand(60);
  const std::string then = at(now_ms() - 1000);
  const Ino file = walk(then + "/a")->ino;
  for (const Ino folder : {walk(".tain")->ino, walk(".tain/history")->ino, walk(".tain/history/a")->ino, walk(".tain/at")->ino,
                           walk(then)->ino, walk(".tain/trash")->ino}) {
    EXPECT_TRUE(fs().make(folder, "new", S_IFREG | 0644, kAnn).is(Code::read_only));
    EXPECT_TRUE(fs().make_unnamed(folder, S_IFREG | 0644, kAnn).is(Code::read_only));
    EXPECT_TRUE(fs().symlink("x", folder, "new", kAnn).is(Code::read_only));
    EXPECT_TRUE(fs().link(make("b" + std::to_string(raw(folder)), ""), folder, "new").is(Code::read_only));
    EXPECT_TRUE(fs().unlink(folder, "a").is(Code::read_only));
    EXPECT_TRUE(fs().rmdir(folder, "a").is(Code::read_only));
    EXPECT_TRUE(fs().rename(folder, "a", kRootIno, "new", 0, kAnn).is(Code::read_only));
    EXPECT_TRUE(fs().rename(kRootIno, "a", folder, "new", 0, kAnn).is(Code::read_only));
  }
  store::AttrChange change;
  change.mode = 0777;
  EXPECT_TRUE(fs().setattr(file, change, kAnn).is(Code::read_only));
  EXPECT_TRUE(fs().write(file, 0, as_bytes("x"), kAnn).is(Code::read_only));
  EXPECT_TRUE(fs().allocate(file, 0, 0, 10, kAnn).is(Code::read_only));
  EXPECT_TRUE(fs().copy(make("source", "text"), 0, file, 0, 4, kAnn).is(Code::read_only));
  EXPECT_TRUE(fs().set_xattr(file, "user.x", as_bytes("x"), 0, kAnn).is(Code::read_only));
  EXPECT_TRUE(fs().remove_xattr(file, "user.x").is(Code::read_only));
  EXPECT_TRUE(fs().link(file, kRootIno, "new").is(Code::read_only));
  EXPECT_TRUE(fs().sync(file).ok());
  EXPECT_EQ(text_of(file), "one");
}

TEST_F(VirtualTreeTest, TheNameIsTaken) {
  const Ino file = make("a", "one");
  EXPECT_TRUE(fs().make(kRootIno, ".tain", S_IFREG | 0644, kAnn).is(Code::exists));
  EXPECT_TRUE(fs().make(kRootIno, ".tain", S_IFDIR | 0755, kAnn).is(Code::exists));
  EXPECT_TRUE(fs().symlink("x", kRootIno, ".tain", kAnn).is(Code::exists));
  EXPECT_TRUE(fs().link(file, kRootIno, ".tain").is(Code::exists));
  EXPECT_TRUE(fs().rename(kRootIno, "a", kRootIno, ".tain", 0, kAnn).is(Code::read_only));
  EXPECT_TRUE(fs().rmdir(kRootIno, ".tain").is(Code::read_only));
  EXPECT_TRUE(fs().make(make_folder("folder"), ".tain", S_IFREG | 0644, kAnn).ok()) << "elsewhere it is a name as any other";
}

TEST_F(VirtualTreeTest, AnOpenFileKeepsItsStateWhileThePresentChanges) {
  const Ino file = make("a", "the first state");
  stand(60);
  const auto in_history = walk(".tain/history/a/" + list(".tain/history/a")[0]);
  const auto then = walk(at(now_ms() - 1000) + "/a");
  overwrite(file, "2");
  EXPECT_EQ(text_of(in_history->ino), "the first state");
  stand(60);
  overwrite(file, "three");
  stand(60);

  EXPECT_EQ(text_of(in_history->ino), "the first state");
  EXPECT_EQ(text_of(then->ino), "the first state");
  EXPECT_EQ(fs().getattr(in_history->ino)->size, 15u);
  EXPECT_NE(walk(".tain/history/a/" + list(".tain/history/a").back())->ino, in_history->ino);
}

TEST_F(VirtualTreeTest, AttributesOfAFolderThatIsKnownStayWhileThePresentChanges) {
  const Ino folder = make_folder("folder");
  ASSERT_TRUE(fs().set_xattr(folder, "user.x", as_bytes("old"), 0, kAnn).ok());
  stand(60);
  const auto then = walk(at(now_ms() - 1000) + "/folder");
  ASSERT_EQ(fs().get_xattr(then->ino, "user.x").value(), (Bytes{'o', 'l', 'd'}));
  ASSERT_TRUE(fs().set_xattr(folder, "user.x", as_bytes("new"), 0, kAnn).ok());
  EXPECT_EQ(fs().get_xattr(then->ino, "user.x").value(), (Bytes{'o', 'l', 'd'}));
  stand(60);
  ASSERT_TRUE(fs().remove_xattr(folder, "user.x").ok());

  EXPECT_EQ(fs().get_xattr(then->ino, "user.x").value(), (Bytes{'o', 'l', 'd'}));
}

TEST_F(VirtualTreeTest, AFileThatIsKnownIsNotTakenForItsStateBefore) {
  const Ino file = make("a", "text");
  stand(60);
  ASSERT_TRUE(fs().set_xattr(file, "user.x", as_bytes("1"), 0, kAnn).ok());  // another state with the same content
  stand(60);
  const auto then = walk(at(now_ms() - 1000) + "/a");
  ASSERT_EQ(fs().get_xattr(then->ino, "user.x").value(), Bytes{'1'});
  ASSERT_TRUE(fs().rename(kRootIno, "a", kRootIno, "a~", 0, kAnn).ok());
  ASSERT_TRUE(fs().unlink(kRootIno, "a~").ok());
  stand();

  EXPECT_EQ(fs().get_xattr(then->ino, "user.x").value(), Bytes{'1'});
  EXPECT_EQ(text_of(then->ino), "text");
}

TEST_F(VirtualTreeTest, AnOpenFileOfAStateThatWasNotKeptIsStaleAndNotAnother) {
  const Ino file = make("a", "one");
  const auto state = walk(".tain/history/a/" + list(".tain/history/a")[0]);
  EXPECT_EQ(text_of(state->ino), "one");
  overwrite(file, "two");  // within the second

  Bytes out(10);
  EXPECT_TRUE(fs().read(state->ino, 0, out).is(Code::stale));
}

TEST_F(VirtualTreeTest, AnOpenFileSurvivesRenamingChmodAndRemovalOfThePresent) {
  make("a", "one");
  stand(60);
  const auto then = walk(at(now_ms() - 1000) + "/a");
  ASSERT_TRUE(fs().rename(kRootIno, "a", kRootIno, "b", 0, kAnn).ok());
  EXPECT_EQ(text_of(then->ino), "one");
  store::AttrChange change;
  change.mode = 0600;
  ASSERT_TRUE(fs().setattr(walk("b")->ino, change, kAnn).ok());
  EXPECT_EQ(text_of(then->ino), "one");
  ASSERT_TRUE(fs().unlink(kRootIno, "b").ok());
  EXPECT_EQ(text_of(then->ino), "one");
  EXPECT_EQ(fs().getattr(then->ino)->mode & 07777, 0644u);
}

TEST_F(VirtualTreeTest, InodesGoWhenTheKernelForgetsThem) {
  make("a", "one");
  stand(60);
  const std::string then = at(now_ms() - 1000);
  const Ino file = walk(then + "/a")->ino;
  fs().forget(file, 1);

  EXPECT_TRUE(fs().getattr(file).is(Code::stale));
  EXPECT_EQ(walk(then + "/a")->ino, file) << "the same when it is looked up again";
  EXPECT_EQ(text_of(file), "one");
}

TEST_F(VirtualTreeTest, ListingsInPiecesAreWholeAndNumbersAreThoseOfLookups) {
  std::set<std::string> expected;
  const Ino folder = make_folder("many");
  for (int i = 0; i < 500; ++i) {
    expected.insert("file " + std::to_string(i));
    make("file " + std::to_string(i), std::to_string(i), folder);
  }
  stand(60);
  for (int i = 0; i < 500; i += 2) ASSERT_TRUE(fs().unlink(folder, "file " + std::to_string(i)).ok());

  const std::string path = at(now_ms() - 2000) + "/many";
  const Ino directory = walk(path)->ino;
  std::map<std::string, Ino> found;
  uint64_t offset = 2;
  for (bool end = false; !end;) {
    int count = 0;
    end = true;
    ASSERT_TRUE(fs().list(directory, offset, [&](const DirectoryItem& item) {
      if (++count > 7) return end = false;
      EXPECT_TRUE(found.emplace(item.name, item.ino).second) << item.name << " twice";
      EXPECT_TRUE(fs().acquire(item.ino).ok());
      offset = item.offset;
      return true;
    }).ok());
  }
  EXPECT_EQ(found.size(), expected.size());
  for (const std::string& name : expected) EXPECT_EQ(fs().lookup(directory, name)->ino, found[name]) << name;
  EXPECT_EQ(text_of(found["file 42"]), "42");
}

TEST_F(VirtualTreeTest, StatusIsOneTextForWhoLooksAndThenOpens) {
  vault_.clock().advance_seconds(100);
  const auto first = walk(".tain/status.json");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(walk(".tain/status.json")->ino, first->ino);
  vault_.clock().advance_seconds(10);
  const auto second = walk(".tain/status.json");

  EXPECT_NE(second->ino, first->ino);
  EXPECT_EQ(text_of(first->ino), "{\"asked\":1}\n");
  EXPECT_EQ(text_of(second->ino), "{\"asked\":2}\n");
  EXPECT_EQ(second->size, 12u);
}

TEST_F(VirtualTreeTest, OthersDoNotSeeTheTrashNorTheHistoryOfWhatTheyMayNotRead) {
  make("private", "x", kRootIno, 0600);
  make("public", "x", kRootIno, 0644);

  EXPECT_EQ(walk(".tain/trash")->mode & 0077, 0u);
  EXPECT_EQ(walk(".tain/status.json")->mode & 0077, 0u);
  EXPECT_EQ(walk(".tain/history/private")->mode & 0077, 0u);
  EXPECT_EQ(walk(".tain/history/public")->mode & 0055, 0055u);
  EXPECT_EQ(walk(".tain/history/private")->uid, kAnn.uid);
}

TEST_F(VirtualTreeTest, ContentHasNoHolesAndIsCopiedByReading) {
  make("a", "12345");
  stand(60);
  const Ino file = walk(at(now_ms() - 1000) + "/a")->ino;

  EXPECT_EQ(*fs().seek(file, 2, SEEK_DATA), 2u);
  EXPECT_EQ(*fs().seek(file, 2, SEEK_HOLE), 5u);
  EXPECT_TRUE(fs().seek(file, 5, SEEK_DATA).is(Code::no_such_offset));
  EXPECT_TRUE(fs().copy(file, 0, make("b", ""), 0, 5, kAnn).is(Code::unsupported));
}

TEST_F(VirtualTreeTest, ADamagedVersionIsListedAndGivesAnErrorAndNothingElseDoes) {
  const Ino file = make("a.md", "one");
  make("b.md", "other");
  for (const char* text : {"two", "three"}) {
    stand();
    overwrite(file, text);
  }
  const int64_t second_ms = now_ms() - 5000;
  stand();
  damage_version(file, 0);  // "two"

  const Names states = list(".tain/history/a.md");
  ASSERT_EQ(states.size(), 3u);
  EXPECT_TRUE(states[1].ends_with(" (damaged).md")) << states[1];
  const std::string base = ".tain/history/a.md/";
  EXPECT_EQ(text_at(base + states[0]), "one");
  EXPECT_EQ(text_at(base + states[2]), "three");
  const auto damaged = walk(base + states[1]);
  ASSERT_TRUE(damaged.ok());
  EXPECT_EQ(damaged->mode, S_IFREG | 0400u);
  EXPECT_EQ(damaged->uid, kAnn.uid);
  EXPECT_GT(damaged->size, 0u) << "the kernel must ask for the content";
  Bytes out(10);
  EXPECT_TRUE(fs().read(damaged->ino, 0, out).is(Code::corrupt));
  EXPECT_TRUE(fs().list_xattrs(damaged->ino, kAnn).is(Code::corrupt));

  const std::string then = at(second_ms);
  EXPECT_TRUE(walk(then + "/a.md").is(Code::corrupt)) << "what it was cannot be told";
  EXPECT_EQ(text_at(then + "/b.md"), "other");
  const Names names = list(then);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), (std::set<std::string>{"a.md", "b.md"}));
}

TEST_F(VirtualTreeTest, ADamagedStateOfAFolderHidesNothingThatIsInIt) {
  const Ino folder = make_folder("folder");
  make("in", "inside", folder);
  stand(60);
  const int64_t first_ms = now_ms();
  stand(60);
  store::AttrChange change;
  change.mode = 0775;
  ASSERT_TRUE(fs().setattr(folder, change, kAnn).ok());
  make("later", "new", folder);
  stand(60);
  ASSERT_EQ(vault_.vault().past().log(folder)->size(), 2u);
  damage_version(folder, 0);

  const std::string then = at(first_ms) + "/folder";
  const auto found = walk(then);
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_EQ(found->mode, S_IFDIR | 0700u) << "whom it was open to is not known";
  EXPECT_TRUE(fs().list_xattrs(found->ino, kAnn).is(Code::corrupt));
  EXPECT_EQ(list(then), Names{"in"});
  EXPECT_EQ(text_at(then + "/in"), "inside");
}

TEST_F(VirtualTreeTest, AMountOfThePastHasItForItsRoot) {
  const Ino folder = make_folder("folder");
  const Ino file = make("a", "one", folder);
  stand(60);
  const uint64_t then = vault_.vault().hlc_now();
  stand(60);
  overwrite(file, "two");
  make("b", "new");
  stand(60);
  open({.root_hlc = then});

  EXPECT_EQ(fs().getattr(kRootIno)->ino, kRootIno);
  EXPECT_EQ(list(kRootIno), Names{"folder"});
  EXPECT_EQ(text_at("folder/a"), "one");
  EXPECT_TRUE(walk(".tain").is(Code::not_found));
  EXPECT_TRUE(fs().make(kRootIno, "c", S_IFREG | 0644, kAnn).is(Code::read_only));
  EXPECT_TRUE(fs().unlink(kRootIno, "folder").is(Code::read_only));
}

}  // namespace
}  // namespace tain::fs
