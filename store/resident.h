// SPDX-License-Identifier: Apache-2.0
// Bounds what of the mapped database counts as this process's memory.
//
// Every page of the map that was looked at stays resident until the kernel is short of memory, so a listing of a
// million entries would make the process look, and be limited, as if it needed all of them. Dropping the pages from the
// map (madvise(2), MADV_DONTNEED of a shared file) leaves them in the kernel's cache; who needs one again pays a minor
// page fault.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/file.h"

namespace tain::store {

/// Threads: look() and drop() any; the rest before.
class ResidentBound {
 public:
  ResidentBound();
  /// A read-only, shared map of a file, `size` bytes from `start` on, that outlives this.
  void add(const void* start, size_t size) { maps_.push_back({start, size}); }
  /// Drops the maps' pages if they, with all other mapped files, are more than kResidentMax. Looks only now and then,
  /// so it may be called for each transaction and each value.
  void look();
  /// Drops the maps' pages. Threads: any.
  void drop();

  static constexpr uint64_t kResidentMax = uint64_t{32} << 20;  // bytes

 private:
  struct Map {
    const void* start;
    size_t size;
  };
  std::vector<Map> maps_;
  UniqueFd statm_;  // proc(5)
  const uint64_t page_size_;
  std::atomic<uint64_t> calls_{0};
};

/// Where a shared, read-only map of `size` bytes of the file `fd` lies that somebody else in this process made; null
/// when there is none, or more than one.
const void* find_map(int fd, size_t size);

}  // namespace tain::store
