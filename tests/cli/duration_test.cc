// SPDX-License-Identifier: Apache-2.0
#include "cli/duration.h"

#include <gtest/gtest.h>

namespace tain::cli {
namespace {

TEST(DurationTest, ReadsANumberWithAUnit) {
  EXPECT_EQ(parse_duration("90s").value(), 90);
  EXPECT_EQ(parse_duration("15m").value(), 900);
  EXPECT_EQ(parse_duration("15min").value(), 900);
  EXPECT_EQ(parse_duration("2h").value(), 7200);
  EXPECT_EQ(parse_duration("1d").value(), 86400);
  EXPECT_EQ(parse_duration("3w").value(), 3 * 7 * 86400);
}

TEST(DurationTest, RefusesEverythingElse) {
  for (const char* text : {"", "15", "m", "-1s", "0s", "1.5h", "5 m", "5x", "99999999999999999999s", "9999999w", "1h30m"})
    EXPECT_TRUE(parse_duration(text).is(Code::usage)) << text;
}

}  // namespace
}  // namespace tain::cli
