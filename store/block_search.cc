// SPDX-License-Identifier: Apache-2.0
#include "store/block_search.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace tain::store {
namespace {

/// Length of the plaintext of a block value of `size` bytes; nothing when no block has that size.
std::optional<uint32_t> plain_length(uint64_t size) {
  if (size < block_value_size(1) || size > block_value_size(kBlockSize)) return std::nullopt;
  const uint64_t rest = size - kBlockHeaderSize - kChecksumSize;
  const uint64_t cells = (rest + kCellSize + 15) / (kCellSize + 16);
  const uint64_t length = rest - cells * 16;
  if (block_value_size(length) != size) return std::nullopt;
  return static_cast<uint32_t>(length);
}

/// The places of some ranges, counted through.
class Places {
 public:
  Places(const std::vector<IndexRange>& ranges, uint64_t step) : step_(step) {
    for (const IndexRange& range : ranges) {
      if (range.begin >= range.end) continue;
      runs_.push_back({.before = count_, .first = range.begin});
      count_ += (range.end - range.begin + step - 1) / step;
    }
  }
  uint64_t count() const { return count_; }
  uint64_t operator[](uint64_t position) const {
    const auto behind = std::upper_bound(runs_.begin(), runs_.end(), position,
                                         [](uint64_t p, const Run& run) { return p < run.before; });
    const Run& run = *std::prev(behind);
    return run.first + (position - run.before) * step_;
  }

 private:
  struct Run {
    uint64_t before = 0;  // places of earlier runs
    uint64_t first = 0;
  };
  std::vector<Run> runs_;
  const uint64_t step_;
  uint64_t count_ = 0;
};

}  // namespace

std::map<uint64_t, std::vector<BlockRef>> BlockSearch::find(Kind kind, uint8_t level,
                                                            const std::vector<IndexRange>& ranges) {
  std::map<uint64_t, std::vector<BlockRef>> out;
  const Places places(ranges, uint64_t{1} << (7 * level));
  if (places.count() == 0) return out;
  uint64_t next = 0;
  for (const auto& [id, extent] : finder_.unused_of(content_)) {
    const auto length = plain_length(extent.size);
    if (!length.has_value()) continue;
    auto beginning = finder_.survey().read({extent.offset, kBlockHeaderSize + cell_count(*length) * 16});
    if (!beginning.ok() || Kind{(*beginning)[0]} != kind) continue;
    for (uint64_t i = 0; i < places.count() && tries_ < kTriesMax; ++i) {
      const uint64_t position = (next + i) % places.count();
      const BlockPlace place{.content = content_, .id = id, .level = level, .index = places[position]};
      ++tries_;
      if (!finder_.cipher().is_sealed_for(place, kind, *length, *beginning)) continue;
      BlockRef ref{.id = id, .nonce = {}, .tag = {}, .length = *length, .patches = {}};
      std::memcpy(ref.nonce.data(), beginning->data() + kBlockNonceOffset, ref.nonce.size());
      std::memcpy(ref.tag.data(), beginning->data() + kBlockTagOffset, ref.tag.size());
      out[place.index].push_back(ref);
      finder_.take(id);
      next = position + 1;
      break;
    }
  }
  return out;
}

}  // namespace tain::store
