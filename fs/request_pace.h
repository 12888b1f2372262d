// SPDX-License-Identifier: Apache-2.0
// When the request loop polls for the next request, and when a thread calls another one: decisions without threads,
// clocks or system calls.
//
// Waking a thread costs more than most requests, so as few threads as possible are to take part. But a thread that
// answers a request does not look for the next one. What has proved to be true a moment ago is taken to be true now:
// requests that came fast come fast; who kept others waiting will do it again.
#pragma once

#include <chrono>
#include <cstddef>

#include "fs/request_weight.h"

namespace tain::fs {

/// Threads: one at a time.
class RequestPace {
 public:
  /// Longer than from an answer to the next request of a program that does nothing else, on any processor.
  static constexpr std::chrono::microseconds kPollMax{60};
  /// What kPollMax would have found, had the thread not had to be woken for it.
  static constexpr std::chrono::microseconds kFastAsleep{120};
  /// So many fast ones in a row are forgotten only after half as many slow ones.
  static constexpr int kEagerMax = 8;
  /// Polling begins with the first fast one after so many, and ends with the last.
  static constexpr int kEagerEnough = 2;
  /// That several programs are at work is remembered for so many requests.
  static constexpr int kCrowdMemory = 64;
  /// So many light requests in a row that have waited are worth waking a thread.
  static constexpr int kWaitedMax = 4;

  /// How long who waits for the next request tries again and again before it sleeps.
  std::chrono::nanoseconds polling() const { return is_eager() ? kPollMax : std::chrono::nanoseconds(0); }
  /// A wait has ended with a request. `asleep`: not while polling.
  void waited(std::chrono::nanoseconds time, bool asleep);
  /// A request was taken; `had_waited`: it was there before somebody looked. `others`: requests that other threads are
  /// answering. Whether another thread is needed for the next request, if none is waiting for it.
  bool take(RequestWeight weight, bool had_waited, size_t others);

 private:
  bool is_eager() const { return eager_ >= kEagerEnough; }

  int eager_ = 0;       // 0 … kEagerMax
  int crowd_ = 0;       // requests until the crowd is forgotten
  int waited_ = 0;      // light requests in a row that had waited
};

}  // namespace tain::fs
