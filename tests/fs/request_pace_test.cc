// SPDX-License-Identifier: Apache-2.0
#include "fs/request_pace.h"

#include <gtest/gtest.h>

namespace tain::fs {
namespace {

using std::chrono::microseconds;
constexpr auto kLight = RequestWeight::light;
constexpr auto kHeavy = RequestWeight::heavy;
constexpr auto kNote = RequestWeight::note;
constexpr microseconds kFast{20};
constexpr microseconds kSlow{1000};

bool polls(const RequestPace& pace) {
  return pace.polling() == RequestPace::kPollMax;
}

TEST(RequestPaceTest, TheFirstWaitSleepsAtOnce) {
  EXPECT_EQ(RequestPace().polling().count(), 0);
}

TEST(RequestPaceTest, PollsOnceRequestsHaveComeFast) {
  RequestPace pace;
  pace.waited(kFast, true);
  EXPECT_FALSE(polls(pace)) << "one proves nothing";

  pace.waited(kFast, true);

  EXPECT_TRUE(polls(pace));
}

TEST(RequestPaceTest, WakingIsAllowedForWhenItSlept) {
  RequestPace asleep, awake;
  for (int i = 0; i < RequestPace::kEagerEnough; ++i) {
    asleep.waited(RequestPace::kFastAsleep, true);
    awake.waited(RequestPace::kFastAsleep, false);
  }

  EXPECT_TRUE(polls(asleep));
  EXPECT_FALSE(polls(awake)) << "the processor was given away for longer than polling is worth";
}

TEST(RequestPaceTest, StopsPollingWhenItFindsNothing) {
  RequestPace pace;
  for (int i = 0; i < 1000; ++i) pace.waited(kFast, false);
  int vain = 0;

  for (; polls(pace); ++vain) pace.waited(kSlow, true);

  EXPECT_LE(vain, RequestPace::kEagerMax / 2);
  for (int i = 0; i < 1000; ++i) {
    pace.waited(kSlow, true);
    EXPECT_FALSE(polls(pace));
  }
}

TEST(RequestPaceTest, OneSlowRequestAmongFastOnesChangesNothing) {
  RequestPace pace;
  for (int i = 0; i < RequestPace::kEagerMax; ++i) pace.waited(kFast, false);

  for (int i = 0; i < 100; ++i) {
    pace.waited(kSlow, true);
    EXPECT_TRUE(polls(pace));
    for (int j = 0; j < 3; ++j) pace.waited(kFast, false);
  }
}

TEST(RequestPaceTest, OneProgramNeedsOneThread) {
  RequestPace pace;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(pace.take(kLight, false, 0));
    EXPECT_FALSE(pace.take(kHeavy, false, 0)) << "it waits for its fsync itself";
    EXPECT_FALSE(pace.take(kNote, true, 0)) << "what it has let go of is no second program";
  }
}

TEST(RequestPaceTest, AHeavyRequestCallsAThreadWhenSeveralProgramsAreAtWork) {
  RequestPace had_waited, meanwhile;
  EXPECT_FALSE(had_waited.take(kLight, true, 0));
  EXPECT_FALSE(meanwhile.take(kLight, false, 1));

  EXPECT_TRUE(had_waited.take(kHeavy, false, 0));
  EXPECT_TRUE(meanwhile.take(kHeavy, false, 0));
}

TEST(RequestPaceTest, ACrowdIsForgotten) {
  RequestPace pace;
  EXPECT_TRUE(pace.take(kHeavy, true, 0));

  for (int i = 0; i < RequestPace::kCrowdMemory; ++i) pace.take(kLight, false, 0);

  EXPECT_FALSE(pace.take(kHeavy, false, 0));
}

TEST(RequestPaceTest, LightRequestsCallAThreadWhenManyInARowHadToWait) {
  RequestPace pace;
  for (int round = 0; round < 3; ++round) {
    for (int i = 1; i < RequestPace::kWaitedMax; ++i) EXPECT_FALSE(pace.take(kLight, true, 0));
    EXPECT_TRUE(pace.take(kLight, true, 0));
  }

  for (int i = 1; i < RequestPace::kWaitedMax; ++i) EXPECT_FALSE(pace.take(kLight, true, 0));
  EXPECT_FALSE(pace.take(kLight, false, 0)) << "the queue was empty";
  EXPECT_FALSE(pace.take(kLight, true, 0));
}

}  // namespace
}  // namespace tain::fs
