// SPDX-License-Identifier: Apache-2.0
#include "store/read_windows.h"

#include <gtest/gtest.h>

namespace tain::store {
namespace {

constexpr uint64_t kWindow = ReadWindows::kWindowPages, kWholeRegion = kWindow * ReadWindows::kRegionWindows;

TEST(ReadWindowsTest, TheFirstPageOfAWindowAsksForAllOfIt) {
  ReadWindows windows;
  const auto range = windows.visit(7 * kWindow + 5);
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->page, 7 * kWindow);
  EXPECT_EQ(range->count, kWindow);

  for (uint64_t page = 7 * kWindow; page < 8 * kWindow; ++page) EXPECT_FALSE(windows.visit(page).has_value());
}

TEST(ReadWindowsTest, TheFirstWindowIsOneToo) {
  ReadWindows windows;
  EXPECT_TRUE(windows.visit(2).has_value());
  EXPECT_FALSE(windows.visit(3).has_value());
}

TEST(ReadWindowsTest, TheSecondWindowOfARegionSoonAfterAsksForAllOfIt) {
  ReadWindows windows;
  EXPECT_TRUE(windows.visit(5 * kWholeRegion + 2 * kWindow).has_value());
  EXPECT_TRUE(windows.visit(900 * kWholeRegion).has_value());
  const auto range = windows.visit(5 * kWholeRegion + 6 * kWindow);
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->page, 5 * kWholeRegion);
  EXPECT_EQ(range->count, kWholeRegion);

  for (uint64_t page = 5 * kWholeRegion; page < 6 * kWholeRegion; page += kWindow) EXPECT_FALSE(windows.visit(page).has_value());
}

TEST(ReadWindowsTest, MuchLaterItAsksForTheWindowOnly) {
  ReadWindows windows;
  EXPECT_TRUE(windows.visit(5 * kWholeRegion).has_value());
  for (uint64_t i = 10; i < 20; ++i) EXPECT_TRUE(windows.visit(i * kWholeRegion).has_value());
  const auto range = windows.visit(5 * kWholeRegion + kWindow);
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->count, kWindow);
}

TEST(ReadWindowsTest, AForgottenWindowIsAskedForAgain) {
  ReadWindows windows;
  EXPECT_TRUE(windows.visit(1000).has_value());
  windows.forget();
  const auto range = windows.visit(1000);
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->count, kWindow);
}

TEST(ReadWindowsTest, OneFarAwayMayTakeItsPlace) {
  ReadWindows windows;
  EXPECT_TRUE(windows.visit(1000).has_value());
  EXPECT_TRUE(windows.visit(1000 + (uint64_t{512} << 20) / 4096).has_value());
  EXPECT_TRUE(windows.visit(1000).has_value());
}

}  // namespace
}  // namespace tain::store
