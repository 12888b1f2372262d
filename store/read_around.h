// SPDX-License-Identifier: Apache-2.0
// Which parts of the database file are worth reading whole.
//
// Who reads small pieces here and there waits for the disk each time. When two different values of one region are
// wanted the others probably are, too: values that were written together lie together. Reading a whole region takes a
// disk little longer than two of its values, and a file much larger than what is read of it rarely gets a second
// visit to a region, so that it costs nothing there. Who reads one value after the other is left to the
// kernel and to store/read_ahead, which read beyond the region's end.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

namespace tain::store {

/// Pages of the database file that follow each other.
struct PageRange {
  uint64_t page = 0;  // the first
  uint64_t count = 0;
};

/// Remembers some thousand regions that were visited last. Threads: any.
class ReadAround {
 public:
  static constexpr uint64_t kRegionPages = 512;
  /// Values nearer to each other are read in sequence, if perhaps not quite in order.
  static constexpr uint64_t kNearPages = 64;

  /// To be called with the first page of each value that is about to be read: the region around it when that is worth
  /// asking the disk for now. At most once for a region, until it has been forgotten.
  std::optional<PageRange> visit(uint64_t page);

 private:
  static constexpr size_t kRegionsMax = 4096;  // remembered at once, which reaches over 8 GB of one file
  // Each is a page visited in the region and whether that was asked for; 0 is none, for no value lies on page 0. A race
  // between two threads costs a needless request or a missed one.
  std::array<std::atomic<uint64_t>, kRegionsMax> visited_{};
};

}  // namespace tain::store
