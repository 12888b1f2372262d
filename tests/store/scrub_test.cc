// SPDX-License-Identifier: Apache-2.0
// The scrubber finds every kind of damage, says whose it is, goes on, and takes no change for damage.
#include "store/scrub.h"

#include <fcntl.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "store/check.h"
#include "store/notes.h"
#include "tests/store/vault_edits.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;

constexpr size_t kTagSize = 16;
constexpr uint64_t kPlenty = uint64_t{1} << 40;

void finish_pass(Scrubber& scrubber, uint64_t budget = 1 << 20) {
  scrubber.begin();
  while (scrubber.running()) {
    auto stepped = scrubber.step(budget);
    ASSERT_TRUE(stepped.ok()) << stepped.error().message();
  }
}

/// A vault with a bit of everything, closed; its stored values can be harmed one by one.
class ScrubTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = temp_.make_directory(kRootIno, "folder");
    for (int i = 0; i < 30; ++i) temp_.write(temp_.make_file(folder_, "small" + std::to_string(i)), 0, "content");
    file_ = temp_.make_file(kRootIno, "file");
    temp_.write(file_, 0, std::string(200'000, 'f'));
    large_ = temp_.make_file(kRootIno, "large");  // 40 blocks: with a map node
    temp_.write(large_, 0, std::string(40 * kBlockSize, 'l'));
    tagged_ = temp_.make_file(kRootIno, "tagged");
    ASSERT_TRUE(temp_.tree().set_xattr(tagged_, "user.tag", as_bytes("value"), XattrMode::any).ok());
    ASSERT_TRUE(temp_.vault().sync().ok());
    temp_.write(file_, 5000, "patched");  // the cell from 4096 on
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    const LockedVault locked = LockedVault::open(temp_.directory(), TempVault::password()).value();
    const Survey survey = survey_database(temp_.directory() + "/data.mdb", *locked.cipher).value();
    for (Table table : kTables)
      for (const StoredValue& value : survey.values(table)) extents_[{table, value.key}] = value.extent;
    Catalog catalog(survey, *locked.cipher);
    EXPECT_TRUE(catalog.read({}).ok());
    file_map_ = catalog.load_inode(raw(file_)).value().content;
    large_map_ = catalog.load_inode(raw(large_)).value().content;
    ASSERT_EQ(file_map_.root.at(0).patches.size(), 1u);
    ASSERT_EQ(large_map_.height, 1);
  }

  Extent extent(Table table, uint64_t first, uint64_t second = 0) const {
    return extents_.at({table, {first, second}});
  }
  Extent extent(const BlockId& id) const { return extent(Table::blocks, id.writer, id.number); }
  Extent name_extent(Ino directory, size_t nth) const {
    for (const auto& [key, extent] : extents_)
      if (key.first == Table::dirents && key.second.first == raw(directory) && nth-- == 0) return extent;
    return {};
  }
  static uint64_t middle(const Extent& extent) { return extent.offset + extent.size / 2; }
  static uint64_t checksum(const Extent& extent) { return extent.offset + extent.size - 1; }
  /// Where byte `at` of the block's plaintext lies in the file.
  uint64_t cipher_offset(const BlockRef& ref, size_t at) const {
    return extent(ref.id).offset + kBlockHeaderSize + cell_count(ref.length) * kTagSize + at;
  }
  void flip(uint64_t offset) const {
    UniqueFd fd(::open((temp_.directory() + "/data.mdb").c_str(), O_RDWR | O_CLOEXEC));
    std::array<uint8_t, 1> byte{};
    ASSERT_TRUE(read_exactly(fd.get(), byte, offset).ok());
    byte[0] ^= 1;
    ASSERT_TRUE(write_exactly(fd.get(), byte, offset).ok());
  }
  std::string damage(Ino ino) { return temp_.vault().damage().describe(ino).value_or("none"); }
  size_t damaged() { return temp_.vault().damage().items().size(); }
  std::unique_ptr<Scrubber> scrubber(bool keep = false) { return temp_.vault().make_scrubber(keep); }
  /// Opens the vault and scrubs it once.
  ScrubState scrub(uint64_t budget = 1 << 20) {
    temp_.reopen();
    auto made = scrubber();
    finish_pass(*made, budget);
    return made->state();
  }

  TempVault temp_{{.committer_thread = false}};
  Ino folder_{}, file_{}, large_{}, tagged_{};
  std::map<std::pair<Table, RecordKey>, Extent> extents_;
  ContentRecord file_map_, large_map_;
};

TEST_F(ScrubTest, ASoundVaultIsReadWholeAndIsIntact) {
  const ScrubState state = scrub();

  EXPECT_TRUE(temp_.vault().damage().empty());
  EXPECT_FALSE(state.running);
  EXPECT_EQ(state.damaged, 0u);
  EXPECT_EQ(state.record.last.entries, 35u);
  EXPECT_EQ(state.record.last.records, 35u + 34 + 1);
  uint64_t blocks = 0, bytes = 0;
  for (const auto& [key, extent] : extents_) {
    blocks += key.first == Table::blocks ? 1 : 0;
    bytes += key.first == Table::state || key.first == Table::xattrs ? 0 : extent.size;
  }
  EXPECT_EQ(state.record.last.blocks, blocks);
  EXPECT_EQ(state.record.last.bytes, bytes);
  EXPECT_EQ(state.record.last.lost, 0u);
}

TEST_F(ScrubTest, ReadsMarksAndNotesInSmallSteps) {
  temp_.reopen();
  ASSERT_TRUE(temp_.vault().notes().mark_changes(true).ok());
  std::vector<Notes::Change> changes;
  for (uint64_t i = 0; i < 50; ++i) changes.push_back({{7, i}, Bytes(1000, 'n')});
  ASSERT_TRUE(temp_.vault().notes().change(changes).ok());
  temp_.make_file(kRootIno, "marked");
  temp_.close();
  const ScrubState sound = scrub(3000);
  EXPECT_EQ(sound.record.last.lost, 0u);
  // A file and its name more, and the marks of both and of the directory.
  EXPECT_EQ(sound.record.last.records, 35u + 34 + 1 + 2 + 50 + 3);

  temp_.close();
  std::array<uint8_t, 16> key{};
  key[7] = 7;
  key[15] = 20;
  test::edit_value(temp_.directory(), Table::notes, key, [](Bytes& value) { value[500] ^= 1; });
  EXPECT_EQ(scrub(3000).record.last.lost, 1u);
}

TEST_F(ScrubTest, FindsABitInABlockAndFlagsItsCellOnly) {
  flip(cipher_offset(file_map_.root.at(1), 5000));

  EXPECT_EQ(scrub().damaged, 1u);

  EXPECT_EQ(damage(file_), "rot 69632-73727");
  EXPECT_EQ(damaged(), 1u);
}

TEST_F(ScrubTest, FindsABitInAnInodeRecord) {
  flip(middle(extent(Table::inodes, raw(large_))));

  EXPECT_EQ(scrub().damaged, 1u);

  EXPECT_EQ(damage(large_), "rot record");
}

TEST_F(ScrubTest, FindsABitInAName) {
  flip(middle(name_extent(folder_, 12)));

  EXPECT_EQ(scrub().damaged, 1u);

  EXPECT_EQ(damage(folder_), "rot names");
}

TEST_F(ScrubTest, FindsABitInExtendedAttributes) {
  flip(middle(extent(Table::xattrs, raw(tagged_))));

  EXPECT_EQ(scrub().damaged, 1u);

  EXPECT_EQ(damage(tagged_), "rot record");
}

TEST_F(ScrubTest, FindsABitInAMapNodeAndFlagsAllBelowIt) {
  flip(middle(extent(large_map_.root.at(0).id)));

  EXPECT_EQ(scrub().damaged, 1u);

  EXPECT_EQ(damage(large_), "rot 0-" + std::to_string(40 * kBlockSize - 1));
}

TEST_F(ScrubTest, FindsChecksumsThatAreDamagedOverGoodSeals) {
  flip(checksum(extent(file_map_.root.at(2).id)));
  flip(checksum(extent(large_map_.root.at(0).id)));
  flip(checksum(extent(Table::inodes, raw(folder_) + 3)));
  flip(checksum(name_extent(folder_, 5)));
  flip(checksum(extent(Table::xattrs, raw(tagged_))));

  scrub();

  EXPECT_EQ(damage(file_), "checksum 131072-196607");
  EXPECT_EQ(damage(large_), "checksum 0-" + std::to_string(40 * kBlockSize - 1));
  EXPECT_EQ(damage(Ino{raw(folder_) + 3}), "checksum record");
  EXPECT_EQ(damage(folder_), "checksum names");
  EXPECT_EQ(damage(tagged_), "checksum record");
  EXPECT_EQ(damaged(), 5u);
}

TEST_F(ScrubTest, WhatLiesBelowAPatchIsReadTooButCostsNothing) {
  flip(cipher_offset(file_map_.root.at(0), 5000));  // its cell is the patch's

  scrub();

  EXPECT_EQ(damage(file_), "checksum 0-65535");
  EXPECT_EQ(temp_.read(file_, 4990, 20), "ffffffffffpatchedfff");
}

TEST_F(ScrubTest, FindsDamageInAPatch) {
  flip(middle(extent(file_map_.root.at(0).patches[0].id)));

  scrub();

  EXPECT_EQ(damage(file_), "rot 4096-8191");
}

TEST_F(ScrubTest, GoesOnAfterDamage) {
  flip(middle(extent(Table::inodes, raw(folder_) + 1)));
  flip(cipher_offset(file_map_.root.at(0), 100));
  flip(cipher_offset(file_map_.root.at(1), 100));
  flip(middle(name_extent(folder_, 1)));
  flip(middle(name_extent(folder_, 20)));
  flip(middle(extent(Table::xattrs, raw(tagged_))));

  const ScrubState state = scrub();

  EXPECT_EQ(state.damaged, 4u);
  EXPECT_EQ(damage(Ino{raw(folder_) + 1}), "rot record");
  EXPECT_EQ(damage(file_), "rot 0-4095 65536-69631");
  EXPECT_EQ(damage(folder_), "rot names");
  EXPECT_EQ(damage(tagged_), "rot record");
  EXPECT_EQ(state.record.last.entries, 35u);
}

TEST_F(ScrubTest, AZeroedPageOfInodesIsToldByTheNames) {
  constexpr size_t kPage = 4096;
  const uint64_t page = extent(Table::inodes, raw(folder_) + 28).offset / kPage;
  std::set<uint64_t> on_page;
  for (const auto& [key, extent] : extents_)
    if (key.first == Table::inodes && extent.offset / kPage == page) on_page.insert(key.second.first);
  ASSERT_GT(on_page.size(), 1u);
  ASSERT_FALSE(on_page.contains(raw(folder_)) || on_page.contains(raw(kRootIno)));
  {
    UniqueFd fd(::open((temp_.directory() + "/data.mdb").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(write_exactly(fd.get(), Bytes(kPage), page * kPage).ok());
  }

  const ScrubState state = scrub();

  EXPECT_EQ(state.record.last.lost, 1u);
  EXPECT_EQ(state.damaged, on_page.size());
  for (uint64_t ino : on_page) EXPECT_EQ(damage(Ino{ino}), "rot record") << ino;
}

TEST_F(ScrubTest, SmallStepsKeepToTheirBudgetAndFindTheSame) {
  flip(cipher_offset(file_map_.root.at(1), 5000));
  const ScrubState whole = scrub(kPlenty);

  temp_.reopen();
  auto scrubber = this->scrubber();
  scrubber->begin();
  int steps = 0;
  while (scrubber->running()) {
    const auto spent = scrubber->step(1);
    ASSERT_TRUE(spent.ok()) << spent.error().message();
    // One block with its patch, and the map node on the way to it.
    EXPECT_LE(*spent, 2 * block_value_size(kBlockSize));
    ASSERT_LT(++steps, 10'000);
  }

  EXPECT_GT(steps, 100);
  EXPECT_EQ(scrubber->state().record.last, whole.record.last);
  EXPECT_EQ(damage(file_), "rot 69632-73727");
}

TEST_F(ScrubTest, GoesOnWhereAnEarlierProcessStopped) {
  flip(middle(name_extent(folder_, 12)));
  flip(cipher_offset(file_map_.root.at(1), 5000));
  temp_.reopen();
  auto first = scrubber(true);
  first->begin();
  while (first->state().record.counts.blocks < 45) ASSERT_TRUE(first->step(1).ok());
  ASSERT_TRUE(first->running());
  ASSERT_TRUE(first->save().ok());
  const ScrubState stopped = first->state();
  first.reset();
  temp_.reopen();
  EXPECT_TRUE(temp_.vault().damage().empty());

  auto second = scrubber(true);
  ASSERT_TRUE(second->running());
  EXPECT_EQ(second->state().record.place, stopped.record.place);
  EXPECT_EQ(second->state().record.started_s, stopped.record.started_s);
  finish_pass(*second);

  EXPECT_EQ(damage(folder_), "rot names");
  EXPECT_EQ(damage(file_), "rot 69632-73727");
  const ScrubState state = second->state();
  EXPECT_EQ(state.damaged, 2u);
  EXPECT_EQ(state.record.last.entries, 35u);
  uint64_t blocks = 0;
  for (const auto& [key, extent] : extents_) blocks += key.first == Table::blocks ? 1 : 0;
  EXPECT_EQ(state.record.last.blocks, blocks);
}

TEST_F(ScrubTest, TheResultOfThePassIsKeptAndWhatItFoundIsLookedAtAgain) {
  flip(cipher_offset(file_map_.root.at(1), 5000));
  temp_.reopen();
  {
    auto first = scrubber(true);
    finish_pass(*first);
    ASSERT_TRUE(first->save().ok());
  }
  const auto record = read_scrub_record(temp_.directory(), temp_.vault().info().id);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->last_damaged, 1u);
  EXPECT_EQ(record->damaged, std::vector<uint64_t>{raw(file_)});
  EXPECT_EQ(record->started_s, 0);
  EXPECT_GE(record->last_ended_s, record->last_started_s);

  temp_.reopen();
  EXPECT_EQ(damage(file_), "none");
  {
    auto second = scrubber(true);
    EXPECT_FALSE(second->running());
    while (second->has_work()) ASSERT_TRUE(second->step(1).ok());
    EXPECT_EQ(second->state().damaged, 1u);
  }
  EXPECT_EQ(damage(file_), "rot 69632-73727") << "it is flagged again without a pass";

  temp_.write(file_, 65536, std::string(65536, 'n'));
  ASSERT_TRUE(temp_.vault().sync().ok());
  temp_.reopen();
  auto third = scrubber(true);
  while (third->has_work()) ASSERT_TRUE(third->step(kPlenty).ok());
  EXPECT_EQ(third->state().damaged, 0u);
  EXPECT_EQ(damage(file_), "none");
}

TEST_F(ScrubTest, WhatIsPendingOverDamageIsNotFlagged) {
  flip(cipher_offset(file_map_.root.at(1), 5000));
  flip(cipher_offset(file_map_.root.at(2), 100));
  temp_.reopen();
  temp_.write(file_, 69632, std::string(4096, 'n'));  // covers the first of the two

  auto made = scrubber();
  finish_pass(*made);

  EXPECT_EQ(damage(file_), "rot 131072-135167");
  AttrChange cut;
  cut.size = 131072;
  ASSERT_TRUE(temp_.tree().setattr(file_, cut).ok());
  finish_pass(*made);
  EXPECT_EQ(damage(file_), "none");
  EXPECT_EQ(made->state().damaged, 0u);
}

TEST_F(ScrubTest, WhatTurnsOutIntactIsTakenOff) {
  const uint64_t at = middle(extent(Table::inodes, raw(large_)));
  flip(at);
  temp_.reopen();
  auto made = scrubber();
  finish_pass(*made);
  ASSERT_EQ(damage(large_), "rot record");

  flip(at);  // the disk had a bad moment
  finish_pass(*made);

  EXPECT_EQ(damage(large_), "none");
}

TEST_F(ScrubTest, WithoutLeaveItWritesNothing) {
  temp_.reopen();
  auto made = scrubber(false);
  finish_pass(*made);
  ASSERT_TRUE(made->save().ok());

  EXPECT_FALSE(std::filesystem::exists(temp_.directory() + "/" + kScrubFileName));
}

TEST_F(ScrubTest, LeavesTheBlockCacheAlone) {
  const LockedVault locked = LockedVault::open(temp_.directory(), TempVault::password()).value();
  auto env = Env::open(temp_.directory() + "/data.mdb", {.map_size_bytes = uint64_t{1} << 30, .create = false}).value();
  Database database(*env, *locked.cipher, 50'000);
  const State state = database.load_state(ReadTxn::begin(*env).value()).value();
  WorkingSet set(database, system_clock(), {}, 1, state);
  const BlockId kept{.writer = 77, .number = 1};
  database.cache().insert(kept, std::make_shared<const Bytes>(40'000, uint8_t{1}));
  Scrubber scrubber(set, temp_.directory(), locked.loaded.header.vault, {.keep = false});

  finish_pass(scrubber);

  EXPECT_NE(database.cache().data(kept), nullptr);
  EXPECT_EQ(database.cache().node(large_map_.root.at(0).id), nullptr);
}

TEST(ScrubRecordTest, ComesBackAsItWas) {
  ScrubRecord record;
  record.vault.bytes.fill(7);
  record.started_s = 1'790'000'000;
  record.place = {.ino = Ino{42}, .stage = ScrubPlace::Stage::content, .at = 99};
  record.counts = {.bytes = 1, .entries = 2, .records = 3, .blocks = 4, .lost = 5};
  record.last_started_s = 6;
  record.last_ended_s = 7;
  record.last = {.bytes = 8, .entries = 9, .records = 10, .blocks = 11, .lost = 12};
  record.last_damaged = 3;
  record.damaged = {1, 5, 9};

  EXPECT_EQ(decode_scrub_record(encode_scrub_record(record)).value(), record);
}

TEST(ScrubRecordTest, WhatIsTornForeignOrNewerIsNotUsed) {
  test::TempDir folder;
  ScrubRecord record;
  record.vault.bytes.fill(7);
  record.damaged = {1, 2, 3};
  const std::string path = folder.path() + "/" + kScrubFileName;
  ASSERT_TRUE(write_scrub_record(folder.path(), record).ok());
  ASSERT_TRUE(read_scrub_record(folder.path(), record.vault).has_value());
  EXPECT_FALSE(read_scrub_record(folder.path(), VaultId{}).has_value()) << "of another vault";

  const Bytes good = encode_scrub_record(record);
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_scrub_record(ByteView(good).first(size)).ok()) << size;
  for (size_t at = 0; at < good.size(); ++at) {
    Bytes bad = good;
    bad[at] ^= 1;
    EXPECT_FALSE(decode_scrub_record(bad).ok()) << at;
  }
  std::ofstream(path, std::ios::trunc) << "not a record";
  EXPECT_FALSE(read_scrub_record(folder.path(), record.vault).has_value());
}

}  // namespace
}  // namespace tain::store
