// SPDX-License-Identifier: Apache-2.0
#include "store/read_windows.h"

#include <sys/mman.h>

#include <algorithm>

namespace tain::store {

PageRange ReadWindows::visit_window(uint64_t window) {
  const uint64_t region = window / kRegionWindows;
  const bool is_next = std::any_of(recent_.begin(), recent_.end(), [&](const std::atomic<uint64_t>& recent) {
    const uint64_t known = recent.load(std::memory_order_relaxed);
    return known != 0 && (known - 1) / kRegionWindows == region;
  });
  recent_[visits_.fetch_add(1, std::memory_order_relaxed) % kRecentMax].store(window + 1, std::memory_order_relaxed);
  const uint64_t first = is_next ? region * kRegionWindows : window, count = is_next ? kRegionWindows : 1;
  for (uint64_t i = first; i < first + count; ++i) slot(i).store(i + 1, std::memory_order_relaxed);
  return {.page = first * kWindowPages, .count = count * kWindowPages};
}

void ReadWindows::forget() {
  for (auto& asked : asked_) asked.store(0, std::memory_order_relaxed);
  for (auto& recent : recent_) recent.store(0, std::memory_order_relaxed);
}

void ReadWindows::ask_for(const uint8_t* map, size_t page_size, const PageRange& range) {
  // Only advice: it changes nothing of what is mapped, and the map may end inside the range.
  uint8_t* const start = const_cast<uint8_t*>(map) + range.page * page_size;
  static_cast<void>(::madvise(start, static_cast<size_t>(range.count) * page_size, MADV_WILLNEED));
}

}  // namespace tain::store
