// SPDX-License-Identifier: Apache-2.0
// Which of an entry's past states are kept for how long. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace tain::store {

/// How long past states stay, by when they ended, in seconds: all of them, then the last one of each hour, then of each
/// day, then of each month. 0 leaves a stage out; kForEver ends it never. Hours, days and months are those of UTC, so that
/// all devices agree.
struct Retention {
  static constexpr int64_t kForEver = INT64_MAX;
  static constexpr int64_t kNever = INT64_MIN;  // keeps nothing, also where the clock is behind
  int64_t all_s = 24 * 3600;
  int64_t hourly_s = 7 * 24 * 3600;
  int64_t daily_s = 91 * 24 * 3600;
  int64_t monthly_s = kForEver;
  /// After so long nothing of an entry's past is kept.
  int64_t longest_s() const;
  bool operator==(const Retention&) const = default;
};

/// What a vault keeps (docs/format.md §6.5): its own setting, the same for all who open it.
struct RetentionPolicy {
  Retention states;
  int64_t trash_s = 30 * 24 * 3600;  // what was removed can come back for so long; kForEver: until somebody empties the trash
  bool operator==(const RetentionPolicy&) const = default;
};

/// `default`; `all`: everything for ever; `week`: all for a week, and nothing older; `day`: the same for a day.
/// Nothing for any other name.
std::optional<RetentionPolicy> retention_preset(std::string_view name);
/// The name of the preset that this is; empty if it is none.
std::string_view preset_name(const RetentionPolicy& policy);

/// For each state whether it is kept. `ended_s` are Unix times, newest first. One that ends after `now_s` is kept.
std::vector<bool> kept_by(const Retention& retention, std::span<const int64_t> ended_s, int64_t now_s);

}  // namespace tain::store
