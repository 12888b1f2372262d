// SPDX-License-Identifier: Apache-2.0
// File content: sparse and huge files, holes, truncation, copies; before and after commits and reopening.
#include "store/content.h"

#include <gtest/gtest.h>

#include <functional>

#include "store/lmdb.h"
#include "tests/support/audit.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using Complaints = std::vector<std::string>;
constexpr uint64_t kGiB = uint64_t{1} << 30;

std::string zeros(size_t size) {
  return std::string(size, '\0');
}

class ContentTest : public testing::Test {
 protected:
  Content& content() { return temp_.content(); }
  void write(uint64_t offset, const std::string& text) { temp_.write(file_, offset, text); }
  std::string read(uint64_t offset, size_t size) { return temp_.read(file_, offset, size); }
  void resize(uint64_t size) {
    auto result = temp_.tree().setattr(file_, {.mode = {}, .size = size});
    ASSERT_TRUE(result.ok()) << result.error().message();
    EXPECT_EQ(result->size, size);
  }
  void zero(uint64_t offset, uint64_t length, bool extend = false) {
    auto result = content().zero(file_, offset, length, extend);
    ASSERT_TRUE(result.ok()) << result.error().message();
  }
  uint64_t size() { return temp_.tree().getattr(file_)->size; }
  /// Sizes of all stored values that belong to content, in cells, ascending. Reopens the vault.
  std::vector<size_t> stored_block_sizes() {
    std::vector<size_t> out;
    EXPECT_TRUE(temp_.vault().close().ok());
    temp_.close();
    {
      auto env = Env::open(temp_.directory() + "/data.mdb", {}).value();
      ReadTxn txn = ReadTxn::begin(*env).value();
      Cursor cursor = Cursor::open(txn, Table::blocks).value();
      const uint8_t lowest = 0;
      for (auto item = cursor.seek({&lowest, 1}).value(); item.has_value(); item = cursor.next().value())
        out.push_back(item->value.size() / kCellSize);
    }
    std::sort(out.begin(), out.end());
    temp_.reopen();
    return out;
  }
  void sync() { ASSERT_TRUE(temp_.vault().sync().ok()); }

  /// Runs `check` on the pending state, the committed one, and after reopening; then audits the store.
  void in_every_state(const std::function<void()>& check) {
    {
      SCOPED_TRACE("pending");
      check();
    }
    sync();
    {
      SCOPED_TRACE("committed");
      check();
    }
    temp_.reopen();
    {
      SCOPED_TRACE("reopened");
      check();
    }
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    EXPECT_EQ(test::audit_store(temp_.directory(), test::TempVault::password()), Complaints());
    temp_.reopen();
  }

  test::TempVault temp_{{.committer_thread = false}};
  Ino file_ = temp_.make_file(kRootIno, "file");
};

TEST_F(ContentTest, WriteInsideABlockKeepsTheRest) {
  write(0, std::string(200'000, 'a'));
  sync();
  write(70'000, "BBB");
  in_every_state([&] {
    EXPECT_EQ(read(69'999, 5), "aBBBa");
    EXPECT_EQ(read(0, 200'000).size(), 200'000u);
    EXPECT_EQ(size(), 200'000u);
  });
}

TEST_F(ContentTest, SmallChangesOfACommittedBlockAddUp) {
  // Each commit writes a patch; after a few of them the block is written anew.
  std::string expected(kBlockSize, 'a');
  write(0, expected);
  for (int i = 0; i < 12; ++i) {
    sync();
    const size_t offset = static_cast<size_t>(i) * 5000;
    const std::string part(3000, static_cast<char>('A' + i));
    write(offset, part);
    expected.replace(offset, part.size(), part);
    EXPECT_EQ(read(0, kBlockSize), expected) << i;
  }
  in_every_state([&] {
    EXPECT_EQ(read(0, kBlockSize), expected);
    for (size_t offset : {size_t{0}, size_t{4095}, size_t{4097}, size_t{8191}, size_t{40'000}})
      EXPECT_EQ(read(offset, 4098), expected.substr(offset, 4098)) << offset;
  });
}

TEST_F(ContentTest, AppendsInManyCommitsAddUp) {
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    const std::string part(static_cast<size_t>(1 + i * 97), static_cast<char>('a' + i % 26));
    write(expected.size(), part);
    expected += part;
    sync();
  }
  in_every_state([&] { EXPECT_EQ(read(0, 1 << 20), expected); });
}

TEST_F(ContentTest, TruncationToACellOfAPatchedBlock) {
  write(0, std::string(kBlockSize, 'a'));
  sync();
  write(50'000, "patch");
  sync();
  for (const uint64_t cut : {15 * kCellSize, 13 * kCellSize, 12 * kCellSize + 1}) {
    resize(cut);
    resize(kBlockSize);
    in_every_state([&] {
      const std::string text = read(0, kBlockSize);
      EXPECT_EQ(text.substr(cut), zeros(kBlockSize - cut)) << cut;
      EXPECT_EQ(text.substr(cut - 1, 1), "a") << cut;
    });
  }
}

TEST_F(ContentTest, ReadsStopAtTheEnd) {
  write(0, "hello");
  in_every_state([&] {
    EXPECT_EQ(read(3, 100), "lo");
    EXPECT_EQ(read(5, 100), "");
    EXPECT_EQ(read(kFileSizeMax, 100), "");
  });
}

TEST_F(ContentTest, SparseFilesBeyondFourGiB) {
  write(5 * kGiB, "five");
  write(uint64_t{1} << 40, "a tebibyte");
  write(0, "start");
  in_every_state([&] {
    EXPECT_EQ(read(0, 7), "start" + zeros(2));
    EXPECT_EQ(read(5 * kGiB - 2, 8), zeros(2) + "five" + zeros(2));
    EXPECT_EQ(read((uint64_t{1} << 40) - 3, 100), zeros(3) + "a tebibyte");
    EXPECT_EQ(size(), (uint64_t{1} << 40) + 10);
    EXPECT_LE(temp_.tree().getattr(file_)->blocks * 512, 4 * kBlockSize);
  });
}

TEST_F(ContentTest, LastByteOfTheLargestFile) {
  write(kFileSizeMax - 1, "x");
  EXPECT_TRUE(content().write(file_, kFileSizeMax, as_bytes("x")).is(Code::too_large));
  EXPECT_TRUE(content().write(file_, kFileSizeMax - 1, as_bytes("xy")).is(Code::too_large));
  EXPECT_TRUE(content().write(file_, UINT64_MAX, as_bytes("xy")).is(Code::too_large));
  EXPECT_TRUE(content().allocate(file_, kFileSizeMax, 1).is(Code::too_large));
  EXPECT_TRUE(content().zero(file_, 1, UINT64_MAX, true).is(Code::too_large));
  EXPECT_TRUE(temp_.tree().setattr(file_, {.mode = {}, .size = kFileSizeMax + 1}).is(Code::too_large));
  in_every_state([&] {
    EXPECT_EQ(size(), kFileSizeMax);
    EXPECT_EQ(read(kFileSizeMax - 2, 10), zeros(1) + "x");
  });
}

TEST_F(ContentTest, TruncateInsideABlockThenExtendReadsZeros) {
  write(0, std::string(100'000, 'a'));
  resize(70'000);
  resize(100'000);
  in_every_state([&] { EXPECT_EQ(read(69'990, 30'010), std::string(10, 'a') + zeros(30'000)); });
}

TEST_F(ContentTest, TruncateOfCommittedBlocksThenExtendReadsZeros) {
  write(0, std::string(300'000, 'a'));
  sync();
  resize(70'000);
  sync();
  resize(300'000);
  in_every_state([&] { EXPECT_EQ(read(69'990, 230'010), std::string(10, 'a') + zeros(230'000)); });
}

TEST_F(ContentTest, TruncateToABlockBoundaryKeepsTheBlocksBelow) {
  write(0, std::string(3 * kBlockSize, 'a'));
  sync();
  resize(kBlockSize);
  resize(3 * kBlockSize);
  in_every_state([&] { EXPECT_EQ(read(kBlockSize - 1, 3), "a" + zeros(2)); });
}

TEST_F(ContentTest, WriteAfterTruncateInOneCommit) {
  write(0, std::string(300'000, 'a'));
  sync();
  resize(10);
  write(150'000, "end");
  in_every_state([&] {
    EXPECT_EQ(size(), 150'003u);
    EXPECT_EQ(read(8, 4), "aa" + zeros(2));
    EXPECT_EQ(read(149'998, 10), zeros(2) + "end");
    EXPECT_EQ(read(100'000, 10), zeros(10));
  });
}

TEST_F(ContentTest, TruncateToNothingFreesEverything) {
  write(0, std::string(3'000'000, 'a'));
  sync();
  resize(0);
  in_every_state([&] {
    EXPECT_EQ(read(0, 10), "");
    EXPECT_EQ(temp_.tree().getattr(file_)->blocks, 0u);
  });
  EXPECT_EQ(temp_.vault().stats().content_bytes, 0u);
}

TEST_F(ContentTest, PunchedHoleReadsZerosAndItsNeighboursStay) {
  write(0, std::string(400'000, 'a'));
  sync();
  zero(60'000, 200'000);
  in_every_state([&] {
    EXPECT_EQ(read(59'990, 10), std::string(10, 'a'));
    EXPECT_EQ(read(60'000, 200'000), zeros(200'000));
    EXPECT_EQ(read(260'000, 10), std::string(10, 'a'));
    EXPECT_EQ(size(), 400'000u);
  });
  const uint64_t allocated = temp_.tree().getattr(file_)->blocks * 512;
  EXPECT_LE(allocated, 400'000 - 2 * kBlockSize + 4 * kCellSize) << "two whole blocks are free";
}

TEST_F(ContentTest, WriteIntoAHole) {
  write(0, std::string(400'000, 'a'));
  sync();
  zero(kBlockSize, kBlockSize);
  write(kBlockSize + 5, "b");
  in_every_state([&] { EXPECT_EQ(read(kBlockSize - 1, 8), "a" + zeros(5) + "b" + zeros(1)); });
}

TEST_F(ContentTest, PunchToTheEndKeepsTheSize) {
  write(0, std::string(400'000, 'a'));
  sync();
  zero(100'000, 1'000'000);
  in_every_state([&] {
    EXPECT_EQ(size(), 400'000u);
    EXPECT_EQ(read(99'999, 300'001), "a" + zeros(300'000));
  });
  write(400'000, "b");
  in_every_state([&] { EXPECT_EQ(read(399'999, 2), zeros(1) + "b"); });
}

TEST_F(ContentTest, ZeroRangeMayExtend) {
  write(0, "abc");
  zero(1, 10, true);
  in_every_state([&] { EXPECT_EQ(read(0, 100), "a" + zeros(10)); });
}

TEST_F(ContentTest, PunchInASparseGiantTouchesOnlyWhatExists) {
  write(uint64_t{1} << 40, "far");
  write(0, "near");
  sync();
  zero(1, uint64_t{1} << 40);
  in_every_state([&] {
    EXPECT_EQ(read(0, 4), "n" + zeros(3));
    EXPECT_EQ(read(uint64_t{1} << 40, 4), zeros(1) + "ar");
  });
}

TEST_F(ContentTest, EmptyRangesAreRefused) {
  EXPECT_TRUE(content().zero(file_, 0, 0, false).is(Code::invalid_argument));
  EXPECT_TRUE(content().allocate(file_, 0, 0).is(Code::invalid_argument));
}

TEST_F(ContentTest, AllocateGrowsAndNeverShrinks) {
  write(0, "abc");
  ASSERT_TRUE(content().allocate(file_, 0, 100'000).ok());
  EXPECT_EQ(size(), 100'000u);
  ASSERT_TRUE(content().allocate(file_, 0, 10).ok());
  in_every_state([&] {
    EXPECT_EQ(size(), 100'000u);
    EXPECT_EQ(read(0, 5), "abc" + zeros(2));
  });
}

TEST_F(ContentTest, SeekFindsDataAndHoles) {
  write(2 * kBlockSize, "two");
  write(10 * kBlockSize, std::string(kBlockSize, 'x'));
  resize(20 * kBlockSize);
  in_every_state([&] {
    const auto seek = [&](uint64_t offset, Whence whence) { return content().seek(file_, offset, whence).value(); };
    EXPECT_EQ(seek(0, Whence::data), 2 * kBlockSize);
    EXPECT_EQ(seek(2 * kBlockSize + 1, Whence::data), 2 * kBlockSize + 1);
    EXPECT_EQ(seek(3 * kBlockSize, Whence::data), 10 * kBlockSize);
    EXPECT_EQ(seek(0, Whence::hole), 0u);
    EXPECT_EQ(seek(10 * kBlockSize, Whence::hole), 11 * kBlockSize);
    EXPECT_TRUE(content().seek(file_, 11 * kBlockSize, Whence::data).is(Code::no_such_offset));
    EXPECT_TRUE(content().seek(file_, 20 * kBlockSize, Whence::hole).is(Code::no_such_offset));
  });
}

TEST_F(ContentTest, SeekSeesPendingHolesOverCommittedData) {
  write(0, std::string(4 * kBlockSize, 'x'));
  sync();
  zero(kBlockSize, kBlockSize);
  in_every_state([&] {
    EXPECT_EQ(content().seek(file_, 0, Whence::hole).value(), kBlockSize);
    EXPECT_EQ(content().seek(file_, kBlockSize, Whence::data).value(), 2 * kBlockSize);
    EXPECT_EQ(content().seek(file_, 2 * kBlockSize, Whence::hole).value(), 4 * kBlockSize);
  });
}

TEST_F(ContentTest, SeekInATruncatedFileSeesNoOldData) {
  write(0, std::string(4 * kBlockSize, 'x'));
  sync();
  resize(kBlockSize);
  resize(4 * kBlockSize);
  in_every_state([&] { EXPECT_TRUE(content().seek(file_, kBlockSize, Whence::data).is(Code::no_such_offset)); });
}

TEST_F(ContentTest, CopyStopsAtTheEndOfTheSource) {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += static_cast<char>('a' + i % 23);
  write(0, text);
  const Ino target = temp_.make_file(kRootIno, "copy");

  EXPECT_EQ(content().copy(file_, 100, target, 7, 10'000'000).value(), text.size() - 100);
  EXPECT_EQ(content().copy(file_, text.size(), target, 0, 10).value(), 0u);

  in_every_state([&] { EXPECT_EQ(temp_.read(target), zeros(7) + text.substr(100)); });
}

TEST_F(ContentTest, OnlyRegularFilesHaveContent) {
  const Ino fifo = temp_.tree().make(kRootIno, "fifo", {.mode = S_IFIFO | 0600, .symlink = {}})->ino;
  uint8_t byte = 0;
  EXPECT_TRUE(content().read(kRootIno, 0, {&byte, 1}).is(Code::is_directory));
  EXPECT_TRUE(content().write(kRootIno, 0, as_bytes("x")).is(Code::is_directory));
  EXPECT_TRUE(content().write(fifo, 0, as_bytes("x")).is(Code::invalid_argument));
  EXPECT_TRUE(temp_.tree().setattr(kRootIno, {.mode = {}, .size = 0}).is(Code::is_directory));
  EXPECT_TRUE(content().write(Ino{999}, 0, as_bytes("x")).is(Code::not_found));
}

TEST_F(ContentTest, WriteClearsSetUserIdWhenAsked) {
  const auto mode_after = [&](uint32_t mode, Privileges privileges) {
    EXPECT_TRUE(temp_.tree().setattr(file_, {.mode = mode, .size = {}}).ok());
    EXPECT_TRUE(content().write(file_, 0, as_bytes("another program"), privileges).ok());
    return temp_.tree().getattr(file_)->mode & 07777;
  };
  EXPECT_EQ(mode_after(06755, Privileges::clear), 0755u);
  EXPECT_EQ(mode_after(02745, Privileges::clear), 02745u) << "without group execute it is not set-group-id";
  EXPECT_EQ(mode_after(06755, Privileges::keep), 06755u);
}

TEST_F(ContentTest, DamagedBlockIsReportedAndTheRestStaysReadable) {
  write(0, std::string(2 * kBlockSize, 'a'));
  const Ino other = temp_.make_file(kRootIno, "other");
  temp_.write(other, 0, "fine");
  ASSERT_TRUE(temp_.vault().close().ok());
  temp_.close();
  {
    auto env = Env::open(temp_.directory() + "/data.mdb", {}).value();
    Bytes key, value;
    {
      ReadTxn txn = ReadTxn::begin(*env).value();
      Cursor cursor = Cursor::open(txn, Table::blocks).value();
      const uint8_t lowest = 0;
      auto item = cursor.seek({&lowest, 1}).value();
      key.assign(item->key.begin(), item->key.end());
      value.assign(item->value.begin(), item->value.end());
    }
    value[value.size() / 2] ^= 1;
    WriteTxn txn = WriteTxn::begin(*env).value();
    ASSERT_TRUE(txn.put(Table::blocks, key, value).ok());
    ASSERT_TRUE(std::move(txn).commit().ok());
  }
  temp_.reopen();

  Bytes whole(2 * kBlockSize);
  EXPECT_TRUE(content().read(file_, 0, whole).is(Code::corrupt));
  EXPECT_EQ(temp_.read(other), "fine");
  EXPECT_EQ(read(kBlockSize, 10), std::string(10, 'a')) << "only the damaged block is lost";

  // A change of other cells needs nothing of the damaged one, in memory, in the journal and in the database.
  const auto check = [&] {
    EXPECT_EQ(read(kCellSize, kCellSize), std::string(kCellSize, 'b'));
    EXPECT_TRUE(content().read(file_, 0, whole).is(Code::corrupt));
  };
  write(kCellSize, std::string(kCellSize, 'b'));
  check();
  ASSERT_TRUE(temp_.vault().fsync(file_).ok());
  temp_.crash();
  check();
  sync();
  check();
  temp_.reopen();
  check();
  EXPECT_TRUE(content()
                  .write(file_, kBlockSize / 2 - 10, as_bytes("part of the damaged cell"), Privileges::keep)
                  .is(Code::corrupt));
}

/// Rewriting the same cells again and again, as a log's or a database's last page, never rewrites the block.
TEST_F(ContentTest, ChangesOfTheSameCellsStayPatches) {
  write(0, std::string(kBlockSize, 'a'));
  sync();
  for (int i = 0; i < 10; ++i) {
    write(5 * kCellSize + 100, std::string(50, static_cast<char>('A' + i)));
    sync();
    EXPECT_EQ(stored_block_sizes(), (std::vector<size_t>{1, 16})) << i;
  }
  in_every_state([&] { EXPECT_EQ(read(5 * kCellSize + 99, 52), "a" + std::string(50, 'J') + "a"); });
}

/// Growing a patched block past a gap: the gap is zeros although no stored part has it.
TEST_F(ContentTest, APatchBehindAGapInABlock) {
  write(0, std::string(kCellSize + 100, 'a'));
  sync();
  write(9 * kCellSize + 5, "end");
  in_every_state(
      [&] { EXPECT_EQ(read(0, kBlockSize), std::string(kCellSize + 100, 'a') + zeros(8 * kCellSize - 95) + "end"); });
  write(kCellSize + 98, "bb");
  in_every_state([&] {
    EXPECT_EQ(read(kCellSize + 97, 10), "abb" + zeros(7));
    EXPECT_EQ(read(9 * kCellSize, 8), zeros(5) + "end");
  });
}

}  // namespace
}  // namespace tain::store
