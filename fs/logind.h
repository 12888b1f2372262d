// SPDX-License-Identifier: Apache-2.0
// Locks a vault before the machine sleeps, or when the user's session is locked (tain mount --lock-on-suspend,
// --lock-on-screen). Listens to systemd-logind on the system bus; source: org.freedesktop.login1(5).
//
// logind waits with sleeping for whoever holds a delay inhibitor, 5 seconds at most unless configured otherwise. This
// process holds one, and lets go of it by ending: then the keys are gone from memory.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace tain::fs {

class LogindWatch {
 public:
  struct Options {
    bool on_suspend = false;
    bool on_screen = false;
    std::string what;  // is locked: shown by `systemd-inhibit --list`
    /// Locks it; `why` is "the machine goes to sleep" or "the session was locked". Threads: the watch's own.
    std::function<void(const std::string& why)> lock;
    /// Told when the bus is gone, and with it everybody who could tell. Threads: the same.
    std::function<void()> lost;
  };
  /// Whether this tain was built with it.
  static bool is_built_in();
  /// Errors: unsupported (no system bus, no logind, no session, or built without it; the message says which), io.
  static Result<std::unique_ptr<LogindWatch>> start(Options options);
  ~LogindWatch();
  LogindWatch(const LogindWatch&) = delete;
  LogindWatch& operator=(const LogindWatch&) = delete;

  /// Ends the thread; sleeping waits for this object all the same. Not from within `lock`.
  void stop();

 private:
  struct Impl;
  explicit LogindWatch(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tain::fs
