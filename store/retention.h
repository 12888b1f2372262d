// SPDX-License-Identifier: Apache-2.0
// Which of an entry's past states are kept for how long. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tain::store {

/// How long past states stay, by when they ended, in seconds: all of them, then the last one of each hour, then of each
/// day, then of each month. 0 leaves a stage out; kForEver ends it never. Hours, days and months are those of UTC, so that
/// all devices agree.
struct Retention {
  static constexpr int64_t kForEver = INT64_MAX;
  int64_t all_s = 24 * 3600;
  int64_t hourly_s = 7 * 24 * 3600;
  int64_t daily_s = 91 * 24 * 3600;
  int64_t monthly_s = kForEver;
  bool operator==(const Retention&) const = default;
};

/// For each state whether it is kept. `ended_s` are Unix times, newest first. One that ends after `now_s` is kept.
std::vector<bool> kept_by(const Retention& retention, std::span<const int64_t> ended_s, int64_t now_s);

}  // namespace tain::store
