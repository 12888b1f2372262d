// SPDX-License-Identifier: Apache-2.0
// Where in a file the stored values belong that no map node refers to any more.
//
// A block's place is part of what its tag proves, so the place can be found by trying. A try costs one derivation of a
// key and reads no content. Values of one file are stored in the order of their places more often than not, so each
// search begins behind the match before it.
#pragma once

#include <map>
#include <vector>

#include "store/file_check.h"

namespace tain::store {

/// Blocks [begin, end) of a file.
struct IndexRange {
  uint64_t begin = 0, end = 0;
};

class BlockSearch {
 public:
  /// A few minutes of one core: after so many tries nothing more is found.
  static constexpr uint64_t kTriesMax = 100'000'000;

  BlockSearch(BlockFinder& finder, const ContentId& content) : finder_(finder), content_(content) {}

  /// Values of the file that nothing took yet and whose seals say that they are at `level` of the map and begin in
  /// `ranges` (ascending, apart, beginning at multiples of what a node of that level covers), by the first block.
  /// Takes them.
  std::map<uint64_t, std::vector<BlockRef>> find(Kind kind, uint8_t level, const std::vector<IndexRange>& ranges);
  /// Tries so far.
  uint64_t tries() const { return tries_; }

 private:
  BlockFinder& finder_;
  const ContentId content_;
  uint64_t tries_ = 0;
};

}  // namespace tain::store
