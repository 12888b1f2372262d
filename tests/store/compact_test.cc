// SPDX-License-Identifier: Apache-2.0
// What tain compact gives back, and what it must leave alone.
#include "store/compact.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "store/check.h"
#include "store/database.h"
#include "tests/store/faults.h"
#include "tests/support/audit.h"
#include "tests/support/temp_directory.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;

constexpr int64_t kLong_ns = int64_t{60} * 1'000'000'000;

uint64_t bytes_on_disk(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(::stat(path.c_str(), &st), 0);
  return static_cast<uint64_t>(st.st_blocks) * 512;
}

/// A database alone: values of eight pages each.
class CompactStepTest : public testing::Test {
 protected:
  static constexpr Table kTable = Table::blocks;
  static constexpr uint64_t kCount = 64;
  static constexpr size_t kSize = 30'000;  // bytes
  static constexpr uint64_t kOfOne = 8 * kPageSize;

  void SetUp() override {
    env_ = Env::open(path(), {.map_size_bytes = uint64_t{1} << 26, .create = true}).value();
    change([](WriteTxn& txn) {
      for (uint64_t i = 0; i < kCount; ++i) ASSERT_TRUE(txn.put(kTable, key(i), value(i)).ok());
    });
  }
  static std::array<uint8_t, 16> key(uint64_t i) { return block_key({1, i}); }
  static Bytes value(uint64_t i) { return Bytes(kSize, static_cast<uint8_t>(i + 1)); }
  std::string path() const { return directory_.path("data.mdb"); }

  template <class Change>
  void change(const Change& change) {
    WriteTxn txn = WriteTxn::begin(*env_).value();
    change(txn);
    ASSERT_TRUE(std::move(txn).commit().ok());
  }
  void remove_half() {
    change([](WriteTxn& txn) {
      for (uint64_t i = 0; i < kCount; i += 2) ASSERT_TRUE(txn.remove(kTable, key(i)).value());
    });
  }
  /// Any commit.
  void commit() {
    change([](WriteTxn& txn) { ASSERT_TRUE(txn.put(Table::state, as_bytes("s"), as_bytes("small")).ok()); });
  }
  uint64_t compact() { return compact_step(*env_, 0, kLong_ns).value().returned_bytes; }
  static void expect_all(const ReadTxn& txn, uint64_t step, uint64_t first) {
    for (uint64_t i = first; i < kCount; i += step) {
      const auto found = txn.get(kTable, key(i));
      ASSERT_TRUE(found.ok()) << found.error().message();
      ASSERT_TRUE(found->has_value());
      EXPECT_TRUE(std::ranges::equal(**found, value(i)));
    }
  }

  test::TempDirectory directory_;
  std::unique_ptr<Env> env_;
};

TEST_F(CompactStepTest, WhatTwoCommitsAgoWasFreedIsGivenBackOnce) {
  remove_half();
  commit();

  const uint64_t before = bytes_on_disk(path());
  const uint64_t returned = compact();

  EXPECT_GE(returned, kCount / 2 * kOfOne);
  EXPECT_EQ(bytes_on_disk(path()), before - returned);
  EXPECT_EQ(env_->disk_bytes(), before - returned);
  expect_all(ReadTxn::begin(*env_).value(), 2, 1);
  EXPECT_EQ(compact(), 0u) << "holes are not made twice";
}

TEST_F(CompactStepTest, HolesAreUsedAgain) {
  remove_half();
  commit();
  compact();
  const auto size = std::filesystem::file_size(path());

  change([](WriteTxn& txn) {
    for (uint64_t i = 0; i < kCount; i += 2) ASSERT_TRUE(txn.put(kTable, key(i), value(i)).ok());
  });

  expect_all(ReadTxn::begin(*env_).value(), 1, 0);
  EXPECT_LE(std::filesystem::file_size(path()), size + 16 * kPageSize);
}

TEST_F(CompactStepTest, TheStateBeforeTheLastCommitStays) {
  UniqueFd fd(::open(path().c_str(), O_RDONLY | O_CLOEXEC));
  const uint64_t before = read_newest_meta(fd.get()).value().transaction;
  remove_half();

  EXPECT_LT(compact(), kOfOne);

  // What is found when the last meta page is lost.
  Bytes page(kPageSize);
  ASSERT_TRUE(read_exactly(fd.get(), page, (before & 1) * kPageSize).ok());
  const MetaPage meta = parse_meta(page, before & 1).value();
  ASSERT_EQ(meta.transaction, before);
  const PageSource source = PageSource::of_file(fd.get(), kPageSize);
  TreeWalk walk(source, read_snapshot(source, meta).value().root(kTable), meta.last_page);
  for (uint64_t i = 0; i < kCount; ++i) {
    const auto wanted = key(i);
    ASSERT_TRUE(walk.seek(wanted).value());
    Bytes scratch;
    EXPECT_TRUE(std::ranges::equal(walk.value(scratch).value(), value(i))) << i;
  }
}

TEST_F(CompactStepTest, WhatAReaderSeesStaysUntilItEnds) {
  {
    const ReadTxn reader = ReadTxn::begin(*env_).value();
    remove_half();
    for (int i = 0; i < 5; ++i) commit();

    EXPECT_LT(compact(), kOfOne);

    expect_all(reader, 1, 0);
  }
  EXPECT_GE(compact(), kCount / 2 * kOfOne) << "a reader at rest holds nothing";
}

TEST_F(CompactStepTest, WithoutTimeAStepStillMakesAHoleAndTheStepsComeToAnEnd) {
  remove_half();
  commit();
  uint64_t returned = 0, from = 0;
  int steps = 0;
  do {
    const CompactStep step = compact_step(*env_, from, 0).value();
    EXPECT_TRUE(step.next == 0 || step.next > from);
    EXPECT_LE(step.next, step.last_page);
    returned += step.returned_bytes;
    from = step.next;
    ++steps;
  } while (from != 0);
  EXPECT_GE(returned, kCount / 2 * kOfOne);
  EXPECT_GT(steps, 1);
  expect_all(ReadTxn::begin(*env_).value(), 2, 1);
}

TEST_F(CompactStepTest, WhatLiesBehindTheLastPageIsCutOff) {
  const auto size = std::filesystem::file_size(path());
  std::filesystem::resize_file(path(), size + 100 * kPageSize);

  compact();

  EXPECT_EQ(std::filesystem::file_size(path()), env_->used_bytes());
  expect_all(ReadTxn::begin(*env_).value(), 1, 0);
}

TEST_F(CompactStepTest, AFileSystemWithoutHolesIsNamedAndNothingIsChanged) {
  remove_half();
  commit();
  const uint64_t before = bytes_on_disk(path());
  {
    const test::FaultyDisk disk(directory_.path(""), {.first = 0, .error = EOPNOTSUPP});

    const auto step = compact_step(*env_, 0, kLong_ns);

    ASSERT_TRUE(step.is(Code::unsupported));
    EXPECT_NE(step.error().message().find("cannot make holes"), std::string::npos);
    EXPECT_NE(step.error().hint(), "");
  }
  EXPECT_EQ(bytes_on_disk(path()), before);
  commit();  // its turn is free again
}

TEST_F(CompactStepTest, FreePagesAtTheEndAreCutOffAClosedFileAndComeBackAsAHole) {
  change([](WriteTxn& txn) {
    for (uint64_t i = kCount / 2; i < kCount; ++i) ASSERT_TRUE(txn.remove(kTable, key(i)).value());
  });
  // The removal itself wrote copies of tree pages at the end; what comes later finds free pages before them.
  for (int i = 0; i < 4; ++i) change([](WriteTxn& txn) { ASSERT_TRUE(txn.put(kTable, key(0), value(0)).ok()); });
  const uint64_t used = env_->used_bytes();
  env_.reset();

  const uint64_t cut = cut_free_end(path()).value();

  EXPECT_GE(cut, kCount / 4 * kOfOne);
  EXPECT_EQ(std::filesystem::file_size(path()), used - cut);
  EXPECT_EQ(cut_free_end(path()).value(), 0u);
  env_ = Env::open(path(), {.map_size_bytes = uint64_t{1} << 26, .read_only = true}).value();
  EXPECT_EQ(std::filesystem::file_size(path()), used - cut);
  {
    const ReadTxn txn = ReadTxn::begin(*env_).value();
    for (uint64_t i = 0; i < kCount / 2; ++i)
      EXPECT_TRUE(std::ranges::equal(*txn.get(kTable, key(i)).value(), value(i)));
  }
  env_.reset();
  env_ = Env::open(path(), {.map_size_bytes = uint64_t{1} << 26}).value();
  EXPECT_EQ(std::filesystem::file_size(path()), used);
  ReadTxn txn = ReadTxn::begin(*env_).value();
  for (uint64_t i = 0; i < kCount / 2; ++i) EXPECT_TRUE(std::ranges::equal(*txn.get(kTable, key(i)).value(), value(i)));
}

TEST_F(CompactStepTest, PagesThatTheStateBeforeHasAreNotCut) {
  change([](WriteTxn& txn) {
    for (uint64_t i = kCount / 2; i < kCount; ++i) ASSERT_TRUE(txn.remove(kTable, key(i)).value());
  });
  env_.reset();
  EXPECT_LT(cut_free_end(path()).value(), kCount / 4 * kOfOne);
}

class CompactVaultTest : public testing::Test {
 protected:
  std::string database() const { return vault_.directory() + "/data.mdb"; }
  uint64_t compact() {
    uint64_t returned = 0, from = 0;
    do {
      const auto step = vault_.vault().compact(from);
      EXPECT_TRUE(step.ok()) << step.error().message();
      if (!step.ok()) break;
      returned += step->returned_bytes;
      from = step->next;
    } while (from != 0);
    return returned;
  }
  void expect_sound() {
    vault_.close();
    EXPECT_EQ(test::audit_store(vault_.directory(), TempVault::password()), std::vector<std::string>());
    const auto report = check_vault(vault_.directory(), TempVault::password(), {});
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->findings.size(), 0u);
  }

  TempVault vault_;
};

TEST_F(CompactVaultTest, WhatWasDeletedAMomentAgoIsGivenBack) {
  constexpr size_t kSize = size_t{8} << 20;
  const Ino kept = vault_.make_file(kRootIno, "kept");
  vault_.write(kept, 0, std::string(300'000, 'k'));
  const Ino file = vault_.make_file(kRootIno, "file");
  vault_.write(file, 0, std::string(kSize, 'x'));
  ASSERT_TRUE(vault_.vault().sync().ok());
  ASSERT_TRUE(vault_.tree().unlink(kRootIno, "file").ok());
  ASSERT_TRUE(vault_.tree().reap(file).ok());

  EXPECT_GE(compact(), kSize);

  EXPECT_LT(bytes_on_disk(database()), kSize / 4);
  EXPECT_EQ(vault_.vault().stats().disk_bytes, bytes_on_disk(database()));
  EXPECT_EQ(vault_.read(kept), std::string(300'000, 'k'));
  expect_sound();
  EXPECT_TRUE(Vault::cut_free_end(vault_.directory()).ok());
  expect_sound();
}

TEST_F(CompactVaultTest, WritersAndReadersGoOnMeanwhile) {
  constexpr int kFiles = 8, kRounds = 60;
  std::vector<Ino> files;
  for (int i = 0; i < kFiles; ++i) files.push_back(vault_.make_file(kRootIno, std::to_string(i)));
  std::atomic<bool> working{true};
  std::thread compacter([&] {
    while (working) compact();
  });
  const auto text = [](int file, int round) {
    return std::string(static_cast<size_t>(1 + (round * 37 + file * 11) % 90) * 3000, static_cast<char>('a' + round % 26));
  };
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kFiles; ++i) {
      const std::string wanted = text(i, round);
      ASSERT_TRUE(vault_.tree().setattr(files[static_cast<size_t>(i)], {.mode = {}, .size = 0}).ok());
      vault_.write(files[static_cast<size_t>(i)], 0, wanted);
      if (i % 3 == 0) {
        ASSERT_TRUE(vault_.vault().fsync(files[static_cast<size_t>(i)]).ok());
      }
    }
    ASSERT_TRUE(vault_.vault().sync().ok());
    for (int i = 0; i < kFiles; ++i) ASSERT_EQ(vault_.read(files[static_cast<size_t>(i)]), text(i, round));
  }
  working = false;
  compacter.join();
  vault_.reopen();
  for (int i = 0; i < kFiles; ++i) EXPECT_EQ(vault_.read(files[static_cast<size_t>(i)]), text(i, kRounds - 1));
  expect_sound();
}

TEST(CompactReadOnlyTest, IsRefusedWithTheNextStep) {
  TempVault made;
  made.close();
  const auto vault = Vault::open(made.directory(), {.read_only = true}, TempVault::password()).value();
  const auto step = vault->compact(0);
  ASSERT_TRUE(step.is(Code::read_only));
  EXPECT_NE(step.error().hint(), "");
}

TEST(CompactLockTest, TheEndOfAnOpenVaultIsNotCut) {
  TempVault open;
  EXPECT_TRUE(Vault::cut_free_end(open.directory()).is(Code::in_use));
}

}  // namespace
}  // namespace tain::store
