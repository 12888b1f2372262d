// SPDX-License-Identifier: Apache-2.0
#include "store/read_ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace tain::store {
namespace {

constexpr uint64_t kValue = 17;  // pages of a whole block
constexpr uint64_t kAhead = ReadAhead::kAheadPages, kPortion = ReadAhead::kPortionPages;

TEST(ReadAheadTest, WhoReadsInOrderFindsTheDiskAhead) {
  ReadAhead ahead;
  uint64_t asked = 0;  // up to there, without a gap
  for (uint64_t page = 1000; page < 20'000; page += kValue) {
    const auto range = ahead.visit({page, kValue});
    if (range.has_value()) {
      EXPECT_EQ(range->count, kPortion);
      if (asked != 0) {
        EXPECT_EQ(range->page, asked) << "nothing twice, and nothing left out";
      }
      asked = range->page + range->count;
    }
    const uint64_t next = page + kValue;
    EXPECT_LE(asked, next + kAhead);
    if (page > 2000) {
      EXPECT_GE(asked, next + kAhead - kPortion);
    }
  }
}

TEST(ReadAheadTest, AFewValuesInARowAskForNothing) {
  ReadAhead ahead;
  for (uint64_t page = 500; page + kValue < 500 + ReadAhead::kRunPages; page += kValue)
    EXPECT_FALSE(ahead.visit({page, kValue}).has_value());
}

TEST(ReadAheadTest, ThreadsThatShareTheReadsDisturbNothing) {
  ReadAhead ahead;
  std::vector<PageRange> asked;
  for (uint64_t page = 2; page < 10'000; page += 2 * kValue) {
    for (const uint64_t first : {page + kValue, page})
      if (const auto range = ahead.visit({first, kValue})) asked.push_back(*range);
  }
  ASSERT_GT(asked.size(), 30u);
  for (size_t i = 1; i < asked.size(); ++i) EXPECT_EQ(asked[i].page, asked[i - 1].page + asked[i - 1].count);
}

TEST(ReadAheadTest, TwoFilesThatAreReadInTurnsBothHaveIt) {
  ReadAhead ahead;
  uint64_t of_first = 0, of_second = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    if (ahead.visit({1000 + i * kValue, kValue}).has_value()) ++of_first;
    if (ahead.visit({90'000 + i * kValue, kValue}).has_value()) ++of_second;
  }
  EXPECT_GT(of_first, 5u);
  EXPECT_EQ(of_first, of_second);
}

TEST(ReadAheadTest, WhoReadsHereAndThereAsksForNothing) {
  ReadAhead ahead;
  uint64_t asked = 0, random = 1;
  for (int i = 0; i < 10'000; ++i) {  // of a gigabyte
    random = random * 6364136223846793005u + 1442695040888963407u;
    if (ahead.visit({2 + (random >> 46), 2}).has_value()) ++asked;
  }
  EXPECT_LT(asked, 20u);
}

TEST(ReadAheadTest, WhoReadsBackwardsAsksForNothing) {
  ReadAhead ahead;
  for (uint64_t page = 100'000; page > 1000; page -= kValue) EXPECT_FALSE(ahead.visit({page, kValue}).has_value()) << page;
}

}  // namespace
}  // namespace tain::store
