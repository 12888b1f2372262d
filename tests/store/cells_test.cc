// SPDX-License-Identifier: Apache-2.0
#include "store/cells.h"

#include <gtest/gtest.h>

#include <random>

namespace tain::store {
namespace {

Bytes read_all(const Cells& cells, size_t begin, size_t size, uint8_t filler = 0xee) {
  Bytes out(size, filler);
  static_cast<void>(cells.read(begin, out));
  return out;
}

TEST(CellMaskTest, NamesTheCellsThatARangeTouches) {
  EXPECT_EQ(cells_touching(0, 0), 0);
  EXPECT_EQ(cells_touching(5, 5), 0);
  EXPECT_EQ(cells_touching(0, 1), 0b1);
  EXPECT_EQ(cells_touching(4095, 4097), 0b11);
  EXPECT_EQ(cells_touching(4096, 8192), 0b10);
  EXPECT_EQ(cells_touching(kBlockSize - 1, kBlockSize), 0x8000);
  EXPECT_EQ(cells_touching(0, kBlockSize), kAllCells);
}

TEST(CellMaskTest, RunsAreMaximalAndClipped) {
  std::vector<std::pair<size_t, size_t>> runs;
  for_each_run(0b10110, 5000, 4 * kCellSize + 7, [&](size_t begin, size_t end) { runs.emplace_back(begin, end); });
  EXPECT_EQ(runs, (std::vector<std::pair<size_t, size_t>>{{5000, 3 * kCellSize}, {4 * kCellSize, 4 * kCellSize + 7}}));
}

TEST(CellsTest, ANewBlockIsWholeAndEmpty) {
  Cells cells;
  EXPECT_TRUE(cells.whole());
  EXPECT_EQ(cells.length(), 0u);
  EXPECT_EQ(read_all(cells, 10, 3), Bytes(3, 0));
}

TEST(CellsTest, APartHoldsOnlyWhatWasWritten) {
  Cells cells = Cells::none_of(kBlockSize);
  cells.write(5 * kCellSize, Bytes(kCellSize, 'a'));
  cells.write(2 * kCellSize, Bytes(kCellSize, 'b'));
  EXPECT_FALSE(cells.whole());
  EXPECT_EQ(cells.present(), 0b100100);
  EXPECT_EQ(cells.bytes().size(), 2 * kCellSize);
  EXPECT_EQ(cells.bytes().front(), 'b');  // ascending order, whatever came first

  Bytes out(4 * kCellSize, 'x');
  EXPECT_EQ(cells.read(2 * kCellSize, out), 0b11000);  // cells 3 and 4 have to come from elsewhere
  EXPECT_EQ(out[0], 'b');
  EXPECT_EQ(out[kCellSize], 'x');
  EXPECT_EQ(out[3 * kCellSize], 'a');
}

TEST(CellsTest, AShortLastCellGrowsWhenTheBlockDoes) {
  Cells cells = Cells::none_of(kCellSize + 100);
  cells.write(kCellSize, Bytes(100, 'z'));
  EXPECT_EQ(cells.bytes().size(), 100u);
  cells.write(9 * kCellSize, Bytes(7, 'y'));
  EXPECT_EQ(cells.length(), 9 * kCellSize + 7);
  EXPECT_EQ(cells.present(), 0b1000000010);
  ASSERT_EQ(cells.bytes().size(), kCellSize + 7);
  EXPECT_EQ(cells.bytes()[99], 'z');
  EXPECT_EQ(cells.bytes()[100], 0);
  EXPECT_EQ(cells.bytes()[kCellSize], 'y');
  EXPECT_EQ(cells.cell(9).size(), 7u);
}

TEST(CellsTest, AddingAllMakesItWhole) {
  Cells cells = Cells::none_of(3 * kCellSize + 5);
  cells.write(kCellSize, Bytes(kCellSize, 'q'));
  cells.add(kAllCells);
  EXPECT_TRUE(cells.whole());
  EXPECT_EQ(cells.bytes().size(), 3 * kCellSize + 5);
  EXPECT_EQ(cells.bytes()[kCellSize - 1], 0);
  EXPECT_EQ(cells.bytes()[kCellSize], 'q');
  cells.cut(kCellSize + 1);
  EXPECT_EQ(cells.bytes().size(), kCellSize + 1);
}

/// Any sequence of changes on a part, with the lacking cells filled in from the block that it lies over, shows the
/// same bytes as the changes on that block.
TEST(CellsTest, AgreesWithAPlainBlock) {
  std::mt19937 random(7);
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  for (int round = 0; round < 300; ++round) {
    Bytes base(1 + below(kBlockSize), 0);
    for (uint8_t& byte : base) byte = static_cast<uint8_t>(random());
    Bytes oracle = base;
    Cells cells = Cells::none_of(base.size());
    const auto fetch = [&](CellMask wanted) {  // what the owner of a part does before it changes cells in part
      const CellMask missing = wanted & static_cast<CellMask>(~cells.present()) & cells_touching(0, base.size());
      for (size_t cell = 0; cell * kCellSize < base.size(); ++cell)
        if ((missing >> cell & 1) != 0)
          cells.write(cell * kCellSize,
                      ByteView(base).subspan(cell * kCellSize, std::min(kCellSize, base.size() - cell * kCellSize)));
    };
    for (int step = 0; step < 6; ++step) {
      const size_t begin = below(kBlockSize);
      const size_t size = 1 + below(std::min<size_t>(kBlockSize - begin, 3 * kCellSize));
      if (below(4) == 0) {
        const size_t end = std::min(begin + size, oracle.size());
        if (begin >= end) continue;
        fetch(cells_touching(begin, end));
        cells.clear(begin, end);
        std::fill(oracle.begin() + static_cast<ptrdiff_t>(begin), oracle.begin() + static_cast<ptrdiff_t>(end), 0);
      } else {
        const Bytes data(size, static_cast<uint8_t>(1 + below(255)));
        fetch(cells_touching(begin, begin + size));
        cells.write(begin, data);
        oracle.resize(std::max(oracle.size(), begin + size));
        std::copy(data.begin(), data.end(), oracle.begin() + static_cast<ptrdiff_t>(begin));
      }
    }
    ASSERT_EQ(cells.length(), oracle.size());
    Bytes seen = base;
    seen.resize(kBlockSize);
    oracle.resize(kBlockSize);
    static_cast<void>(cells.read(0, seen));
    ASSERT_EQ(seen, oracle) << "round " << round;
  }
}

}  // namespace
}  // namespace tain::store
