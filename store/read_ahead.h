// SPDX-License-Identifier: Apache-2.0
// Keeps the disk ahead of who reads a large file from its beginning to its end.
//
// The kernel reads 128 KiB ahead of a file that is read in order. Between two such requests the disk waits while values
// are decrypted, and each is too short for its full speed. So once somebody has read some hundred kilobytes in order the
// disk is asked for the next megabytes, a megabyte at a time; a file is read a third faster so. At the end of what is read
// up to two megabytes were for nothing.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "store/read_around.h"

namespace tain::store {

/// Remembers the last few places where somebody reads in order. Threads: any.
class ReadAhead {
 public:
  static constexpr uint64_t kRunPages = 64;       // read in order before anything is asked for
  static constexpr uint64_t kPortionPages = 256;  // asked for at once
  static constexpr uint64_t kAheadPages = 2 * kPortionPages;  // at most, beyond what is being read

  /// To be called with the pages of each large value that is about to be read: what to ask the disk for now, if anything.
  std::optional<PageRange> visit(const PageRange& read);

 private:
  struct Run {
    uint64_t next = 0;   // behind the last page that was read
    uint64_t pages = 0;  // so far it has come
    uint64_t asked = 0;  // up to here
    uint64_t used = 0;   // when it was visited last; 0: never
  };
  static constexpr size_t kRunsMax = 8;

  std::mutex mutex_;
  std::array<Run, kRunsMax> runs_;
  uint64_t visits_ = 0;
};

}  // namespace tain::store
