// SPDX-License-Identifier: Apache-2.0
#include "store/file_check.h"

#include <algorithm>
#include <bit>

#include "store/load_block.h"

namespace tain::store {
namespace {

constexpr size_t kContentOffset = 8, kNonceOffset = 24, kTagOffset = 48;  // in a block value (docs/format.md §4.3)

CellMask all_cells(size_t length) {
  return cells_touching(0, length);
}

std::string range_text(const ByteRange& range) {
  return "bytes " + std::to_string(range.begin) + " to " + std::to_string(range.end - 1);
}

/// Length of the plaintext of a block value of `size` bytes; nothing when no block has that size.
std::optional<uint32_t> plain_length(uint64_t size) {
  if (size < block_value_size(1) || size > block_value_size(kBlockSize)) return std::nullopt;
  const uint64_t rest = size - kBlockHeaderSize - kChecksumSize;
  const uint64_t cells = (rest + kCellSize + 15) / (kCellSize + 16);
  const uint64_t length = rest - cells * 16;
  if (block_value_size(length) != size) return std::nullopt;
  return static_cast<uint32_t>(length);
}

class FileChecker {
 public:
  FileChecker(BlockFinder& finder, const Inode& inode, std::vector<FoundBlock>* blocks)
      : finder_(finder), inode_(inode), blocks_(blocks) {}

  FileReport run() {
    check_list(inode_.content.root, inode_.content.height, 0);
    std::sort(out_.damaged.begin(), out_.damaged.end(),
              [](const ByteRange& a, const ByteRange& b) { return a.begin < b.begin; });
    std::vector<ByteRange> joined;
    for (const ByteRange& range : out_.damaged) {
      if (!joined.empty() && joined.back().end >= range.begin)
        joined.back().end = std::max(joined.back().end, range.end);
      else
        joined.push_back(range);
    }
    out_.damaged = std::move(joined);
    return std::move(out_);
  }

 private:
  Finding& finding(Damage damage, std::string what) {
    out_.findings.push_back({.part = Part::content, .damage = damage, .what = std::move(what)});
    return out_.findings.back();
  }
  void lose(uint64_t begin, uint64_t end, Damage damage, const std::string& why) {
    end = std::min(end, inode_.content.size);
    if (begin >= end) return;
    out_.damaged.push_back({begin, end});
    Finding& found = finding(damage, range_text({begin, end}) + " cannot be read: " + why);
    found.begin = begin;
    found.end = end;
  }
  void structure(const std::string& what) {
    out_.map_damaged = true;
    finding(Damage::none, what);
  }

  void check_list(const RefList& list, uint8_t level, uint64_t base) {
    for (const auto& [slot, ref] : list) {
      const uint64_t index = base + (uint64_t{slot} << (7 * level));
      if (level == 0)
        check_block(ref, index);
      else
        check_node(ref, level, index);
    }
  }

  void check_node(const BlockRef& ref, uint8_t level, uint64_t index) {
    if (!finder_.take(ref.id)) note_not_taken(ref.id);
    if (!ref.patches.empty()) structure("a map node with patches");
    const BlockPlace place{.content = inode_.content.id, .id = ref.id, .level = level, .index = index};
    auto opened = finder_.open(place, ref, Kind::map_node);
    if (opened.found && opened.bad == 0 && !opened.suite_missing) {
      note_checksum(opened.damage, ref.id);
      auto node = decode_refs(opened.plain, kMapFanout);
      if (node.ok()) {
        if (node->empty()) structure("an empty map node");
        check_list(*node, static_cast<uint8_t>(level - 1), index);
        return;
      }
    }
    out_.unreadable_here |= opened.suite_missing;
    out_.map_damaged = true;
    const uint64_t end = index + (uint64_t{1} << (7 * level));
    const uint64_t found_before = blocks_ != nullptr ? blocks_->size() : 0;
    if (blocks_ != nullptr) find_below(index, end);
    lose_gaps(index, end, found_before, opened);
  }

  /// What is not among the blocks found below a damaged node is lost.
  void lose_gaps(uint64_t from, uint64_t end, uint64_t found_before, const BlockFinder::Opened& opened) {
    const std::string why = opened.found ? "its map node is damaged" : "its map node is missing";
    uint64_t at = from;
    if (blocks_ != nullptr) {
      for (size_t i = found_before; i < blocks_->size(); ++i) {
        const uint64_t index = (*blocks_)[i].index;
        lose(at * kBlockSize, index * kBlockSize, opened.damage, why);
        at = index + 1;
      }
    }
    lose(at * kBlockSize, end * kBlockSize, opened.damage, why);
  }

  /// A block's place is part of what its tag proves, so of the blocks that nothing refers to those that belong here
  /// can be told. Where two have one place, one lies over the other, but which cells it covers only the node knew.
  void find_below(uint64_t from, uint64_t end) {
    std::map<uint64_t, std::vector<BlockRef>> found;
    const uint64_t last = (inode_.content.size + kBlockSize - 1) / kBlockSize;
    end = std::min(end, last);
    for (const auto& [id, extent] : finder_.unused_of(inode_.content.id)) {
      const auto length = plain_length(extent.size);
      auto value = finder_.survey().read(extent);
      if (!length || !value.ok() || Kind{(*value)[0]} != Kind::data_block) continue;
      BlockRef ref{.id = id, .nonce = {}, .tag = {}, .length = *length, .patches = {}};
      std::memcpy(ref.nonce.data(), value->data() + kNonceOffset, ref.nonce.size());
      std::memcpy(ref.tag.data(), value->data() + kTagOffset, ref.tag.size());
      for (uint64_t index = from; index < end; ++index) {
        const BlockPlace place{.content = inode_.content.id, .id = id, .level = 0, .index = index};
        if (!finder_.cipher().open_cells(place, ref, Kind::data_block, *value, 0, {}).ok()) continue;
        found[index].push_back(ref);
        finder_.take(id);
        break;
      }
    }
    for (const auto& [index, refs] : found) {
      if (refs.size() != 1) continue;
      CellMask bad = 0;
      compose_block(finder_, inode_.content.id, index, refs[0], bad);
      blocks_->push_back({.index = index, .ref = refs[0], .bad = bad, .in_place = bad == 0});
      report_cells(index, refs[0], bad, Damage::rot, "the block is damaged");
    }
  }

  void check_block(const BlockRef& ref, uint64_t index) {
    CellMask bad = 0;      // of the block as it reads, patches laid over
    CellMask covered = 0;  // by the patches looked at so far, newest first
    bool in_place = true;
    Damage worst = Damage::none;
    std::string why = "the block is damaged";
    auto part = [&](const BlockRef& stored, const Patch* patch) {
      if (!finder_.take(stored.id)) {
        note_not_taken(stored.id);
        in_place = false;
      }
      const BlockPlace place{.content = inode_.content.id, .id = stored.id, .level = 0, .index = index};
      auto opened = finder_.open(place, stored, Kind::data_block);
      out_.allocated += stored.length;
      if (opened.found)
        note_checksum(opened.damage, stored.id);
      else
        why = "the block is missing";
      out_.unreadable_here |= opened.suite_missing;
      in_place = in_place && opened.found && opened.bad == 0;
      if (opened.bad != 0 || !opened.found) worst = opened.damage;
      // Cells of the stored part → cells of the block.
      const CellMask own = patch != nullptr ? patch->cells : all_cells(stored.length);
      CellMask lost = 0;
      int position = 0;
      for (unsigned cell = 0; cell < 16; ++cell) {
        if ((own >> cell & 1) == 0) continue;
        if (!opened.found || (opened.bad >> position & 1) != 0) lost = static_cast<CellMask>(lost | 1u << cell);
        ++position;
      }
      bad = static_cast<CellMask>(bad | (lost & ~covered));
      covered = static_cast<CellMask>(covered | own);
    };
    for (auto patch = ref.patches.rbegin(); patch != ref.patches.rend(); ++patch) part(stored_ref(*patch), &*patch);
    BlockRef base = ref;
    base.patches.clear();
    part(base, nullptr);
    if (index * kBlockSize + block_length(ref) > inode_.content.size) structure("data past the end of the file");
    report_cells(index, ref, bad, worst, why);
    if (blocks_ != nullptr)
      blocks_->push_back({.index = index, .ref = ref, .bad = bad, .in_place = in_place});
    else if (!in_place && bad == 0)
      out_.elsewhere = true;
  }

  void report_cells(uint64_t index, const BlockRef& ref, CellMask bad, Damage damage, const std::string& why) {
    const uint64_t start = index * kBlockSize;
    for_each_run(bad, 0, block_length(ref),
                 [&](size_t begin, size_t end) { lose(start + begin, start + end, damage, why); });
  }

  void note_not_taken(const BlockId& id) {
    if (blocks_ != nullptr) return;  // salvage looks elsewhere
    finding(Damage::none, "block " + to_hex(block_key(id)) + " is missing or used twice");
  }
  void note_checksum(Damage damage, const BlockId& id) {
    if (damage != Damage::checksum_only || blocks_ != nullptr) return;
    out_.bad_checksums.push_back(id);
    finding(damage, "the checksum of block " + to_hex(block_key(id)) + " is damaged; its content is intact")
        .repairable = true;
  }

  BlockFinder& finder_;
  const Inode& inode_;
  std::vector<FoundBlock>* blocks_;
  FileReport out_;
};

}  // namespace

BlockFinder::BlockFinder(const Survey& survey, const Cipher& cipher)
    : survey_(survey), cipher_(cipher), used_(survey.values(Table::blocks).size()) {}

const StoredValue* BlockFinder::find(const BlockId& id) const {
  const auto& values = survey_.values(Table::blocks);
  const RecordKey key{id.writer, id.number};
  auto it = std::lower_bound(values.begin(), values.end(), key,
                             [](const StoredValue& value, const RecordKey& k) { return value.key < k; });
  return it != values.end() && it->key == key ? &*it : nullptr;
}

bool BlockFinder::take(const BlockId& id) {
  const StoredValue* value = find(id);
  if (value == nullptr) return false;
  const auto i = static_cast<size_t>(value - survey_.values(Table::blocks).data());
  if (used_[i]) return false;
  used_[i] = true;
  return true;
}

std::vector<BlockId> BlockFinder::unused() const {
  std::vector<BlockId> out;
  const auto& values = survey_.values(Table::blocks);
  for (size_t i = 0; i < values.size(); ++i)
    if (!used_[i]) out.push_back({values[i].key.first, values[i].key.second});
  return out;
}

std::vector<std::pair<BlockId, Extent>> BlockFinder::unused_of(const ContentId& content) {
  const auto& values = survey_.values(Table::blocks);
  if (!by_content_.has_value()) {
    by_content_.emplace();
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].extent.size < kBlockHeaderSize) continue;
      auto id = survey_.read({values[i].extent.offset + kContentOffset, 16});
      if (!id.ok()) continue;
      ContentId owner;
      std::copy(id->begin(), id->end(), owner.bytes.begin());
      by_content_->emplace(owner, i);
    }
  }
  std::vector<std::pair<BlockId, Extent>> out;
  const auto [first, last] = by_content_->equal_range(content);
  for (auto it = first; it != last; ++it)
    if (!used_[it->second])
      out.emplace_back(BlockId{values[it->second].key.first, values[it->second].key.second}, values[it->second].extent);
  return out;
}

BlockFinder::Opened BlockFinder::try_extent(const BlockPlace& place, const BlockRef& ref, Kind kind,
                                            const Extent& extent) {
  Opened out;
  out.extent = extent;
  out.plain.resize(ref.length);
  auto value = survey_.read(extent);
  if (!value.ok()) {
    out.damage = Damage::rot;
    out.bad = kAllCells;
    return out;
  }
  out.found = true;
  auto opened = cipher_.open_block(place, ref, kind, *value, out.plain, &out.damage);
  if (opened.ok()) return out;
  if (opened.is(Code::suite_missing)) {
    out.suite_missing = true;
    return out;
  }
  out.bad = all_cells(std::max<size_t>(ref.length, 1));
  if (kind == Kind::map_node) return out;
  for (size_t cell = 0; cell * kCellSize < ref.length; ++cell) {
    const ByteSpan span =
        ByteSpan(out.plain).subspan(cell * kCellSize, std::min(kCellSize, ref.length - cell * kCellSize));
    if (cipher_.open_cells(place, ref, kind, *value, cell, span).ok())
      out.bad = static_cast<CellMask>(out.bad & ~(1u << cell));
  }
  return out;
}

BlockFinder::Opened BlockFinder::open(const BlockPlace& place, const BlockRef& ref, Kind kind) {
  Opened best;
  best.bad = kAllCells;
  best.plain.resize(ref.length);
  if (const StoredValue* value = find(ref.id); value != nullptr) {
    best = try_extent(place, ref, kind, value->extent);
    if (best.found && best.bad == 0) return best;
  }
  const auto [first, last] = carved_.equal_range(nonce_hash(ref.nonce));
  for (auto it = first; it != last; ++it) {
    Opened other = try_extent(place, ref, kind, {it->second, block_value_size(ref.length)});
    if (other.found && (!best.found || std::popcount(other.bad) < std::popcount(best.bad))) best = std::move(other);
    if (best.found && best.bad == 0) break;
  }
  return best;
}

FileReport check_file(BlockFinder& finder, const Inode& inode, std::vector<FoundBlock>* blocks) {
  return FileChecker(finder, inode, blocks).run();
}

Bytes compose_block(BlockFinder& finder, const ContentId& content, uint64_t index, const BlockRef& ref, CellMask& bad) {
  Bytes out(block_length(ref));
  bad = 0;
  auto lay = [&](const BlockRef& stored, CellMask cells) {
    const BlockPlace place{.content = content, .id = stored.id, .level = 0, .index = index};
    const auto opened = finder.open(place, stored, Kind::data_block);
    size_t position = 0;
    for (unsigned cell = 0; cell < 16; ++cell) {
      if ((cells >> cell & 1) == 0) continue;
      const size_t from = position * kCellSize, to = cell * kCellSize;
      const size_t size = from < stored.length ? std::min({kCellSize, stored.length - from, out.size() - to}) : 0;
      const bool lost = !opened.found || (opened.bad >> position & 1) != 0 || opened.suite_missing;
      if (lost)
        std::memset(out.data() + to, 0, size);
      else
        std::memcpy(out.data() + to, opened.plain.data() + from, size);
      bad = static_cast<CellMask>(lost ? bad | 1u << cell : bad & ~(1u << cell));
      ++position;
    }
  };
  BlockRef base = ref;
  base.patches.clear();
  lay(base, all_cells(base.length));
  for (const Patch& patch : ref.patches) lay(stored_ref(patch), patch.cells);
  return out;
}

}  // namespace tain::store
