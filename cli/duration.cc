// SPDX-License-Identifier: Apache-2.0
#include "cli/duration.h"

#include <charconv>
#include <string>

namespace tain::cli {
namespace {

constexpr int64_t kSecondsMax = int64_t{10} * 366 * 86400;

/// Seconds in one unit; 0: no such unit.
int64_t seconds_in(std::string_view unit) {
  if (unit == "s") return 1;
  if (unit == "m" || unit == "min") return 60;
  if (unit == "h") return 3600;
  if (unit == "d") return 86400;
  if (unit == "w") return 7 * 86400;
  return 0;
}

}  // namespace

Result<int64_t> parse_duration(std::string_view text) {
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const int64_t unit = seconds_in(text.substr(static_cast<size_t>(end - text.data())));
  if (error != std::errc() || unit == 0 || count < 1 || count > kSecondsMax / unit)
    return Error(Code::usage, "'" + std::string(text) + "' is not a duration").hint("for example 90s, 15m, 2h or 1d");
  return count * unit;
}

}  // namespace tain::cli
