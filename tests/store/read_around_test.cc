// SPDX-License-Identifier: Apache-2.0
#include "store/read_around.h"

#include <gtest/gtest.h>

namespace tain::store {
namespace {

constexpr uint64_t kRegion = ReadAround::kRegionPages, kNear = ReadAround::kNearPages;

TEST(ReadAroundTest, TheSecondValueOfARegionAsksForAllOfIt) {
  ReadAround around;
  EXPECT_FALSE(around.visit(3 * kRegion + 5).has_value());
  const auto range = around.visit(3 * kRegion + 122);
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->page, 3 * kRegion);
  EXPECT_EQ(range->count, kRegion);
  EXPECT_FALSE(around.visit(3 * kRegion + 239).has_value()) << "it was asked for already";
  EXPECT_FALSE(around.visit(3 * kRegion + 5).has_value());
}

TEST(ReadAroundTest, OneValueAgainAndAgainIsNoReason) {
  ReadAround around;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(around.visit(777).has_value());
  EXPECT_TRUE(around.visit(777 + kNear + 1).has_value());
}

TEST(ReadAroundTest, OneValueAfterTheOtherIsNoReason) {
  ReadAround around;
  // As several threads do it: not quite in order.
  for (uint64_t page = 2; page < 20 * kRegion; page += 34) {
    EXPECT_FALSE(around.visit(page + 17).has_value()) << page;
    EXPECT_FALSE(around.visit(page).has_value()) << page;
  }
}

TEST(ReadAroundTest, RegionsAreKeptApart) {
  ReadAround around;
  EXPECT_FALSE(around.visit(0).has_value()) << "page 0 is no value, and does no harm";
  EXPECT_FALSE(around.visit(2 * kRegion - 1).has_value());
  EXPECT_FALSE(around.visit(2 * kRegion).has_value());
  EXPECT_TRUE(around.visit(2 * kRegion + kNear + 1).has_value());
}

TEST(ReadAroundTest, AFileFarLargerThanWhatIsReadOfItIsReadAsBefore) {
  ReadAround around;
  uint64_t asked = 0, random = 1;
  for (int i = 0; i < 1000; ++i) {  // of 2^27 pages, 512 GB
    random = random * 6364136223846793005u + 1442695040888963407u;
    if (around.visit(random >> 37).has_value()) ++asked;
  }
  EXPECT_LT(asked, 20u);
}

TEST(ReadAroundTest, AForgottenRegionIsNewAgain) {
  ReadAround around;
  EXPECT_FALSE(around.visit(2).has_value());
  EXPECT_TRUE(around.visit(100).has_value());
  EXPECT_FALSE(around.visit(2 + (uint64_t{8} << 30) / 4096).has_value()) << "takes its place";
  EXPECT_FALSE(around.visit(2).has_value());
  EXPECT_TRUE(around.visit(100).has_value());
}

}  // namespace
}  // namespace tain::store
