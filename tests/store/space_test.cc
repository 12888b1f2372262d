// SPDX-License-Identifier: Apache-2.0
// Space for a commit: pages in a row, and pages at all.
#include "store/space.h"

#include <gtest/gtest.h>

#include "store/cipher.h"

namespace tain::store {
namespace {

const size_t kWholeBlock = block_value_size(kBlockSize);

SpaceNeed blocks(int count) {
  SpaceNeed need;
  for (int i = 0; i < count; ++i) need.change_value(0, kWholeBlock);
  return need;
}
/// `count` runs of `length` pages, with a page in use between them.
FreeSpace runs(uint64_t count, uint64_t length) {
  FreeSpace space;
  for (uint64_t i = 0; i < count; ++i) space.runs.push_back({i * (length + 1), length});
  return space;
}

TEST(SpaceTest, ValuesOfTreePagesNeedNoRowAndLongOnesCountLmdbsHeader) {
  EXPECT_EQ(pages_in_a_row(2000), 0u);
  EXPECT_EQ(pages_in_a_row(2100), 1u);
  EXPECT_EQ(pages_in_a_row(4080), 1u);
  EXPECT_EQ(pages_in_a_row(4081), 2u);
  EXPECT_EQ(pages_in_a_row(kWholeBlock), 17u);
}

TEST(SpaceTest, EnoughPagesInTooShortRowsAreNotEnough) {
  EXPECT_FALSE(blocks(1).fits(runs(1000, 16), 0));
  EXPECT_TRUE(blocks(1).fits(runs(1000, 17), 0));
}

TEST(SpaceTest, EveryBlockNeedsARowOfItsOwn) {
  FreeSpace space = runs(100, 17 + 16);
  // The first rows go to the tree's pages, so the last ones count.
  EXPECT_TRUE(blocks(90).fits(space, 0));
  EXPECT_FALSE(blocks(101).fits(space, 0));
  space.beyond = 17 * 20;
  EXPECT_TRUE(blocks(110).fits(space, 0));
}

TEST(SpaceTest, ReserveIsLeftOver) {
  FreeSpace space;
  space.beyond = 1000;
  EXPECT_TRUE(blocks(1).fits(space, 900));
  EXPECT_FALSE(blocks(1).fits(space, 990));
}

TEST(SpaceTest, RecordsCopyNoMorePagesThanThereAre) {
  SpaceNeed need;
  need.change_records(1'000'000, 0);
  FreeSpace space;
  space.beyond = 500;
  space.tree_pages = 400;
  EXPECT_TRUE(need.fits(space, 0));
  space.tree_pages = 600;
  EXPECT_FALSE(need.fits(space, 0));
}

TEST(SpaceTest, FreePagesThatTheDiskCannotPayForAreNone) {
  FreeSpace space = runs(1000, 17);
  EXPECT_TRUE(blocks(20).fits(space, 0));
  space.limit = 20 * 17;  // and the pages of the commit itself
  EXPECT_FALSE(blocks(20).fits(space, 0));
  EXPECT_TRUE(blocks(10).fits(space, 0));
}

TEST(SpaceTest, WhatIsTakenBackCountsNoMore) {
  SpaceNeed need = blocks(10);
  need.change_records(10, 1000);
  for (int i = 0; i < 10; ++i) need.change_value(kWholeBlock, 0);
  need.change_records(-10, -1000);
  EXPECT_EQ(need.pages(100), SpaceNeed().pages(100));
}

}  // namespace
}  // namespace tain::store
