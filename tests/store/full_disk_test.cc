// SPDX-License-Identifier: Apache-2.0
// A store on a disk of fixed size, worked until it is full, emptied, and worked again. What a change was
// told is final: an acknowledged change can be committed, and a deletion always can.
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <map>
#include <random>

#include "store/janitor.h"
#include "store/notes.h"
#include "store/past.h"
#include "store/trash.h"
#include "tests/support/audit.h"
#include "tests/support/long_run.h"
#include "tests/support/sanitizer.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;
using Complaints = std::vector<std::string>;

constexpr uint64_t kDisk = uint64_t{12} << 20;  // bytes

class FullDisk : public testing::TestWithParam<unsigned> {
 protected:
  /// Every other one in a vault that marks what changes, which takes room of its own.
  FullDisk() : random_(GetParam()) {
    if (GetParam() % 2 == 0) {
      EXPECT_TRUE(temp_.vault().notes().mark_changes(true).ok());
    }
  }

  uint64_t below(uint64_t end) { return std::uniform_int_distribution<uint64_t>(0, end - 1)(random_); }
  std::string bytes(size_t size) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random_());
    return out;
  }
  std::string any_name() { return std::next(files_.begin(), static_cast<ptrdiff_t>(below(files_.size())))->first; }

  /// Whether the change was made; a refusal must say that the disk is full.
  bool done(const Result<>& result) {
    EXPECT_TRUE(result.ok() || result.is(Code::no_space)) << result.error().message();
    return result.ok();
  }

  /// New files, editor saves, changes in the middle, longer and shorter files; false when the disk is full.
  bool change() {
    const uint64_t kind = files_.size() < 5 ? 0 : below(10);
    if (kind < 4) return save("f" + std::to_string(below(kind < 3 ? 1'000'000 : 30)));
    const std::string name = any_name();
    const Ino ino = temp_.tree().lookup(kRootIno, name).value().ino;
    std::string& content = files_[name];
    if (kind < 8) {
      const size_t at = below(content.size() + 1);
      const std::string part = bytes(1 + below(kind < 6 ? 5'000 : 150'000));
      if (!done(temp_.content().write(ino, at, as_bytes(part)))) return false;
      content.resize(std::max(content.size(), at + part.size()));
      content.replace(at, part.size(), part);
      return true;
    }
    if (kind == 8) {
      const size_t size = below(content.size() + 1);
      auto cut = temp_.tree().setattr(ino, {.size = size});
      if (!cut.ok()) return done(std::move(cut).error());
      content.resize(size);
      return true;
    }
    return remove(name);
  }

  bool save(const std::string& name) {
    auto made = temp_.tree().make(kRootIno, "temporary", {.mode = S_IFREG | 0600});
    if (!made.ok()) return done(std::move(made).error());
    const std::string content = bytes(below(4) == 0 ? below(300'000) : below(9'000));
    if (!done(temp_.content().write(made->ino, 0, as_bytes(content)))) {
      unlink("temporary");
      return false;
    }
    auto renamed = temp_.tree().rename(kRootIno, "temporary", kRootIno, name, RenameMode::replace);
    if (!renamed.ok()) {
      unlink("temporary");
      return done(std::move(renamed).error());
    }
    if (renamed->has_value()) {
      EXPECT_TRUE(temp_.tree().reap((*renamed)->ino).ok());
    }
    files_[name] = content;
    return true;
  }

  void unlink(const std::string& name) {
    auto gone = temp_.tree().unlink(kRootIno, name);
    ASSERT_TRUE(gone.ok()) << gone.error().message();
    EXPECT_TRUE(temp_.tree().reap(gone->ino).ok());
  }
  bool remove(const std::string& name) {
    unlink(name);
    files_.erase(name);
    return true;
  }

  void commit(const char* when) {
    auto synced = temp_.vault().sync();
    ASSERT_TRUE(synced.ok()) << when << ": " << synced.error().message();
  }
  uint64_t content_bytes() {
    uint64_t sum = 0;
    for (const auto& [name, content] : files_) sum += content.size();
    return sum;
  }
  void compare() {
    for (const auto& [name, content] : files_) {
      auto found = temp_.tree().lookup(kRootIno, name);
      ASSERT_TRUE(found.ok()) << name;
      ASSERT_TRUE(temp_.read(found->ino) == content) << name;
      temp_.tree().note_access(found->ino);
    }
  }

  std::mt19937_64 random_;
  TempVault temp_{{.map_size_bytes = kDisk, .pending_max_bytes = uint64_t{4} << 20}};
  std::map<std::string, std::string> files_;
};

TEST_P(FullDisk, WhatWasAcknowledgedCanBeCommitted) {
  for (int round = 0; round < 3; ++round) {
    // A few refusals in a row: a small change may still fit where a large one did not.
    for (int refusals = 0, steps = 0; refusals < 20; ++steps) {
      ASSERT_LT(steps, 4'000) << refusals << " refusals, " << content_bytes() << " bytes in " << files_.size()
                              << " files";
      if (!change()) ++refusals;
      if (below(30) == 0) {
        ASSERT_NO_FATAL_FAILURE(commit("while it fills"));
      }
    }
    ASSERT_NO_FATAL_FAILURE(commit("when it is full"));
    // The rest: the reserve, old versions of the trees, rows too short for a block.
    EXPECT_GT(content_bytes(), kDisk * 6 / 10) << "room is left";
    RecordProperty("filled_" + std::to_string(round), std::to_string(content_bytes() * 100 / kDisk));
    ASSERT_NO_FATAL_FAILURE(compare());
    temp_.crash();
    ASSERT_NO_FATAL_FAILURE(compare());
    auto closed = temp_.vault().close();
    ASSERT_TRUE(closed.ok()) << "access times found no room: " << closed.error().message();
    temp_.reopen();
    ASSERT_NO_FATAL_FAILURE(compare());
    // Room again, without a new start.
    while (files_.size() > 10 && content_bytes() > kDisk / 8) remove(any_name());
    ASSERT_NO_FATAL_FAILURE(commit("after deleting"));
    ASSERT_TRUE(save("after"));
    ASSERT_NO_FATAL_FAILURE(commit("with room again"));
  }
  temp_.close();
  EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), Complaints());
}

/// A vault that keeps history on a small disk.
class FullOfThePast : public testing::Test {
 protected:
  std::string bytes(size_t size) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random_());
    return out;
  }
  Result<> put(const std::string& name, const std::string& content) {
    const Ino ino = TRY(temp_.tree().make(kRootIno, name, {.mode = S_IFREG | 0600})).ino;
    return temp_.content().write(ino, 0, as_bytes(content));
  }
  void remove(const std::string& name) {
    auto gone = temp_.tree().unlink(kRootIno, name);
    ASSERT_TRUE(gone.ok()) << gone.error().message();
    if (gone->orphan) { ASSERT_TRUE(temp_.tree().reap(gone->ino).ok()); }
  }
  void pass(int64_t seconds) {
    ASSERT_TRUE(temp_.vault().sync().ok());
    temp_.clock().advance_seconds(seconds);
  }
  void audit() {
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), Complaints());
    temp_.reopen();
  }

  std::mt19937_64 random_{1};
  TempVault temp_{{.map_size_bytes = kDisk, .pending_max_bytes = uint64_t{4} << 20, .history = true}};
};

TEST_F(FullOfThePast, FormerVersionsGiveWayToThePresent) {
  std::string before, now = bytes(700'000);
  ASSERT_TRUE(put("document", now).ok());
  for (int i = 0; i < 60; ++i) {
    ASSERT_NO_FATAL_FAILURE(pass(100));
    before = now;
    now = bytes(700'000);
    if (i % 2 == 0) {
      const Ino ino = temp_.tree().lookup(kRootIno, "document")->ino;
      auto written = temp_.content().write(ino, 0, as_bytes(now));
      ASSERT_TRUE(written.ok()) << "save " << i << ": " << written.error().message();
      continue;
    }
    auto written = put("document.new", now);
    ASSERT_TRUE(written.ok()) << "save " << i << ": " << written.error().message();
    auto renamed = temp_.tree().rename(kRootIno, "document.new", kRootIno, "document", RenameMode::replace);
    ASSERT_TRUE(renamed.ok()) << renamed.error().message();
  }
  ASSERT_NO_FATAL_FAILURE(pass(100));
  const auto log = temp_.vault().past().log(temp_.tree().lookup(kRootIno, "document")->ino);

  ASSERT_TRUE(log.ok());
  ASSERT_GE(log->size(), 2u) << "the newest ones stay";
  EXPECT_LT(log->size(), 20u);
  Bytes found((*log)[1].inode.content.size);
  ASSERT_TRUE(temp_.vault().past().read((*log)[1], 0, found).ok());
  EXPECT_TRUE(as_text(found) == before);
  audit();
}

TEST_F(FullOfThePast, WhatWasDeletedGivesWayToThePresent) {
  for (int i = 0; i < 40; ++i) {
    const std::string name = "file " + std::to_string(i);
    auto written = put(name, bytes(1'000'000));
    ASSERT_TRUE(written.ok()) << "file " << i << ": " << written.error().message();
    ASSERT_NO_FATAL_FAILURE(pass(60));
    const uint64_t room = temp_.vault().room_bytes();
    ASSERT_NO_FATAL_FAILURE(remove(name));
    EXPECT_GE(temp_.vault().room_bytes() + 300'000, room + 1'000'000) << "what is in the trash counts as free";
    ASSERT_NO_FATAL_FAILURE(pass(60));
  }
  const auto items = temp_.vault().trash().list();
  ASSERT_TRUE(items.ok());
  ASSERT_FALSE(items->empty());
  EXPECT_LT(items->size(), 12u);
  EXPECT_EQ(items->back().name.dirent.name, "file 39") << "the newest stays";
  ASSERT_TRUE(temp_.vault().trash().restore(items->back().name, kRootIno, "restored").ok());
  EXPECT_EQ(temp_.tree().lookup(kRootIno, "restored")->size, 1'000'000u);

  // Nothing of the past is left when a write is refused.
  for (int i = 0;; ++i) {
    ASSERT_LT(i, 100);
    auto written = put("more " + std::to_string(i), bytes(200'000));
    if (written.ok()) continue;
    ASSERT_TRUE(written.is(Code::no_space)) << written.error().message();
    break;
  }
  EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
  audit();
}

TEST_F(FullOfThePast, WhatMustStayIsNoReasonToGiveUpNothing) {
  // A log that was moved away stays as it is, and the one that was made anew comes of it.
  ASSERT_TRUE(put("log", "of yesterday").ok());
  const Ino old = temp_.tree().lookup(kRootIno, "log")->ino;
  ASSERT_TRUE(temp_.tree().setattr(old, {.size = uint64_t{64} << 20}).ok());  // a hole takes no room, and counts
  ASSERT_NO_FATAL_FAILURE(pass(60));
  ASSERT_TRUE(temp_.tree().rename(kRootIno, "log", kRootIno, "log.1", RenameMode::replace).ok());
  ASSERT_TRUE(put("log", "of today").ok());
  const Ino log = temp_.tree().lookup(kRootIno, "log")->ino;
  ASSERT_NO_FATAL_FAILURE(pass(600));
  ASSERT_TRUE(put("document", "first").ok());
  const Ino document = temp_.tree().lookup(kRootIno, "document")->ino;
  ASSERT_NO_FATAL_FAILURE(pass(600));
  ASSERT_TRUE(temp_.content().write(document, 0, as_bytes("later")).ok());
  ASSERT_NO_FATAL_FAILURE(pass(600));
  ASSERT_EQ(temp_.vault().past().log(log)->size(), 2u);
  ASSERT_EQ(temp_.vault().past().log(document)->size(), 2u);

  EXPECT_TRUE(temp_.vault().make_janitor()->give_back());

  EXPECT_EQ(temp_.vault().past().log(document)->size(), 1u);
  EXPECT_EQ(temp_.vault().past().log(log)->size(), 2u);
  EXPECT_FALSE(temp_.vault().make_janitor()->give_back());
  audit();
}

TEST_F(FullOfThePast, AClockThatIsBehindKeepsNothingThatMustGo) {
  ASSERT_TRUE(put("document", "0").ok());
  const Ino document = temp_.tree().lookup(kRootIno, "document")->ino;
  for (int i = 1; i <= 3; ++i) {
    ASSERT_NO_FATAL_FAILURE(pass(40 * 86'400));
    ASSERT_TRUE(temp_.content().write(document, 0, as_bytes(std::to_string(i))).ok());
  }
  ASSERT_TRUE(temp_.vault().sync().ok());
  temp_.clock().set_by_seconds(-400 * 86'400);
  ASSERT_EQ(temp_.vault().past().log(document)->size(), 4u);

  EXPECT_TRUE(temp_.vault().make_janitor()->give_back());

  EXPECT_EQ(temp_.vault().past().log(document)->size(), 1u);
  audit();
}

TEST_F(FullOfThePast, EverythingCanBeDeletedOnAFullDisk) {
  std::vector<std::string> names;
  for (int refusals = 0; refusals < 3;) {
    const std::string name = "f" + std::to_string(names.size() + static_cast<size_t>(refusals) * 100'000);
    auto written = put(name, bytes(3'000));
    ASSERT_TRUE(written.ok() || written.is(Code::no_space)) << written.error().message();
    if (written.ok()) names.push_back(name);
    if (!written.ok()) ++refusals;
    ASSERT_LT(names.size(), 10'000u);
  }
  ASSERT_GT(names.size(), 500u);
  ASSERT_NO_FATAL_FAILURE(pass(60));
  for (const std::string& name : names) ASSERT_NO_FATAL_FAILURE(remove(name));
  auto synced = temp_.vault().sync();
  ASSERT_TRUE(synced.ok()) << synced.error().message();
  auto written = put("large", bytes(5'000'000));
  ASSERT_TRUE(written.ok()) << written.error().message();
  ASSERT_NO_FATAL_FAILURE(pass(60));
  audit();
}

unsigned seeds() {
  if (test::is_long_run()) return 200;
  return test::kThreadSanitizer ? 1 : 3;  // each costs ThreadSanitizer more than a minute
}

INSTANTIATE_TEST_SUITE_P(Seeds, FullDisk, testing::Range(0u, seeds()));

}  // namespace
}  // namespace tain::store
