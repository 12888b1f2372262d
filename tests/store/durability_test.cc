// SPDX-License-Identifier: Apache-2.0
// What a crash leaves: everything that fsync promised, nothing half-made, also when the disk is full or
// fails. tests/model/kill_test.cc kills a real process.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "store/journal.h"
#include "tests/store/faults.h"
#include "tests/support/audit.h"
#include "tests/support/temp_directory.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::FlushHook;
using test::TempVault;
using Complaints = std::vector<std::string>;

bool is_database(const std::string& path) { return path.ends_with("/data.mdb"); }

class DurabilityTest : public testing::Test {
 protected:
  Result<> fsync(Ino ino) { return temp_.vault().fsync(ino); }
  Ino lookup(const std::string& name, Ino directory = kRootIno) {
    auto found = temp_.tree().lookup(directory, name);
    return found.ok() ? found->ino : Ino{};
  }
  std::string read(const std::string& name) {
    const Ino ino = lookup(name);
    return ino == Ino{} ? "no such name" : temp_.read(ino);
  }
  uint64_t frames() { return temp_.vault().stats().journal_frames; }
  uint64_t commits() { return temp_.vault().stats().commits; }
  void crash_and_audit() {
    temp_.crash();
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), Complaints());
    temp_.reopen();
  }

  TempVault temp_{{.committer_thread = false}};
};

TEST_F(DurabilityTest, NothingIsThereWithoutFsync) {
  temp_.make_file(kRootIno, "a");
  crash_and_audit();
  EXPECT_EQ(lookup("a"), Ino{});
}

TEST_F(DurabilityTest, FsyncOfOneFileMakesEverythingBeforeItDurable) {
  const Ino dir = temp_.make_directory(kRootIno, "dir");
  const Ino early = temp_.make_file(dir, "early");
  temp_.write(early, 0, "early");
  ASSERT_TRUE(temp_.tree().set_xattr(early, "user.x", as_bytes("v"), XattrMode::any).ok());
  const Ino last = temp_.make_file(kRootIno, "last");
  temp_.write(last, 0, "last");
  ASSERT_TRUE(fsync(last).ok());
  temp_.make_file(kRootIno, "too late");

  crash_and_audit();

  EXPECT_EQ(read("last"), "last");
  EXPECT_EQ(temp_.read(lookup("early", dir)), "early");
  EXPECT_EQ(as_text(temp_.tree().get_xattr(early, "user.x").value()), "v");
  EXPECT_EQ(lookup("too late"), Ino{});
}

TEST_F(DurabilityTest, SmallFsyncGoesToTheJournalAndCostsNoCommit) {
  const uint64_t before = commits();
  const Ino ino = temp_.make_file(kRootIno, "a");
  temp_.write(ino, 0, "one");
  ASSERT_TRUE(fsync(ino).ok());
  temp_.write(ino, 0, "two");
  ASSERT_TRUE(fsync(ino).ok());
  ASSERT_TRUE(fsync(ino).ok()) << "nothing new: nothing to write";

  EXPECT_EQ(frames(), 2u);
  EXPECT_EQ(commits(), before);
  crash_and_audit();
  EXPECT_EQ(read("a"), "two");
}

TEST_F(DurabilityTest, EditorSaveIsOldOrNewNeverEmpty) {
  const Ino old = temp_.make_file(kRootIno, "text");
  temp_.write(old, 0, "old");
  ASSERT_TRUE(temp_.vault().sync().ok());
  const Ino fresh = temp_.make_file(kRootIno, "text.tmp");
  temp_.write(fresh, 0, "new");
  ASSERT_TRUE(fsync(fresh).ok());
  crash_and_audit();
  EXPECT_EQ(read("text"), "old");
  EXPECT_EQ(read("text.tmp"), "new");

  auto replaced = temp_.tree().rename(kRootIno, "text.tmp", kRootIno, "text", RenameMode::replace);
  ASSERT_TRUE(replaced.ok());
  ASSERT_TRUE(temp_.tree().reap((*replaced)->ino).ok());
  ASSERT_TRUE(fsync(kRootIno).ok());
  crash_and_audit();
  EXPECT_EQ(read("text"), "new");
  EXPECT_EQ(lookup("text.tmp"), Ino{});
}

TEST_F(DurabilityTest, RenameOverWithoutFsyncCarriesItsContentAlong) {
  temp_.write(temp_.make_file(kRootIno, "text"), 0, "old");
  ASSERT_TRUE(temp_.vault().sync().ok());
  temp_.write(temp_.make_file(kRootIno, "text.tmp"), 0, "new");
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "text.tmp", kRootIno, "text", RenameMode::replace).ok());
  ASSERT_TRUE(fsync(temp_.make_file(kRootIno, "another")).ok());  // nobody fsynced the text

  crash_and_audit();

  EXPECT_EQ(read("text"), "new");
}

TEST_F(DurabilityTest, RemovalIsDurableAndItsSpaceIsFree) {
  const Ino ino = temp_.make_file(kRootIno, "a");
  temp_.write(ino, 0, std::string(500'000, 'a'));
  ASSERT_TRUE(temp_.vault().sync().ok());
  ASSERT_TRUE(temp_.tree().unlink(kRootIno, "a").ok());
  ASSERT_TRUE(fsync(kRootIno).ok());
  crash_and_audit();
  EXPECT_EQ(lookup("a"), Ino{});
  EXPECT_EQ(temp_.vault().stats().content_bytes, 0u);
}

TEST_F(DurabilityTest, TruncationAndHolesReplayOverCommittedData) {
  const Ino ino = temp_.make_file(kRootIno, "a");
  temp_.write(ino, 0, std::string(400'000, 'a'));
  ASSERT_TRUE(temp_.vault().sync().ok());
  ASSERT_TRUE(temp_.content().zero(ino, 65'536, 65'536, false).ok());
  ASSERT_TRUE(temp_.tree().setattr(ino, {.mode = {}, .size = 300'001}).ok());
  temp_.write(ino, 10, "bbb");
  ASSERT_TRUE(fsync(ino).ok());

  crash_and_audit();

  std::string expected(300'001, 'a');
  expected.replace(65'536, 65'536, std::string(65'536, '\0'));
  expected.replace(10, 3, "bbb");
  EXPECT_TRUE(read("a") == expected);
}

TEST_F(DurabilityTest, LargeFsyncCommitsInsteadOfWritingTwice) {
  const uint64_t before = commits();
  const Ino ino = temp_.make_file(kRootIno, "big");
  temp_.write(ino, 0, std::string(3'000'000, 'b'));
  ASSERT_TRUE(fsync(ino).ok());

  EXPECT_EQ(frames(), 0u);
  EXPECT_EQ(commits(), before + 1);
  crash_and_audit();
  EXPECT_EQ(read("big").size(), 3'000'000u);
}

TEST_F(DurabilityTest, ManyAttributesThatOutgrowAFrameAreStillDurable) {
  // What attributes add to a frame is not counted beforehand: the frame turns out too large.
  std::vector<Ino> files;
  for (int i = 0; i < 20; ++i) {
    files.push_back(temp_.make_file(kRootIno, "f" + std::to_string(i)));
    ASSERT_TRUE(temp_.tree().set_xattr(files.back(), "user.big", Bytes(60'000, 'x'), XattrMode::any).ok());
  }
  ASSERT_TRUE(fsync(files[0]).ok());
  crash_and_audit();
  for (Ino ino : files) EXPECT_EQ(temp_.tree().get_xattr(ino, "user.big")->size(), 60'000u);

  temp_.write(files[0], 0, "small again");
  ASSERT_TRUE(fsync(files[0]).ok());
  EXPECT_EQ(frames(), 1u) << "the journal is in use again after the commit";
}

TEST_F(DurabilityTest, FullJournalCommitsAndStartsAgain) {
  const Ino ino = temp_.make_file(kRootIno, "a");
  std::string expected;
  const uint64_t before = commits();
  for (int i = 0; commits() < before + 2; ++i) {
    ASSERT_LT(i, 200);
    const std::string part(300'000, static_cast<char>('a' + i % 26));
    temp_.write(ino, expected.size(), part);
    expected += part;
    ASSERT_TRUE(fsync(ino).ok());
  }
  temp_.write(ino, expected.size(), "end");
  ASSERT_TRUE(fsync(ino).ok());

  crash_and_audit();

  EXPECT_TRUE(read("a") == expected + "end");
}

TEST_F(DurabilityTest, FramesOfBeforeACommitAreNotReplayedOverIt) {
  const Ino ino = temp_.make_file(kRootIno, "a");
  temp_.write(ino, 0, "first");
  ASSERT_TRUE(fsync(ino).ok());
  temp_.write(ino, 0, "FIRST");
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "a", kRootIno, "b", RenameMode::replace).ok());
  ASSERT_TRUE(temp_.vault().sync().ok());

  crash_and_audit();

  EXPECT_EQ(read("b"), "FIRST");
  EXPECT_EQ(lookup("a"), Ino{});
}

TEST_F(DurabilityTest, FailedJournalFlushFallsBackToACommit) {
  const Ino ino = temp_.make_file(kRootIno, "a");
  temp_.write(ino, 0, "one");
  {
    FlushHook broken([](const std::string& path) { return test::is_journal(path) ? EIO : 0; });
    EXPECT_TRUE(fsync(ino).ok()) << "the database still works";
    temp_.write(ino, 0, "two");
    EXPECT_TRUE(fsync(ino).ok());
  }
  crash_and_audit();
  EXPECT_EQ(read("a"), "two");
}

TEST_F(DurabilityTest, FsyncNeverSucceedsFalselyWhenBothFlushesFail) {
  const Ino ino = temp_.make_file(kRootIno, "a");
  temp_.write(ino, 0, "one");
  {
    FlushHook broken([](const std::string&) { return EIO; });
    EXPECT_FALSE(fsync(ino).ok());
    EXPECT_FALSE(fsync(ino).ok()) << "not by believing the frame that failed";
    EXPECT_EQ(temp_.read(ino), "one") << "still readable";
    EXPECT_FALSE(temp_.vault().sync().ok());
  }
  // Everything is written anew once the disk works again: a page that a failed flush lost is not relied upon.
  EXPECT_TRUE(fsync(ino).ok());
  crash_and_audit();
  EXPECT_EQ(read("a"), "one");
}

TEST_F(DurabilityTest, ClosingWithoutRoomLeavesTheLastChangesInTheJournal) {
  temp_.write(temp_.make_file(kRootIno, "a"), 0, "one");
  {
    FlushHook full([](const std::string& path) { return is_database(path) ? ENOSPC : 0; });
    EXPECT_TRUE(temp_.vault().close().ok());
  }
  temp_.reopen();
  EXPECT_EQ(read("a"), "one");
}

TEST_F(DurabilityTest, ClosingThatKeepsNothingSaysSoAndCanBeTriedAgain) {
  temp_.write(temp_.make_file(kRootIno, "a"), 0, "one");
  {
    FlushHook broken([](const std::string&) { return EIO; });
    EXPECT_TRUE(temp_.vault().close().is(Code::io));
    EXPECT_EQ(read("a"), "one");
  }
  EXPECT_TRUE(temp_.vault().close().ok());
  temp_.reopen();
  EXPECT_EQ(read("a"), "one");
}

/// A frame written while a commit is under way, with changes before and after the commit was frozen.
class FrameDuringCommitTest : public DurabilityTest {
 protected:
  /// Commits, and in the middle of it runs `change` and fsync; `fail` makes the commit fail then.
  enum class Flushes { work, fail, fail_once };
  Result<> commit_with(const std::function<void()>& change, Flushes flushes) {
    std::atomic<bool> entered{false};
    FlushHook hook([&](const std::string& path) {
      if (!is_database(path)) return 0;
      if (entered.exchange(true)) return flushes == Flushes::fail ? ENOSPC : 0;
      // This is the committer's thread, without any lock: as good as another one.
      change();
      return flushes == Flushes::work ? 0 : ENOSPC;
    });
    auto committed = temp_.vault().sync();
    EXPECT_TRUE(entered);
    return committed;
  }
};

TEST_F(FrameDuringCommitTest, BothSurviveACrash) {
  const Ino a = temp_.make_file(kRootIno, "a");
  temp_.write(a, 0, std::string(100'000, 'a'));
  const Ino b = temp_.make_file(kRootIno, "b");
  temp_.write(b, 0, "bbbb");
  auto committed = commit_with([&] {
    temp_.write(a, 70'000, "AAA");
    ASSERT_TRUE(temp_.tree().setattr(b, {.mode = {}, .size = 1}).ok());
    temp_.make_file(kRootIno, "c");
    ASSERT_TRUE(fsync(a).ok());
  }, Flushes::work);
  ASSERT_TRUE(committed.ok());
  const uint64_t written = frames();

  crash_and_audit();

  EXPECT_EQ(written, 1u);
  EXPECT_EQ(temp_.read(a, 69'999, 5), "aAAAa");
  EXPECT_EQ(temp_.read(b), "b");
  EXPECT_NE(lookup("c"), Ino{});
}

TEST_F(FrameDuringCommitTest, FrameSurvivesTheFailureOfTheCommit) {
  const Ino a = temp_.make_file(kRootIno, "a");
  temp_.write(a, 0, std::string(100'000, 'a'));
  auto committed = commit_with([&] {
    temp_.write(a, 70'000, "AAA");
    ASSERT_TRUE(fsync(a).ok());
  }, Flushes::fail);
  ASSERT_FALSE(committed.ok());
  EXPECT_EQ(temp_.read(a, 69'999, 5), "aAAAa");

  crash_and_audit();

  EXPECT_EQ(temp_.read(a).size(), 100'000u);
  EXPECT_EQ(temp_.read(a, 69'999, 5), "aAAAa");
}

TEST_F(FrameDuringCommitTest, ACommitOnAFullDiskIsTriedAgainAfterAnEmptyOne) {
  const Ino a = temp_.make_file(kRootIno, "a");
  temp_.write(a, 0, std::string(100'000, 'a'));
  const uint64_t commits = temp_.vault().stats().commits;
  auto committed = commit_with([&] {
    temp_.write(a, 70'000, "AAA");
    ASSERT_TRUE(fsync(a).ok());
  }, Flushes::fail_once);
  ASSERT_TRUE(committed.ok());
  EXPECT_EQ(temp_.vault().stats().commits, commits + 2);

  crash_and_audit();

  EXPECT_EQ(temp_.read(a).size(), 100'000u);
  EXPECT_EQ(temp_.read(a, 69'999, 5), "aAAAa");
}

TEST_F(FrameDuringCommitTest, RemovalsDuringTheCommit) {
  const Ino a = temp_.make_file(kRootIno, "a");
  temp_.write(a, 0, std::string(500'000, 'a'));
  temp_.make_file(kRootIno, "b");
  auto committed = commit_with([&] {
    ASSERT_TRUE(temp_.tree().unlink(kRootIno, "a").ok());
    ASSERT_TRUE(temp_.tree().reap(a).ok());
    ASSERT_TRUE(temp_.tree().rename(kRootIno, "b", kRootIno, "c", RenameMode::replace).ok());
    ASSERT_TRUE(fsync(kRootIno).ok());
  }, Flushes::work);
  ASSERT_TRUE(committed.ok());
  crash_and_audit();
  EXPECT_EQ(lookup("a"), Ino{});
  EXPECT_EQ(lookup("b"), Ino{});
  EXPECT_NE(lookup("c"), Ino{});
  EXPECT_EQ(temp_.vault().stats().content_bytes, 0u);
}

TEST_F(FrameDuringCommitTest, TruncationDuringTheCommitIsNotUndoneByIt) {
  const Ino a = temp_.make_file(kRootIno, "a");
  temp_.write(a, 0, std::string(3'000'000, 'a'));
  auto committed = commit_with([&] {
    ASSERT_TRUE(temp_.tree().setattr(a, {.mode = {}, .size = 0}).ok());
    temp_.write(a, 100'000, "b");
  }, Flushes::work);
  ASSERT_TRUE(committed.ok());
  EXPECT_EQ(temp_.read(a), std::string(100'000, '\0') + "b");
  ASSERT_TRUE(temp_.vault().sync().ok());
  crash_and_audit();
  EXPECT_EQ(temp_.read(a), std::string(100'000, '\0') + "b");
}

TEST(CrashedReadTest, ReadWaitsForACommitThatReplacedTheMapUnderIt) {
  // The database has the commit, but the commit waits for a frame that is being flushed before it says
  // so: a read through the old map finds its nodes gone and has to wait, not to report damage.
  TempVault temp({.cache_max_bytes = 0, .committer_thread = false});
  const Ino big = temp.make_file(kRootIno, "big");
  temp.write(big, 0, std::string(4 << 20, 'a'));
  ASSERT_TRUE(temp.vault().sync().ok());
  const Ino small = temp.make_file(kRootIno, "small");
  temp.write(big, 0, "b");  // this commit replaces the map's nodes

  std::atomic<bool> database_flushed{false}, frame_under_way{false}, release{false};
  FlushHook hook([&](const std::string& path) {
    if (is_database(path)) {
      if (!database_flushed.exchange(true)) {
        while (!frame_under_way) std::this_thread::yield();  // the frame first, then the commit's end
      }
    } else if (test::is_journal(path)) {
      frame_under_way = true;
      while (!release) std::this_thread::yield();
    }
    return 0;
  });
  std::thread committer([&] { EXPECT_TRUE(temp.vault().sync().ok()); });
  while (!database_flushed) std::this_thread::yield();
  temp.write(small, 0, "s");
  std::thread syncer([&] { EXPECT_TRUE(temp.vault().fsync(small).ok()); });
  while (!frame_under_way) std::this_thread::yield();
  std::thread reader([&] {
    Bytes bytes(10);
    // Until the commit is in the database, and beyond.
    for (int i = 0; i < 2000; ++i) {
      auto count = temp.content().read(big, 3 << 20, bytes);
      ASSERT_TRUE(count.ok()) << count.error().message();
      EXPECT_EQ(bytes, Bytes(10, 'a'));
    }
  });
  std::thread releaser([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    release = true;
  });
  for (std::thread* thread : {&reader, &releaser, &syncer, &committer}) thread->join();
}

TEST(FullStoreTest, FailedCommitKeepsTheDataReadableAndNeverReportsSuccess) {
  TempVault temp({.map_size_bytes = 2 << 20, .committer_thread = false, .foresee_full_disk = false});
  const Ino kept = temp.make_file(kRootIno, "kept");
  temp.write(kept, 0, std::string(200'000, 'k'));
  ASSERT_TRUE(temp.vault().sync().ok());
  const Ino big = temp.make_file(kRootIno, "big");
  temp.write(big, 0, std::string(4 << 20, 'b'));

  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(temp.vault().fsync(big).is(Code::no_space));
    EXPECT_TRUE(temp.vault().sync().is(Code::no_space));
  }
  EXPECT_TRUE(temp.read(big) == std::string(4 << 20, 'b'));
  EXPECT_TRUE(temp.read(kept) == std::string(200'000, 'k'));

  // Freeing makes everything go on.
  auto gone = temp.tree().unlink(kRootIno, "big");
  ASSERT_TRUE(gone.ok());
  ASSERT_TRUE(temp.tree().reap(gone->ino).ok());
  EXPECT_TRUE(temp.vault().sync().ok());
  const Ino after = temp.make_file(kRootIno, "after");
  temp.write(after, 0, "after");
  EXPECT_TRUE(temp.vault().fsync(after).ok());
  temp.crash();
  EXPECT_EQ(temp.read(after), "after");
  EXPECT_TRUE(temp.read(kept) == std::string(200'000, 'k'));
  EXPECT_TRUE(temp.tree().lookup(kRootIno, "big").is(Code::not_found));
}

TEST(FullStoreTest, DeletingCommittedFilesWorksWhenTheStoreIsFull) {
  TempVault temp({.map_size_bytes = 4 << 20, .committer_thread = false, .foresee_full_disk = false});
  std::vector<std::string> names;
  for (int i = 0;; ++i) {
    ASSERT_LT(i, 100);
    names.push_back("f" + std::to_string(i));
    temp.write(temp.make_file(kRootIno, names.back()), 0, std::string(150'000, 'x'));
    if (!temp.vault().sync().ok()) break;
  }
  const std::string last = names.back();
  for (const std::string& name : {last, names[0], names[1]}) {
    auto gone = temp.tree().unlink(kRootIno, name);
    ASSERT_TRUE(gone.ok());
    ASSERT_TRUE(temp.tree().reap(gone->ino).ok());
  }
  ASSERT_TRUE(temp.vault().sync().ok());
  temp.make_file(kRootIno, "tiny");  // pages are free for the commit after the next
  ASSERT_TRUE(temp.vault().sync().ok());

  const Ino fresh = temp.make_file(kRootIno, "fresh");
  temp.write(fresh, 0, std::string(150'000, 'y'));
  auto synced = temp.vault().sync();
  EXPECT_TRUE(synced.ok()) << synced.error().message();
}

TEST(FullStoreTest, JournalThatNoLongerFitsDoesNotLockItsOwnerOut) {
  // The disk filled up, the machine crashed: what fsync promised must be reachable, so that it can be
  // copied away or something be deleted.
  TempVault temp({.map_size_bytes = 1 << 20, .committer_thread = false, .foresee_full_disk = false});
  const Ino ino = temp.make_file(kRootIno, "a");
  std::string expected;
  while (expected.size() < 3'000'000) {
    const std::string part(300'000, static_cast<char>('a' + expected.size() / 300'000));
    temp.write(ino, expected.size(), part);
    expected += part;
    ASSERT_TRUE(temp.vault().fsync(ino).ok()) << "the journal has room";
  }

  test::TempDirectory copy;
  for (const char* name : {"header", "header.bak", "data.mdb", "journal"})
    std::filesystem::copy_file(temp.directory() + "/" + name, copy.path(name));
  auto opened = Vault::open(copy.path(), {.map_size_bytes = 1 << 20, .committer_thread = false, .foresee_full_disk = false}, TempVault::password());
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  Vault& vault = **opened;
  std::string text(expected.size(), '\0');
  EXPECT_EQ(vault.content().read(ino, 0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}).value(), text.size());
  EXPECT_TRUE(text == expected);
  EXPECT_TRUE(vault.sync().is(Code::no_space)) << "and it says so";
  auto gone = vault.tree().unlink(kRootIno, "a");
  ASSERT_TRUE(gone.ok());
  ASSERT_TRUE(vault.tree().reap(gone->ino).ok());
  EXPECT_TRUE(vault.sync().ok());
}

TEST(FullStoreTest, WritersLearnOfItInsteadOfWaitingForEver) {
  TempVault temp({.map_size_bytes = 1 << 20, .pending_max_bytes = 1 << 20, .committer_thread = true, .foresee_full_disk = false});
  const Ino ino = temp.make_file(kRootIno, "a");
  const std::string part(1 << 20, 'a');
  Result<> written;
  for (uint64_t i = 0; i < 8 && written.ok(); ++i) written = temp.content().write(ino, i << 20, as_bytes(part));
  EXPECT_TRUE(written.is(Code::no_space));
  // Deletes always work.
  auto gone = temp.tree().unlink(kRootIno, "a");
  ASSERT_TRUE(gone.ok());
  EXPECT_TRUE(temp.tree().reap(gone->ino).ok());
  EXPECT_TRUE(temp.vault().sync().ok());
}

TEST_F(DurabilityTest, WhatWasReplayedDoesNotUseUpTheJournalAgain) {
  const std::string large(700'000, 'a');  // together more than a frame may hold
  for (const char* name : {"a", "b", "c"}) {
    const Ino ino = temp_.make_file(kRootIno, name);
    temp_.write(ino, 0, large);
    ASSERT_TRUE(fsync(ino).ok());
  }
  ASSERT_EQ(commits(), 0u) << "all of it is in the journal alone";
  {
    FlushHook full([](const std::string& path) { return is_database(path) ? ENOSPC : 0; });
    for (int mount = 0; mount < 12; ++mount) {
      SCOPED_TRACE(mount);
      temp_.crash();
      const uint64_t before = frames();
      const Ino ino = temp_.make_file(kRootIno, "small" + std::to_string(mount));
      EXPECT_TRUE(fsync(ino).ok());
      EXPECT_EQ(frames(), before + 1);
      EXPECT_TRUE(temp_.vault().close().ok());
    }
  }
  crash_and_audit();
  EXPECT_EQ(read("b"), large);
  EXPECT_NE(lookup("small11"), Ino{});
}

TEST_F(DurabilityTest, ClosingThatCannotWriteAccessTimesIsNoFailure) {
  const Ino ino = temp_.make_file(kRootIno, "a");
  temp_.write(ino, 0, "one");
  ASSERT_TRUE(temp_.vault().sync().ok());
  temp_.clock().advance_seconds(100'000);
  Bytes bytes(3);
  ASSERT_TRUE(temp_.content().read(ino, 0, bytes, Access::noted).ok());
  {
    FlushHook full([](const std::string& path) { return is_database(path) ? ENOSPC : 0; });
    EXPECT_TRUE(temp_.vault().close().ok());
  }
  temp_.reopen();
  EXPECT_EQ(read("a"), "one");
}

TEST(CommitReports, EachReasonOfAFailureOnce) {
  std::vector<std::string> warnings;
  OpenOptions options{.committer_thread = false};
  options.warn = [&](const std::string& message) { warnings.push_back(message); };
  TempVault temp(options);
  temp.write(temp.make_file(kRootIno, "a"), 0, "one");
  const auto fail_with = [&](int error) {
    FlushHook broken([error](const std::string& path) { return is_database(path) ? error : 0; });
    EXPECT_FALSE(temp.vault().sync().ok());
    EXPECT_FALSE(temp.vault().sync().ok());
  };
  fail_with(ENOSPC);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("No space left"), std::string::npos) << warnings[0];
  fail_with(EDQUOT);
  EXPECT_EQ(warnings.size(), 2u);
  EXPECT_TRUE(temp.vault().sync().ok());
  temp.write(temp.make_file(kRootIno, "b"), 0, "two");
  fail_with(EDQUOT);
  EXPECT_EQ(warnings.size(), 3u);
}

}  // namespace
}  // namespace tain::store
