// SPDX-License-Identifier: Apache-2.0
// When the next step of a sync is due: soon after a change, seldom when nothing happens, and ever less often while a remote
// does not answer.
//
// Pure: times come in, a time comes out. Nanoseconds of a clock that counts while the machine sleeps
// (Clock::boottime_ns), so that after a night the first thing is a look. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"

namespace tain::sync {

struct PaceSettings {
  static constexpr int64_t kSecond = 1'000'000'000;
  int64_t settle_ns = 1 * kSecond;        // after the last local change
  int64_t settle_max_ns = 15 * kSecond;   // but no later than this after the first one
  int64_t poll_ns = 30 * kSecond;         // for the changes of others, while there are some
  int64_t poll_max_ns = 300 * kSecond;    // when there were none for long
  int64_t retry_ns = 5 * kSecond;         // after the first failure; twice as long after each further one
  int64_t retry_max_ns = 1800 * kSecond;
  int64_t told_max_ns = 3600 * kSecond;   // of what a server wants to be left alone for, at most
};

class Pace {
 public:
  /// `seed`: two devices that lost the same server do not come back at the same moment.
  Pace(const PaceSettings& settings, uint64_t seed, int64_t now) : settings_(settings), random_(seed | 1), due_(now), poll_(settings.poll_ns) {}

  /// Something is to be published.
  void changed(int64_t now);
  /// A step has come to its end. `busy`: it changed something, here or there; `more`: there is more to do at once.
  void succeeded(int64_t now, bool busy, bool more);
  /// A step failed. `told_ns`: how long the server wants to be left alone. What only a person can mend (remote_refused,
  /// remote_foreign, no_space on the remote) is tried again as seldom as possible.
  void failed(int64_t now, Code code, std::optional<int64_t> told_ns);
  /// Somebody wants it now, or the network is back: what failed before does not count.
  void hurry(int64_t now);
  void pause() { paused_ = true; }
  void resume(int64_t now);
  bool is_paused() const { return paused_; }

  /// When the next step is due; may be in the past. Nothing: not before something happens.
  std::optional<int64_t> due() const;
  /// Failures since the last step that came to its end.
  uint32_t failures() const { return failures_; }

 private:
  /// Up to a quarter more or less.
  int64_t jittered(int64_t duration);

  PaceSettings settings_;
  uint64_t random_;
  int64_t due_;
  int64_t poll_;  // now
  uint32_t failures_ = 0;
  std::optional<int64_t> first_change_;  // that no step has seen yet
  bool paused_ = false;
};

}  // namespace tain::sync
