// SPDX-License-Identifier: Apache-2.0
// What of the past stays and what goes: the vault's own policy, the janitor, and a year of a journal under a clock that the
// test moves. TAIN_LONG makes that 50 entries with 5 saves a day.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>

#include "store/janitor.h"
#include "store/past.h"
#include "tests/support/audit.h"
#include "tests/support/long_run.h"
#include "tests/support/table_sizes.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;
using Strings = std::vector<std::string>;

constexpr int64_t kHour = 3600, kDay = 24 * kHour;

class RetentionVaultTest : public testing::Test {
 protected:
  Ino make(const std::string& name, const std::string& text, Ino directory = kRootIno) {
    const Ino ino = temp_.make_file(directory, name);
    temp_.write(ino, 0, text);
    return ino;
  }
  void overwrite(Ino ino, const std::string& text) {
    AttrChange cut;
    cut.size = 0;
    ASSERT_TRUE(temp_.tree().setattr(ino, cut).ok());
    temp_.write(ino, 0, text);
  }
  Ino save_by_rename(const std::string& name, const std::string& text) {
    const Ino ino = make(".goutputstream-1", text);
    auto renamed = temp_.tree().rename(kRootIno, ".goutputstream-1", kRootIno, name, RenameMode::replace);
    EXPECT_TRUE(renamed.ok());
    if (renamed.ok() && renamed->has_value() && (*renamed)->orphan) {
      EXPECT_TRUE(temp_.tree().reap((*renamed)->ino).ok());
    }
    return ino;
  }
  void remove(const std::string& name, Ino directory = kRootIno) {
    auto gone = temp_.tree().unlink(directory, name);
    ASSERT_TRUE(gone.ok());
    if (gone->orphan) { ASSERT_TRUE(temp_.tree().reap(gone->ino).ok()); }
  }
  void pass(int64_t seconds) {
    ASSERT_TRUE(temp_.vault().sync().ok());
    temp_.clock().advance_seconds(seconds);
  }
  int64_t now_s() { return static_cast<int64_t>(temp_.vault().hlc_now() >> 16) / 1000; }
  /// A whole pass of the janitor.
  Janitor::Tidied tidy() {
    Janitor::Tidied out;
    const auto janitor = temp_.vault().make_janitor();
    for (bool end = false; !end;) {
      auto step = janitor->step();
      EXPECT_TRUE(step.ok()) << step.error().message();
      if (!step.ok()) break;
      out.states += step->states;
      out.entries += step->entries;
      out.names += step->names;
      end = step->end;
    }
    EXPECT_TRUE(temp_.vault().sync().ok());
    return out;
  }
  Ino ino_of(const std::string& name) { return temp_.tree().lookup(kRootIno, name)->ino; }
  static std::string show(int64_t ended_s, const std::string& text) { return std::to_string(ended_s) + " " + std::to_string(text.size()) + " " + text.substr(0, 30); }
  /// All states that ended, newest first.
  Strings past_of(const std::string& name) { return past_of(name, /*versions=*/true); }
  /// Those of them that are replaced inodes with a version of their own.
  Strings whole_inodes_of(const std::string& name) { return past_of(name, /*versions=*/false); }
  Strings past_of(const std::string& name, bool versions) {
    Strings out;
    const auto log = temp_.vault().past().log(ino_of(name));
    EXPECT_TRUE(log.ok());
    if (!log.ok()) return out;
    for (size_t i = 1; i < log->size(); ++i) {
      const PastState& state = (*log)[i];
      const bool has_version =
          i + 1 < log->size() && (*log)[i + 1].is_version && (*log)[i + 1].inode.ino == state.inode.ino;
      if (!versions && (state.is_version || !has_version)) continue;
      Bytes bytes(state.inode.content.size);
      EXPECT_TRUE(temp_.vault().past().read(state, 0, bytes).ok());
      out.push_back(show(static_cast<int64_t>(state.ended_hlc >> 16) / 1000, std::string(as_text(bytes))));
    }
    return out;
  }
  void audit() {
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), Strings());
    temp_.reopen();
  }

  /// Prints the table of docs/history.md.
  void explain_size(int entries, uint64_t saves) {
    uint64_t states = 0, bytes = 0;
    for (int i = 0; i < entries; ++i) {
      const auto log = temp_.vault().past().log(ino_of("entry " + std::to_string(i)));
      for (const PastState& state : *log) {
        ++states;
        bytes += state.inode.content.size;
      }
    }
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    std::cout << saves << " saves, " << states << " states kept, with " << bytes << " bytes of text\n\n"
              << "| table | values | bytes |\n|---|---|---|\n" << test::table_sizes(temp_.directory());
    temp_.reopen();
  }

  TempVault temp_{{.committer_thread = false, .history = true}};
};

TEST_F(RetentionVaultTest, AVaultHasItsPolicy) {
  EXPECT_EQ(temp_.vault().retention(), RetentionPolicy());
  const RetentionPolicy week = retention_preset("week").value();
  make("a", "text");  // what is pending is not in the way

  ASSERT_TRUE(temp_.vault().set_retention(week).ok());
  EXPECT_EQ(temp_.vault().retention(), week);
  temp_.crash();
  EXPECT_EQ(temp_.vault().retention(), week);
  make("b", "text");
  temp_.reopen();
  EXPECT_EQ(temp_.vault().retention(), week) << "a commit forgot it";
  audit();
}

TEST(RetentionPresetTest, HaveNames) {
  for (const char* name : {"default", "all", "week", "day"}) {
    const auto policy = retention_preset(name);
    ASSERT_TRUE(policy.has_value()) << name;
    EXPECT_EQ(preset_name(*policy), name);
  }
  EXPECT_FALSE(retention_preset("some").has_value());
  EXPECT_EQ(preset_name({.states = {}, .trash_s = 5}), "");
  EXPECT_EQ(retention_preset("default"), RetentionPolicy());
  EXPECT_EQ(retention_preset("all")->states.longest_s(), Retention::kForEver);
}

TEST_F(RetentionVaultTest, AYearOfAJournalPrunesToThePolicy) {
  struct Entry {
    std::string name;
    std::string text;
    Strings past_texts;
    std::vector<int64_t> past_ends;
  };
  const int entries = test::is_long_run() ? 50 : 3, saves = test::is_long_run() ? 5 : 2, days = test::is_long_run() ? 365 : 130;
  std::mt19937_64 random(1);
  std::vector<Entry> all;
  for (int i = 0; i < entries; ++i) {
    all.push_back({.name = "entry " + std::to_string(i), .text = "new", .past_texts = {}, .past_ends = {}});
    make(all.back().name, all.back().text);
  }
  pass(kHour);
  uint64_t dropped = 0;
  const auto compare = [&] {
    for (const Entry& entry : all) {
      std::vector<int64_t> newest_first(entry.past_ends.rbegin(), entry.past_ends.rend());
      const std::vector<bool> keep = kept_by({}, newest_first, temp_.vault().trash().now_s());
      Strings expected;
      for (size_t i = 0; i < keep.size(); ++i)
        if (keep[i]) expected.push_back(show(newest_first[i], entry.past_texts[keep.size() - 1 - i]));
      // A replaced inode stays while the policy keeps one of its own versions; nothing else does.
      Strings found = past_of(entry.name);
      const Strings whole = whole_inodes_of(entry.name);
      std::erase_if(found, [&](const std::string& one) {
        const auto is_in = [&](const Strings& list) { return std::find(list.begin(), list.end(), one) != list.end(); };
        return !is_in(expected) && is_in(whole);
      });
      ASSERT_EQ(found, expected) << entry.name;
    }
  };
  for (int day = 0; day < days; ++day) {
    for (int save = 0; save < saves; ++save) {
      for (Entry& entry : all) {
        entry.past_texts.push_back(entry.text);
        entry.past_ends.push_back(now_s());
        entry.text = entry.name + ", day " + std::to_string(day) + ", save " + std::to_string(save);
        entry.text.resize(random() % 3000 + 20, '.');
        if (random() % 2 == 0)
          overwrite(ino_of(entry.name), entry.text);
        else
          save_by_rename(entry.name, entry.text);
      }
      pass(kHour / 3 + static_cast<int64_t>(random() % 7200));
    }
    pass(kDay - saves * kHour);
    if (day % 5 == 0) dropped += tidy().states;
    if (day % 40 == 39) {
      temp_.crash();
      tidy();
      ASSERT_NO_FATAL_FAILURE(compare());
    }
  }
  tidy();
  ASSERT_NO_FATAL_FAILURE(compare());
  EXPECT_GT(dropped, static_cast<uint64_t>(days) / 2);
  const VaultStats stats = temp_.vault().stats();
  RecordProperty("saves", entries * saves * days);
  RecordProperty("store_bytes", std::to_string(stats.store_bytes));
  RecordProperty("retired_entries", std::to_string(stats.retired_entries));
  audit();
  compare();
  if (test::is_long_run()) explain_size(entries, static_cast<uint64_t>(entries) * static_cast<uint64_t>(saves) * static_cast<uint64_t>(days));
}

TEST_F(RetentionVaultTest, WhatWouldGoIsWhatGoes) {
  const Ino folder = temp_.make_directory(kRootIno, "folder");
  const Ino file = make("file", "0", folder);
  make("removed", "removed text", folder);
  for (int i = 1; i <= 6; ++i) {
    pass(600);
    overwrite(file, std::string(static_cast<size_t>(i), 'x'));
  }
  pass(600);
  remove("removed", folder);
  pass(40 * kDay);
  const Strings before = [&] {
    Strings out;
    const auto log = temp_.vault().past().log(file);
    for (const PastState& state : *log) out.push_back(std::to_string(state.ended_hlc));
    return out;
  }();
  std::vector<DueState> due;
  const auto listed = temp_.vault().trash().for_each_due(temp_.vault().retention(), [&](const DueState& one) {
    due.push_back(one);
    return true;
  });
  ASSERT_TRUE(listed.ok()) << listed.error().message();
  EXPECT_EQ(temp_.vault().past().log(file)->size(), before.size()) << "listing took something away";
  tidy();

  Strings gone, after;
  const auto left = temp_.vault().past().log(file);
  for (const PastState& state : *left) after.push_back(std::to_string(state.ended_hlc));
  size_t in_trash = 0;
  for (const DueState& one : due) {
    if (one.is_trash) {
      ++in_trash;
      EXPECT_EQ(one.path, "/folder/removed");
      EXPECT_EQ(one.bytes, 12u);
      continue;
    }
    if (one.path == "/folder/file") gone.push_back(std::to_string(one.ended_hlc));
  }
  EXPECT_EQ(in_trash, 1u);
  Strings expected = before;
  std::erase_if(expected, [&](const std::string& ended) { return std::find(gone.begin(), gone.end(), ended) != gone.end(); });
  EXPECT_EQ(after, expected);
  EXPECT_LT(after.size(), before.size());
  EXPECT_TRUE(temp_.vault().trash().list()->empty());
  audit();
}

/// A vault with states and trash that its policy keeps under the right clock.
class WrongClockTest : public RetentionVaultTest {
 protected:
  static constexpr int64_t kYear = 365 * kDay;
  void fill() {
    const Ino file = make("file", "0");
    for (int i = 1; i <= 5; ++i) {
      pass(600);
      overwrite(file, std::to_string(i));
    }
    save_by_rename("file", "6");
    make("removed", "text");
    pass(600);
    remove("removed");
    pass(60);
  }
  void expect_all() {
    const auto tidied = tidy();
    EXPECT_EQ(tidied.states + tidied.entries + tidied.names, 0u);
    EXPECT_EQ(past_of("file").size(), 6u);
    EXPECT_EQ(temp_.vault().trash().list()->size(), 1u);
    size_t due = 0;
    ASSERT_TRUE(temp_.vault().trash().for_each_due(temp_.vault().retention(), [&](const DueState&) { return ++due > 0; }).ok());
    EXPECT_EQ(due, 0u);
  }
};

TEST_F(WrongClockTest, AJumpAndBackTakesNothing) {
  fill();
  temp_.clock().set_by_seconds(25 * kYear);
  expect_all();
  make("made meanwhile", "x");  // the vault has seen that time
  pass(60);
  expect_all();
  temp_.clock().set_by_seconds(-25 * kYear);
  expect_all();
  audit();
  expect_all();
}

TEST_F(WrongClockTest, AVaultThatIsOpenedAfterAJumpLosesNothing) {
  fill();
  ASSERT_TRUE(temp_.vault().close().ok());
  temp_.clock().set_by_seconds(25 * kYear);
  temp_.reopen();
  expect_all();
  make("made meanwhile", "x");
  pass(60);
  temp_.reopen();  // now the last time that it has seen is the wrong one
  expect_all();
  temp_.crash();
  expect_all();
  temp_.clock().set_by_seconds(-25 * kYear);
  expect_all();
  // The right clock goes on: it prunes as ever.
  pass(20 * kDay);
  EXPECT_EQ(tidy().states, 5u);
  audit();
}

TEST_F(WrongClockTest, AVaultThatWasClosedForAYearPrunesAfterADay) {
  fill();
  ASSERT_TRUE(temp_.vault().close().ok());
  temp_.clock().advance_seconds(kYear);
  temp_.reopen();
  expect_all();
  for (int opening = 0; opening < 3; ++opening) {
    temp_.clock().advance_seconds(10 * kHour);
    temp_.reopen();  // the time that it was open is kept
  }
  const auto tidied = tidy();
  EXPECT_EQ(tidied.entries, 1u);
  EXPECT_EQ(tidied.states, 5u);
  audit();
}

TEST_F(WrongClockTest, WhatIsNotKeptAtAllGoesWhateverTheClockSays) {
  fill();
  ASSERT_TRUE(temp_.vault().close().ok());
  temp_.clock().advance_seconds(kDay / 2);
  temp_.reopen();  // ages are half a day behind
  remove("file");
  pass(60);
  ASSERT_TRUE(temp_.vault().set_retention({.states = {.all_s = 0, .hourly_s = 0, .daily_s = 0, .monthly_s = 0}, .trash_s = 0}).ok());
  size_t entries = 0;
  ASSERT_TRUE(temp_.vault().trash().for_each_due(temp_.vault().retention(), [&](const DueState& due) {
    entries += due.is_entry ? 1 : 0;
    return true;
  }).ok());
  EXPECT_EQ(entries, 2u);
  EXPECT_EQ(tidy().entries, 2u);
  EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
  audit();
}

TEST_F(WrongClockTest, AVaultThatIsOpenForMinutesADayPrunesInTheEnd) {
  constexpr int64_t kOpen = 9 * 60;
  fill();
  for (int day = 0; day < 400; ++day) {
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.clock().advance_seconds(kDay - kOpen);
    temp_.reopen();
    make("of day " + std::to_string(day), "x");
    ASSERT_TRUE(temp_.vault().sync().ok());
    temp_.clock().advance_seconds(kOpen);  // and nothing else is written
  }
  const auto tidied = tidy();
  EXPECT_EQ(tidied.entries, 1u);
  EXPECT_EQ(tidied.states, 5u);
  audit();
}

TEST_F(RetentionVaultTest, ListingWhatIsDueEndsWhenNobodyWantsMore) {
  for (int i = 0; i < 5; ++i) make("f" + std::to_string(i), "x");
  pass(kDay);
  for (int i = 0; i < 5; ++i) remove("f" + std::to_string(i));
  pass(100 * kDay);
  int taken = 0;
  ASSERT_TRUE(temp_.vault().trash().for_each_due({}, [&](const DueState&) { return ++taken < 2; }).ok());
  EXPECT_EQ(taken, 2);
}

TEST_F(RetentionVaultTest, TheTrashIsEmptiedAfterItsTime) {
  const Ino folder = temp_.make_directory(kRootIno, "folder");
  const Ino file = make("file", std::string(100'000, 'x'), folder);
  pass(kHour);
  overwrite(file, "second");
  pass(kHour);
  remove("file", folder);
  ASSERT_TRUE(temp_.tree().rmdir(kRootIno, "folder").ok());
  pass(29 * kDay);
  EXPECT_EQ(tidy().entries, 0u);
  ASSERT_EQ(temp_.vault().trash().list()->size(), 2u);
  pass(2 * kDay);
  const auto tidied = tidy();

  EXPECT_EQ(tidied.entries, 2u);
  EXPECT_TRUE(temp_.vault().trash().list()->empty());
  EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
  EXPECT_EQ(tidied.names, 2u) << "their names are of no use to anybody";
  audit();
}

TEST_F(RetentionVaultTest, WhatIsInTheTrashHasItsHistoryUntilItGoes) {
  const Ino file = make("file", "one");
  pass(kHour);
  overwrite(file, "two");
  pass(kHour);
  save_by_rename("file", "three");
  pass(kHour);
  remove("file");
  pass(20 * kDay);
  tidy();
  const auto items = *temp_.vault().trash().list();
  ASSERT_EQ(items.size(), 1u);
  ASSERT_TRUE(temp_.vault().trash().restore(items[0].name, kRootIno, "file").ok());

  EXPECT_EQ(temp_.read(ino_of("file")), "three");
  ASSERT_EQ(past_of("file").size(), 1u) << "the last one of that day";
  EXPECT_TRUE(past_of("file")[0].ends_with(" two"));
  audit();
}

TEST_F(RetentionVaultTest, WhatSomebodyHasOpenStays) {
  const Ino file = make("file", "one");
  const Ino other = make("other", "text");
  pass(60);
  const Ino second = save_by_rename("file", "two");
  pass(60);
  remove("file");
  remove("other");
  pass(40 * kDay);
  temp_.vault().set_in_use([&](Ino ino) { return ino == second || ino == file; });
  EXPECT_EQ(tidy().entries, 1u);
  EXPECT_TRUE(temp_.tree().getattr(other).is(Code::not_found));
  EXPECT_EQ(temp_.read(second), "two");
  EXPECT_EQ(temp_.vault().trash().empty(UINT64_MAX)->entries, 0u);
  EXPECT_EQ(temp_.read(file), "one");
  temp_.vault().set_in_use(nullptr);

  EXPECT_EQ(tidy().entries, 1u);
  EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
  audit();
}

TEST_F(RetentionVaultTest, EachStepOfTheJanitorIsShort) {
  constexpr int kEntries = 700;
  for (int i = 0; i < kEntries; ++i) make("f" + std::to_string(i), "x");
  pass(kDay);
  for (int i = 0; i < kEntries; ++i) remove("f" + std::to_string(i));
  pass(31 * kDay);
  const auto janitor = temp_.vault().make_janitor();
  uint64_t gone = 0, steps = 0;
  for (bool end = false; !end; ++steps) {
    const auto step = janitor->step();
    ASSERT_TRUE(step.ok());
    EXPECT_LE(step->entries + step->names, 256u);
    gone += step->entries;
    end = step->end;
    if (steps == 1) { ASSERT_TRUE(temp_.vault().sync().ok()); }
  }
  EXPECT_EQ(gone, static_cast<uint64_t>(kEntries));
  EXPECT_GE(steps, 4u);
  audit();
}

TEST_F(RetentionVaultTest, WithoutAnyRetentionOnlyThePresentStays) {
  const Ino file = make("file", "one");
  pass(60);
  overwrite(file, "two");
  pass(60);
  save_by_rename("file", "three");
  pass(60);
  ASSERT_TRUE(temp_.vault()
                  .set_retention({.states = {.all_s = 0, .hourly_s = 0, .daily_s = 0, .monthly_s = 0}, .trash_s = 0})
                  .ok());
  EXPECT_EQ(tidy().states, 2u);

  EXPECT_EQ(past_of("file"), Strings());
  EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
  audit();
}

}  // namespace
}  // namespace tain::store
