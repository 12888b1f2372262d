// SPDX-License-Identifier: Apache-2.0
// Locks a vault that nobody has used for a while (tain mount --idle).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/event.h"
#include "base/result.h"
#include "fs/self_unmount.h"
#include "fs/session.h"

namespace tain::fs {

/// When a mount counts as idle. Pure: tells from what it is told.
class IdleTimer {
 public:
  /// `now_ns`: monotonic.
  IdleTimer(int64_t limit_ns, int64_t now_ns) : limit_ns_(limit_ns), used_at_ns_(now_ns) {}
  /// The state of affairs now: how many requests programs have made so far. True: idle for the whole limit.
  bool tick(uint64_t requests, int64_t now_ns);
  /// Somebody has a file or a directory in use, although there were no requests.
  void in_use(int64_t now_ns) { used_at_ns_ = now_ns; }
  /// How often to tick: often enough that the limit is passed by at most a quarter.
  int64_t interval_ns() const;

 private:
  const int64_t limit_ns_;
  int64_t used_at_ns_;
  uint64_t requests_ = 0;
};

/// A thread that unmounts `session` once it has been idle. A mount where a file is open or a directory is somebody's
/// working directory stays: the kernel refuses to unmount it. What the kernel answers from its cache is not seen
/// here; so that use of the mount shows all the same, the attributes of its root are dropped from the cache at each tick.
class IdleWatch {
 public:
  struct Options {
    SelfUnmount own;
    int64_t limit_s = 0;  // > 0
    /// One line for the system log. Threads: its own.
    std::function<void(const std::string&)> report;
  };
  /// Errors: io. `session` outlives the watch.
  static Result<std::unique_ptr<IdleWatch>> start(Session& session, Options options);
  ~IdleWatch();
  IdleWatch(const IdleWatch&) = delete;
  IdleWatch& operator=(const IdleWatch&) = delete;

 private:
  IdleWatch(Session& session, Options options) : session_(session), options_(std::move(options)) {}
  void run();
  /// True when the mount is gone.
  bool unmount();

  Session& session_;
  const Options options_;
  Event stop_;
  std::thread thread_;
};

}  // namespace tain::fs
