// SPDX-License-Identifier: Apache-2.0
#include "store/read_around.h"

namespace tain::store {
namespace {

constexpr uint64_t kAskedFor = 1;

}  // namespace

std::optional<PageRange> ReadAround::visit(uint64_t page) {
  const uint64_t region = page / kRegionPages;
  std::atomic<uint64_t>& slot = visited_[region % kRegionsMax];
  const uint64_t visited = slot.load(std::memory_order_relaxed);
  const uint64_t before = visited >> 1;
  const bool is_new = visited == 0 || before / kRegionPages != region;
  if (!is_new && (visited & kAskedFor) != 0) return std::nullopt;
  const uint64_t distance = page > before ? page - before : before - page;
  if (is_new || distance <= kNearPages) {
    slot.store(page << 1, std::memory_order_relaxed);
    return std::nullopt;
  }
  slot.store(visited | kAskedFor, std::memory_order_relaxed);
  return PageRange{.page = region * kRegionPages, .count = kRegionPages};
}

}  // namespace tain::store
