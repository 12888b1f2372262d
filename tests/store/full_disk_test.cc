// SPDX-License-Identifier: Apache-2.0
// A store on a disk of fixed size, worked until it is full, emptied, and worked again. What a change was
// told is final: an acknowledged change can be committed, and a deletion always can.
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <map>
#include <random>

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
  FullDisk() : random_(GetParam()) {}

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

unsigned seeds() {
  if (test::is_long_run()) return 200;
  return test::kThreadSanitizer ? 1 : 3;  // each costs ThreadSanitizer more than a minute
}

INSTANTIATE_TEST_SUITE_P(Seeds, FullDisk, testing::Range(0u, seeds()));

}  // namespace
}  // namespace tain::store
