// SPDX-License-Identifier: Apache-2.0
// Which part of the mapped database is read from the disk together with a page that is looked at.
//
// Left to itself the kernel reads around a page that is not in memory as far as the disk's read-ahead goes, which may be
// 128 KiB or 8 MiB: too little to list a folder with one read, or so much that each folder of a large vault that is
// listed reads megabytes. So the map is marked as read at random, and the window of a page is asked for before the page is
// looked at. Records of one folder lie near each other, so most folders take a window or two of each table. Who wants
// several windows of one region in a row probably wants all of it, and then is asked for that.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "store/read_around.h"

namespace tain::store {

/// Remembers some thousand windows that were asked for. Threads: any.
class ReadWindows {
 public:
  static constexpr uint64_t kWindowPages = 64;
  static constexpr uint64_t kRegionWindows = 8;

  /// To be called with each page that is about to be looked at: the window around it or its region, unless that was asked
  /// for a short time ago. It may be in memory, then asking again costs little; it may also have left memory since, then the
  /// page is read alone.
  std::optional<PageRange> visit(uint64_t page) {
    const uint64_t window = page / kWindowPages;
    if (slot(window).load(std::memory_order_relaxed) == window + 1) return std::nullopt;
    return visit_window(window);
  }
  /// The same with some pages of `map`, a file that is mapped from its beginning on, and asks for what it has to.
  void bring(const uint8_t* map, size_t page_size, PageRange pages) {
    for (const uint64_t end = pages.page + pages.count; pages.page < end; pages.page += kWindowPages - pages.page % kWindowPages)
      if (const auto range = visit(pages.page)) ask_for(map, page_size, *range);
  }
  /// Nothing was asked for: what nobody has used for a while may not be in memory any more.
  void forget();

 private:
  static constexpr size_t kWindowsMax = 2048;  // of 256 KiB: half a gigabyte
  static constexpr size_t kRecentMax = 4;

  std::atomic<uint64_t>& slot(uint64_t window) { return asked_[window % kWindowsMax]; }
  PageRange visit_window(uint64_t window);
  static void ask_for(const uint8_t* map, size_t page_size, const PageRange& range);

  // The number of each window, plus one. A race between two threads costs a needless request.
  std::array<std::atomic<uint64_t>, kWindowsMax> asked_{};
  std::array<std::atomic<uint64_t>, kRecentMax> recent_{};  // those that were asked for last, plus one
  std::atomic<uint64_t> visits_{0};
};

}  // namespace tain::store
