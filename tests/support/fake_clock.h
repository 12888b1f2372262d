// SPDX-License-Identifier: Apache-2.0
// A clock that the test moves.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace tain::test {

class FakeClock final : public Clock {
 public:
  int64_t wall_ns() override { return now_.fetch_add(1000) + set_by_.load(); }
  int64_t monotonic_ns() override { return now_.load(); }
  void advance_seconds(int64_t seconds) { now_ += seconds * 1'000'000'000; }
  /// Somebody sets the wall clock: forward, or back when negative. No time passes.
  void set_by_seconds(int64_t seconds) { set_by_ += seconds * 1'000'000'000; }

 private:
  std::atomic<int64_t> set_by_{0};
  std::atomic<int64_t> now_{int64_t{1'790'000'000} * 1'000'000'000};
};

}  // namespace tain::test
