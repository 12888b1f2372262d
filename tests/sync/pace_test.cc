// SPDX-License-Identifier: Apache-2.0
#include "sync/pace.h"

#include <gtest/gtest.h>

#include <set>

namespace tain::sync {
namespace {

constexpr int64_t kSecond = PaceSettings::kSecond;
constexpr PaceSettings kSettings{};

TEST(PaceTest, BeginsAtOnce) { EXPECT_EQ(*Pace(kSettings, 1, 100).due(), 100); }

TEST(PaceTest, ChangesAreGathered) {
  Pace pace(kSettings, 1, 0);
  pace.succeeded(0, true, false);
  pace.changed(10 * kSecond);
  EXPECT_EQ(*pace.due(), 11 * kSecond);
  pace.changed(10 * kSecond + kSecond / 2);
  EXPECT_EQ(*pace.due(), 11 * kSecond + kSecond / 2);
}

TEST(PaceTest, WhoNeverStopsChangingIsSentAllTheSame) {
  Pace pace(kSettings, 1, 0);
  pace.succeeded(0, true, false);
  for (int64_t now = 10 * kSecond; now < 60 * kSecond; now += kSecond / 2) pace.changed(now);
  EXPECT_EQ(*pace.due(), 25 * kSecond);
}

TEST(PaceTest, LooksLessOftenWhenNothingHappens) {
  Pace pace(kSettings, 1, 0);
  int64_t now = 0, last = 0;
  for (int i = 0; i < 10; ++i) {
    pace.succeeded(now, false, false);
    last = *pace.due() - now;
    EXPECT_LE(last, kSettings.poll_max_ns * 5 / 4);
    now = *pace.due();
  }
  EXPECT_GE(last, kSettings.poll_max_ns * 3 / 4);
  pace.succeeded(now, true, false);
  EXPECT_LE(*pace.due() - now, kSettings.poll_ns * 5 / 4);
}

TEST(PaceTest, GoesOnAtOnceWhenThereIsMore) {
  Pace pace(kSettings, 1, 0);
  pace.succeeded(7, true, true);
  EXPECT_EQ(*pace.due(), 7);
}

TEST(PaceTest, ADeadRemoteIsAskedEverMoreSeldom) {
  Pace pace(kSettings, 1, 0);
  int64_t before = 0;
  for (int i = 0; i < 60; ++i) {
    pace.failed(0, Code::remote_unreachable, {});
    EXPECT_LE(*pace.due(), kSettings.retry_max_ns * 5 / 4);
    if (i < 8) {
      EXPECT_GT(*pace.due(), before) << i;
    }
    before = *pace.due();
  }
  EXPECT_GE(before, kSettings.retry_max_ns * 3 / 4);
  EXPECT_EQ(pace.failures(), 60u);
  // Not even because there is more to send.
  pace.changed(1);
  EXPECT_EQ(*pace.due(), before);

  pace.hurry(5);
  EXPECT_EQ(*pace.due(), 5);
  EXPECT_EQ(pace.failures(), 0u);
}

TEST(PaceTest, WhatNeedsAPersonIsNotTriedAllTheTime) {
  for (const Code code : {Code::remote_refused, Code::remote_foreign, Code::no_space}) {
    Pace pace(kSettings, 1, 0);
    pace.failed(0, code, {});
    EXPECT_GE(*pace.due(), kSettings.retry_max_ns * 3 / 4);
  }
}

TEST(PaceTest, AServerThatAsksForTimeGetsItWithinBounds) {
  Pace pace(kSettings, 1, 0);
  pace.failed(0, Code::remote_unreachable, 120 * kSecond);
  EXPECT_EQ(*pace.due(), 120 * kSecond);
  pace.failed(0, Code::remote_unreachable, INT64_MAX);
  EXPECT_EQ(*pace.due(), kSettings.told_max_ns);
  Pace other(kSettings, 1, 0);
  other.failed(0, Code::remote_unreachable, -5);
  EXPECT_GT(*other.due(), 0);
}

TEST(PaceTest, DevicesDoNotComeBackTogether) {
  std::set<int64_t> times;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Pace pace(kSettings, seed * 0x9e3779b97f4a7c15, 0);
    pace.failed(0, Code::remote_unreachable, {});
    pace.failed(0, Code::remote_unreachable, {});
    times.insert(*pace.due());
  }
  EXPECT_GT(times.size(), 95u);
}

TEST(PaceTest, WhilePausedNothingIsDue) {
  Pace pace(kSettings, 1, 0);
  pace.pause();
  pace.changed(5);
  EXPECT_FALSE(pace.due().has_value());
  pace.resume(9);
  EXPECT_EQ(*pace.due(), 9);
}

}  // namespace
}  // namespace tain::sync
