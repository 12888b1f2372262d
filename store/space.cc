// SPDX-License-Identifier: Apache-2.0
#include "store/space.h"

#include <algorithm>

#include "base/check.h"
#include "store/cipher.h"
#include "store/types.h"

namespace tain::store {
namespace {

// LMDB 0.9, mdb.c: PAGEHDRSZ, me_nodemax, OVPAGES. Keys have at most 16 bytes.
constexpr size_t kPageHeader = 16;
constexpr size_t kNodeMax = ((kPageSize - kPageHeader) / 2 & ~size_t{1}) - 2;
constexpr size_t kNodeHeader = 8;
constexpr size_t kKeyMax = 16;
// Tree pages are at least half full, but for the one that was split last.
constexpr int64_t kPageFill = kPageSize / 2;
// Branch pages, the tables' own records, the free list's: whatever a commit changes.
constexpr uint64_t kCommitPages = 48;
constexpr uint64_t kKeysOfBranch = 64;  // at least; a branch page is copied for that many leaves at most

}  // namespace

uint32_t pages_in_a_row(size_t size) {
  if (kNodeHeader + kKeyMax + size <= kNodeMax) return 0;
  return static_cast<uint32_t>((kPageHeader + size + kPageSize - 1) / kPageSize);
}

void SpaceNeed::change_value(size_t before, size_t after) {
  const auto change = [this](size_t size, int sign) {
    if (size == 0) return;
    const uint32_t pages = pages_in_a_row(size);
    CHECK(pages <= kLongestRun);
    values_[pages] += sign;
    if (pages == 0) bytes_ += sign * static_cast<int64_t>(size);
  };
  change(before, -1);
  change(after, 1);
}

void SpaceNeed::change_records(int64_t count, int64_t bytes) {
  records_ += count;
  bytes_ += bytes;
}

void SpaceNeed::double_records(int64_t bytes) {
  bytes_ += records_ * bytes;
  records_ *= 2;
}

void SpaceNeed::add(const SpaceNeed& other) {
  for (size_t i = 0; i < values_.size(); ++i) values_[i] += other.values_[i];
  records_ += other.records_;
  bytes_ += other.bytes_;
}

void SpaceNeed::add_any(uint32_t values, uint32_t records) {
  values_[pages_in_a_row(block_value_size(kBlockSize))] += values;
  records_ += records;
}

uint64_t SpaceNeed::tree_pages(uint64_t in_use) const {
  const uint64_t copied = std::min(static_cast<uint64_t>(std::max<int64_t>(records_, 0)), in_use);
  const auto added = static_cast<uint64_t>(std::max<int64_t>(bytes_, 0) / kPageFill);
  return copied + added + (copied + added) / kKeysOfBranch + kCommitPages;
}

uint64_t SpaceNeed::pages(uint64_t tree_pages_in_use) const {
  uint64_t sum = tree_pages(tree_pages_in_use);
  for (size_t length = 1; length < values_.size(); ++length)
    sum += length * static_cast<uint64_t>(std::max<int64_t>(values_[length], 0));
  return sum;
}

bool SpaceNeed::fits(FreeSpace space, uint64_t reserve) const {
  const uint64_t needed = pages(space.tree_pages) + reserve;
  if (needed > space.limit) return false;
  if (space.beyond >= needed) return true;
  uint64_t free = space.beyond;
  for (const PageRun& run : space.runs) free += run.count;
  if (free < needed) return false;

  // As a commit on a full disk does it: the copies of the first pages, then values from the longest to the shortest,
  // each in the first row that has room, then everything that takes single pages.
  uint64_t nibbled = kCommitPages;
  for (PageRun& run : space.runs) {
    const uint64_t taken = std::min(nibbled, run.count);
    run.count -= taken;
    nibbled -= taken;
  }
  space.beyond -= std::min(nibbled, space.beyond);
  for (size_t length = kLongestRun; length > 0; --length) {
    auto left = static_cast<uint64_t>(std::max<int64_t>(values_[length], 0));
    if (left == 0) continue;
    for (PageRun& run : space.runs) {
      const uint64_t taken = std::min(left, run.count / length);
      run.count -= taken * length;
      left -= taken;
      if (left == 0) break;
    }
    if (left * length > space.beyond) return false;
    space.beyond -= left * length;
  }
  return true;  // single pages: the sum above
}

}  // namespace tain::store
