// SPDX-License-Identifier: Apache-2.0
// Lets a test look at, delay or fail the flushes and writes of this process, LMDB's included.
#pragma once

#include <cstdint>
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

/// Numbers the writes and flushes of files in a directory, and fails some of them: a disk with bad moments.
/// One at a time, and not beside a FlushHook.
class FaultyDisk {
 public:
  struct Faults {
    uint64_t first = UINT64_MAX;  // number of the first call that fails
    uint64_t count = 1;
    int error = 5;      // EIO
    bool torn = false;  // a write that fails has written its first half
  };
  FaultyDisk(std::string directory, const Faults& faults);
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  /// Writes and flushes so far.
  uint64_t calls() const;
  /// What the last failed call was for: "pwrite …/journal"; empty before.
  std::string failed() const;
};

/// Whether `path` names a vault's journal.
inline bool is_journal(const std::string& path) {
  return path.ends_with("/journal");
}

}  // namespace tain::test
