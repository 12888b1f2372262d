// SPDX-License-Identifier: Apache-2.0
// What the serving process gives up before it holds a key: all files but its own, all system calls it does not need (ADR 18).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace tain::fs {

struct Reach {
  std::vector<std::string> directories;  // everything below them, in every way; those that are empty strings do not count
  std::string empty_folders_in;          // folders below it may be removed if they are empty; may be empty
  bool connects = false;                 // to sockets of this machine, whosever they are: for the system bus
};

struct Confinement {
  int landlock_abi = 0;       // landlock(7); 0: this kernel has none, or it is switched off
  bool system_calls = false;  // seccomp(2)
};

/// Confines this process for good, and all that it starts. What the kernel lacks is left out, and the result says so. Call it with one thread: others would stay as
/// they are. Errors: io, not_found (a directory of `reach`), …; then some of it may hold.
Result<Confinement> confine(const Reach& reach);

namespace detail {
/// The two halves. Sources: landlock(7); seccomp(2), seccomp_rule_add(3).
Result<int> confine_files(const Reach& reach);
Result<bool> confine_system_calls(const Reach& reach);
}  // namespace detail

}  // namespace tain::fs
