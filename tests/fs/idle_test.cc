// SPDX-License-Identifier: Apache-2.0
#include "fs/idle.h"

#include <gtest/gtest.h>

namespace tain::fs {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(IdleTimerTest, FiresAfterTheLimitWithoutRequests) {
  IdleTimer timer(60 * kSecond, 0);
  EXPECT_FALSE(timer.tick(0, 59 * kSecond));
  EXPECT_TRUE(timer.tick(0, 60 * kSecond));
}

TEST(IdleTimerTest, ARequestStartsTheLimitAnew) {
  IdleTimer timer(60 * kSecond, 0);
  EXPECT_FALSE(timer.tick(5, 50 * kSecond));
  EXPECT_FALSE(timer.tick(5, 109 * kSecond));
  EXPECT_TRUE(timer.tick(5, 110 * kSecond));
}

TEST(IdleTimerTest, SoDoesAnOpenFile) {
  IdleTimer timer(60 * kSecond, 0);
  EXPECT_TRUE(timer.tick(0, 60 * kSecond));
  timer.in_use(60 * kSecond);
  EXPECT_FALSE(timer.tick(0, 119 * kSecond));
  EXPECT_TRUE(timer.tick(0, 120 * kSecond));
}

TEST(IdleTimerTest, TicksFourTimesWithinTheLimitButNotMoreOftenThanNeeded) {
  EXPECT_EQ(IdleTimer(20 * kSecond, 0).interval_ns(), 5 * kSecond);
  EXPECT_EQ(IdleTimer(24 * 3600 * kSecond, 0).interval_ns(), 60 * kSecond);
}

}  // namespace
}  // namespace tain::fs
