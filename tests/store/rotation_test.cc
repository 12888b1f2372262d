// SPDX-License-Identifier: Apache-2.0
// The change of the master key (ADR 16): what it keeps, what it refuses afterwards, and what stops it.
#include "store/rotation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "base/file.h"
#include "store/check.h"
#include "store/notes.h"
#include "store/past.h"
#include "store/time_lock.h"
#include "store/trash.h"
#include "tests/store/vault_edits.h"
#include "tests/support/audit.h"
#include "tests/support/secret_of.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::secret_of;
using test::TempVault;

constexpr uint64_t kLarge = 40 * kBlockSize + 100;  // with a map node

OpenOptions options() {
  OpenOptions out;
  out.committer_thread = false;
  out.history = true;
  return out;
}

/// A vault with something in every table, and blocks that versions share.
class RotationTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(temp_.vault().notes().mark_changes(true).ok());
    ASSERT_TRUE(temp_.vault().notes().change({{{1, 2}, Bytes(3000, 'n')}}).ok());
    folder_ = temp_.make_directory(kRootIno, "folder");
    for (int i = 0; i < 40; ++i) temp_.write(temp_.make_file(folder_, "small" + std::to_string(i)), 0, "content");
    large_ = temp_.make_file(kRootIno, "large");
    temp_.write(large_, 0, std::string(kLarge, 'l'));
    ASSERT_TRUE(temp_.tree().link(large_, folder_, "link").ok());
    tagged_ = temp_.make_file(kRootIno, "tagged");
    temp_.write(tagged_, 0, "first");
    ASSERT_TRUE(temp_.tree().set_xattr(tagged_, "user.tag", as_bytes("value"), XattrMode::any).ok());
    gone_ = temp_.make_file(kRootIno, "gone");
    temp_.write(gone_, 0, "removed");
    locked_ = temp_.make_file(kRootIno, "locked");
    stand();
    temp_.write(large_, 5000, "patched");
    temp_.write(tagged_, 0, "second");
    ASSERT_TRUE(temp_.tree().rename(folder_, "small7", folder_, "moved", RenameMode::replace).ok());
    stand();
    temp_.write(large_, 30 * kBlockSize, std::string(2 * kBlockSize, 'm'));
    ASSERT_TRUE(temp_.tree().unlink(kRootIno, "gone").ok());
    until_ = temp_.vault().time_locks().now_s() + 1'000'000;
    ASSERT_TRUE(temp_.vault().time_locks().lock(locked_, until_).ok());
    stand();
  }
  void stand() {
    temp_.clock().advance_seconds(1);
    ASSERT_TRUE(temp_.vault().sync().ok());
    temp_.clock().advance_seconds(9);
  }
  /// Closes the vault, changes its master key, and opens it again.
  void start() {
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    const auto started = Vault::start_rotation(temp_.directory(), TempVault::password());
    ASSERT_TRUE(started.ok()) << started.error().message();
    temp_.reopen();
  }
  /// Steps until there is nothing more to do.
  Rotation::Step finish(uint64_t budget = 1 << 20) {
    const auto rotation = temp_.vault().make_rotation();
    for (int i = 0; i < 10'000; ++i) {
      const auto stepped = rotation->step(budget);
      if (!stepped.ok()) {
        ADD_FAILURE() << stepped.error().message();
        break;
      }
      state_ = rotation->state();
      if (*stepped != Rotation::Step::more) return *stepped;
    }
    ADD_FAILURE() << "it does not end";
    return Rotation::Step::more;
  }
  std::set<std::string> names(Ino directory) {
    std::set<std::string> out;
    EXPECT_TRUE(temp_.tree()
                    .list(directory, Cookie{0},
                          [&](const ListItem& item) {
                            EXPECT_TRUE(out.emplace(item.name).second) << item.name << " twice";
                            return true;
                          })
                    .ok());
    return out;
  }
  std::vector<std::string> texts(Ino ino, size_t size) {
    std::vector<std::string> out;
    PastView past = temp_.vault().past();
    const std::vector<PastState> states = past.log(ino).value();
    for (const PastState& state : states) {
      Bytes text(std::min<uint64_t>(size, state.inode.content.size));
      const auto got = past.read(state, 0, text);
      EXPECT_TRUE(got.ok()) << got.error().message();
      out.emplace_back(text.begin(), text.end());
    }
    return out;
  }
  void expect_all_there() {
    std::string large(kLarge, 'l');
    large.replace(5000, 7, "patched");
    std::fill_n(large.begin() + 30 * kBlockSize, 2 * kBlockSize, 'm');
    EXPECT_EQ(temp_.read(large_), large);
    EXPECT_EQ(temp_.read(tagged_), "second");
    EXPECT_EQ(texts(tagged_, 10), (std::vector<std::string>{"second", "first"}));
    EXPECT_EQ(texts(large_, kLarge).size(), 3u);
    EXPECT_EQ(texts(large_, kLarge).at(2), std::string(kLarge, 'l'));
    EXPECT_EQ(as_text(temp_.tree().get_xattr(tagged_, "user.tag").value()), "value");
    EXPECT_EQ(names(folder_).size(), 41u);
    EXPECT_EQ(temp_.tree().lookup(folder_, "link")->ino, large_);
    EXPECT_TRUE(temp_.tree().lookup(folder_, "small7").is(Code::not_found));
    EXPECT_EQ(temp_.read(temp_.tree().lookup(folder_, "moved")->ino), "content");
    EXPECT_EQ(temp_.vault().trash().list()->size(), 1u);
    EXPECT_EQ(temp_.vault().time_locks().until(locked_).value(), until_);
  }
  /// How many values of the closed vault are of which epoch.
  std::map<uint32_t, uint64_t> epochs() {
    const LockedVault locked = LockedVault::open(temp_.directory(), TempVault::password()).value();
    const Survey survey = survey_database(temp_.directory() + "/data.mdb", *locked.cipher).value();
    std::map<uint32_t, uint64_t> out;
    for (size_t table = 1; table <= kTableCount; ++table)
      for (const StoredValue& value : survey.tables.at(table))
        ++out[value_epoch(survey.read({value.extent.offset, kRecordHeaderSize}).value())];
    return out;
  }
  Bytes stored(Table table, ByteView key) {
    Bytes out;
    test::change_database(temp_.directory(), [&](Env& env, const Cipher&) {
      const ReadTxn txn = ReadTxn::begin(env).value();
      const auto value = txn.get(table, key).value();
      ASSERT_TRUE(value.has_value());
      out.assign(value->begin(), value->end());
    });
    return out;
  }

  TempVault temp_{options()};
  Ino folder_{}, large_{}, tagged_{}, gone_{}, locked_{};
  int64_t until_ = 0;
  RotationState state_;
};

TEST_F(RotationTest, SealsEverythingAnewAndChangesNothing) {
  start();
  EXPECT_EQ(temp_.vault().info().epoch, 2u);
  EXPECT_EQ(temp_.vault().info().older_epoch, 1u);
  expect_all_there();

  EXPECT_EQ(finish(), Rotation::Step::done);

  EXPECT_FALSE(state_.running);
  EXPECT_EQ(state_.left, 0u);
  EXPECT_GT(state_.resealed, 150u);
  expect_all_there();
  temp_.reopen();
  EXPECT_EQ(temp_.vault().info().older_epoch, 0u);
  expect_all_there();
  temp_.close();
  const auto found = epochs();
  EXPECT_EQ(found.size(), 1u);
  EXPECT_GT(found.at(2), 150u);
  EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), std::vector<std::string>());
}

TEST_F(RotationTest, IsSoundAtEveryStep) {
  start();
  const auto rotation = temp_.vault().make_rotation();
  for (bool is_done = false; !is_done;) {
    is_done = rotation->step(100'000).value() != Rotation::Step::more;
    ASSERT_TRUE(temp_.vault().sync().ok());
    expect_all_there();
    if (HasFailure()) return;
  }
  EXPECT_FALSE(rotation->running());
}

TEST_F(RotationTest, MayBeginAnewAfterEveryStep) {
  start();
  for (int steps = 2; steps <= 14; steps += 3) {
    {
      const auto rotation = temp_.vault().make_rotation();
      for (int i = 0; i < steps; ++i) ASSERT_TRUE(rotation->step(100'000).ok());
    }
    steps % 2 == 0 ? temp_.reopen() : temp_.crash();
    temp_.close();
    EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), std::vector<std::string>()) << steps;
    temp_.reopen();
    expect_all_there();
    if (HasFailure()) return;
  }
  EXPECT_EQ(finish(), Rotation::Step::done);
  temp_.close();
  EXPECT_EQ(epochs().size(), 1u);
}

TEST_F(RotationTest, TheVaultIsUsedMeanwhile) {
  start();
  const auto rotation = temp_.vault().make_rotation();
  std::string large = temp_.read(large_);
  std::set<std::string> expected = names(folder_);
  bool is_done = false;
  for (int i = 0; !is_done && i < 2000; ++i) {
    const std::string name = "small" + std::to_string(i % 40);
    if (expected.erase(name) != 0)
      ASSERT_TRUE(temp_.tree().unlink(folder_, name).ok());
    else if (expected.insert(name).second)
      temp_.make_file(folder_, name);
    const uint64_t offset = static_cast<uint64_t>(i) * 70'001 % kLarge;
    temp_.write(large_, offset, "x");
    if (large.size() <= offset) large.resize(offset + 1);
    large[offset] = 'x';
    if (i % 5 == 0) stand();
    is_done = rotation->step(100'000).value() == Rotation::Step::done;
    ASSERT_EQ(names(folder_), expected);
  }

  EXPECT_TRUE(is_done);
  EXPECT_EQ(temp_.read(large_), large);
  temp_.reopen();
  EXPECT_EQ(temp_.read(large_), large);
  EXPECT_EQ(names(folder_), expected);
  temp_.close();
  EXPECT_EQ(epochs().size(), 1u);
  EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), std::vector<std::string>());
}

TEST_F(RotationTest, AListingUnderWayMissesNoName) {
  start();
  const std::set<std::string> all = names(folder_);
  std::set<std::string> seen;
  Cookie reached{0};
  ASSERT_TRUE(temp_.tree()
                  .list(folder_, Cookie{0},
                        [&](const ListItem& item) {
                          if (seen.size() == all.size() / 2) return false;
                          seen.emplace(item.name);
                          reached = item.cookie;
                          return true;
                        })
                  .ok());

  ASSERT_EQ(finish(), Rotation::Step::done);

  ASSERT_TRUE(temp_.tree()
                  .list(folder_, reached,
                        [&](const ListItem& item) {
                          seen.emplace(item.name);
                          return true;
                        })
                  .ok());
  EXPECT_EQ(seen, all);
  EXPECT_EQ(names(folder_), all);
}

TEST_F(RotationTest, WhatTheJournalHasFromBeforeIsRedone) {
  temp_.write(tagged_, 0, "third");
  const Ino made = temp_.make_file(folder_, "made");
  ASSERT_TRUE(temp_.vault().fsync(made).ok());
  temp_.leave_crashed();

  ASSERT_TRUE(Vault::start_rotation(temp_.directory(), TempVault::password()).ok());

  temp_.reopen();
  EXPECT_EQ(temp_.read(tagged_), "thirdd");
  EXPECT_EQ(temp_.tree().lookup(folder_, "made")->ino, made);
}

TEST_F(RotationTest, WhatIsFsyncedOnTheWaySurvivesACrash) {
  start();
  auto rotation = temp_.vault().make_rotation();
  for (int i = 0; rotation->step(50'000).value() == Rotation::Step::more && i < 2000; ++i) {
    temp_.write(tagged_, 0, std::to_string(1000 + i));
    const std::string name = "made" + std::to_string(i);
    temp_.make_file(folder_, name);
    ASSERT_TRUE(temp_.vault().fsync(tagged_).ok());
    if (i % 10 != 9) continue;
    rotation.reset();
    temp_.crash();
    ASSERT_EQ(temp_.read(tagged_).substr(0, 4), std::to_string(1000 + i));
    ASSERT_TRUE(temp_.tree().lookup(folder_, name).ok());
    if (i == 39) break;
    rotation = temp_.vault().make_rotation();
  }
  rotation.reset();
  EXPECT_EQ(finish(), Rotation::Step::done);
}

TEST_F(RotationTest, KeepsTheSlotThatWasPresentedAndNoOther) {
  temp_.close();
  const std::string& vault = temp_.directory();
  const Secret words = Secret::random(20);
  ASSERT_TRUE(Vault::add_slot(vault, TempVault::password(), secret_of("another"), test::kTestCost).ok());
  ASSERT_TRUE(Vault::add_slot(vault, TempVault::password(), Credential::from_recovery(words), test::kTestCost).ok());
  EXPECT_TRUE(Vault::start_rotation(vault, secret_of("wrong")).is(Code::wrong_password));

  ASSERT_TRUE(Vault::start_rotation(vault, Credential::from_recovery(words)).ok());

  const VaultInfo info = Vault::inspect(vault).value();
  ASSERT_EQ(info.slots.size(), 1u);
  EXPECT_EQ(info.slots[0].type, SlotType::recovery);
  EXPECT_TRUE(Vault::check_key(vault, Credential::from_recovery(words)).ok());
  EXPECT_TRUE(Vault::check_key(vault, TempVault::password()).is(Code::wrong_password));
  EXPECT_TRUE(Vault::check_key(vault, secret_of("another")).is(Code::wrong_password));
  EXPECT_TRUE(Vault::start_rotation(vault, Credential::from_recovery(words)).is(Code::not_permitted)) << "under way";
  // Slots are added, and survive what is still to come.
  ASSERT_TRUE(Vault::add_slot(vault, Credential::from_recovery(words), TempVault::password(), test::kTestCost).ok());
  temp_.reopen();
  EXPECT_EQ(finish(), Rotation::Step::done);
  EXPECT_TRUE(Vault::check_key(vault, TempVault::password()).ok());
  EXPECT_TRUE(Vault::check_key(vault, Credential::from_recovery(words)).ok());
  expect_all_there();
}

TEST_F(RotationTest, BeginsOnlyWithAVaultThatNobodyHasOpen) {
  EXPECT_TRUE(Vault::start_rotation(temp_.directory(), TempVault::password()).is(Code::in_use));
  EXPECT_EQ(Vault::inspect(temp_.directory())->epoch, 1u);
  EXPECT_EQ(finish(), Rotation::Step::done) << "there is nothing to do";
}

TEST_F(RotationTest, OldValuesThatArePutBackAreRefused) {
  temp_.reopen();
  temp_.close();
  const auto inode_key = ino_key(tagged_);
  const Bytes inode = stored(Table::inodes, inode_key);
  BlockRef ref;
  test::change_database(temp_.directory(), [&](Env& env, const Cipher& cipher) {
    Database database(env, cipher, 0);
    ref = database.load_inode(ReadTxn::begin(env).value(), tagged_).value()->content.root.at(0);
  });
  const Bytes block = stored(Table::blocks, block_key(ref.id));
  const Bytes header = read_file(temp_.directory() + "/header", kHeaderSizeMax).value();
  temp_.reopen();
  start();
  ASSERT_EQ(finish(), Rotation::Step::done);
  temp_.reopen();
  EXPECT_EQ(temp_.read(tagged_), "second");
  temp_.close();

  test::edit_value(temp_.directory(), Table::blocks, block_key(ref.id), [&](Bytes& value) { value = block; });
  temp_.reopen();
  Bytes out(6);
  EXPECT_TRUE(temp_.content().read(tagged_, 0, out).is(Code::corrupt));
  EXPECT_EQ(out, Bytes(6));
  temp_.close();
  test::edit_value(temp_.directory(), Table::inodes, inode_key, [&](Bytes& value) { value = inode; });
  temp_.reopen();
  EXPECT_TRUE(temp_.tree().getattr(tagged_).is(Code::corrupt));
  temp_.close();

  // The header of before opens with the password of before, and nothing else opens with its key.
  ASSERT_TRUE(replace_file(temp_.directory() + "/header", header).ok());
  ASSERT_TRUE(replace_file(temp_.directory() + "/header.bak", header).ok());
  EXPECT_TRUE(Vault::open(temp_.directory(), options(), TempVault::password()).is(Code::corrupt));
}

TEST_F(RotationTest, LeavesNothingInTheJournal) {
  temp_.write(tagged_, 0, "third");
  ASSERT_TRUE(temp_.vault().fsync(tagged_).ok());
  const std::string path = temp_.directory() + "/journal";
  const auto is_empty = [&] {
    const Bytes bytes = read_file(path, kJournalSize).value();
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
  };
  start();
  EXPECT_FALSE(is_empty());

  ASSERT_EQ(finish(), Rotation::Step::done);

  EXPECT_TRUE(is_empty());
  temp_.write(tagged_, 0, "fourth");
  ASSERT_TRUE(temp_.vault().fsync(tagged_).ok());
  temp_.crash();
  EXPECT_EQ(temp_.read(tagged_), "fourth");
}

TEST_F(RotationTest, DoesNotEndWhileSomethingDamagedNeedsTheOlderKey) {
  temp_.close();
  const auto key = ino_key(tagged_);
  test::edit_value(temp_.directory(), Table::xattrs, key, [](Bytes& value) { value[value.size() / 2] ^= 1; });
  temp_.reopen();
  start();

  EXPECT_EQ(finish(), Rotation::Step::stuck);

  EXPECT_EQ(state_.left, 1u);
  EXPECT_TRUE(state_.running);
  EXPECT_EQ(temp_.read(tagged_), "second");
  EXPECT_EQ(finish(), Rotation::Step::stuck);
  temp_.reopen();
  EXPECT_EQ(temp_.vault().info().older_epoch, 1u);
  temp_.close();
  test::change_database(temp_.directory(), [&](Env& env, const Cipher& cipher) {
    Database database(env, cipher, 0);
    const State state = database.load_state(ReadTxn::begin(env).value()).value();
    Batch batch = Batch::begin(database, state).value();
    ASSERT_TRUE(batch.remove(Table::xattrs, key).ok());
    ASSERT_TRUE(std::move(batch).commit(state).ok());
  });
  temp_.reopen();
  EXPECT_EQ(finish(), Rotation::Step::done);
  EXPECT_EQ(temp_.read(tagged_), "second");
}

TEST_F(RotationTest, TheMasterKeyIsChangedAgain) {
  for (uint32_t epoch = 2; epoch <= 4; ++epoch) {
    start();
    EXPECT_EQ(temp_.vault().info().epoch, epoch);
    expect_all_there();
    ASSERT_EQ(finish(), Rotation::Step::done);
    temp_.write(temp_.make_file(kRootIno, "made" + std::to_string(epoch)), 0, std::string(100'000, 'x'));
  }
  temp_.close();
  EXPECT_EQ(epochs().begin()->first, 4u);
  EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), std::vector<std::string>());
}

TEST_F(RotationTest, GoesOnByItselfWhereThereIsACommitterThread) {
  start();
  temp_.close();
  OpenOptions background = options();
  background.committer_thread = true;
  const auto vault = Vault::open(temp_.directory(), background, TempVault::password()).value();
  EXPECT_EQ(vault->rotation().epoch, 2u);
  while (vault->rotation().running) std::this_thread::yield();
  ASSERT_TRUE(vault->close().ok());
  EXPECT_EQ(Vault::inspect(temp_.directory())->older_epoch, 0u);
}

}  // namespace
}  // namespace tain::store
