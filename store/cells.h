// SPDX-License-Identifier: Apache-2.0
// The plaintext of some cells of one block: what a pending change holds, and what a patch is made of.
//
// Cells lie one after the other in ascending order, so the bytes of a part are already the plaintext of a patch
// (docs/format.md §4.3). Only the block's last cell may be short.
#pragma once

#include "base/bytes.h"
#include "store/types.h"

namespace tain::store {

/// Bit i: cell i of a block.
using CellMask = uint16_t;
inline constexpr CellMask kAllCells = 0xffff;

/// The cells that bytes [begin, end) of a block touch.
constexpr CellMask cells_touching(size_t begin, size_t end) {
  if (begin >= end) return 0;
  const uint32_t below_end = (uint32_t{1} << ((end + kCellSize - 1) / kCellSize)) - 1;
  const uint32_t below_begin = (uint32_t{1} << (begin / kCellSize)) - 1;
  return static_cast<CellMask>(below_end & ~below_begin);
}

/// Runs `use(begin, end)` for each maximal run of bytes of [begin, end) that lie in `cells`.
template <class Use>
void for_each_run(CellMask cells, size_t begin, size_t end, const Use& use) {
  while (begin < end) {
    const auto in = [&](size_t at) { return (cells >> (at / kCellSize) & 1) != 0; };
    size_t stop = begin;
    while (stop < end && in(stop)) stop = std::min(end, (stop / kCellSize + 1) * kCellSize);
    if (stop > begin) use(begin, stop);
    begin = stop;
    while (begin < end && !in(begin)) begin = std::min(end, (begin / kCellSize + 1) * kCellSize);
  }
}

/// Some cells of a block, or all of them. A value; not thread-safe.
class Cells {
 public:
  /// All cells of an empty block.
  Cells() = default;
  /// None of the cells of a block of `length` bytes.
  static Cells none_of(size_t length);

  /// Whether every cell is here.
  bool whole() const { return present_ == kAllCells; }
  CellMask present() const { return present_; }
  /// Bytes of the block up to which it may differ from zeros.
  size_t length() const { return length_; }
  /// The cells that are here, one after the other.
  const Bytes& bytes() const { return bytes_; }

  /// The bytes of a cell that is here: fewer than kCellSize, or none, at the end of the block.
  ByteView cell(size_t cell) const;

  /// Lengthens the block with zeros. Harmless when it is that long.
  void grow(size_t length);
  /// Shortens the block, which is whole. Harmless when it is that short.
  void cut(size_t length);
  /// Makes `cells` present; those that were not are zeros. kAllCells makes the block whole.
  void add(CellMask cells);
  /// Copies bytes to `begin`, growing the block and adding cells as needed.
  void write(size_t begin, ByteView data);
  /// Makes the bytes [begin, end), which the block has, zeros.
  void clear(size_t begin, size_t end);
  /// Copies bytes [begin, begin + out.size()) of the cells that are here and zeros past the end;
  /// leaves the rest of `out` alone and returns the cells that it would need.
  CellMask read(size_t begin, ByteSpan out) const;

 private:
  size_t position(size_t cell) const;
  /// [begin, begin + size) of one cell that is here.
  uint8_t* at(size_t begin) { return bytes_.data() + position(begin / kCellSize) + begin % kCellSize; }
  const uint8_t* at(size_t begin) const { return bytes_.data() + position(begin / kCellSize) + begin % kCellSize; }

  CellMask present_ = kAllCells;
  size_t length_ = 0;
  Bytes bytes_;
};

}  // namespace tain::store
