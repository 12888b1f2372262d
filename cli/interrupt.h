// SPDX-License-Identifier: Apache-2.0
// Ctrl-C for a command that has something to put away before it ends.
#pragma once

#include <array>
#include <csignal>

namespace tain::cli {

/// While it lives, SIGINT, SIGTERM and SIGHUP are remembered instead of ending the process. One at a time in a process.
class InterruptWatch {
 public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;
  /// One of them has come. A system call that was waiting then has failed with EINTR.
  bool interrupted() const;

 private:
  static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace tain::cli
