// SPDX-License-Identifier: Apache-2.0
#include "store/age_clock.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace tain::store {
namespace {

constexpr int64_t kHour = 3600, kDay = 24 * kHour, kYear = 365 * kDay;

class AgeClockTest : public testing::Test {
 protected:
  int64_t wall_s() { return clock_.wall_ns() / 1'000'000'000; }
  /// The vault is open for so long, and somebody looks every hour.
  int64_t open_for(AgeClock& ages, int64_t seconds) {
    int64_t now = ages.now_s();
    for (; seconds > 0; seconds -= kHour) {
      clock_.advance_seconds(std::min(seconds, kHour));
      now = ages.now_s();
    }
    return now;
  }
  test::FakeClock clock_;
};

TEST_F(AgeClockTest, GoesWithAClockThatIsRight) {
  AgeClock ages(clock_, {});
  EXPECT_EQ(ages.now_s(), wall_s());
  for (int64_t step : {int64_t{1}, kHour, 40 * kDay}) {
    clock_.advance_seconds(step);
    EXPECT_EQ(ages.now_s(), wall_s());
  }
}

TEST_F(AgeClockTest, AClockThatJumpedIsDoubtedForADay) {
  AgeClock ages(clock_, {});
  const int64_t start = ages.now_s();
  clock_.set_by_seconds(25 * kYear);
  EXPECT_EQ(ages.now_s(), start);
  EXPECT_EQ(open_for(ages, 23 * kHour), start + 23 * kHour);
  clock_.set_by_seconds(-25 * kYear);
  EXPECT_EQ(ages.now_s(), wall_s());
  const int64_t right = open_for(ages, 40 * kHour);
  EXPECT_EQ(right, wall_s()) << "it was waiting still";

  clock_.set_by_seconds(25 * kYear);
  EXPECT_LT(open_for(ages, 23 * kHour), start + 4 * kDay);
  const int64_t believed = open_for(ages, kHour);
  EXPECT_EQ(believed, wall_s()) << "it said so for a day";
}

TEST_F(AgeClockTest, AClockThatIsSetBackIsBelievedAtOnce) {
  AgeClock ages(clock_, {});
  ages.look();
  clock_.set_by_seconds(-10 * kYear);
  EXPECT_EQ(ages.now_s(), wall_s());
  // Forward again it is as any other jump.
  clock_.set_by_seconds(10 * kYear);
  EXPECT_LT(ages.now_s(), wall_s() - 9 * kYear);
}

TEST_F(AgeClockTest, AVaultThatWasClosedForAYearCatchesUpOverItsOpenings) {
  AgeMark mark = AgeClock(clock_, {}).look();
  clock_.advance_seconds(kYear);
  const int64_t opened = wall_s();
  for (int day = 0; day < 4; ++day) {
    AgeClock ages(clock_, mark);
    EXPECT_LT(open_for(ages, 5 * kHour), opened - kYear + 2 * kDay) << day;
    mark = ages.look();
    clock_.advance_seconds(19 * kHour);
  }
  AgeClock ages(clock_, mark);
  const int64_t first = open_for(ages, 4 * kHour);
  EXPECT_GE(first, opened);
  EXPECT_LT(first, wall_s()) << "what the clock claimed later is younger than a day";
  const int64_t second = open_for(ages, kDay);
  EXPECT_EQ(second, wall_s());
}

TEST_F(AgeClockTest, WaitingForOneClaimIsNoWaitingForALaterOne) {
  AgeClock first(clock_, {});
  first.look();
  clock_.set_by_seconds(3 * kDay);
  open_for(first, 23 * kHour);
  AgeClock second(clock_, first.look());
  clock_.set_by_seconds(25 * kYear);
  const int64_t claimed = wall_s() - 25 * kYear;
  EXPECT_LE(open_for(second, 2 * kHour), claimed + 3 * kHour);
  EXPECT_LE(open_for(second, 20 * kHour), claimed + kDay);
}

}  // namespace
}  // namespace tain::store
