// SPDX-License-Identifier: Apache-2.0
// Moments of the past as people write and read them, in local time. Pure, but for the time zone of the process.
//
// A text names a period, and means its end: `2026-11-01` is that day's last moment, `2026-11-01T10:00` that minute's. So
// what a listing shows as saved at 10:00 is there at 10:00, and `yesterday` has all of yesterday's work. Understood are
//
//     2026-11-01   2026-11-01T10:00   2026-11-01T10:00:30   2026-11-01T10.00.30.250   2026-11   10:00 (today)
//     now   today   yesterday   3h ago   2 days ago   1w-ago   @1793527200 (Unix seconds)
//
// with a blank or `_` in place of T, dots in place of colons (file names cannot be typed comfortably with those), and Z
// at the end for UTC.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tain {

struct Moment {
  int64_t ms = 0;            // since the Unix epoch
  bool is_relative = false;  // to now: the same text means something else later
};

/// Errors: invalid_argument.
Result<Moment> parse_moment(std::string_view text, int64_t now_ms);

/// `2026-11-01T10.00.00.123`: sorts by time, and parse_moment() yields it again, but for the hour that comes twice a year.
std::string moment_name(int64_t ms);
/// `2026-11-01`.
std::string day_name(int64_t ms);

}  // namespace tain
