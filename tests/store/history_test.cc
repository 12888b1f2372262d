// SPDX-License-Identifier: Apache-2.0
// History, trash and time travel of the store (ADR 13).
#include <gtest/gtest.h>

#include <dirent.h>

#include "store/content.h"
#include "store/droppings.h"
#include "store/past.h"
#include "store/trash.h"
#include "store/tree.h"
#include "tests/support/audit.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;

class HistoryTest : public testing::Test {
 protected:
  static OpenOptions options() {
    OpenOptions out;
    out.committer_thread = false;
    out.history = true;
    return out;
  }
  Ino make(const std::string& name, const std::string& text, Ino directory = kRootIno) {
    const Ino ino = temp_.make_file(directory, name);
    temp_.write(ino, 0, text);
    return ino;
  }
  /// Time passes, and the committer has done its work.
  void stand(int64_t seconds = 10) {
    temp_.clock().advance_seconds(1);
    ASSERT_TRUE(temp_.vault().sync().ok());
    temp_.clock().advance_seconds(seconds - 1);
  }
  /// As editors do that save by renaming.
  Ino save_by_rename(const std::string& name, const std::string& text, Ino directory = kRootIno) {
    const Ino ino = make(".goutputstream-1", text, directory);
    auto renamed = temp_.tree().rename(directory, ".goutputstream-1", directory, name, RenameMode::replace);
    EXPECT_TRUE(renamed.ok());
    if (renamed.ok() && renamed->has_value() && (*renamed)->orphan) {
      EXPECT_TRUE(temp_.tree().reap((*renamed)->ino).ok());
    }
    return ino;
  }
  void overwrite(Ino ino, const std::string& text) {
    AttrChange cut;
    cut.size = 0;
    ASSERT_TRUE(temp_.tree().setattr(ino, cut).ok());
    temp_.write(ino, 0, text);
  }
  void change_mode(Ino ino, uint32_t mode) {
    AttrChange change;
    change.mode = mode;
    ASSERT_TRUE(temp_.tree().setattr(ino, change).ok());
  }
  std::string text_of(const PastState& state) {
    Bytes out(state.inode.content.size);
    auto got = temp_.vault().past().read(state, 0, out);
    if (!got.ok()) return "error: " + got.error().message();
    return std::string(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(*got));
  }
  std::vector<std::string> texts(Ino ino) {
    std::vector<std::string> out;
    auto log = temp_.vault().past().log(ino);
    EXPECT_TRUE(log.ok());
    if (log.ok())
      for (const PastState& state : *log) out.push_back(text_of(state));
    return out;
  }
  Ino ino_of(const std::string& name, Ino directory = kRootIno) {
    auto attr = temp_.tree().lookup(directory, name);
    return attr.ok() ? attr->ino : Ino{0};
  }
  std::string text_at(const std::string& name, uint64_t hlc, Ino directory = kRootIno) {
    auto found = temp_.vault().past().lookup(directory, name, hlc);
    if (!found.ok()) return "error: " + found.error().message();
    return found->has_value() ? text_of((*found)->state) : "nothing";
  }
  void remove(const std::string& name, Ino directory = kRootIno) {
    auto gone = temp_.tree().unlink(directory, name);
    ASSERT_TRUE(gone.ok());
    if (gone->orphan) { ASSERT_TRUE(temp_.tree().reap(gone->ino).ok()); }
  }
  std::vector<TrashItem> trash() {
    auto out = temp_.vault().trash().list();
    EXPECT_TRUE(out.ok());
    return out.ok() ? *out : std::vector<TrashItem>();
  }
  void audit() {
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), std::vector<std::string>());
    temp_.reopen();
  }

  TempVault temp_{options()};
};

using Texts = std::vector<std::string>;

TEST_F(HistoryTest, WritingInPlaceOverAStateThatStoodKeepsIt) {
  const Ino ino = make("a.md", "one");
  stand();
  overwrite(ino, "two");
  EXPECT_EQ(texts(ino), (Texts{"two", "one"})) << "before the commit";
  stand();
  overwrite(ino, "three");
  stand();

  EXPECT_EQ(texts(ino), (Texts{"three", "two", "one"}));
  audit();
  EXPECT_EQ(texts(ino), (Texts{"three", "two", "one"}));
}

TEST_F(HistoryTest, AStateOfAMomentIsNotKept) {
  const Ino ino = make("a.md", "one");
  stand();
  overwrite(ino, "two");
  ASSERT_TRUE(temp_.vault().sync().ok());
  overwrite(ino, "three");
  stand();

  EXPECT_EQ(texts(ino), (Texts{"three", "one"}));
}

TEST_F(HistoryTest, AChangeToWhatIsThereAlreadyEndsNoState) {
  const Ino ino = make("a.md", "one");
  change_mode(ino, 0640);
  stand();
  change_mode(ino, 0640);
  AttrChange same;
  same.size = 3;
  ASSERT_TRUE(temp_.tree().setattr(ino, same).ok());
  stand();
  EXPECT_EQ(texts(ino).size(), 1u);
  change_mode(ino, 0600);
  stand();
  EXPECT_EQ(texts(ino).size(), 2u);
  audit();
}

TEST_F(HistoryTest, TwentyQuickSavesByRenameAreTwentyVersions) {
  make("a.md", "0");
  stand();
  Texts expected{"0"};
  for (int i = 1; i <= 20; ++i) {
    save_by_rename("a.md", std::to_string(i));
    expected.insert(expected.begin(), std::to_string(i));
    if (i == 7) { ASSERT_TRUE(temp_.vault().sync().ok()); }
  }

  EXPECT_EQ(texts(ino_of("a.md")), expected);
  audit();
  EXPECT_EQ(texts(ino_of("a.md")), expected);
  EXPECT_TRUE(trash().empty());
}

TEST_F(HistoryTest, WhatWasFsyncedSurvivesACrashWithItsHistory) {
  const Ino ino = make("a.md", "one");
  stand();
  overwrite(ino, "two");
  ASSERT_TRUE(temp_.vault().fsync(ino).ok());
  for (const char* text : {"three", "four"}) {
    const Ino saved = save_by_rename("a.md", text);
    ASSERT_TRUE(temp_.vault().fsync(saved).ok());
  }
  temp_.crash();

  EXPECT_EQ(texts(ino_of("a.md")), (Texts{"four", "three", "two", "one"}));
  audit();
  EXPECT_EQ(texts(ino_of("a.md")), (Texts{"four", "three", "two", "one"}));
}

TEST_F(HistoryTest, ARemovalThatFailsEndsNoStateOfItsFolder) {
  const Ino folder = temp_.make_directory(kRootIno, "folder");
  make("file", "text", temp_.make_directory(folder, "full"));
  stand();
  EXPECT_EQ(temp_.tree().unlink(folder, "nothing").code(), Code::not_found);
  EXPECT_EQ(temp_.tree().rmdir(folder, "nothing").code(), Code::not_found);
  EXPECT_EQ(temp_.tree().unlink(folder, "full").code(), Code::is_directory);
  EXPECT_EQ(temp_.tree().rmdir(folder, "full").code(), Code::not_empty);
  EXPECT_EQ(temp_.vault().past().log(folder)->size(), 1u);
  stand();
  const uint64_t before = temp_.vault().hlc_now();
  stand();
  change_mode(folder, 0500);
  stand();

  EXPECT_EQ(temp_.vault().past().state_of(folder, before)->inode.mode & 0777, 0755u);
  EXPECT_EQ(temp_.vault().past().log(folder)->size(), 2u);
  audit();
}

TEST_F(HistoryTest, AStateThatStoodIsKnownAsSuchAfterOpeningTheVault) {
  const Ino folder = temp_.make_directory(kRootIno, "folder");
  const Ino file = make("file", "one");
  stand();
  const uint64_t before = temp_.vault().hlc_now();
  stand();
  make("other", "x", folder);
  ASSERT_TRUE(temp_.tree().link(file, folder, "link").ok());  // these change times, and end no state
  temp_.reopen();
  change_mode(folder, 0500);
  overwrite(file, "two");
  stand();

  EXPECT_EQ(temp_.vault().past().state_of(folder, before)->inode.mode & 0777, 0755u);
  EXPECT_EQ(text_at("file", before), "one");
  audit();
}

TEST_F(HistoryTest, VersionsShareBlocksAndFreeThemWhenPruned) {
  std::string big(5 << 20, 'x');
  const Ino ino = make("big", big);
  stand();
  const uint64_t before = temp_.vault().stats().store_bytes;
  for (int i = 0; i < 50; ++i) {
    temp_.write(ino, static_cast<uint64_t>(i) * 100'000, "change " + std::to_string(i));
    stand();
  }
  EXPECT_EQ(texts(ino).size(), 51u);
  EXPECT_LT(temp_.vault().stats().store_bytes, before + (8u << 20)) << "fifty copies would be 250 MB";
  EXPECT_EQ(texts(ino)[50], big);
  audit();

  auto pruned = temp_.vault().trash().prune({.all_s = 0, .hourly_s = 0, .daily_s = 0, .monthly_s = 0},
                                            INT64_C(1'900'000'000), false);
  ASSERT_TRUE(pruned.ok());
  EXPECT_EQ(pruned->states, 50u);
  stand();
  EXPECT_EQ(texts(ino).size(), 1u);
  audit();
}

TEST_F(HistoryTest, PruningSomeVersionsLeavesTheOthersWhole) {
  std::string text(300'000, 'a');
  const Ino ino = make("f", text);
  Texts expected{text};
  for (int i = 0; i < 12; ++i) {
    stand(1800);
    text.replace(static_cast<size_t>(i) * 20'000, 5, "edit" + std::to_string(i % 10));
    temp_.write(ino, static_cast<uint64_t>(i) * 20'000, "edit" + std::to_string(i % 10));
    expected.insert(expected.begin(), text);
  }
  stand();
  ASSERT_EQ(texts(ino), expected);
  const int64_t now_s = static_cast<int64_t>(temp_.vault().hlc_now() >> 16) / 1000;
  ASSERT_TRUE(temp_.vault().trash().prune({.all_s = 0}, now_s, false).ok());
  stand();

  const Texts left = texts(ino);
  EXPECT_LT(left.size(), expected.size());
  EXPECT_GE(left.size(), 6u);
  for (const std::string& one : left) EXPECT_NE(std::find(expected.begin(), expected.end(), one), expected.end());
  audit();
  EXPECT_EQ(texts(ino), left);
}

TEST_F(HistoryTest, ANameThatIsTakenAgainGoesOnWithItsHistory) {
  make("a.md", "one");
  stand();
  // As Vim: the file becomes the backup, a new one is written, the backup goes.
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "a.md", kRootIno, "a.md~", RenameMode::replace).ok());
  const Ino second = make("a.md", "two");
  remove("a.md~");
  EXPECT_EQ(texts(second), (Texts{"two", "one"}));
  stand();
  remove("a.md");
  const Ino third = make("a.md", "three");
  stand();

  EXPECT_EQ(texts(third), (Texts{"three", "two", "one"}));
  EXPECT_TRUE(trash().empty());
  audit();
}

TEST_F(HistoryTest, AStateEndsWhereTheNextOneBeginsHoweverLongItsInodeWasABackup) {
  // As Emacs: the file becomes the backup, in place of the one before, and a new one is written.
  make("a.md", "0");
  Texts expected{"0"};
  for (int i = 1; i <= 5; ++i) {
    stand(10);
    ASSERT_TRUE(temp_.tree().rename(kRootIno, "a.md", kRootIno, "a.md~", RenameMode::replace).ok());
    make("a.md", std::to_string(i));
    expected.insert(expected.begin(), std::to_string(i));
  }
  const Ino last = ino_of("a.md");
  ASSERT_EQ(texts(last), expected);
  for (int round = 0; round < 2; ++round) {
    const auto log = temp_.vault().past().log(last).value();
    for (size_t i = 1; i < log.size(); ++i) {
      EXPECT_EQ(log[i].ended_hlc, log[i - 1].inode.past.since) << i;
      if (i > 1) { EXPECT_LE(log[i].ended_hlc + (uint64_t{10'000} << 16), log[i - 1].ended_hlc) << i; }
    }
    audit();
  }
}

TEST_F(HistoryTest, AnEstablishedEntryMovedOverAnotherPutsThatIntoTheTrash) {
  const Ino one = make("one", "1");
  make("two", "2");
  stand(60);
  overwrite(one, "1b");
  stand(60);
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "one", kRootIno, "two", RenameMode::replace).ok());
  stand();

  EXPECT_EQ(texts(one), (Texts{"1b", "1"}));
  ASSERT_EQ(trash().size(), 1u);
  EXPECT_EQ(trash()[0].name.dirent.name, "two");
  ASSERT_TRUE(temp_.vault().trash().restore(trash()[0].name, kRootIno, "two restored").ok());
  EXPECT_EQ(temp_.read(ino_of("two restored")), "2");
  audit();
}

TEST_F(HistoryTest, ASaveThatTakesLongGoesOnWithTheHistoryOfItsTarget) {
  make("a.md", "one");
  stand(100);
  for (const char* text : {"two", "three"}) {
    const Ino saved = make("a.md.tmp", "half of it");
    stand(3);
    temp_.write(saved, 10, ", and then");
    stand(30);  // the last of it takes even longer
    overwrite(saved, text);
    ASSERT_TRUE(temp_.tree().rename(kRootIno, "a.md.tmp", kRootIno, "a.md", RenameMode::replace).ok());
    stand(100);
  }

  const Texts found = texts(ino_of("a.md"));

  EXPECT_EQ(found.front(), "three");
  EXPECT_EQ(found.back(), "one");
  EXPECT_NE(std::find(found.begin(), found.end(), "two"), found.end());
  EXPECT_TRUE(trash().empty());
  audit();
}

TEST_F(HistoryTest, ABackupThatIsReplacedByWhatCameAfterItIsNoTrash) {
  make("log", "0");
  make("log.2", "oldest");
  stand(3600);
  // As log rotation does: each is renamed to the next number, hours apart.
  Texts expected{"0"};
  for (int i = 1; i <= 5; ++i) {
    if (raw(ino_of("log.1")) != 0) {
      ASSERT_TRUE(temp_.tree().rename(kRootIno, "log.1", kRootIno, "log.2", RenameMode::replace).ok());
    }
    ASSERT_TRUE(temp_.tree().rename(kRootIno, "log", kRootIno, "log.1", RenameMode::replace).ok());
    make("log", std::to_string(i));
    expected.insert(expected.begin(), std::to_string(i));
    stand(3600);
    temp_.reopen();
  }

  ASSERT_EQ(trash().size(), 1u);
  EXPECT_EQ(text_of(temp_.vault().past().log(trash()[0].name.dirent.child)->at(0)), "oldest");
  EXPECT_EQ(texts(ino_of("log")), expected);
  audit();
  // What was changed as a backup is more than that.
  overwrite(ino_of("log.2"), "changed");
  stand(60);
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "log.1", kRootIno, "log.2", RenameMode::replace).ok());
  EXPECT_EQ(trash().size(), 2u);
  EXPECT_EQ(texts(ino_of("log")), expected);
  audit();
}

TEST_F(HistoryTest, WhatTwoEntriesCameOfGoesWithTheLastOfThem) {
  make("draft", "one");
  stand();
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "draft", kRootIno, "final", RenameMode::no_replace).ok());
  make("draft", "two");
  stand(60);
  save_by_rename("final", "one, saved");
  stand(60);
  remove("final");
  stand(60);
  ASSERT_TRUE(temp_.vault().trash().empty(UINT64_MAX).ok());
  audit();
  EXPECT_EQ(texts(ino_of("draft")), (Texts{"two", "one"}));
  remove("draft");
  stand(60);
  ASSERT_TRUE(temp_.vault().trash().empty(UINT64_MAX).ok());
  stand();

  EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
  audit();
}

TEST_F(HistoryTest, PruningOneOfTwoEntriesForgesNothingInTheLogOfTheOther) {
  const Ino moved = make("draft", "one");
  stand(60);
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "draft", kRootIno, "final", RenameMode::no_replace).ok());
  const Ino fresh = make("draft", "two");
  for (int i = 0; i < 4; ++i) {
    stand(60);
    overwrite(moved, "final " + std::to_string(i));
  }
  stand(7200);
  ASSERT_EQ(texts(fresh), (Texts{"two", "one"}));
  // Of that hour only the last one stays.
  ASSERT_TRUE(temp_.vault().trash().prune({.all_s = 0}, temp_.clock().wall_ns() / 1'000'000'000, false).ok());
  stand();

  EXPECT_LT(texts(moved).size(), 5u);
  EXPECT_EQ(texts(fresh), (Texts{"two", "one"}));
  audit();
}

TEST_F(HistoryTest, WhatWasRenamedAwayAndSucceededIsAnEntryOfItsOwn) {
  const Ino moved = make("draft", "one");
  stand();
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "draft", kRootIno, "final", RenameMode::no_replace).ok());
  const Ino fresh = make("draft", "two");
  stand(60);
  EXPECT_EQ(texts(fresh), (Texts{"two", "one"}));
  overwrite(moved, "one, and more");
  stand(60);
  remove("final");

  ASSERT_EQ(trash().size(), 1u);
  EXPECT_EQ(trash()[0].name.dirent.name, "final");
  ASSERT_TRUE(temp_.vault().trash().restore(trash()[0].name, kRootIno, "final").ok());
  EXPECT_EQ(trash().size(), 0u);
  EXPECT_EQ(texts(ino_of("final")), (Texts{"one, and more", "one"}));
  EXPECT_EQ(texts(fresh), (Texts{"two", "one"}));
  stand(60);
  remove("final");
  audit();

  // Gone from the trash, its state as a draft is still the other's.
  ASSERT_EQ(trash().size(), 1u);
  EXPECT_TRUE(temp_.vault().trash().empty(UINT64_MAX).ok());
  EXPECT_EQ(trash().size(), 0u);
  EXPECT_EQ(texts(ino_of("draft")), (Texts{"two", "one"}));
  audit();
}

TEST_F(HistoryTest, PruningOneEntryLeavesWhatWasRenamedAwayInTheTrash) {
  make("draft", "one");
  stand();
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "draft", kRootIno, "final", RenameMode::no_replace).ok());
  make("draft", "two");
  stand(60);
  remove("final");
  stand(24 * 3600);
  const Retention nothing{.all_s = 1, .hourly_s = -1, .daily_s = -1, .monthly_s = -1};

  ASSERT_TRUE(temp_.vault().trash().prune(nothing, temp_.clock().wall_ns() / 1'000'000'000, false).ok());

  ASSERT_EQ(trash().size(), 1u);
  ASSERT_TRUE(temp_.vault().trash().restore(trash()[0].name, kRootIno, "final").ok());
  EXPECT_EQ(texts(ino_of("final")).at(0), "one");
  audit();
}

TEST_F(HistoryTest, ASecondSuccessorTakesNoStateOfTheFirst) {
  make("draft", "one");
  stand();
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "draft", kRootIno, "final", RenameMode::no_replace).ok());
  const Ino fresh = make("draft", "two");
  stand(60);

  const Ino saved = save_by_rename("final", "one, saved");
  stand(60);

  EXPECT_EQ(texts(saved), (Texts{"one, saved", "one"}));
  EXPECT_EQ(texts(fresh), (Texts{"two", "one"}));
  stand(24 * 3600);
  remove("final");
  ASSERT_TRUE(temp_.vault().trash().empty(UINT64_MAX).ok());
  EXPECT_EQ(texts(fresh), (Texts{"two", "one"})) << "what the other's trash held";
  audit();
}

TEST_F(HistoryTest, DroppingsLeaveNothing) {
  const Ino swap = make(".a.md.swp", "swap");
  stand();
  overwrite(swap, "other");
  stand();
  EXPECT_EQ(texts(swap), (Texts{"other"}));
  remove(".a.md.swp");
  stand();

  EXPECT_TRUE(trash().empty());
  EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
  audit();
}

TEST_F(HistoryTest, WhatChangedAfterItWasRenamedAwayIsNoBackup) {
  const Ino moved = make("draft", "one");
  stand();
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "draft", kRootIno, "final", RenameMode::no_replace).ok());
  make("draft", "two");
  stand(60);
  overwrite(moved, "one, and a year's work");
  stand(60);
  change_mode(moved, 0400);
  remove("final");

  ASSERT_EQ(trash().size(), 1u);
  ASSERT_TRUE(temp_.vault().trash().restore(trash()[0].name, kRootIno, "final").ok());
  EXPECT_EQ(texts(ino_of("final")).at(0), "one, and a year's work");
  audit();
}

TEST_F(HistoryTest, ThinningTakesNothingFromAnEntryThatLives) {
  make("a.md", "0");
  stand();
  for (int i = 1; i < 200; ++i) {
    remove("a.md");
    make("a.md", std::to_string(i));
  }
  stand();
  const Texts before = texts(ino_of("a.md"));
  EXPECT_EQ(before.at(0), "199");
  EXPECT_EQ(before.back(), "0");

  ASSERT_TRUE(temp_.vault().trash().empty(UINT64_MAX).ok());

  EXPECT_EQ(texts(ino_of("a.md")), before);
  audit();
}

TEST_F(HistoryTest, ASaveThatIsThinnedLeavesTheVersionsOfWhatItReplaces) {
  make("a.md", "0");
  for (int i = 1; i < 200; ++i) save_by_rename("a.md", std::to_string(i));
  stand();
  overwrite(ino_of("a.md"), "in place");
  save_by_rename("a.md", "at once");
  stand();

  const Texts found = texts(ino_of("a.md"));

  EXPECT_EQ(found.at(0), "at once");
  EXPECT_NE(std::find(found.begin(), found.end(), "199"), found.end());
  audit();
}

TEST_F(HistoryTest, ARestoreKeepsWhatItReplacesWhenSavesAreThinned) {
  make("a.md", "0");
  for (int i = 1; i < 200; ++i) save_by_rename("a.md", std::to_string(i));
  const auto restore = [&](const std::string& text) {
    make(".tain-restore-1~", text);
    const auto renamed = temp_.tree().rename(kRootIno, ".tain-restore-1~", kRootIno, "a.md", RenameMode::restore);
    ASSERT_TRUE(renamed.ok());
    EXPECT_FALSE((*renamed)->orphan);
  };
  save_by_rename("a.md", "thinned");
  save_by_rename("a.md", "present");
  ASSERT_EQ(texts(ino_of("a.md")).at(1) == "thinned", false) << "it was not";
  for (const char* text : {"restored", "again"}) restore(text);
  const Texts found = texts(ino_of("a.md"));
  EXPECT_EQ(Texts(found.begin(), found.begin() + 3), (Texts{"again", "restored", "present"}));
  audit();
}

TEST_F(HistoryTest, EmptyingWhatIsOldLeavesWhatWasRemovedAgain) {
  make("a.md", "one");
  stand();
  remove("a.md");
  stand(40 * 24 * 3600);
  ASSERT_TRUE(temp_.vault().trash().restore(trash().at(0).name, kRootIno, "a.md").ok());
  stand();
  const uint64_t before = static_cast<uint64_t>(temp_.clock().wall_ns() / 1'000'000) << 16;
  stand();
  remove("a.md");

  ASSERT_TRUE(temp_.vault().trash().empty(before).ok());

  EXPECT_EQ(trash().size(), 1u);
  audit();
}

TEST_F(HistoryTest, OnlyTheNamesThatEditorsMakeAreDroppings) {
  for (const char* name : {".a.md.swp", ".a.md.swo", ".a.un~", "4913", "a~", ".#a", "#a#", ".goutputstream-AB12CD", ".~lock.a.odt#", "lu1234.tmp",
                           ".nfs0001", ".fuse_hidden01", "sedAb3dE9"}) {
    EXPECT_TRUE(is_dropping(name)) << name;
  }
  for (const char* name : {"a.md", "a~b", "~", "sedan.txt", "sed-1.txt", "sed-notes", "sedimenta", "sed", "#", "##", "4913.md", "lute.tmp.md", ".a.swap", "a.swp"}) {
    EXPECT_FALSE(is_dropping(name)) << name;
  }
}

TEST_F(HistoryTest, AFolderIsNoDropping) {
  const Ino folder = temp_.make_directory(kRootIno, "old~");
  make("a.md", "one", folder);
  stand();
  remove("a.md", folder);
  ASSERT_TRUE(temp_.tree().rmdir(kRootIno, "old~").ok());

  const auto roots = temp_.vault().trash().roots();
  ASSERT_TRUE(roots.ok());
  ASSERT_EQ(roots->size(), 1u);
  EXPECT_EQ((*roots)[0].item.name.dirent.name, "old~");
  ASSERT_TRUE(temp_.vault().trash().restore((*roots)[0].item.name, kRootIno, "old~").ok());
  EXPECT_EQ(texts(ino_of("a.md", ino_of("old~"))), (Texts{"one"}));
  audit();
}

TEST_F(HistoryTest, AFolderComesBackFromTheTrashAsItWas) {
  const Ino top = temp_.make_directory(kRootIno, "top");
  const Ino below = temp_.make_directory(top, "below");
  const Ino file = make("file", "text", below);
  make("gone before", "x", below);
  ASSERT_TRUE(temp_.tree().link(file, top, "other name").ok());
  ASSERT_TRUE(temp_.tree().set_xattr(file, "user.x", as_bytes("value"), XattrMode::any).ok());
  stand(100);
  remove("gone before", below);
  stand(100);
  const auto times = [&](Ino ino) { return temp_.tree().getattr(ino)->mtime; };
  const auto top_time = times(top), below_time = times(below);

  remove("file", below);
  ASSERT_TRUE(temp_.tree().rmdir(top, "below").ok());
  remove("other name", top);
  ASSERT_TRUE(temp_.tree().rmdir(kRootIno, "top").ok());
  stand(1000);
  const auto items = trash();
  const auto item = std::find_if(items.begin(), items.end(), [](const TrashItem& i) { return i.name.dirent.name == "top"; });
  ASSERT_NE(item, items.end());
  EXPECT_FALSE(item->is_inside);
  auto restored = temp_.vault().trash().restore(item->name, kRootIno, "top");
  ASSERT_TRUE(restored.ok());

  EXPECT_EQ(restored->entries, 4u);
  EXPECT_EQ(ino_of("file", below), file);
  EXPECT_EQ(ino_of("other name", top), file);
  EXPECT_EQ(temp_.tree().getattr(file)->nlink, 2u);
  EXPECT_EQ(temp_.read(file), "text");
  EXPECT_EQ(temp_.tree().get_xattr(file, "user.x").value(), Bytes({'v', 'a', 'l', 'u', 'e'}));
  EXPECT_EQ(times(top), top_time);
  EXPECT_EQ(times(below), below_time);
  EXPECT_EQ(ino_of("gone before", below), Ino{0});
  audit();
}

TEST_F(HistoryTest, ARestoredFolderIsWholeOrNotThere) {
  const Ino top = temp_.make_directory(kRootIno, "top");
  const Ino below = temp_.make_directory(top, "below");
  make("file", "text", below);
  stand(100);
  remove("file", below);
  ASSERT_TRUE(temp_.tree().rmdir(top, "below").ok());
  ASSERT_TRUE(temp_.tree().rmdir(kRootIno, "top").ok());
  stand(100);
  const PastName name = trash().back().name;
  ASSERT_EQ(name.dirent.name, "top");
  // A frame that comes of anything has all of the restored folder.
  ASSERT_TRUE(temp_.vault().trash().restore(name, kRootIno, "top").ok());
  ASSERT_TRUE(temp_.vault().fsync(below).ok());
  temp_.crash();
  EXPECT_EQ(temp_.read(ino_of("file", below)), "text");
  EXPECT_TRUE(trash().empty());
  audit();
}

TEST_F(HistoryTest, ALargeRestoreThatWasInterruptedGoesOnWhenItIsAskedForAgain) {
  constexpr int kFiles = 900;
  const Ino top = temp_.make_directory(kRootIno, "top");
  for (int i = 0; i < kFiles; ++i) temp_.make_file(top, "f" + std::to_string(i));
  stand(100);
  for (int i = 0; i < kFiles; ++i) remove("f" + std::to_string(i), top);
  ASSERT_TRUE(temp_.tree().rmdir(kRootIno, "top").ok());
  stand(100);
  const PastName name = trash().back().name;
  ASSERT_TRUE(temp_.vault().trash().restore(name, kRootIno, "top").ok());
  // As if the crash had come before the last of them: these are in the trash still.
  for (int i = 0; i < 200; ++i) remove("f" + std::to_string(i), top);
  ASSERT_EQ(trash().size(), 200u);
  stand(100);
  const auto again = temp_.vault().trash().restore(name, kRootIno, "top");

  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->entries, static_cast<uint64_t>(kFiles) + 1);
  EXPECT_EQ(again->failed, 0u);
  EXPECT_EQ(temp_.tree().getattr(top)->nlink, 2u);
  for (int i = 0; i < kFiles; ++i) EXPECT_NE(ino_of("f" + std::to_string(i), top), Ino{0}) << i;
  EXPECT_TRUE(trash().empty());
  EXPECT_TRUE(temp_.vault().trash().restore(name, kRootIno, "elsewhere").is(Code::exists));
  audit();
}

TEST_F(HistoryTest, WhatIsRemovedTwiceIsInTheTrashOnce) {
  make("file", "text");
  stand();
  remove("file");
  stand();
  ASSERT_TRUE(temp_.vault().trash().restore(trash().at(0).name, kRootIno, "file").ok());
  stand();
  remove("file");
  stand();
  EXPECT_EQ(trash().size(), 1u);
  ASSERT_TRUE(temp_.vault().trash().empty(UINT64_MAX).ok());
  stand();
  EXPECT_TRUE(trash().empty());
  audit();
}

TEST_F(HistoryTest, AnEntryWithAPastIsKeptUnderAnyName) {
  const Ino file = make("letter", "one");
  stand(100);
  overwrite(file, "two");
  stand(100);
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "letter", kRootIno, "letter~", RenameMode::replace).ok());
  stand(100);
  remove("letter~");  // an editor's backup, by its name
  stand();

  ASSERT_EQ(trash().size(), 1u);
  ASSERT_TRUE(temp_.vault().trash().restore(trash()[0].name, kRootIno, "letter").ok());
  EXPECT_EQ(texts(file), (Texts{"two", "one"}));
  audit();
}

TEST_F(HistoryTest, PruningTheMiddleOfAChainGivesItsTimeToWhatFollowed) {
  make("a", "1");
  stand(4000);
  const Ino second = save_by_rename("a", "2");
  stand(3600);
  const uint64_t then = temp_.vault().hlc_now();
  stand(10);
  save_by_rename("a", "3");
  stand(10);
  save_by_rename("a", "4");
  stand(4000);
  // The second goes: the third one ended in the same hour. The first one's time does not get longer by that.
  const int64_t now_s = static_cast<int64_t>(temp_.vault().hlc_now() >> 16) / 1000;
  ASSERT_TRUE(temp_.vault().trash().prune({.all_s = 0}, now_s, false).ok());
  stand();

  ASSERT_TRUE(temp_.tree().getattr(second).is(Code::not_found));
  EXPECT_EQ(texts(ino_of("a")), (Texts{"4", "3", "1"}));
  EXPECT_EQ(text_at("a", then), "3");
  audit();
}

TEST_F(HistoryTest, AnEditorsBackupThatIsOneOfTwoNamesTakesNoHistoryFromTheOther) {
  const Ino file = make("document", "one");
  ASSERT_TRUE(temp_.tree().link(file, kRootIno, "other").ok());
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "other", kRootIno, "other~", RenameMode::replace).ok());
  make("other", "new");
  remove("other~");
  stand(100);
  overwrite(file, "two");
  stand(100);
  EXPECT_EQ(texts(file), (Texts{"two", "one"}));

  const Ino dropping = make("swap~", "one");
  ASSERT_TRUE(temp_.tree().link(dropping, kRootIno, "kept").ok());
  remove("swap~");
  stand(100);
  overwrite(dropping, "two");
  stand();
  EXPECT_EQ(texts(dropping), (Texts{"two", "one"}));
  audit();
}

TEST_F(HistoryTest, TheRootsOfTheTrashAreWhatCameThereTogether) {
  const Ino folder = temp_.make_directory(kRootIno, "folder");
  const Ino below = temp_.make_directory(folder, "below");
  make("early", "12345", below);
  make("one", "123", below);
  make("two", "1234", folder);
  make("alone", "12", kRootIno);
  stand(100);
  remove("early", below);
  stand(100);
  const uint64_t whole = temp_.vault().hlc_now();
  stand(100);
  remove("alone");
  remove("one", below);
  ASSERT_TRUE(temp_.tree().rmdir(folder, "below").ok());
  remove("two", folder);
  ASSERT_TRUE(temp_.tree().rmdir(kRootIno, "folder").ok());

  for (const bool is_committed : {false, true}) {
    auto roots = temp_.vault().trash().roots();
    ASSERT_TRUE(roots.ok());
    ASSERT_EQ(roots->size(), 3u) << is_committed;
    EXPECT_EQ((*roots)[0].item.name.dirent.name, "early");
    EXPECT_EQ((*roots)[1].item.name.dirent.name, "alone");
    const TrashRoot& root = (*roots)[2];
    EXPECT_EQ(root.item.name.dirent.name, "folder");
    EXPECT_EQ(root.entries, 4u);
    EXPECT_EQ(root.size, 7u);
    EXPECT_EQ(temp_.vault().past().list(folder, root.before_hlc)->size(), temp_.vault().past().list(folder, whole)->size());
    EXPECT_EQ(temp_.vault().past().list(below, root.before_hlc)->size(), 1u);
    stand(100);
  }
}

TEST_F(HistoryTest, EmptyingTheTrashFreesEverything) {
  const Ino folder = temp_.make_directory(kRootIno, "folder");
  const Ino file = make("file", std::string(200'000, 'x'), folder);
  stand();
  overwrite(file, "short");
  stand();
  remove("file", folder);
  ASSERT_TRUE(temp_.tree().rmdir(kRootIno, "folder").ok());
  stand();
  EXPECT_EQ(temp_.vault().stats().retired_entries, 2u);
  auto emptied = temp_.vault().trash().empty(UINT64_MAX);
  ASSERT_TRUE(emptied.ok());
  EXPECT_EQ(emptied->entries, 2u);
  stand();

  EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
  EXPECT_EQ(temp_.vault().stats().entries, 0u);
  EXPECT_TRUE(trash().empty());
  audit();
}

TEST_F(HistoryTest, TheVaultAtATimeIsAsItWas) {
  const Ino folder = temp_.make_directory(kRootIno, "folder");
  const Ino a = make("a", "a1", folder);
  make("b", "b1", folder);
  stand();
  const uint64_t first = temp_.vault().hlc_now();
  stand();
  overwrite(a, "a2");
  ASSERT_TRUE(temp_.tree().rename(folder, "b", kRootIno, "b moved", RenameMode::replace).ok());
  make("c", "c1", folder);
  stand();
  const uint64_t second = temp_.vault().hlc_now();
  stand();
  save_by_rename("a", "a3", folder);
  remove("c", folder);
  stand();

  const auto look = [&] {
    EXPECT_EQ(text_at("a", first, folder), "a1");
    EXPECT_EQ(text_at("b", first, folder), "b1");
    EXPECT_EQ(text_at("c", first, folder), "nothing");
    EXPECT_EQ(text_at("b moved", first), "nothing");
    EXPECT_EQ(text_at("a", second, folder), "a2");
    EXPECT_EQ(text_at("b", second, folder), "nothing");
    EXPECT_EQ(text_at("c", second, folder), "c1");
    EXPECT_EQ(text_at("b moved", second), "b1");
    EXPECT_EQ(temp_.vault().past().list(folder, first)->size(), 2u);
    EXPECT_EQ(temp_.vault().past().list(folder, second)->size(), 2u);
    EXPECT_EQ(temp_.vault().past().list(folder, temp_.vault().hlc_now())->size(), 1u);
  };
  look();
  audit();
  look();
}

TEST_F(HistoryTest, QuickSavesAreThinnedWhenTheyNeverEnd) {
  make("status", "0");
  stand();
  for (int i = 0; i < 400; ++i) save_by_rename("status", std::to_string(i));
  EXPECT_LE(texts(ino_of("status")).size(), 131u);
  EXPECT_GE(texts(ino_of("status")).size(), 128u);
  audit();
}

TEST_F(HistoryTest, AWriterThatNeverPausesLeavesOneVersionAMinute) {
  const Ino ino = make("database", "0");
  stand();
  for (int i = 0; i < 1000; ++i) {
    if (i % 2 == 0) temp_.clock().advance_seconds(i % 4 == 0 ? 0 : 1);  // a write in about every half second
    temp_.write(ino, 0, std::to_string(i));
    if (i % 10 == 0) { ASSERT_TRUE(temp_.vault().sync().ok()); }
  }
  EXPECT_LE(texts(ino).size(), 260u);
  audit();
}

TEST_F(HistoryTest, AnEndlessWriterLeavesOneVersionAMinute) {
  const Ino ino = make("database", "0");
  stand();
  for (int i = 0; i < 600; ++i) {
    temp_.clock().advance_seconds(i % 2);  // half of them within the second
    temp_.write(ino, 0, std::to_string(i));
    ASSERT_TRUE(temp_.vault().sync().ok());
  }
  EXPECT_LE(texts(ino).size(), 310u) << "those that stood for a second";
  EXPECT_GE(texts(ino).size(), 5u);
  audit();
}

TEST(RetentionTest, KeepsTheLastStateOfEachPeriod) {
  constexpr int64_t kHour = 3600, kDay = 24 * kHour;
  const int64_t now = 1'790'000'000 / kDay * kDay;
  std::vector<int64_t> ended;
  for (int64_t t = now - 1; t > now - 400 * kDay; t -= kHour / 2) ended.push_back(t);
  const auto keep = kept_by({}, ended, now);
  const auto count = [&](int64_t from, int64_t to) {
    size_t n = 0;
    for (size_t i = 0; i < ended.size(); ++i) n += keep[i] && now - ended[i] > from && now - ended[i] <= to;
    return n;
  };

  EXPECT_EQ(count(0, kDay), 48u);
  EXPECT_EQ(count(kDay, 7 * kDay), 6u * 24);
  EXPECT_EQ(count(7 * kDay, 91 * kDay), 84u);
  EXPECT_GE(count(91 * kDay, 400 * kDay), 10u);
  EXPECT_LE(count(91 * kDay, 400 * kDay), 11u);
}

}  // namespace
}  // namespace tain::store
