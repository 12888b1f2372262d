// SPDX-License-Identifier: Apache-2.0
// Reads all data of a mounted vault from time to time, slowly, while nobody else wants the disk (tain scrub).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/event.h"
#include "base/result.h"
#include "store/scrub.h"
#include "store/vault.h"

namespace tain::fs {

/// When the next step of a slow pass is due. Pure: tells from what it is told. Times are monotonic nanoseconds.
class ScrubPace {
 public:
  ScrubPace(uint64_t rate_bytes_s, int64_t first_ns) : rate_bytes_s_(rate_bytes_s), next_ns_(first_ns) {}
  /// How long to wait; 0: step now. `requests`: how many programs have made so far. While they make any it waits, but
  /// not for ever: a mount that is always in use is scrubbed very slowly.
  int64_t wait_ns(uint64_t requests, int64_t now_ns);
  /// A step has read `bytes`.
  void stepped(uint64_t bytes, int64_t now_ns);

 private:
  const uint64_t rate_bytes_s_;
  int64_t next_ns_;
  uint64_t requests_ = 0;
  int64_t used_at_ns_ = 0;
};

/// A thread of low priority. Without a command it begins a pass when the last one is `every_s` old.
class ScrubWatch {
 public:
  struct Options {
    uint64_t rate_bytes_s = 0;  // of a pass that nobody asked for; 0: there is none
    int64_t first_after_s = 0;  // after the start
    int64_t every_s = int64_t{30} * 86400;
    bool keep_position = true;  // Vault::make_scrubber
    /// Requests of programs so far. Threads: its own.
    std::function<uint64_t()> requests;
    /// One line for the system log. Threads: its own.
    std::function<void(const std::string&)> report;
  };
  /// Errors: io. `vault` outlives the watch, and is closed after it.
  static Result<std::unique_ptr<ScrubWatch>> start(store::Vault& vault, Options options);
  /// Stops after the step under way and keeps the position.
  ~ScrubWatch();
  ScrubWatch(const ScrubWatch&) = delete;
  ScrubWatch& operator=(const ScrubWatch&) = delete;

  struct State {
    store::ScrubState scrub;
    uint64_t passes = 0;      // that came to their end since the start
    bool hurried = false;     // full speed
    bool background = false;  // passes go on without a command
    std::string error;        // why the pass stands still; empty: it does not
  };
  State state() const;
  /// Begins a pass, or goes on with the one under way, as fast as it goes. Threads: any.
  void hurry();
  /// Back to what Options say. Threads: any.
  void slow_down();

 private:
  ScrubWatch(store::Vault& vault, Options options);
  void run();
  /// How long to wait for a step. Begins a pass when one is due.
  int64_t plan(ScrubPace& pace, int64_t now_ns);
  void step(ScrubPace& pace);
  void save();

  const Options options_;
  std::unique_ptr<store::Scrubber> scrubber_;  // the thread's
  Event stop_, wake_;
  int64_t saved_at_ns_ = 0;   // the thread's
  int64_t retry_at_ns_ = 0;   // the thread's
  bool save_failed_ = false;  // the thread's
  mutable std::mutex mutex_;
  State state_;         // guarded by mutex_
  bool asked_ = false;  // guarded by mutex_: hurry() was called
  std::thread thread_;
};

}  // namespace tain::fs
