// SPDX-License-Identifier: Apache-2.0
#include "base/moment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace tain {
namespace {

/// In Berlin, where clocks change on 2026-03-29 and 2026-10-25, by a rule that needs no data files.
class MomentTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* zone = std::getenv("TZ")) before_ = zone;
    ::setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    ::tzset();
  }
  void TearDown() override {
    if (before_.empty()) {
      ::unsetenv("TZ");
    } else {
      ::setenv("TZ", before_.c_str(), 1);
    }
    ::tzset();
  }
  static int64_t utc(int year, int month, int day, int hour, int minute, int second, int ms) {
    tm date{};
    date.tm_year = year - 1900;
    date.tm_mon = month - 1;
    date.tm_mday = day;
    date.tm_hour = hour;
    date.tm_min = minute;
    date.tm_sec = second;
    return int64_t{::timegm(&date)} * 1000 + ms;
  }
  int64_t parse(std::string_view text, bool is_relative = false) {
    const auto moment = parse_moment(text, now_);
    EXPECT_TRUE(moment.ok()) << text;
    if (!moment.ok()) return 0;
    EXPECT_EQ(moment->is_relative, is_relative) << text;
    return moment->ms;
  }

  std::string before_;
  const int64_t now_ = utc(2026, 11, 28, 9, 30, 15, 500);  // 10:30:15 in Berlin
};

TEST_F(MomentTest, ATextMeansTheEndOfThePeriodThatItNames) {
  EXPECT_EQ(parse("2026-11-01"), utc(2026, 11, 1, 22, 59, 59, 999));
  EXPECT_EQ(parse("2026-11-01T10"), utc(2026, 11, 1, 9, 59, 59, 999));
  EXPECT_EQ(parse("2026-11-01T10:00"), utc(2026, 11, 1, 9, 0, 59, 999));
  EXPECT_EQ(parse("2026-11-01T10:00:30"), utc(2026, 11, 1, 9, 0, 30, 999));
  EXPECT_EQ(parse("2026-11-01T10:00:30.250"), utc(2026, 11, 1, 9, 0, 30, 250));
  EXPECT_EQ(parse("2026-10"), utc(2026, 10, 31, 22, 59, 59, 999));
  EXPECT_EQ(parse("2026-12"), utc(2026, 12, 31, 22, 59, 59, 999));
}

TEST_F(MomentTest, SpellingsThatFitFileNamesAndShells) {
  const int64_t expected = utc(2026, 11, 1, 9, 0, 59, 999);
  for (const char* text : {"2026-11-01t10:00", "2026-11-01 10:00", "2026-11-01_10.00", "2026-11-01T09:00Z"})
    EXPECT_EQ(parse(text), expected) << text;
  EXPECT_EQ(parse("@1793527200"), 1793527200999);
}

TEST_F(MomentTest, ADayHasTheHoursThatItHas) {
  EXPECT_EQ(parse("2026-10-25") - parse("2026-10-24"), 25 * 3600 * 1000);
  EXPECT_EQ(parse("2026-03-29") - parse("2026-03-28"), 23 * 3600 * 1000);
}

TEST_F(MomentTest, RelativeToNow) {
  EXPECT_EQ(parse("now", true), now_);
  EXPECT_EQ(parse("today", true), utc(2026, 11, 28, 22, 59, 59, 999));
  EXPECT_EQ(parse("Yesterday", true), utc(2026, 11, 27, 22, 59, 59, 999));
  EXPECT_EQ(parse("10:00", true), utc(2026, 11, 28, 9, 0, 59, 999));
  for (const char* text : {"3h ago", "3 hours ago", "3h-ago", "180 min ago", "10800s_ago"})
    EXPECT_EQ(parse(text, true), now_ - 3 * 3600 * 1000) << text;
  EXPECT_EQ(parse("2 days ago", true), now_ - 2 * 86400 * 1000);
  EXPECT_EQ(parse("1w ago", true), now_ - 7 * 86400 * 1000);
  EXPECT_EQ(parse("1 month ago", true), utc(2026, 10, 28, 9, 30, 15, 0));
  EXPECT_EQ(parse("2 months ago", true), utc(2026, 9, 28, 8, 30, 15, 0)) << "the same time of day, in summer";
  EXPECT_EQ(parse("1 year ago", true), utc(2025, 11, 28, 9, 30, 15, 0));
}

TEST_F(MomentTest, WhatIsNoTimeIsRefused) {
  for (const char* text :
       {"", "x", "2026", "2026-13", "2026-00", "2026-11-31", "2026-02-29", "2026-11-01T24", "2026-11-01T10:60", "2026-11-01T",
        "2026-11-01T10:00:00.1", "2026-11-01x", "26-11-01", "0001-01-01", "3h", "ago", "h ago", "3 parsecs ago", "-3h ago",
        "999999999 years ago", "99999999999999999999h ago", "yesterdays", "@", "@x", "@99999999999999999999", "10:0", "1:00",
        "nowx", "2026-11-01T10:00:00.1234", "notes.md"})
    EXPECT_TRUE(parse_moment(text, now_).is(Code::invalid_argument)) << text;
}

TEST_F(MomentTest, NamesSortByTimeAndLeadBack) {
  std::string before;
  for (const int64_t ms : {INT64_C(0), INT64_C(1), utc(1999, 12, 31, 23, 59, 59, 999), utc(2026, 3, 29, 0, 59, 59, 1),
                           utc(2026, 3, 29, 1, 0, 0, 0), utc(2026, 11, 1, 9, 0, 0, 123), utc(2026, 11, 1, 9, 0, 0, 124)}) {
    const std::string name = moment_name(ms);
    EXPECT_LT(before, name);
    if (ms > 86'400'000) { EXPECT_EQ(parse(name), ms) << name; }
    before = name;
  }
  EXPECT_EQ(moment_name(utc(2026, 11, 1, 9, 0, 0, 123)), "2026-11-01T10.00.00.123");
  EXPECT_EQ(day_name(utc(2026, 11, 1, 23, 30, 0, 0)), "2026-11-02");
}

}  // namespace
}  // namespace tain
