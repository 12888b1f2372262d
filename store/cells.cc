// SPDX-License-Identifier: Apache-2.0
#include "store/cells.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/counters.h"

namespace tain::store {

Cells Cells::none_of(size_t length) {
  Cells out;
  out.present_ = 0;
  out.length_ = length;
  return out;
}

/// Where `cell` lies in bytes_, or would lie.
size_t Cells::position(size_t cell) const {
  const uint32_t before = present_ & ((uint32_t{1} << cell) - 1);
  return static_cast<size_t>(std::popcount(before)) * kCellSize;
}

ByteView Cells::cell(size_t cell) const {
  const size_t start = cell * kCellSize;
  if (start >= length_) return {};
  return ByteView(bytes_).subspan(position(cell), std::min(kCellSize, length_ - start));
}

void Cells::grow(size_t length) {
  if (length <= length_) return;
  CHECK(length <= kBlockSize);
  // What is stored of the last cell grows with the block.
  const size_t last = length_ / kCellSize;
  const bool short_cell_here = length_ % kCellSize != 0 && (present_ >> last & 1) != 0;
  if (whole())
    bytes_.resize(length);
  else if (short_cell_here)
    bytes_.resize(position(last) + std::min(kCellSize, length - last * kCellSize));
  length_ = length;
}

void Cells::cut(size_t length) {
  if (length >= length_) return;
  CHECK(whole());
  bytes_.resize(length);
  length_ = length;
}

void Cells::add(CellMask cells) {
  if ((cells & ~present_) == 0) return;
  Cells wider = none_of(length_);
  wider.present_ = present_ | (cells & cells_touching(0, length_));
  if (cells == kAllCells) wider.present_ = kAllCells;
  for (size_t cell = 0; cell * kCellSize < length_; ++cell) {
    if ((wider.present_ >> cell & 1) == 0) continue;
    const size_t size = std::min(kCellSize, length_ - cell * kCellSize);
    if ((present_ >> cell & 1) == 0) {
      wider.bytes_.resize(wider.bytes_.size() + size);
    } else {
      const ByteView old = this->cell(cell);
      wider.bytes_.insert(wider.bytes_.end(), old.begin(), old.end());
      count(Work::bytes_copied, old.size());
    }
  }
  *this = std::move(wider);
}

void Cells::write(size_t begin, ByteView data) {
  const size_t end = begin + data.size();
  count(Work::bytes_copied, data.size());
  if (whole() && begin == length_) {  // appending: no zeros first
    CHECK(end <= kBlockSize);
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    length_ = end;
    return;
  }
  grow(end);
  const CellMask touched = cells_touching(begin, end);
  if ((touched & ~present_) != 0) add(touched);
  if (data.empty()) return;
  std::memcpy(at(begin), data.data(), data.size());  // cells that follow each other in the block do so here, too
}

void Cells::clear(size_t begin, size_t end) {
  CHECK(end <= length_);
  const CellMask touched = cells_touching(begin, end);
  if ((touched & ~present_) != 0) add(touched);
  if (begin < end) std::memset(at(begin), 0, end - begin);
}

CellMask Cells::read(size_t begin, ByteSpan out) const {
  const size_t end = begin + out.size();
  const size_t have = std::clamp(length_, begin, end);
  if (have < end) std::memset(out.data() + (have - begin), 0, end - have);
  for_each_run(present_, begin, have, [&](size_t from, size_t to) {
    std::memcpy(out.data() + (from - begin), at(from), to - from);
    count(Work::bytes_copied, to - from);
  });
  return cells_touching(begin, have) & static_cast<CellMask>(~present_);
}

}  // namespace tain::store
