// SPDX-License-Identifier: Apache-2.0
// Time as a dependency: the system's, or a test's.
#pragma once

#include <cstdint>

namespace tain {

class Clock {
 public:
  virtual ~Clock() = default;
  /// Nanoseconds since the Unix epoch.
  virtual int64_t wall_ns() = 0;
  /// Nanoseconds from an arbitrary start; never goes back.
  virtual int64_t monotonic_ns() = 0;
  /// The same, and the time that the machine slept counts.
  virtual int64_t boottime_ns() { return monotonic_ns(); }
};

/// The system's clocks. Threads: any. Lives for ever.
Clock& system_clock();

/// Unix seconds by the system's clock.
inline uint64_t now_seconds() { return static_cast<uint64_t>(system_clock().wall_ns() / 1'000'000'000); }

}  // namespace tain
