// SPDX-License-Identifier: Apache-2.0
#include "store/read_ahead.h"

#include <algorithm>

namespace tain::store {

std::optional<PageRange> ReadAhead::visit(const PageRange& read) {
  const uint64_t near = ReadAround::kNearPages;
  const std::lock_guard lock(mutex_);
  // Several threads that share a file's reads come not quite in order, so a run goes on a little before its end, too.
  auto run = std::find_if(runs_.begin(), runs_.end(), [&](const Run& known) {
    return known.used != 0 && read.page + near >= known.next && read.page <= known.next + near;
  });
  if (run == runs_.end()) {
    run = std::min_element(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) { return a.used < b.used; });
    *run = {.next = read.page};
  }
  run->used = ++visits_;
  const uint64_t end = read.page + read.count;
  run->pages += end - std::min(run->next, end);
  run->next = std::max(run->next, end);
  if (run->pages < kRunPages) return std::nullopt;
  run->asked = std::max(run->asked, run->next);
  if (run->asked + kPortionPages > run->next + kAheadPages) return std::nullopt;
  const PageRange out{.page = run->asked, .count = kPortionPages};
  run->asked += kPortionPages;
  return out;
}

}  // namespace tain::store
