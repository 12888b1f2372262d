// SPDX-License-Identifier: Apache-2.0
// A folder as it was at a time, in place and as a copy. tests/e2e/restore_folder.sh has the rest of what a mount shows.
#include "fs/restore_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <set>

#include "store/past.h"
#include "store/trash.h"
#include "tests/support/temp_vault.h"

namespace tain::fs {
namespace {

class RestoreFolderTest : public testing::Test {
 protected:
  static store::OpenOptions options(bool history = true) {
    store::OpenOptions out;
    out.committer_thread = false;
    out.history = history;
    return out;
  }
  store::Tree& tree() { return vault_.tree(); }
  void stand() {
    vault_.clock().advance_seconds(20);
    ASSERT_TRUE(vault_.vault().sync().ok());
  }
  Ino file(Ino directory, const std::string& name, const std::string& text) {
    const Ino ino = vault_.make_file(directory, name);
    vault_.write(ino, 0, text);
    return ino;
  }
  Ino at(Ino directory, const std::string& name) { return tree().lookup(directory, name).value().ino; }
  void drop(const store::Unlinked& gone) {
    if (gone.orphan) { ASSERT_TRUE(tree().reap(gone.ino).ok()); }
  }
  void unlink(Ino directory, const std::string& name) { drop(tree().unlink(directory, name).value()); }
  void rename(Ino from, const std::string& name, Ino to, const std::string& other) {
    ASSERT_TRUE(tree().rename(from, name, to, other, store::RenameMode::replace).ok());
  }
  Server server() {
    return {.changed = [this](Ino directory, const std::string& name) { changed_.emplace(directory, name); },
            .unlinked = [this](const store::Unlinked& one) { drop(one); }};
  }
  FolderRestored restore(Ino directory, uint64_t hlc) {
    return restore_folder(vault_.vault(), directory, hlc, directory, server()).value();
  }

  /// Everything about a folder that a program can see, but for inode numbers and ctimes.
  void look(Ino directory, const std::string& path, bool times, std::string& out) {
    const store::Attr folder = tree().getattr(directory).value();
    out += path + "/ mode " + std::to_string(folder.mode) + (times ? " mtime " + std::to_string(folder.mtime.seconds) : "") + "\n";
    std::map<std::string, Ino> names;
    ASSERT_TRUE(tree().list(directory, Cookie{0}, [&](const store::ListItem& item) {
      names.emplace(item.name, item.ino);
      return true;
    }).ok());
    for (const auto& [name, ino] : names) {
      const store::Attr attr = tree().getattr(ino).value();
      if (S_ISDIR(attr.mode)) {
        look(ino, path + "/" + name, times, out);
        continue;
      }
      out += path + "/" + name + " mode " + std::to_string(attr.mode) + " gid " + std::to_string(attr.gid) + " links " +
             std::to_string(attr.nlink) + " mtime " + std::to_string(attr.mtime.seconds) + " ";
      out += S_ISLNK(attr.mode) ? tree().readlink(ino).value() : digest(vault_.read(ino));
      const store::Xattrs xattrs = tree().list_xattrs(ino).value();
      for (const auto& [attribute, value] : xattrs) out += " " + attribute + "=" + std::string(as_text(value));
      out += "\n";
    }
  }
  std::string picture(Ino directory, bool folder_times = false) {
    std::string out;
    look(directory, "", folder_times, out);
    return out;
  }
  static std::string digest(const std::string& text) {
    return text.size() < 100 ? text : std::to_string(text.size()) + " bytes " + std::to_string(std::hash<std::string>()(text));
  }
  /// folder/: a.md, b.md, sub/{c.md, deep/d.md}, gone/{e.md}, link, two names of one file
  Ino make_folder() {
    const Ino folder = vault_.make_directory(kRootIno, "folder");
    const Ino sub = vault_.make_directory(folder, "sub");
    file(folder, "a.md", "a as it was");
    file(folder, "b.md", "b as it was");
    file(sub, "c.md", "c as it was");
    file(vault_.make_directory(sub, "deep"), "d.md", std::string(200'000, 'd'));
    file(vault_.make_directory(folder, "gone"), "e.md", "e as it was");
    EXPECT_TRUE(tree().set_xattr(at(folder, "a.md"), "user.mood", as_bytes("good"), store::XattrMode::any).ok());
    EXPECT_TRUE(tree().make(folder, "link", {.mode = S_IFLNK | 0777, .symlink = "a.md"}).ok());
    EXPECT_TRUE(tree().link(file(folder, "one", "two names"), sub, "other").ok());
    stand();
    return folder;
  }

  test::TempVault vault_{options()};
  std::set<std::pair<Ino, std::string>> changed_;
};

TEST_F(RestoreFolderTest, WhatChangedCameAndWentIsAsItWasAndCanBeUndone) {
  const Ino folder = make_folder(), sub = at(folder, "sub");
  const std::string before = picture(folder);
  const Ino a = at(folder, "a.md"), b = at(folder, "b.md");
  const uint64_t then = vault_.vault().hlc_now();
  stand();

  vault_.write(a, 0, "A");                       // overwritten in place
  stand();
  ASSERT_TRUE(tree().remove_xattr(a, "user.mood").ok());
  file(folder, "b.new", "b by a rename");         // saved by a rename
  rename(folder, "b.new", folder, "b.md");
  unlink(sub, "c.md");                            // removed
  rename(folder, "link", folder, "renamed link");
  rename(sub, "deep", folder, "moved");           // with what is in it
  unlink(at(folder, "gone"), "e.md");
  drop(tree().rmdir(folder, "gone").value());
  unlink(sub, "other");                           // one of two names
  file(folder, "new.md", "new");
  file(vault_.make_directory(folder, "c.md"), "x", "in a new folder");
  stand();
  const std::string changed = picture(folder);
  const uint64_t later = vault_.vault().hlc_now();
  stand();

  const FolderRestored done = restore(folder, then);
  EXPECT_EQ(picture(folder), before);
  EXPECT_EQ(done.failed, 0u);
  EXPECT_EQ(done.left, 0u);
  EXPECT_GT(done.restored, 0u);
  EXPECT_TRUE(changed_.contains({folder, "new.md"})) << "the kernel has to be told what went";
  EXPECT_TRUE(changed_.contains({sub, "c.md"})) << "and what came";
  // The same entries: what was changed and what came back have their history.
  EXPECT_EQ(vault_.vault().past().log(at(folder, "a.md"))->size(), 4u) << "one is from before the attribute went";
  EXPECT_EQ(vault_.vault().past().log(at(folder, "b.md"))->back().inode.ino, b);
  EXPECT_EQ(at(folder, "sub"), sub);
  // Nothing that was there is lost.
  std::set<std::string> trash;
  const std::vector<store::TrashItem> items = vault_.vault().trash().list().value();
  for (const store::TrashItem& item : items) trash.insert(item.name.dirent.name);
  for (const char* name : {"new.md", "c.md", "x"}) EXPECT_TRUE(trash.contains(name)) << name;

  stand();
  const FolderRestored again = restore(folder, then);
  EXPECT_EQ(again.restored, 0u) << "it is as it was";
  EXPECT_EQ(again.removed, 0u);
  EXPECT_EQ(again.unchanged, done.restored + done.unchanged);

  ASSERT_EQ(restore(folder, later).failed, 0u);
  EXPECT_EQ(picture(folder), changed) << "undone";
  stand();
  ASSERT_EQ(restore(folder, then).failed, 0u);
  EXPECT_EQ(picture(folder), before) << "and done again";
  vault_.reopen();
  EXPECT_EQ(picture(folder), before);
}

TEST_F(RestoreFolderTest, TheTimeOfAFolderIsThatOfThenWhereItIsKnown) {
  const Ino folder = make_folder(), sub = at(folder, "sub");
  const std::string before = picture(folder, true);
  const uint64_t then = vault_.vault().hlc_now();
  stand();
  vault_.write(at(folder, "a.md"), 0, "A");  // changes no folder
  unlink(sub, "c.md");
  stand();

  ASSERT_EQ(restore(folder, then).failed, 0u);
  EXPECT_EQ(picture(folder, true), before);
}

TEST_F(RestoreFolderTest, AFileThatMovedAwayIsThereTwiceAndWhereItIsStaysAsItIs) {
  const Ino folder = make_folder();
  unlink(at(folder, "sub"), "other");
  const std::string before = picture(folder);
  const uint64_t then = vault_.vault().hlc_now();
  stand();
  const Ino outside = vault_.make_directory(kRootIno, "outside");
  const Ino moved = at(folder, "a.md");
  rename(folder, "a.md", outside, "a.md");
  rename(folder, "sub", outside, "sub");
  stand();

  ASSERT_EQ(restore(folder, then).failed, 0u);
  EXPECT_EQ(picture(folder), before);
  EXPECT_EQ(at(outside, "a.md"), moved);
  EXPECT_NE(at(folder, "a.md"), moved);
  EXPECT_EQ(vault_.read(at(at(outside, "sub"), "c.md")), "c as it was");
  stand();
  const Ino copied = at(folder, "sub"), copy = at(folder, "a.md");
  const FolderRestored again = restore(folder, then);
  EXPECT_EQ(again.restored + again.removed + again.left, 0u) << "what is like it will do";
  EXPECT_EQ(at(folder, "sub"), copied);
  EXPECT_EQ(at(folder, "a.md"), copy);
}

TEST_F(RestoreFolderTest, WhatIsElsewhereIsNotSharedWithTheFolder) {
  const Ino folder = make_folder(), sub = at(folder, "sub");
  const uint64_t then = vault_.vault().hlc_now();
  stand();
  ASSERT_TRUE(tree().link(at(folder, "a.md"), kRootIno, "another name").ok());
  unlink(folder, "a.md");
  rename(folder, "sub", kRootIno, "sub");
  const uint64_t moved = vault_.vault().hlc_now();
  stand();
  unlink(sub, "c.md");
  stand();
  ASSERT_EQ(restore(sub, moved).failed, 0u) << "c.md was removed, and is back";

  ASSERT_EQ(restore(folder, then).failed, 0u);
  EXPECT_NE(at(folder, "a.md"), at(kRootIno, "another name"));
  EXPECT_NE(at(at(folder, "sub"), "c.md"), at(sub, "c.md"));
  EXPECT_EQ(vault_.read(at(at(folder, "sub"), "c.md")), "c as it was");
}

TEST_F(RestoreFolderTest, NamesThatWereExchangedAndFoldersThatWereRemadeAreTheOldOnes) {
  const Ino folder = make_folder();
  const std::string before = picture(folder);
  const Ino sub = at(folder, "sub"), a = at(folder, "a.md"), b = at(folder, "b.md");
  const uint64_t then = vault_.vault().hlc_now();
  stand();
  ASSERT_TRUE(tree().rename(folder, "a.md", folder, "b.md", store::RenameMode::exchange).ok());
  rename(folder, "gone", folder, "was gone");
  rename(folder, "sub", folder, "gone");
  file(vault_.make_directory(folder, "sub"), "c.md", "another one");
  stand();

  ASSERT_EQ(restore(folder, then).failed, 0u);
  EXPECT_EQ(picture(folder), before);
  EXPECT_EQ(at(folder, "sub"), sub);
  EXPECT_EQ(at(folder, "a.md"), a);
  EXPECT_EQ(at(folder, "b.md"), b);
}

TEST_F(RestoreFolderTest, WhatWasDoneAfterACrashBetweenGoesOn) {
  const Ino folder = make_folder();
  const std::string before = picture(folder);
  const uint64_t then = vault_.vault().hlc_now();
  stand();
  for (const char* name : {"a.md", "b.md", "one"}) unlink(folder, name);
  file(folder, "new.md", "new");
  stand();
  // After some steps the process ends, with those in the database.
  int steps = 0;
  Server failing = server();
  struct Stop {};
  for (int stop_at = 1; stop_at <= 3; ++stop_at) {
    steps = 0;
    failing.changed = [&](Ino, const std::string&) {
      if (++steps < stop_at) return;
      EXPECT_TRUE(vault_.vault().sync().ok());
      throw Stop();
    };
    try {
      static_cast<void>(restore_folder(vault_.vault(), folder, then, folder, failing).ok());
    } catch (const Stop&) {
      vault_.crash();
    }
  }
  ASSERT_EQ(restore(folder, then).failed, 0u);
  EXPECT_EQ(picture(folder), before);
}

TEST_F(RestoreFolderTest, ACopyIsWholeAndTouchesNothing) {
  const Ino folder = make_folder();
  const std::string before = picture(folder);
  const uint64_t then = vault_.vault().hlc_now();
  stand();
  vault_.write(at(folder, "a.md"), 0, "A");
  unlink(folder, "one");
  unlink(at(folder, "gone"), "e.md");
  stand();
  const std::string now = picture(folder);

  const auto done = copy_folder(vault_.vault(), folder, then, {kRootIno, "copy"}, server());
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_EQ(picture(at(kRootIno, "copy")), before);
  EXPECT_EQ(picture(folder), now);
  EXPECT_TRUE(changed_.contains({kRootIno, "copy"}));
  EXPECT_TRUE(copy_folder(vault_.vault(), folder, then, {kRootIno, "copy"}, server()).is(Code::exists));
  size_t names = 0;
  ASSERT_TRUE(tree().list(kRootIno, Cookie{0}, [&](const store::ListItem&) { return ++names > 0; }).ok());
  EXPECT_EQ(names, 2u) << "nothing of the one that failed is left";
}

TEST_F(RestoreFolderTest, WhatTheTrashWouldNotKeepStays) {
  const Ino folder = make_folder();
  const uint64_t then = vault_.vault().hlc_now();
  stand();
  file(folder, "a.md~", "a backup");
  file(vault_.make_directory(folder, "new"), ".x.swp", "an editor's");
  stand();
  file(folder, "just now", "young");
  const FolderRestored done = restore(folder, then);

  EXPECT_EQ(done.removed, 0u);
  EXPECT_EQ(done.left, 4u) << "two files of editors, the folder that one is in, and a new file";
  EXPECT_EQ(vault_.read(at(folder, "a.md~")), "a backup");
  EXPECT_EQ(vault_.read(at(at(folder, "new"), ".x.swp")), "an editor's");
  EXPECT_EQ(vault_.read(at(folder, "just now")), "young");
}

TEST(RestoreFolderWithoutHistoryTest, IsRefusedInPlace) {
  store::OpenOptions options;
  options.committer_thread = false;
  test::TempVault vault(options);
  const Ino folder = vault.make_directory(kRootIno, "folder");
  vault.make_file(folder, "a.md");
  const auto done = restore_folder(vault.vault(), folder, 0, folder, {.changed = [](Ino, const std::string&) {}, .unlinked = [](const store::Unlinked&) {}});

  EXPECT_TRUE(done.is(Code::not_permitted));
  EXPECT_TRUE(vault.tree().lookup(folder, "a.md").ok());
}

}  // namespace
}  // namespace tain::fs
