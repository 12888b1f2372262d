// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <ctime>

namespace tain {
namespace {

int64_t read_clock(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class SystemClock final : public Clock {
 public:
  int64_t wall_ns() override { return read_clock(CLOCK_REALTIME); }
  int64_t monotonic_ns() override { return read_clock(CLOCK_MONOTONIC); }
  int64_t boottime_ns() override { return read_clock(CLOCK_BOOTTIME); }
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

}  // namespace tain
