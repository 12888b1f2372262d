// SPDX-License-Identifier: Apache-2.0
// Runs another program, without a shell, and reads what it prints.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace tain::fs {

enum class Capture { standard_output, standard_error };

/// A running program. Call wait_for() once: until then it is not reaped.
struct Subprocess {
  pid_t pid = 0;
  UniqueFd output;  // read end of the captured stream
};

/// Starts arguments[0], looked up in PATH. The other streams are inherited; signals that this process
/// ignores are back to their defaults. Errors: not_found, access_denied, …
Result<Subprocess> spawn(const std::vector<std::string>& arguments, Capture capture);

/// Waits for the end: the exit status, or 128 + the signal that killed it.
Result<int> wait_for(pid_t pid);

}  // namespace tain::fs
