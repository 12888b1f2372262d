// SPDX-License-Identifier: Apache-2.0
#include "fs/request_pace.h"

#include <algorithm>

namespace tain::fs {

void RequestPace::waited(std::chrono::nanoseconds time, bool asleep) {
  // A try that gives the processor away and gets it back late was no success either: others need the processors, and
  // who sleeps in the kernel is served sooner than who asks again and again.
  const bool fast = time <= (asleep ? kFastAsleep : kPollMax);
  eager_ = fast ? std::min(eager_ + 1, kEagerMax) : std::max(eager_ - 2, 0);
}

bool RequestPace::take(RequestWeight weight, bool had_waited, size_t others) {
  if (weight == RequestWeight::note) return false;
  if (had_waited || others > 0) {
    crowd_ = kCrowdMemory;
  } else if (crowd_ > 0) {
    --crowd_;
  }
  if (weight == RequestWeight::heavy) return crowd_ > 0;
  waited_ = had_waited ? waited_ + 1 : 0;
  if (waited_ < kWaitedMax) return false;
  waited_ = 0;
  return true;
}

}  // namespace tain::fs
