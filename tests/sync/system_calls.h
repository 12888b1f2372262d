// SPDX-License-Identifier: Apache-2.0
// Lets a test look at and fail what this process asks the system for in a directory.
#pragma once

#include <functional>
#include <string>

namespace tain::test {

/// Calls `hook` before each fsync, pread, pwrite, renameat, mkdirat, unlinkat and fstatat of something below `directory` while
/// this object lives, with the call and the path from there on: "fsync o/ab", "renameat t/x o/ab/x". What it returns, unless
/// zero, becomes the call's errno, and the call does not happen. One at a time; runs on any thread.
class SystemCallHook {
 public:
  using Hook = std::function<int(const std::string& call)>;
  SystemCallHook(std::string directory, Hook hook);
  ~SystemCallHook();
  SystemCallHook(const SystemCallHook&) = delete;
  SystemCallHook& operator=(const SystemCallHook&) = delete;
};

/// While one lives, fsync does nothing, for tests that store thousands of files and never look at flushes.
class WithoutFlushes {
 public:
  WithoutFlushes();
  ~WithoutFlushes();
  WithoutFlushes(const WithoutFlushes&) = delete;
  WithoutFlushes& operator=(const WithoutFlushes&) = delete;
};

}  // namespace tain::test
