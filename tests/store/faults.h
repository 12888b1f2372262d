// SPDX-License-Identifier: Apache-2.0
// Lets a test look at, delay or fail the flushes (fdatasync) of this process, LMDB's included.
#pragma once

#include <functional>
#include <string>

namespace tain::test {

/// Calls `hook` with the file's path before each flush while this object lives. What it returns, unless
/// zero, becomes the flush's errno, and the flush does not happen. One at a time; runs on any thread.
class FlushHook {
 public:
  using Hook = std::function<int(const std::string& path)>;
  explicit FlushHook(Hook hook);
  ~FlushHook();
  FlushHook(const FlushHook&) = delete;
  FlushHook& operator=(const FlushHook&) = delete;
};

/// Whether `path` names a vault's journal.
inline bool is_journal(const std::string& path) { return path.ends_with("/journal"); }

}  // namespace tain::test
