// SPDX-License-Identifier: Apache-2.0
#include "store/notes.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "store/check.h"
#include "store/repair.h"
#include "tests/store/vault_edits.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;

class NotesTest : public testing::Test {
 protected:
  NotesTest() { EXPECT_TRUE(notes().mark_changes(true).ok()); }
  Notes notes() { return temp_.vault().notes(); }
  std::vector<Mark> marks() {
    EXPECT_TRUE(temp_.vault().sync().ok());
    auto marks = notes().marks(1000);
    EXPECT_TRUE(marks.ok()) << (marks.ok() ? "" : marks.error().message());
    return marks.ok() ? *marks : std::vector<Mark>();
  }
  void take_all() { ASSERT_TRUE(notes().change({}, marks()).ok()); }
  /// The marks of the inode itself, and of its names.
  static std::vector<Mark> of(const std::vector<Mark>& all, Ino ino, bool names) {
    std::vector<Mark> out;
    for (const Mark& mark : all)
      if (mark.ino == ino && mark.name.has_value() == names) out.push_back(mark);
    return out;
  }
  TempVault temp_;
};

TEST_F(NotesTest, WhatChangesIsMarked) {
  const Ino folder = temp_.make_directory(kRootIno, "2026");
  const Ino file = temp_.make_file(folder, "a.md");
  temp_.write(file, 0, "text");

  const auto all = marks();

  ASSERT_EQ(of(all, file, false).size(), 1u);
  EXPECT_FALSE(of(all, file, false)[0].removed);
  EXPECT_NE(of(all, file, false)[0].entry, EntryId{});
  ASSERT_EQ(of(all, file, true).size(), 1u);
  EXPECT_EQ(of(all, file, true)[0].name->name, "a.md");
  EXPECT_EQ(of(all, file, true)[0].name->directory, folder);
  EXPECT_EQ(of(all, folder, true)[0].name->name, "2026");
  EXPECT_EQ(of(all, kRootIno, false).size(), 1u);
}

TEST_F(NotesTest, WhoHasLookedTakesTheMarksAway) {
  const Ino file = temp_.make_file(kRootIno, "a.md");
  take_all();
  EXPECT_TRUE(marks().empty());

  temp_.write(file, 0, "text");
  const auto all = marks();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].ino, file);
}

TEST_F(NotesTest, AChangeAfterTheLookStaysMarked) {
  const Ino file = temp_.make_file(kRootIno, "a.md");
  const auto seen = marks();
  temp_.write(file, 0, "later");
  ASSERT_TRUE(temp_.vault().sync().ok());

  ASSERT_TRUE(notes().change({}, seen).ok());

  const auto all = marks();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].ino, file);
}

TEST_F(NotesTest, ARenameMarksBothNames) {
  const Ino file = temp_.make_file(kRootIno, "a.md");
  take_all();
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "a.md", kRootIno, "b.md", RenameMode::replace).ok());

  const auto names = of(marks(), file, true);
  ASSERT_EQ(names.size(), 2u);
  for (const Mark& mark : names) EXPECT_EQ(mark.removed, mark.name->name == "a.md");
}

TEST_F(NotesTest, ARemovalMarksWhatIsGone) {
  const Ino file = temp_.make_file(kRootIno, "a.md");
  take_all();
  const auto gone = temp_.tree().unlink(kRootIno, "a.md");
  ASSERT_TRUE(gone.ok());
  if (gone->orphan) {
    ASSERT_TRUE(temp_.tree().reap(file).ok());
  }

  const auto all = marks();
  ASSERT_EQ(of(all, file, false).size(), 1u);
  EXPECT_TRUE(of(all, file, false)[0].removed);
  EXPECT_NE(of(all, file, false)[0].entry, EntryId{});
  EXPECT_TRUE(of(all, file, true).at(0).removed);
}

TEST_F(NotesTest, ReadingMarksNothing) {
  const Ino file = temp_.make_file(kRootIno, "a.md");
  temp_.write(file, 0, "text");
  take_all();
  temp_.clock().advance_seconds(3 * 86400);
  EXPECT_EQ(temp_.read(file), "text");
  temp_.reopen();
  EXPECT_TRUE(marks().empty());
}

TEST_F(NotesTest, WithoutWishThereIsNoMark) {
  ASSERT_TRUE(notes().mark_changes(false).ok());
  EXPECT_FALSE(notes().marks_changes());
  temp_.make_file(kRootIno, "a.md");
  EXPECT_TRUE(marks().empty());
}

TEST_F(NotesTest, TheWishOutlivesTheOpening) {
  temp_.reopen();
  EXPECT_TRUE(notes().marks_changes());
}

// What was fsynced reaches the database by the journal: then it is marked.
TEST_F(NotesTest, WhatTheJournalBringsBackIsMarked) {
  take_all();
  const Ino file = temp_.make_file(kRootIno, "a.md");
  temp_.write(file, 0, "text");
  ASSERT_TRUE(temp_.vault().fsync(file).ok());
  temp_.crash();

  const auto all = marks();
  EXPECT_EQ(of(all, file, false).size(), 1u);
  EXPECT_EQ(of(all, file, true).size(), 1u);
}

TEST_F(NotesTest, NotesAreKeptInTheOrderOfTheirKeys) {
  const Bytes long_one(100'000, 7);
  ASSERT_TRUE(notes().change({{{5, 1}, Bytes{1}}, {{0, 9}, Bytes{}}, {{5, 0}, long_one}}).ok());
  temp_.reopen();

  EXPECT_EQ(*notes().find({5, 1}), Bytes{1});
  EXPECT_EQ(*notes().find({0, 9}), Bytes{});
  EXPECT_EQ(*notes().find({5, 2}), std::nullopt);
  const auto all = notes().list({0, 0}, 10);
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ((*all)[0].first, (NoteKey{0, 9}));
  EXPECT_EQ((*all)[1].first, (NoteKey{5, 0}));
  EXPECT_EQ((*all)[1].second, long_one);
  EXPECT_EQ(notes().list({5, 1}, 10)->size(), 1u);
  EXPECT_EQ(notes().list({0, 0}, 2)->size(), 2u);
  EXPECT_TRUE(notes().list({6, 0}, 2)->empty());

  ASSERT_TRUE(notes().change({{{5, 0}, std::nullopt}, {{5, 1}, Bytes{2}}, {{7, 7}, std::nullopt}}).ok());
  EXPECT_EQ(*notes().find({5, 0}), std::nullopt);
  EXPECT_EQ(*notes().find({5, 1}), Bytes{2});
}

TEST_F(NotesTest, AreThereAfterACrashOnceChangeHasReturned) {
  ASSERT_TRUE(notes().change({{{5, 1}, Bytes{1}}}).ok());
  temp_.crash();
  EXPECT_EQ(*notes().find({5, 1}), Bytes{1});
}

TEST_F(NotesTest, AVaultOpenForReadingTakesNone) {
  ASSERT_TRUE(notes().change({{{5, 1}, Bytes{1}}}).ok());
  temp_.close();
  const auto reader = Vault::open(temp_.directory(), {.read_only = true}, TempVault::password());
  ASSERT_TRUE(reader.ok());
  Notes notes = (*reader)->notes();
  EXPECT_EQ(*notes.find({5, 1}), Bytes{1});
  EXPECT_TRUE(notes.change({{{5, 1}, Bytes{2}}}).is(Code::read_only));
  EXPECT_TRUE(notes.mark_changes(false).is(Code::read_only));
}

TEST_F(NotesTest, DamagedOnesAreToldAndTakenAway) {
  temp_.make_file(kRootIno, "a.md");
  ASSERT_TRUE(notes().change({{{5, 1}, Bytes{1}}, {{5, 2}, Bytes{2}}}).ok());
  temp_.close();
  std::array<uint8_t, 16> key{};
  key[7] = 5;
  key[15] = 1;
  test::edit_value(temp_.directory(), Table::notes, key, [](Bytes& value) { value[40] ^= 1; });

  const auto report = check_vault(temp_.directory(), TempVault::password(), {});
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->findings.empty());
  const auto repaired = repair_vault(temp_.directory(), TempVault::password(), {});
  ASSERT_TRUE(repaired.ok()) << repaired.error().message();
  EXPECT_TRUE(repaired->remaining.empty());

  temp_.reopen();
  EXPECT_EQ(*notes().find({5, 1}), std::nullopt);
  EXPECT_EQ(*notes().find({5, 2}), Bytes{2});
  // So that nobody believes that the marks say everything.
  EXPECT_FALSE(notes().marks_changes());
}

TEST_F(NotesTest, MarksAreReadBackAndNothingElse) {
  const Mark inode{.ino = Ino{7}, .cookie = {}, .commit = 9, .entry = {{1, 2, 3}}, .name = {}, .removed = true};
  EXPECT_EQ(*decode_mark(Ino{7}, {}, encode_mark(inode)), inode);
  Mark name{.ino = Ino{7}, .cookie = Cookie{40}, .commit = 9, .entry = {}, .name = Dirent{}, .removed = false};
  name.name = Dirent{.directory = Ino{1}, .cookie = Cookie{40}, .child = Ino{7}, .type = DT_REG, .location_stamp = {}, .name = "a"};
  const Bytes bytes = encode_mark(name);
  EXPECT_EQ(*decode_mark(Ino{7}, Cookie{40}, bytes), name);

  EXPECT_TRUE(decode_mark(Ino{8}, Cookie{40}, bytes).is(Code::corrupt));
  EXPECT_TRUE(decode_mark(Ino{7}, Cookie{41}, bytes).is(Code::corrupt));
  EXPECT_TRUE(decode_mark(Ino{7}, Cookie{40}, encode_mark(inode)).is(Code::corrupt));
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_TRUE(decode_mark(Ino{7}, Cookie{40}, ByteView(bytes).first(size)).is(Code::corrupt));
}

}  // namespace
}  // namespace tain::store
