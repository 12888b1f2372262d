// SPDX-License-Identifier: Apache-2.0
// How much of each kind of work this process has done: what an operation costs shows as a count, where times are noise.
// Read by `contrib/bench --explain` over the control socket, and by tests.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tain {

/// Flushes are of the journal; LMDB flushes twice for each of its commits. Bytes are of content and records as the
/// caller sees them, without tags and padding.
enum class Work : uint8_t {
  journal_frames,
  journal_flushes,
  journal_bytes,  // as written to the file
  commits,        // transactions of LMDB that were written
  read_transactions,
  pages,      // of the database, looked at for reading; of a value in a row of pages, its first
  bytes_put,  // values given to LMDB
  bytes_sealed,
  bytes_opened,
  bytes_hashed,  // by checksums over whole values
  bytes_copied,  // of content, from buffer to buffer, ciphers left out
};
inline constexpr std::array<std::string_view, 11> kWorkNames = {
    "journal_frames", "journal_flushes", "journal_bytes", "commits",      "read_transactions", "pages",
    "bytes_put",      "bytes_sealed",    "bytes_opened",  "bytes_hashed", "bytes_copied"};
inline constexpr size_t kWorkCount = kWorkNames.size();
static_assert(static_cast<size_t>(Work::bytes_copied) + 1 == kWorkCount);

namespace detail {
// A line of the processor's cache for each: threads that count different work do not meet.
struct alignas(64) WorkCounter {
  std::atomic<uint64_t> value{0};
};
inline std::array<WorkCounter, kWorkCount> work_counters;
}  // namespace detail

/// Any thread; costs a few nanoseconds.
inline void count(Work work, uint64_t amount = 1) {
  detail::work_counters[static_cast<size_t>(work)].value.fetch_add(amount, std::memory_order_relaxed);
}
/// Since the process began.
inline uint64_t counted(Work work) {
  return detail::work_counters[static_cast<size_t>(work)].value.load(std::memory_order_relaxed);
}

}  // namespace tain
