// SPDX-License-Identifier: Apache-2.0
#include "store/file_check.h"

#include <algorithm>
#include <bit>

#include "store/block_search.h"
#include "store/load_block.h"

namespace tain::store {
namespace {

constexpr size_t kContentOffset = 8;  // in a block value (docs/format.md §4.3)

CellMask all_cells(size_t length) {
  return cells_touching(0, length);
}

std::string range_text(const ByteRange& range) {
  return "bytes " + std::to_string(range.begin) + " to " + std::to_string(range.end - 1);
}

/// Ranges that touch as one, ascending.
std::vector<ByteRange> joined(std::vector<ByteRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const ByteRange& a, const ByteRange& b) { return a.begin < b.begin; });
  std::vector<ByteRange> out;
  for (const ByteRange& range : ranges) {
    if (!out.empty() && out.back().end >= range.begin)
      out.back().end = std::max(out.back().end, range.end);
    else
      out.push_back(range);
  }
  return out;
}

class FileChecker {
 public:
  FileChecker(BlockFinder& finder, const Inode& inode, std::vector<FoundBlock>* blocks, bool is_version = false)
      : finder_(finder), inode_(inode), blocks_(blocks), is_version_(is_version) {}
  FileChecker(BlockFinder& finder, const Inode& inode, std::vector<FoundBlock>* blocks, FileMemo* memo,
              const KnownBlock* known)
      : finder_(finder), inode_(inode), blocks_(blocks), is_version_(false), memo_(memo), known_(known) {}

  FileReport run() {
    check_list(inode_.content.root, inode_.content.height, 0);
    search_below();
    out_.damaged = joined(std::move(out_.damaged));
    out_.doubtful = joined(std::move(out_.doubtful));
    for (const ByteRange& range : out_.doubtful)
      note(range, "may be outdated: their map node is damaged, so nobody knows whether newer changes are lost");
    return std::move(out_);
  }

 private:
  /// Blocks below a map node that cannot be read.
  struct Gap {
    IndexRange blocks;
    uint8_t level = 0;  // of the node
    Damage damage = Damage::none;
    std::string why;
  };

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
  /// Says something of bytes that can be read.
  void note(const ByteRange& range, const std::string& what) {
    Finding& found = finding(Damage::none, range_text(range) + " " + what);
    found.begin = range.begin;
    found.end = range.end;
  }
  ByteRange bytes_of(const IndexRange& blocks) const {
    return {blocks.begin * kBlockSize, std::min(blocks.end * kBlockSize, inode_.content.size)};
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
    if (is_version_ && finder_.is_taken(ref.id)) return;  // and all below it
    if (!finder_.take(ref.id)) note_not_taken(ref.id);
    if (!ref.patches.empty()) structure("a map node with patches");
    if (memo_ != nullptr) {
      const auto seen = memo_->nodes.find(ref.id);
      if (seen != memo_->nodes.end() && seen->second.nonce == ref.nonce) {
        const auto list = seen->second.list;
        return check_list(*list, static_cast<uint8_t>(level - 1), index);
      }
    }
    const BlockPlace place{.content = inode_.content.id, .id = ref.id, .level = level, .index = index};
    auto opened = finder_.open(place, ref, Kind::map_node);
    if (opened.found && opened.bad == 0 && !opened.suite_missing) {
      note_checksum(opened.damage, ref.id);
      auto node = decode_refs(opened.plain, kMapFanout);
      if (node.ok()) {
        if (node->empty()) structure("an empty map node");
        if (memo_ != nullptr)
          memo_->nodes.insert_or_assign(ref.id, FileMemo::Node{ref.nonce, std::make_shared<const RefList>(*node)});
        check_list(*node, static_cast<uint8_t>(level - 1), index);
        return;
      }
    }
    if (opened.suite_missing) {
      out_.unreadable_here = true;  // intact perhaps: nothing below it is lost
      return;
    }
    out_.map_damaged = true;
    // Where the file ends nothing is lost any more.
    const uint64_t last = (inode_.content.size + kBlockSize - 1) / kBlockSize;
    const uint64_t end = std::min(index + (uint64_t{1} << (7 * level)), last);
    gaps_.push_back({.blocks = {index, end},
                     .level = level,
                     .damage = opened.damage,
                     .why = opened.found ? "its map node is damaged" : "its map node is missing"});
  }

  /// What lies below map nodes that cannot be read. Searched for once at the end, when intact nodes have taken what is
  /// theirs: first whole nodes, which know what they have, then blocks that nothing knows of.
  void search_below() {
    if (known_ != nullptr) {
      take_known();
    } else if (blocks_ != nullptr && !gaps_.empty()) {
      BlockSearch search(finder_, inode_.content.id);
      uint8_t highest = 0;
      for (const Gap& gap : gaps_) highest = std::max(highest, gap.level);
      for (uint8_t level = highest; level-- > 1;) search_nodes(search, level);
      search_blocks(search);
    }
    for (const Gap& gap : gaps_) lose(gap.blocks.begin * kBlockSize, gap.blocks.end * kBlockSize, gap.damage, gap.why);
  }

  void take_known() {
    const std::vector<Gap> gaps = gaps_;
    for (const Gap& gap : gaps) {
      for (uint64_t index = gap.blocks.begin; index < gap.blocks.end; ++index) {
        const std::optional<BlockRef> ref = (*known_)(index);
        if (!ref.has_value()) continue;
        close_gap({index, index + 1});
        check_block(*ref, index);
      }
    }
  }

  /// Ranges of blocks below nodes that are higher than `level`.
  std::vector<IndexRange> gaps_above(uint8_t level) {
    std::sort(gaps_.begin(), gaps_.end(), [](const Gap& a, const Gap& b) { return a.blocks.begin < b.blocks.begin; });
    std::vector<IndexRange> out;
    for (const Gap& gap : gaps_)
      if (gap.level > level) out.push_back(gap.blocks);
    return out;
  }

  void search_nodes(BlockSearch& search, uint8_t level) {
    std::vector<std::pair<uint64_t, RefList>> nodes;
    for (const auto& [index, refs] : search.find(Kind::map_node, level, gaps_above(level))) {
      if (refs.size() != 1) continue;  // only one can be current, and nobody knows which
      const BlockPlace place{.content = inode_.content.id, .id = refs[0].id, .level = level, .index = index};
      const auto opened = finder_.open(place, refs[0], Kind::map_node);
      if (!opened.found || opened.bad != 0 || opened.suite_missing) continue;
      auto node = decode_refs(opened.plain, kMapFanout);
      if (node.ok()) nodes.emplace_back(index, *std::move(node));
    }
    const uint64_t step = uint64_t{1} << (7 * level);
    for (const auto& [index, node] : nodes) close_gap({index, index + step});
    for (const auto& [index, node] : nodes) {
      note(bytes_of({index, index + step}), "were found by the seal of their map node: the node above it is damaged");
      check_list(node, static_cast<uint8_t>(level - 1), index);
    }
  }

  void search_blocks(BlockSearch& search) {
    for (const auto& [index, refs] : search.find(Kind::data_block, 0, gaps_above(0))) {
      // A patch has the same seal as the block that it lies over, and which cells it covers only the node knew. What
      // is not as long as a whole block may be a patch.
      const uint64_t whole = std::min(kBlockSize, inode_.content.size - index * kBlockSize);
      if (refs.size() != 1 || refs[0].length != whole) continue;
      CellMask bad = 0;
      compose_block(finder_, inode_.content.id, index, refs[0], bad);
      const Damage damage = close_gap({index, index + 1});
      blocks_->push_back({.index = index, .ref = refs[0], .bad = bad, .in_place = bad == 0});
      report_cells(index, refs[0], bad, damage, "the block is damaged");
      const uint64_t start = index * kBlockSize;
      for_each_run(static_cast<CellMask>(~bad), 0, whole, [&](size_t begin, size_t end) {
        out_.doubtful.push_back({start + begin, start + end});
      });
    }
  }

  /// Takes `found` out of the gap that it is in; yields what is wrong there.
  Damage close_gap(const IndexRange& found) {
    for (size_t i = 0; i < gaps_.size(); ++i) {
      Gap& gap = gaps_[i];
      if (gap.blocks.begin > found.begin || gap.blocks.end <= found.begin) continue;
      const Damage damage = gap.damage;
      if (gap.blocks.begin == found.begin) {
        gap.blocks.begin = std::min(found.end, gap.blocks.end);
        return damage;
      }
      Gap behind = gap;
      behind.blocks.begin = std::min(found.end, gap.blocks.end);
      gap.blocks.end = found.begin;
      if (behind.blocks.begin < behind.blocks.end) gaps_.push_back(std::move(behind));
      return damage;
    }
    return Damage::none;
  }

  void check_block(const BlockRef& ref, uint64_t index) {
    CellMask bad = 0;      // of the block as it reads, patches laid over
    CellMask covered = 0;  // by the patches looked at so far, newest first
    bool in_place = true;
    Damage worst = Damage::none;
    std::string why = "the block is damaged";
    auto part = [&](const BlockRef& stored, const Patch* patch) {
      if (is_version_ && finder_.is_taken(stored.id)) return;
      if (!finder_.take(stored.id)) {
        note_not_taken(stored.id);
        in_place = false;
      }
      const BlockPlace place{.content = inode_.content.id, .id = stored.id, .level = 0, .index = index};
      const auto opened = open_part(place, stored);
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

  BlockFinder::Opened open_part(const BlockPlace& place, const BlockRef& stored) {
    if (memo_ == nullptr) return finder_.open(place, stored, Kind::data_block);
    const auto seen = memo_->parts.find(stored.id);
    if (seen != memo_->parts.end() && seen->second.nonce == stored.nonce) return seen->second.opened;
    auto opened = finder_.open(place, stored, Kind::data_block);
    opened.plain = {};
    memo_->parts.insert_or_assign(stored.id, FileMemo::Part{stored.nonce, opened});
    return opened;
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
  const bool is_version_;
  FileMemo* memo_ = nullptr;
  const KnownBlock* known_ = nullptr;
  std::vector<Gap> gaps_;
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

bool BlockFinder::is_taken(const BlockId& id) const {
  const StoredValue* value = find(id);
  return value != nullptr && used_[static_cast<size_t>(value - survey_.values(Table::blocks).data())];
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

FileReport check_file(BlockFinder& finder, const Inode& inode, std::vector<FoundBlock>* blocks, FileMemo* memo) {
  return FileChecker(finder, inode, blocks, memo, nullptr).run();
}

FileReport check_state(BlockFinder& finder, const Inode& version, std::vector<FoundBlock>& blocks, FileMemo& memo,
                       const KnownBlock& known) {
  return FileChecker(finder, version, &blocks, &memo, &known).run();
}

FileReport check_version(BlockFinder& finder, const Inode& version) {
  return FileChecker(finder, version, nullptr, /*is_version=*/true).run();
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
