// SPDX-License-Identifier: Apache-2.0
#include "cli/rate.h"

#include <gtest/gtest.h>

namespace tain::cli {
namespace {

TEST(RateTest, ReadsBytesASecond) {
  EXPECT_EQ(parse_rate("300").value(), 300u);
  EXPECT_EQ(parse_rate("500K").value(), 512'000u);
  EXPECT_EQ(parse_rate("4M").value(), uint64_t{4} << 20);
  EXPECT_EQ(parse_rate("1G").value(), uint64_t{1} << 30);
  EXPECT_EQ(parse_rate("off").value(), 0u);
}

TEST(RateTest, RefusesEverythingElse) {
  for (const char* text : {"", "0", "0M", "-1", "M", "1.5M", "4 M", "4MB", "4T", "on", "2000G", "99999999999999999999"})
    EXPECT_TRUE(parse_rate(text).is(Code::usage)) << text;
}

}  // namespace
}  // namespace tain::cli
