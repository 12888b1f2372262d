// SPDX-License-Identifier: Apache-2.0
#include "store/age_clock.h"

#include <algorithm>

namespace tain::store {
namespace {

constexpr int64_t kMillisecond_ns = 1'000'000;
// The two clocks are not read at the same moment, and corrections make one of them go slower for a while.
constexpr int64_t kSlack_ms = 60'000;

}  // namespace

const AgeMark& AgeClock::look() {
  const int64_t going_ms = clock_.boottime_ns() / kMillisecond_ns;
  const int64_t wall_ms = std::max<int64_t>(clock_.wall_ns() / kMillisecond_ns, 1);
  const int64_t passed_ms = has_looked_ ? std::max<int64_t>(going_ms - looked_at_ms_, 0) : 0;
  has_looked_ = true;
  looked_at_ms_ = going_ms;

  if (mark_.aged_ms == 0) mark_.aged_ms = wall_ms;
  mark_.aged_ms += passed_ms;
  if (wall_ms <= mark_.aged_ms) {
    mark_ = {.aged_ms = wall_ms};
    return mark_;
  }
  if (mark_.doubted_ms != 0) {
    mark_.doubted_ms += passed_ms;
    mark_.waited_ms += passed_ms;
  }
  if (mark_.doubted_ms == 0 || wall_ms < mark_.doubted_ms - kSlack_ms) {
    mark_.doubted_ms = wall_ms;
    mark_.waited_ms = 0;
  }
  mark_.doubted_ms = std::min(mark_.doubted_ms, wall_ms);
  if (mark_.waited_ms < kDoubted_ms) return mark_;
  // What it has claimed since then is doubted anew.
  mark_ = {.aged_ms = std::max(mark_.aged_ms, mark_.doubted_ms)};
  if (wall_ms > mark_.aged_ms) mark_.doubted_ms = wall_ms;
  return mark_;
}

}  // namespace tain::store
