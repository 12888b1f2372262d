// SPDX-License-Identifier: Apache-2.0
// Time locks of the store (ADR 15): every door to content, and the clock.
#include "store/time_lock.h"

#include <gtest/gtest.h>

#include "store/content.h"
#include "store/past.h"
#include "store/trash.h"
#include "store/tree.h"
#include "tests/support/audit.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::FakeClock;
using test::TempVault;

constexpr int64_t kDay_s = 86'400;

TEST(LockTimeTest, GoesOnWhileTheClockIsSetBack) {
  FakeClock clock;
  LockTime time(clock);
  const int64_t begin = time.now_ms(0);

  clock.set_by_seconds(-1000);
  EXPECT_EQ(time.now_ms(0) / 1000, begin / 1000);
  clock.advance_seconds(60);
  EXPECT_EQ(time.now_ms(0) / 1000, begin / 1000 + 60);
  clock.set_by_seconds(1000);
  EXPECT_EQ(time.now_ms(0) / 1000, begin / 1000 + 60) << "as if nothing had happened";
}

TEST(LockTimeTest, KeepsATimeThatWasSeenOnce) {
  FakeClock clock;
  LockTime time(clock);
  const int64_t begin = time.now_ms(0);

  clock.set_by_seconds(kDay_s);
  EXPECT_EQ(time.now_ms(0) / 1000, begin / 1000 + kDay_s);
  clock.set_by_seconds(-kDay_s);
  EXPECT_EQ(time.now_ms(0) / 1000, begin / 1000 + kDay_s);
  EXPECT_EQ(time.now_ms(begin + 3 * kDay_s * 1000) / 1000, begin / 1000 + 3 * kDay_s);
  clock.advance_seconds(5);
  EXPECT_EQ(time.now_ms(0) / 1000, begin / 1000 + 3 * kDay_s + 5);
}

TEST(UnlockTextTest, IsATimeInUtc) {
  EXPECT_EQ(unlock_text(1'798'761'600), "2027-01-01T00:00:00Z");
  EXPECT_EQ(unlock_text(INT64_MAX), "@9223372036854775807");
}

class TimeLockTest : public testing::Test {
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
  int64_t now_s() { return locks().now_s(); }
  TimeLocks locks() { return temp_.vault().time_locks(); }
  void lock(Ino ino, int64_t seconds = kDay_s) {
    auto locked = locks().lock(ino, now_s() + seconds);
    ASSERT_TRUE(locked.ok()) << locked.error().message();
    EXPECT_EQ(locked->failed, 0u);
    stand();
  }
  Code read_code(Ino ino) {
    Bytes out(16);
    auto got = temp_.content().read(ino, 0, out);
    return got.ok() ? Code::usage : got.code();
  }
  bool is_locked(Ino ino) { return read_code(ino) == Code::time_locked; }
  std::string text_of(const PastState& state) {
    Bytes out(state.inode.content.size);
    auto got = temp_.vault().past().read(state, 0, out);
    if (!got.ok()) return got.is(Code::time_locked) ? "locked" : "error: " + got.error().message();
    return std::string(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(*got));
  }
  std::string text_at(const std::string& name, uint64_t hlc, Ino directory = kRootIno) {
    auto found = temp_.vault().past().lookup(directory, name, hlc);
    if (!found.ok()) return "error: " + found.error().message();
    return found->has_value() ? text_of((*found)->state) : "nothing";
  }
  std::vector<std::string> texts(Ino ino) {
    std::vector<std::string> out;
    auto log = temp_.vault().past().log(ino);
    EXPECT_TRUE(log.ok());
    if (log.ok())
      for (const PastState& state : *log) out.push_back(text_of(state));
    return out;
  }
  Result<> rename(Ino from, const std::string& name, Ino to, const std::string& as, RenameMode mode = RenameMode::replace) {
    TRY(temp_.tree().rename(from, name, to, as, mode));
    return {};
  }
  /// As editors do that save by renaming.
  Ino save_by_rename(const std::string& name, const std::string& text) {
    const Ino ino = make(".goutputstream-1", text);
    EXPECT_TRUE(rename(kRootIno, ".goutputstream-1", kRootIno, name).ok());
    return ino;
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

TEST_F(TimeLockTest, ContentIsNeitherReadNorChanged) {
  const Ino file = make("a.md", "secret"), other = make("b.md", "other");
  Content& content = temp_.content();
  lock(file);

  EXPECT_EQ(read_code(file), Code::time_locked);
  EXPECT_TRUE(content.copy(file, 0, other, 0, 6).is(Code::time_locked));
  EXPECT_TRUE(content.copy(other, 0, file, 0, 5).is(Code::time_locked));
  EXPECT_TRUE(content.write(file, 0, as_bytes("x")).is(Code::time_locked));
  EXPECT_TRUE(content.zero(file, 0, 3, false).is(Code::time_locked));
  EXPECT_TRUE(content.allocate(file, 0, 100).is(Code::time_locked));
  EXPECT_TRUE(content.allocate(file, 0, 3, false).is(Code::time_locked));
  for (uint64_t size : {uint64_t{0}, uint64_t{6}, uint64_t{10}}) {
    AttrChange change;
    change.size = size;
    EXPECT_TRUE(temp_.tree().setattr(file, change).is(Code::time_locked)) << size;
  }
  EXPECT_EQ(temp_.read(other), "other");

  temp_.clock().advance_seconds(kDay_s);
  EXPECT_EQ(temp_.read(file), "secret");
  temp_.write(file, 0, "S");
  EXPECT_EQ(temp_.read(file), "Secret");
}

TEST_F(TimeLockTest, MetadataIsVisibleAndCanBeChanged) {
  const Ino file = make("a.md", "secret");
  lock(file);

  EXPECT_EQ(temp_.tree().getattr(file).value().size, 6u);
  AttrChange change;
  change.mode = 0600;
  EXPECT_TRUE(temp_.tree().setattr(file, change).ok());
  EXPECT_TRUE(temp_.tree().set_xattr(file, "user.mood", as_bytes("good"), XattrMode::any).ok());
  EXPECT_TRUE(rename(kRootIno, "a.md", kRootIno, "b.md").ok());
  EXPECT_TRUE(temp_.tree().link(file, kRootIno, "c.md").ok());
  EXPECT_EQ(temp_.tree().lookup(kRootIno, "b.md").value().ino, file);
  EXPECT_EQ(temp_.content().seek(file, 0, Whence::hole).value(), 6u);
  EXPECT_EQ(locks().until(file).value(), locks().until(temp_.tree().lookup(kRootIno, "c.md").value().ino).value());
  EXPECT_TRUE(is_locked(file));
  audit();
}

TEST_F(TimeLockTest, WhatAProgramMappedBeforeIsNotLost) {
  const Ino file = make("a.md", "secret");
  lock(file);

  EXPECT_TRUE(temp_.content().write(file, 0, as_bytes("S"), Privileges::keep, nullptr, WriteSource::page_cache).ok());
  EXPECT_TRUE(is_locked(file));
  temp_.clock().advance_seconds(kDay_s);
  EXPECT_EQ(temp_.read(file), "Secret");
}

TEST_F(TimeLockTest, WhatIsLockedIsNotRemovedOrReplaced) {
  const Ino file = make("a.md", "secret");
  make("b.md", "other");
  lock(file);

  EXPECT_TRUE(temp_.tree().unlink(kRootIno, "a.md").is(Code::time_locked));
  EXPECT_TRUE(rename(kRootIno, "b.md", kRootIno, "a.md").is(Code::time_locked));
  EXPECT_TRUE(rename(kRootIno, "a.md", kRootIno, "b.md", RenameMode::exchange).ok()) << "both are still there";
  EXPECT_EQ(temp_.tree().lookup(kRootIno, "b.md").value().ino, file);
  EXPECT_TRUE(is_locked(file));
}

TEST_F(TimeLockTest, AFolderLocksWhatIsInItAndKeepsItsNames) {
  const Ino folder = temp_.make_directory(kRootIno, "2026"), inner = temp_.make_directory(folder, "11");
  const Ino file = make("a.md", "secret", inner), outside = make("b.md", "other"), empty = temp_.make_directory(folder, "12");
  ASSERT_TRUE(temp_.tree().link(file, kRootIno, "linked.md").ok());
  auto locked = locks().lock(folder, now_s() + kDay_s);
  ASSERT_TRUE(locked.ok());
  EXPECT_EQ(locked->entries, 4u);

  EXPECT_TRUE(is_locked(file)) << "under its other name, too";
  EXPECT_FALSE(is_locked(outside));
  for (Ino directory : {folder, inner}) {
    EXPECT_TRUE(temp_.tree().make(directory, "new", {.mode = S_IFREG | 0644}).is(Code::time_locked));
    EXPECT_TRUE(temp_.tree().make_unnamed(directory, {.mode = S_IFREG | 0644}).is(Code::time_locked));
    EXPECT_TRUE(temp_.tree().link(outside, directory, "new").is(Code::time_locked));
    EXPECT_TRUE(rename(kRootIno, "b.md", directory, "new").is(Code::time_locked));
  }
  EXPECT_TRUE(rename(inner, "a.md", kRootIno, "out.md").is(Code::time_locked));
  EXPECT_TRUE(rename(inner, "a.md", inner, "b.md").is(Code::time_locked));
  EXPECT_TRUE(rename(kRootIno, "b.md", inner, "a.md", RenameMode::exchange).is(Code::time_locked));
  EXPECT_TRUE(temp_.tree().unlink(inner, "a.md").is(Code::time_locked));
  EXPECT_TRUE(temp_.tree().rmdir(folder, "12").is(Code::time_locked));
  EXPECT_TRUE(temp_.tree().unlink(kRootIno, "linked.md").is(Code::time_locked));
  std::vector<std::string> names;
  ASSERT_TRUE(temp_.tree().list(inner, Cookie{0}, [&](const ListItem& item) {
    names.emplace_back(item.name);
    return true;
  }).ok());
  EXPECT_EQ(names, Texts{"a.md"});
  EXPECT_TRUE(rename(kRootIno, "2026", kRootIno, "moved").ok()) << "its own name is the root's";
  EXPECT_TRUE(is_locked(file));
  EXPECT_NE(locks().until(empty).value(), 0);
  audit();
}

TEST_F(TimeLockTest, FormerVersionsAreLocked) {
  const Ino file = make("a.md", "one");
  stand();
  const uint64_t before = temp_.vault().hlc_now();
  temp_.clock().advance_seconds(1);
  temp_.write(file, 0, "two");
  stand();
  const Ino saved = save_by_rename("a.md", "three");
  stand();
  ASSERT_EQ(texts(saved), (Texts{"three", "two", "one"}));
  ASSERT_EQ(text_at("a.md", before), "one");

  lock(saved);

  EXPECT_EQ(texts(saved), (Texts{"locked", "locked", "locked"}));
  EXPECT_EQ(text_at("a.md", before), "locked");
  EXPECT_TRUE(is_locked(file)) << "the inode that it was";
  temp_.clock().advance_seconds(kDay_s);
  EXPECT_EQ(texts(saved), (Texts{"three", "two", "one"}));
}

TEST_F(TimeLockTest, AFolderLocksWhatOfItIsInTheTrash) {
  const Ino folder = temp_.make_directory(kRootIno, "2026"), inner = temp_.make_directory(folder, "11");
  const Ino file = make("a.md", "secret", folder), deep = make("b.md", "deep", inner), moved = make("c.md", "moved", folder);
  stand();
  const uint64_t before = temp_.vault().hlc_now();
  temp_.clock().advance_seconds(1);
  ASSERT_TRUE(temp_.tree().unlink(folder, "a.md").ok());
  ASSERT_TRUE(temp_.tree().unlink(inner, "b.md").ok());
  ASSERT_TRUE(temp_.tree().rmdir(folder, "11").ok());
  ASSERT_TRUE(rename(folder, "c.md", kRootIno, "c.md").ok());
  stand();
  const TrashItem item = temp_.vault().trash().list().value().front();
  ASSERT_EQ(item.name.dirent.child, file);

  lock(folder);

  EXPECT_TRUE(is_locked(file));
  EXPECT_TRUE(is_locked(deep));
  EXPECT_EQ(text_at("a.md", before, folder), "locked");
  EXPECT_EQ(temp_.read(moved), "moved");
  EXPECT_TRUE(temp_.vault().trash().restore(item.name, folder, "a.md").is(Code::time_locked));
  ASSERT_TRUE(temp_.vault().trash().restore(item.name, kRootIno, "a.md").ok());
  EXPECT_TRUE(is_locked(file)) << "restoring is no way out";
  ASSERT_TRUE(locks().override_lock(folder).ok());
  EXPECT_TRUE(is_locked(file)) << "it is no more in it";
  EXPECT_EQ(temp_.read(deep), "deep");
}

TEST_F(TimeLockTest, ALockIsExtendedAndNotShortened) {
  const Ino folder = temp_.make_directory(kRootIno, "2026"), file = make("a.md", "secret", folder);
  lock(file, 2 * kDay_s);
  const int64_t later = locks().until(file).value();

  lock(folder, kDay_s);
  EXPECT_EQ(locks().until(file).value(), later);
  EXPECT_TRUE(locks().lock(file, later - 1).is(Code::not_permitted));
  EXPECT_TRUE(locks().lock(file, now_s()).is(Code::invalid_argument));
  lock(file, 3 * kDay_s);
  EXPECT_GT(locks().until(file).value(), later);
  const Ino link = temp_.tree().make(kRootIno, "link", {.mode = S_IFLNK | 0777, .symlink = "a"}).value().ino;
  EXPECT_TRUE(locks().lock(link, now_s() + kDay_s).is(Code::invalid_argument));
}

TEST_F(TimeLockTest, AnOverrideBecomesAVersion) {
  const Ino folder = temp_.make_directory(kRootIno, "2026"), file = make("a.md", "secret", folder);
  stand();
  auto locked = locks().lock(folder, now_s() + kDay_s);
  ASSERT_TRUE(locked.ok());
  ASSERT_TRUE(temp_.vault().sync().ok());
  const int64_t until_s = locks().until(file).value();

  auto opened = locks().override_lock(folder);  // in the same second: not only what stood is kept

  ASSERT_TRUE(opened.ok()) << opened.error().message();
  EXPECT_EQ(opened->entries, 2u);
  EXPECT_EQ(temp_.read(file), "secret");
  EXPECT_TRUE(temp_.tree().make(folder, "new", {.mode = S_IFREG | 0644}).ok());
  stand();
  for (Ino ino : {folder, file}) {
    const auto log = temp_.vault().past().log(ino).value();
    ASSERT_GE(log.size(), 2u);
    EXPECT_EQ(log[0].inode.time_lock, 0);
    EXPECT_EQ(log[1].inode.time_lock, until_s);
    EXPECT_TRUE(log[1].is_version);
  }
  EXPECT_TRUE(locks().override_lock(folder).is(Code::invalid_argument));
  audit();
}

TEST_F(TimeLockTest, AnOverrideThatCannotBeRecordedDoesNotHappen) {
  OpenOptions without;
  without.committer_thread = false;
  TempVault plain(without);
  const Ino file = plain.make_file(kRootIno, "a.md");
  TimeLocks locks = plain.vault().time_locks();
  ASSERT_TRUE(locks.lock(file, locks.now_s() + kDay_s).ok());

  EXPECT_TRUE(locks.override_lock(file).is(Code::unsupported));
  EXPECT_NE(locks.until(file).value(), 0);

  const Ino pending = make("b.md", "secret");  // no committer thread, so its locked state cannot become a version yet
  ASSERT_TRUE(this->locks().lock(pending, now_s() + kDay_s).ok());
  EXPECT_TRUE(this->locks().override_lock(pending).is(Code::busy));
  EXPECT_TRUE(is_locked(pending));
}

TEST_F(TimeLockTest, SurvivesReopeningAndACrash) {
  const Ino file = make("a.md", "secret");
  stand();
  lock(file);
  const int64_t until_s = locks().until(file).value();
  temp_.reopen();
  EXPECT_TRUE(is_locked(file));
  EXPECT_EQ(locks().until(file).value(), until_s);

  const Ino other = make("b.md", "other");
  ASSERT_TRUE(locks().lock(other, until_s).ok());
  ASSERT_TRUE(temp_.vault().fsync(other).ok());  // in the journal only
  temp_.crash();
  EXPECT_TRUE(is_locked(other));
  EXPECT_TRUE(is_locked(file));
}

TEST_F(TimeLockTest, SettingTheClockBackOpensNothingEarlierAndShortensNoNewLock) {
  const Ino file = make("a.md", "secret"), other = make("b.md", "other");
  lock(file);
  const int64_t until_s = locks().until(file).value();
  const int64_t before_s = now_s();
  temp_.clock().set_by_seconds(-30 * kDay_s);

  EXPECT_TRUE(is_locked(file));
  EXPECT_GE(now_s(), before_s);
  ASSERT_TRUE(locks().lock(other, now_s() + kDay_s).ok());
  EXPECT_GE(locks().until(other).value(), until_s);
  temp_.clock().advance_seconds(until_s - now_s() - 5);
  EXPECT_TRUE(is_locked(file));
  temp_.clock().advance_seconds(5);
  EXPECT_EQ(temp_.read(file), "secret") << "time goes on by the clock that nobody sets";
}

TEST_F(TimeLockTest, AVaultRemembersTheTimeItHasSeen) {
  const Ino file = make("a.md", "secret");
  lock(file, 10 * kDay_s);
  const int64_t before_s = now_s();
  temp_.clock().set_by_seconds(-30 * kDay_s);
  temp_.reopen();
  EXPECT_GE(now_s(), before_s - 60);
  EXPECT_TRUE(is_locked(file));

  temp_.clock().set_by_seconds(50 * kDay_s);  // setting it forward opens: this is no cryptography
  EXPECT_EQ(temp_.read(file), "secret");
  temp_.clock().set_by_seconds(-50 * kDay_s);
  EXPECT_EQ(temp_.read(file), "secret") << "what was seen stays seen";
  ASSERT_TRUE(temp_.vault().sync().ok());
  temp_.reopen();
  EXPECT_EQ(temp_.read(file), "secret");
}

TEST_F(TimeLockTest, LookingAtWhatIsLockedCostsOneCommitAMinuteAtMost) {
  const Ino file = make("a.md", "secret"), free = make("b.md", "other");
  lock(file);
  const auto commits_in = [&](Ino ino, int minutes) {
    EXPECT_TRUE(temp_.vault().sync().ok());
    const uint64_t before = temp_.vault().stats().commits;
    for (int second = 0; second < 60 * minutes; second += 10) {
      temp_.clock().advance_seconds(10);
      read_code(ino);
      EXPECT_TRUE(temp_.vault().sync().ok());
    }
    return temp_.vault().stats().commits - before;
  };

  EXPECT_EQ(commits_in(free, 10), 0u);
  const uint64_t commits = commits_in(file, 10);
  EXPECT_GE(commits, 5u);
  EXPECT_LE(commits, 11u);
}

TEST_F(TimeLockTest, WhatTakesItsNameIsAnotherEntry) {
  const Ino file = make("a.md", "secret"), other = make("b.md", "other");
  lock(file);
  ASSERT_TRUE(rename(kRootIno, "a.md", kRootIno, "c.md").ok());
  const Ino made = make("a.md", "new");
  EXPECT_EQ(texts(made), Texts{"new"}) << "within the time in which a name continues an entry";
  EXPECT_EQ(temp_.vault().past().log(made).value()[0].inode.past.previous, Ino{});
  stand();

  ASSERT_TRUE(rename(kRootIno, "c.md", kRootIno, "b.md").ok());
  EXPECT_TRUE(is_locked(file));
  EXPECT_EQ(temp_.vault().past().log(file).value().size(), 1u) << "it takes over no other entry";
  EXPECT_EQ(temp_.read(other), "other");
}

TEST_F(TimeLockTest, ListNamesWhatIsLocked) {
  const Ino folder = temp_.make_directory(kRootIno, "2026");
  const Ino longer = make("b.md", "b", folder), alone = make("alone.md", "c");
  make("a.md", "a", folder);
  lock(longer, 3 * kDay_s);
  lock(folder, 2 * kDay_s);
  lock(alone, kDay_s);
  const auto paths = [&] {
    Texts out;
    EXPECT_EQ(locks().list([&](const LockedEntry& entry) { out.push_back(entry.path); }).value(), 0u);
    std::sort(out.begin(), out.end());
    return out;
  };

  EXPECT_EQ(paths(), (Texts{"2026", "2026/b.md", "alone.md"}));
  temp_.clock().advance_seconds(2 * kDay_s);
  EXPECT_EQ(paths(), Texts{"2026/b.md"});
  temp_.clock().advance_seconds(kDay_s);
  EXPECT_EQ(paths(), Texts());
}

}  // namespace
}  // namespace tain::store
