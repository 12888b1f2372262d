// SPDX-License-Identifier: Apache-2.0
// Work that is done in a process of its own, because what it leaves in memory cannot be wiped: libraries that handle
// keys in buffers of theirs, and that start threads, which a later fork() would lose.
#pragma once

#include <functional>

#include "base/result.h"
#include "base/secret.h"

namespace tain::cli {

inline constexpr size_t kChildAnswerMax = 8192;  // bytes

/// What `work` returns in a child process, which ends with it. The calling process must have one thread. `work` may
/// write to standard error, and must return no more than kChildAnswerMax bytes.
/// Errors: those of `work`, io (the child died), memory.
Result<Secret> in_child(const std::function<Result<Secret>()>& work);

}  // namespace tain::cli
