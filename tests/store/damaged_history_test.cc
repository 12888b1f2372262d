// SPDX-License-Identifier: Apache-2.0
// Damage to versions, past names and the trash: it is found, it is told whose it is, nothing else suffers, and a vault that
// has it goes on working.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>

#include "store/janitor.h"
#include "store/past.h"
#include "store/repair.h"
#include "store/scrub.h"
#include "store/trash.h"
#include "tests/store/vault_edits.h"
#include "tests/support/audit.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;
using Strings = std::vector<std::string>;

class DamagedHistoryTest : public testing::Test {
 protected:
  /// A file with four former states, the oldest of them "state 0", a removed one, and some that are in nobody's way.
  void SetUp() override {
    file_ = make("file", state(0));
    other_ = make("other", "intact");
    make("removed", "from the trash");
    for (int i = 1; i <= 4; ++i) {
      pass();
      temp_.write(file_, 0, state(i));
      temp_.write(other_, 0, "intact " + std::to_string(i));
      times_.push_back(temp_.vault().hlc_now());
    }
    pass();
    auto gone = temp_.tree().unlink(kRootIno, "removed");
    ASSERT_TRUE(gone.ok());
    pass();
    std::vector<PastState> log = temp_.vault().past().log(file_).value();
    ASSERT_EQ(log.size(), 5u);
    for (size_t i = 1; i < log.size(); ++i) ends_.push_back(log[i].ended_hlc);
    past_name_ = temp_.vault().trash().list().value().at(0).name;
    close();
    ASSERT_EQ(audit(), Strings());
  }
  static std::string state(int i) {
    std::string out = "state " + std::to_string(i);
    out.resize(70'000, static_cast<char>('a' + i));
    return out;
  }
  Ino make(const std::string& name, const std::string& text) {
    const Ino ino = temp_.make_file(kRootIno, name);
    temp_.write(ino, 0, text);
    return ino;
  }
  void pass() {
    ASSERT_TRUE(temp_.vault().sync().ok());
    temp_.clock().advance_seconds(600);
  }
  void close() {
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
  }
  Strings audit() { return test::audit_store(temp_.directory(), TempVault::password()); }
  std::vector<Finding> findings() {
    return check_vault(temp_.directory(), TempVault::password(), {.progress = {}, .ignore_journal = true}).value().findings;
  }
  static bool mentions(const std::vector<Finding>& findings, const std::string& path, const std::string& what) {
    return std::any_of(findings.begin(), findings.end(), [&](const Finding& found) {
      return found.path == path && found.what.find(what) != std::string::npos;
    });
  }
  /// The `i`th version record of the file, the newest being 0, suffers.
  void damage_version(size_t i) {
    test::edit_value(temp_.directory(), Table::versions, version_key(file_, ends_[i]),
                     [](Bytes& value) { value[100] ^= 1; });
  }
  /// The first block that only the oldest state has.
  void damage_block_of_oldest() {
    BlockId id;
    test::change_database(temp_.directory(), [&](Env& env, const Cipher& cipher) {
      Database database(env, cipher, 0);
      ReadTxn txn = ReadTxn::begin(env).value();
      id = database.load_versions(txn, file_).value().back().inode.content.root.begin()->second.id;
    });
    test::edit_value(temp_.directory(), Table::blocks, block_key(id), [](Bytes& value) { value[1000] ^= 1; });
  }
  std::string text_of(const PastState& state) {
    Bytes out(state.inode.content.size);
    auto got = temp_.vault().past().read(state, 0, out);
    return got.ok() ? std::string(as_text(out)) : "error";
  }
  void scrub_all() {
    const auto scrubber = temp_.vault().make_scrubber(/*keep_position=*/false);
    scrubber->begin();
    for (int i = 0; i < 10'000 && scrubber->running(); ++i) ASSERT_TRUE(scrubber->step(50'000).ok());
    ASSERT_FALSE(scrubber->running());
  }

  TempVault temp_{{.committer_thread = false, .history = true}};
  Ino file_{}, other_{};
  std::vector<uint64_t> times_;  // after each change of the file
  std::vector<uint64_t> ends_;   // of its versions, newest first
  PastName past_name_;
};

TEST_F(DamagedHistoryTest, ADamagedVersionHidesNoOther) {
  damage_version(1);  // state 2
  EXPECT_TRUE(mentions(findings(), "/file", "version record is damaged: rot"));
  temp_.reopen();
  const auto log = temp_.vault().past().log(file_);

  ASSERT_TRUE(log.ok()) << log.error().message();
  ASSERT_EQ(log->size(), 5u);
  for (int i = 0; i < 5; ++i) {
    const PastState& one = (*log)[static_cast<size_t>(i)];
    EXPECT_EQ(one.is_damaged, i == 2);
    EXPECT_EQ(text_of(one), i == 2 ? "error" : state(4 - i));
  }
  const auto at = [&](size_t i) { return temp_.vault().past().lookup(kRootIno, "file", times_[i]); };
  EXPECT_EQ(text_of((*at(0).value()).state), state(1));
  EXPECT_TRUE(at(1).is(Code::corrupt)) << "what was there cannot be told, and nothing else is shown for it";
  EXPECT_EQ(text_of((*at(2).value()).state), state(3));
}

TEST_F(DamagedHistoryTest, AFileWithADamagedVersionCanBeChangedAndRemoved) {
  damage_version(0);  // the newest: what the next commits ask for
  temp_.reopen();
  temp_.write(file_, 0, state(5));
  ASSERT_TRUE(temp_.vault().sync().ok()) << "one damaged record is in the way of all";
  temp_.write(file_, 60'000, "quickly again");
  ASSERT_TRUE(temp_.vault().sync().ok());
  pass();
  // Nothing of what the damaged version may share has gone.
  const auto log = temp_.vault().past().log(file_).value();
  ASSERT_EQ(log.size(), 6u);
  for (int i : {3, 4, 5}) EXPECT_EQ(text_of(log[static_cast<size_t>(i)]), state(5 - i));
  EXPECT_EQ(text_of(log[1]), state(4));

  ASSERT_TRUE(temp_.vault().set_retention({.states = {0, 0, 0, 0}, .trash_s = 0}).ok());
  temp_.clock().advance_seconds(100 * 86'400);
  const auto janitor = temp_.vault().make_janitor();
  for (bool end = false; !end;) {
    const auto step = janitor->step();
    ASSERT_TRUE(step.ok()) << step.error().message();
    end = step->end;
  }
  ASSERT_TRUE(temp_.vault().sync().ok());
  EXPECT_EQ(temp_.read(file_).size(), state(5).size());
  ASSERT_TRUE(temp_.tree().unlink(kRootIno, "file").ok());
  pass();
  ASSERT_TRUE(temp_.vault().trash().empty(UINT64_MAX).ok());
  ASSERT_TRUE(temp_.vault().sync().ok());
  EXPECT_EQ(temp_.read(other_), "intact 4");
  close();

  // What only the damaged version had is of no use to anybody now.
  for (const Finding& found : findings()) {
    EXPECT_NE(found.what.find("belongs to no file"), std::string::npos) << found.what;
    EXPECT_TRUE(found.repairable);
  }
  ASSERT_TRUE(repair_vault(temp_.directory(), TempVault::password(), {}).ok());
  EXPECT_EQ(audit(), Strings());
}

TEST_F(DamagedHistoryTest, ADamagedInodeThatAnEntryHadBeforeHidesNoneOfItsLaterStates) {
  temp_.reopen();
  const auto save_by_rename = [&](const std::string& text) {
    const Ino ino = make(".goutputstream-1", text);
    EXPECT_TRUE(temp_.tree().rename(kRootIno, ".goutputstream-1", kRootIno, "saved", RenameMode::replace).ok());
    return ino;
  };
  save_by_rename("one");
  pass();
  const Ino second = save_by_rename("two");
  pass();
  const Ino third = save_by_rename("three");
  pass();
  const Ino fourth = save_by_rename("four");
  pass();
  close();
  test::edit_value(temp_.directory(), Table::inodes, ino_key(second), [](Bytes& value) { value[60] ^= 1; });
  temp_.reopen();

  const auto log = temp_.vault().past().log(fourth);
  ASSERT_TRUE(log.ok()) << log.error().message();
  ASSERT_EQ(log->size(), 3u) << "what was before the damaged one is not known";
  EXPECT_EQ(text_of((*log)[0]), "four");
  EXPECT_EQ(text_of((*log)[1]), "three");
  EXPECT_TRUE((*log)[2].is_damaged);
  EXPECT_EQ((*log)[2].inode.ino, second);
  EXPECT_EQ((*log)[2].ended_hlc, (*log)[1].inode.past.since);
  EXPECT_EQ(text_of((*log)[2]), "error");
  // It is in nobody's way: pruning drops what it may, and emptying the trash says what stays.
  temp_.clock().advance_seconds(100);
  ASSERT_TRUE(temp_.vault().trash().prune({0, 0, 0, 0}, static_cast<int64_t>(temp_.vault().hlc_now() >> 16) / 1000, false).ok());
  pass();
  EXPECT_TRUE(temp_.tree().getattr(third).is(Code::not_found));
  EXPECT_EQ(temp_.read(fourth), "four");
  ASSERT_TRUE(temp_.tree().unlink(kRootIno, "saved").ok());
  pass();
  const auto emptied = temp_.vault().trash().empty(UINT64_MAX);
  ASSERT_TRUE(emptied.ok()) << emptied.error().message();
  EXPECT_EQ(emptied->entries, 1u) << "the one that was removed before";
  EXPECT_EQ(emptied->failed, 1u);
}

TEST_F(DamagedHistoryTest, ADamagedBlockOfAVersionIsThatVersions) {
  damage_block_of_oldest();
  const auto found = findings();
  EXPECT_TRUE(mentions(found, "/file", "the version that ended at"));
  for (const Finding& one : found) EXPECT_TRUE(one.path == "/file" || raw(one.ino) == 0) << one.what;
  temp_.reopen();
  const auto log = temp_.vault().past().log(file_).value();

  EXPECT_EQ(text_of(log[4]), "error");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(text_of(log[static_cast<size_t>(i)]), state(4 - i));
}

TEST_F(DamagedHistoryTest, ScrubbingFindsIt) {
  temp_.reopen();
  scrub_all();
  ASSERT_EQ(temp_.vault().damage().items().size(), 0u);
  close();
  const auto what_scrubbing_finds = [&] {
    temp_.reopen();
    scrub_all();
    std::string out;
    for (const DamageLog::Item& item : temp_.vault().damage().items()) {
      out += item.ino == file_ ? "file" : item.ino == kRootIno ? "root" : "?";
      out += ": " + item.text + "; ";
    }
    close();
    return out;
  };
  damage_block_of_oldest();
  EXPECT_EQ(what_scrubbing_finds(), "file: rot past; ");
  damage_version(2);
  EXPECT_EQ(what_scrubbing_finds(), "file: rot past; ");
  test::edit_value(temp_.directory(), Table::past_names, past_name_key(kRootIno, past_name_.ended_hlc),
                   [](Bytes& value) { value[50] ^= 1; });
  EXPECT_EQ(what_scrubbing_finds(), "root: rot past; file: rot past; ");
}

TEST_F(DamagedHistoryTest, ADamagedPastNameIsNoReasonNotToShowTheOthers) {
  temp_.reopen();
  make("second", "text");
  pass();
  ASSERT_TRUE(temp_.tree().unlink(kRootIno, "second").ok());
  pass();
  close();
  test::edit_value(temp_.directory(), Table::past_names, past_name_key(kRootIno, past_name_.ended_hlc),
                   [](Bytes& value) { value[50] ^= 1; });
  EXPECT_TRUE(mentions(findings(), "/", "past name record is damaged: rot"));
  temp_.reopen();

  const auto items = temp_.vault().trash().list().value();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].name.dirent.name, "second");
  EXPECT_EQ(temp_.vault().past().list(kRootIno, times_[0]).value().size(), 2u);
  EXPECT_EQ(temp_.read(other_), "intact 4");
}

TEST_F(DamagedHistoryTest, WhatIsMissingIsMissedAndRepairMakesTheCountsRight) {
  test::remove_value(temp_.directory(), Table::versions, version_key(file_, ends_[2]));
  test::remove_value(temp_.directory(), Table::past_names, past_name_key(kRootIno, past_name_.ended_hlc));
  const auto found = findings();
  const auto says = [&](const std::string& what) {
    return std::any_of(found.begin(), found.end(), [&](const Finding& one) { return one.what.find(what) != std::string::npos; });
  };
  EXPECT_TRUE(says("table versions: 9 values were stored, 8 are there"));
  EXPECT_TRUE(says("table past_names: 1 values were stored, 0 are there"));

  ASSERT_TRUE(repair_vault(temp_.directory(), TempVault::password(), {}).ok());
  EXPECT_EQ(audit(), Strings());
  temp_.reopen();
  EXPECT_EQ(temp_.vault().past().log(file_).value().size(), 4u);
  EXPECT_EQ(temp_.read(file_), state(4));
}

TEST_F(DamagedHistoryTest, WhatCameAfterAnInodeIsCheckedAndRepaired) {
  temp_.reopen();
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "other", kRootIno, "away", RenameMode::replace).ok());
  const Ino made = make("other", "anew");
  pass();
  ASSERT_EQ(temp_.vault().past().log(made).value().size(), 6u);
  close();
  ASSERT_EQ(audit(), Strings());
  const auto edit = [&](Ino ino, const std::function<void(Inode&)>& change) {
    test::change_database(temp_.directory(), [&](Env& env, const Cipher& cipher) {
      Database database(env, cipher, 0);
      ReadTxn txn = ReadTxn::begin(env).value();
      Inode inode = database.load_inode(txn, ino).value().value();
      State state = database.load_state(txn).value();
      change(inode);
      Batch batch = Batch::begin(database, state).value();
      ASSERT_TRUE(batch.put_record(Table::inodes, ino_key(ino), Kind::inode, kInodeSchema, encode_inode(inode), false).ok());
      ++state.commit_number;
      ASSERT_TRUE(std::move(batch).commit(state).ok());
    });
  };
  const std::function<void(Inode&)> wrong[] = {[](Inode& inode) { inode.past.successors = 2; }, [](Inode& inode) { inode.past.successors = 0; },
                                               [](Inode& inode) { inode.past.forked = 1; }};
  for (const auto& change : wrong) {
    edit(other_, change);
    EXPECT_TRUE(mentions(findings(), "/away", "how many inodes came after it in history is wrong"));
    const auto repaired = repair_vault(temp_.directory(), TempVault::password(), {});
    ASSERT_TRUE(repaired.ok()) << repaired.error().message();
    ASSERT_EQ(::unlink(repaired->kept.c_str()), 0);  // the next copy has the same name if it is made in the same second
    EXPECT_EQ(audit(), Strings());
  }
  edit(made, [](Inode& inode) { inode.past.since = 0; });
  EXPECT_TRUE(mentions(findings(), "/other", "not newer than the inode before it"));
}

TEST_F(DamagedHistoryTest, WhatNoNameLeadsToAnyMoreLeavesTheTrashInItsTime) {
  test::remove_value(temp_.directory(), Table::past_names, past_name_key(kRootIno, past_name_.ended_hlc));
  ASSERT_TRUE(repair_vault(temp_.directory(), TempVault::password(), {}).ok());
  temp_.reopen();
  ASSERT_EQ(temp_.vault().stats().retired_entries, 1u);
  temp_.clock().advance_seconds(31 * 86'400);
  const auto janitor = temp_.vault().make_janitor();
  for (bool end = false; !end;) end = janitor->step().value().end;
  ASSERT_TRUE(temp_.vault().sync().ok());

  EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
  close();
  EXPECT_EQ(audit(), Strings());
}

}  // namespace
}  // namespace tain::store
