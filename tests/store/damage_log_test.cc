// SPDX-License-Identifier: Apache-2.0
// What reads find damaged is remembered, exactly and within bounds.
#include "store/damage_log.h"

#include <fcntl.h>

#include "base/file.h"
#include "store/check.h"
#include "store/header_file.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;

constexpr Ino kFile{7};

TEST(DamageLogTest, JoinsRangesAndTellsKindsApart) {
  DamageLog log;
  EXPECT_TRUE(log.empty());
  log.add_content(kFile, Damage::rot, 4096, 8192);
  log.add_content(kFile, Damage::rot, 0, 4096);
  log.add_content(kFile, Damage::tampering, 8192, 12288);
  log.add_content(kFile, Damage::rot, 20480, 20500);
  log.add_content(kFile, Damage::rot, 0, 4096);  // seen again
  log.add_record(Ino{9}, Damage::tampering);
  log.add_names(Ino{9}, Damage::rot);

  EXPECT_EQ(log.describe(kFile), "rot 0-8191 20480-20499 tampering 8192-12287");
  EXPECT_EQ(log.describe(Ino{9}), "rot names tampering record");
  EXPECT_EQ(log.describe(Ino{8}), std::nullopt);
  EXPECT_EQ(log.items().size(), 2u);
}

TEST(DamageLogTest, WhatIsOverwrittenOrRemovedIsDamagedNoMore) {
  DamageLog log;
  log.add_content(kFile, Damage::rot, 0, 16384);
  log.overwritten(kFile, 4096, 8192);
  EXPECT_EQ(log.describe(kFile), "rot 0-4095 8192-16383");
  log.overwritten(kFile, 0, 4096);
  log.overwritten(kFile, 12288, 1 << 20);
  EXPECT_EQ(log.describe(kFile), "rot 8192-12287");
  log.overwritten(kFile, 0, 1 << 20);
  EXPECT_TRUE(log.empty());

  log.add_record(kFile, Damage::rot);
  log.overwritten(kFile, 0, 1 << 20);
  EXPECT_EQ(log.describe(kFile), "rot record");
  log.removed(kFile);
  EXPECT_TRUE(log.empty());
}

TEST(DamageLogTest, IsBounded) {
  DamageLog log;
  for (uint64_t ino = 1; ino <= 2 * DamageLog::kEntriesMax; ++ino) log.add_record(Ino{ino}, Damage::rot);
  EXPECT_EQ(log.items().size(), DamageLog::kEntriesMax);

  DamageLog other;
  for (uint64_t i = 0; i < 1000; ++i) other.add_content(kFile, Damage::rot, i * 8192, i * 8192 + 4096);
  const std::string text = other.describe(kFile).value();
  EXPECT_LT(text.size(), 2000u);
  EXPECT_TRUE(text.ends_with("-" + std::to_string(999 * 8192 + 4095))) << text;
}

/// A closed vault with one file of 200 000 bytes, opened again after `harm` was done to one of its stored blocks.
class DamageFoundTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = temp_.make_file(kRootIno, "file");
    std::string text(200'000, ' ');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
    text_ = text;
    temp_.write(file_, 0, text_);
    temp_.close();
    const LockedVault locked = LockedVault::open(temp_.directory(), TempVault::password()).value();
    const Survey survey = survey_database(temp_.directory() + "/data.mdb", *locked.cipher).value();
    Catalog catalog(survey, *locked.cipher);
    EXPECT_TRUE(catalog.read({}).ok());
    inode_extent_ = catalog.inodes.at(raw(file_)).extent;
    const Inode inode = catalog.load_inode(raw(file_)).value();
    std::vector<FoundBlock> blocks;
    check_file(catalog.finder(), inode, &blocks);
    for (const FoundBlock& block : blocks) {
      const BlockPlace place{.content = inode.content.id, .id = block.ref.id, .level = 0, .index = block.index};
      blocks_.push_back({catalog.finder().open(place, block.ref, Kind::data_block).extent, block.ref});
    }
  }
  void flip(uint64_t offset) const {
    UniqueFd fd(::open((temp_.directory() + "/data.mdb").c_str(), O_RDWR | O_CLOEXEC));
    std::array<uint8_t, 1> byte{};
    ASSERT_TRUE(read_exactly(fd.get(), byte, offset).ok());
    byte[0] ^= 1;
    ASSERT_TRUE(write_exactly(fd.get(), byte, offset).ok());
  }
  /// Where byte `at` of the block's plaintext lies in the file.
  uint64_t cipher_offset(size_t block, size_t at) const {
    return blocks_[block].first.offset + kBlockHeaderSize + cell_count(blocks_[block].second.length) * kTagSize + at;
  }
  std::string damage() { return temp_.vault().damage().describe(file_).value_or("none"); }
  Result<size_t> read(uint64_t offset, size_t size) {
    buffer_.assign(size, 0);
    return temp_.content().read(file_, offset, buffer_);
  }

  static constexpr size_t kTagSize = 16;
  TempVault temp_{{.committer_thread = false}};
  Ino file_{};
  std::string text_;
  Extent inode_extent_;
  std::vector<std::pair<Extent, BlockRef>> blocks_;
  Bytes buffer_;
};

TEST_F(DamageFoundTest, AReadFlagsExactlyWhatCannotBeRead) {
  flip(cipher_offset(1, 5000));
  temp_.reopen();

  EXPECT_TRUE(read(0, 65536).ok());
  EXPECT_EQ(damage(), "none");
  EXPECT_TRUE(read(0, 200'000).is(Code::corrupt));
  EXPECT_EQ(damage(), "rot 69632-73727");
  EXPECT_TRUE(read(69632, 4096).is(Code::corrupt));
  for (const auto& [begin, end] : {std::pair{size_t{65536}, size_t{69632}}, {size_t{73728}, size_t{200'000}}}) {
    ASSERT_EQ(read(begin, end - begin).value(), end - begin);
    EXPECT_EQ(as_text(buffer_), text_.substr(begin, end - begin));
  }
}

TEST_F(DamageFoundTest, AWriteThatNeedsWhatIsDamagedFlagsIt_OneThatReplacesItClears) {
  flip(cipher_offset(0, 100));
  temp_.reopen();

  EXPECT_TRUE(temp_.content().write(file_, 50, as_bytes("x")).is(Code::corrupt));
  EXPECT_EQ(damage(), "rot 0-4095");
  EXPECT_TRUE(temp_.content().write(file_, 0, as_bytes(text_.substr(0, 8192))).ok());
  EXPECT_EQ(damage(), "none");
  EXPECT_TRUE(temp_.vault().damage().empty());
  EXPECT_EQ(temp_.read(file_, 0), text_);
}

TEST_F(DamageFoundTest, CuttingOffTheDamageClearsIt) {
  flip(cipher_offset(1, 5000));
  temp_.reopen();
  EXPECT_FALSE(read(65536, 65536).ok());
  ASSERT_EQ(damage(), "rot 69632-73727");

  AttrChange change;
  change.size = 65536;
  ASSERT_TRUE(temp_.tree().setattr(file_, change).ok());

  EXPECT_EQ(damage(), "none");
}

TEST_F(DamageFoundTest, ADamagedRecordIsFlagged) {
  flip(inode_extent_.offset + inode_extent_.size / 2);
  temp_.reopen();

  EXPECT_TRUE(temp_.tree().lookup(kRootIno, "file").is(Code::corrupt));
  EXPECT_EQ(damage(), "rot record");
}

}  // namespace
}  // namespace tain::store
