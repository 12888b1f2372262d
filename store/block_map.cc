// SPDX-License-Identifier: Apache-2.0
#include "store/block_map.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tain::store {
namespace {

constexpr uint32_t kFanoutShift = 7;
static_assert(kMapFanout == 1u << kFanoutShift);

/// Blocks that one slot of a list at `level` covers (level 0 lists data blocks).
constexpr uint64_t slot_span(uint8_t level) { return uint64_t{1} << (kFanoutShift * level); }
constexpr uint64_t root_span(uint8_t height) { return kRootFanout * slot_span(height); }

BlockPlace place_of(const ContentRecord& content, const BlockRef& ref, uint8_t level, uint64_t index) {
  return {.content = content.id, .id = ref.id, .level = level, .index = index};
}

uint64_t stored_bytes(const BlockRef& ref) {
  uint64_t bytes = ref.length;
  for (const Patch& patch : ref.patches) bytes += patch.length;
  return bytes;
}

/// First block at or after `from` in `list`, whose first block is `base`.
Result<uint64_t> next_in(const ContentRecord& content, const RefList& list, uint8_t level, uint64_t base,
                         uint64_t from, NodeReader& reader) {
  const uint64_t span = slot_span(level);
  const uint64_t first = from <= base ? 0 : (from - base) / span;
  if (first >= kMapFanout) return kNoBlock;
  for (auto it = list.lower_bound(static_cast<uint8_t>(first)); it != list.end(); ++it) {
    const uint64_t start = base + it->first * span;
    if (level == 0) return start;
    auto node = TRY(reader.read_node(place_of(content, it->second, level, start), it->second));
    const uint64_t found = TRY(next_in(content, *node, static_cast<uint8_t>(level - 1), start, from, reader));
    if (found != kNoBlock) return found;
  }
  return kNoBlock;
}

/// One run of change_map: the recursion shares these.
class Change {
 public:
  Change(ContentRecord& content, MapWriter& writer) : content_(content), writer_(writer) {}

  /// Drops everything from block `floor` on in `list`.
  Result<> cut(RefList& list, uint8_t level, uint64_t base, uint64_t floor) {
    const uint64_t span = slot_span(level);
    for (auto it = list.begin(); it != list.end();) {
      const uint64_t start = base + it->first * span;
      if (start >= floor) {
        TRY(drop(it->second, level, start));
        it = list.erase(it);
      } else if (level > 0 && start + span > floor) {
        RefList child = *TRY(writer_.read_node(place_of(content_, it->second, level, start), it->second));
        const RefList before = child;
        TRY(cut(child, static_cast<uint8_t>(level - 1), start, floor));
        it = TRY(replace(list, it, level, start, before, child));
      } else {
        ++it;
      }
    }
    return {};
  }

  using ChangeIt = std::map<uint64_t, std::optional<BlockRef>>::const_iterator;
  /// Applies [first, last), all inside `list`.
  Result<> apply(RefList& list, uint8_t level, uint64_t base, ChangeIt first, ChangeIt last) {
    const uint64_t span = slot_span(level);
    while (first != last) {
      const auto slot = static_cast<uint8_t>((first->first - base) / span);
      const uint64_t start = base + slot * span;
      auto it = list.find(slot);
      if (level == 0) {
        if (it != list.end())
          TRY(replace_block(it->second, first->second.has_value() ? &*first->second : nullptr, first->first));
        if (first->second.has_value()) {
          content_.allocated += stored_bytes(*first->second);
          list.insert_or_assign(slot, *first->second);
        } else if (it != list.end()) {
          list.erase(it);
        }
        ++first;
        continue;
      }
      ChangeIt end = first;
      while (end != last && end->first < start + span) ++end;
      RefList child;
      if (it != list.end()) child = *TRY(writer_.read_node(place_of(content_, it->second, level, start), it->second));
      const RefList before = child;
      TRY(apply(child, static_cast<uint8_t>(level - 1), start, first, end));
      if (it != list.end()) {
        TRY(replace(list, it, level, start, before, child));
      } else if (!child.empty()) {
        list.emplace(slot, TRY(writer_.write_node(level, start, child)));
      }
      first = end;
    }
    return {};
  }

 private:
  /// Releases the block or the whole subtree behind `ref`.
  Result<> drop(const BlockRef& ref, uint8_t level, uint64_t start) {
    if (level == 0) {
      return replace_block(ref, nullptr, start);
    }
    auto node = writer_.read_node(place_of(content_, ref, level, start), ref);
    if (node.ok()) {
      const auto below = static_cast<uint8_t>(level - 1);
      for (const auto& [slot, child] : **node) TRY(drop(child, below, start + slot * slot_span(below)));
    } else if (!node.is(Code::corrupt) && !node.is(Code::not_found)) {
      return std::move(node).error();
    }
    // Of a damaged node only itself is known: what hangs below it stays in the database, unreachable,
    // which costs space and keeps the deletion of one damaged file from stopping every commit.
    return writer_.release(ref, level, start);
  }

  /// Releases the block and the patches of `old` that `next`, if there is one, no longer has.
  Result<> replace_block(const BlockRef& old, const BlockRef* next, uint64_t index) {
    content_.allocated -= stored_bytes(old);
    if (next == nullptr || next->id != old.id) TRY(writer_.release(old, 0, index));
    for (const Patch& patch : old.patches) {
      const auto same = [&](const Patch& other) { return other.id == patch.id; };
      if (next == nullptr || std::none_of(next->patches.begin(), next->patches.end(), same))
        TRY(writer_.release(stored_ref(patch), 0, index));
    }
    return {};
  }

  /// Puts the changed `child` in the place of the node behind `it`; returns the next iterator.
  Result<RefList::iterator> replace(RefList& list, RefList::iterator it, uint8_t level, uint64_t start,
                                    const RefList& before, const RefList& child) {
    if (child == before) return ++it;
    TRY(writer_.release(it->second, level, start));
    if (child.empty()) return list.erase(it);
    it->second = TRY(writer_.write_node(level, start, child));
    return ++it;
  }

  ContentRecord& content_;
  MapWriter& writer_;
};

}  // namespace

BlockRef stored_ref(const Patch& patch) {
  return {.id = patch.id, .nonce = patch.nonce, .tag = patch.tag, .length = patch.length, .patches = {}};
}

bool has_room_for_patch(const BlockRef& ref, uint16_t cells) {
  const auto stays = [&](const Patch& patch) { return (patch.cells & ~cells) != 0; };
  return std::cmp_less(std::count_if(ref.patches.begin(), ref.patches.end(), stays), kPatchesMax);
}

void add_patch(BlockRef& ref, const Patch& patch) {
  CHECK(has_room_for_patch(ref, patch.cells));
  std::erase_if(ref.patches, [&](const Patch& old) { return (old.cells & ~patch.cells) == 0; });
  ref.patches.push_back(patch);
}

Result<std::optional<BlockRef>> find_block(const ContentRecord& content, uint64_t index, NodeReader& reader) {
  if (index >= root_span(content.height)) return std::optional<BlockRef>();
  const RefList* list = &content.root;
  std::shared_ptr<const RefList> node;
  for (uint8_t level = content.height;; --level) {
    const uint64_t slot = (index >> (kFanoutShift * level)) & (level == content.height ? kRootFanout - 1 : kMapFanout - 1);
    auto it = list->find(static_cast<uint8_t>(slot));
    if (it == list->end()) return std::optional<BlockRef>();
    if (level == 0) return std::optional<BlockRef>(it->second);
    const uint64_t start = index & ~(slot_span(level) - 1);
    const BlockRef ref = it->second;  // `node` may hold `it`
    node = TRY(reader.read_node(place_of(content, ref, level, start), ref));
    list = node.get();
  }
}

Result<bool> has_block(const ContentRecord& content, uint8_t level, uint64_t index, const BlockId& id,
                       NodeReader& reader) {
  if (level > content.height || index >= root_span(content.height)) return false;
  const RefList* list = &content.root;
  std::shared_ptr<const RefList> node;
  for (uint8_t here = content.height;; --here) {
    const uint64_t fanout = here == content.height ? kRootFanout : kMapFanout;
    // Of a map of height h the root lists what stands at level h, too.
    auto it = list->find(static_cast<uint8_t>((index >> (kFanoutShift * here)) & (fanout - 1)));
    if (it == list->end()) return false;
    const BlockRef ref = it->second;  // `node` may hold `it`
    if (here == level) {
      const auto same = [&](const Patch& patch) { return patch.id == id; };
      return ref.id == id || std::any_of(ref.patches.begin(), ref.patches.end(), same);
    }
    const uint64_t start = index & ~(slot_span(here) - 1);
    node = TRY(reader.read_node(place_of(content, ref, here, start), ref));
    list = node.get();
  }
}

namespace {

class UnsharedWalk {
 public:
  UnsharedWalk(const ContentRecord& content, std::span<const ContentRecord* const> others, NodeReader& reader,
               const std::function<void(const BlockRef&)>& take)
      : content_(content), others_(others), reader_(reader), take_(take) {}

  Result<> list(const RefList& refs, uint8_t level, uint64_t base) {
    for (const auto& [slot, ref] : refs) {
      const uint64_t start = base + slot * slot_span(level);
      if (level == 0) {
        for (const Patch& patch : ref.patches) TRY(one(stored_ref(patch), 0, start));
        BlockRef base_block = ref;
        base_block.patches.clear();
        TRY(one(base_block, 0, start));
        continue;
      }
      if (TRY(is_shared(ref.id, level, start))) continue;
      auto node = reader_.read_node(place_of(content_, ref, level, start), ref);
      // As in Change::drop: what hangs below a damaged node stays.
      if (node.ok())
        TRY(list(**node, static_cast<uint8_t>(level - 1), start));
      else if (!node.is(Code::corrupt) && !node.is(Code::not_found))
        return std::move(node).error();
      take_(ref);
    }
    return {};
  }

 private:
  Result<> one(const BlockRef& ref, uint8_t level, uint64_t start) {
    if (!TRY(is_shared(ref.id, level, start))) take_(ref);
    return {};
  }
  Result<bool> is_shared(const BlockId& id, uint8_t level, uint64_t start) {
    for (const ContentRecord* other : others_) {
      auto has = has_block(*other, level, start, id, reader_);
      // Where another map is damaged nobody knows what it has: nothing is freed.
      if (has.is(Code::corrupt) || has.is(Code::not_found)) return true;
      if (TRY(std::move(has))) return true;
    }
    return false;
  }
  const ContentRecord& content_;
  std::span<const ContentRecord* const> others_;
  NodeReader& reader_;
  const std::function<void(const BlockRef&)>& take_;
};

}  // namespace

Result<> for_each_unshared(const ContentRecord& content, std::span<const ContentRecord* const> others,
                           NodeReader& reader, const std::function<void(const BlockRef&)>& take) {
  return UnsharedWalk(content, others, reader, take).list(content.root, content.height, 0);
}

Result<uint64_t> next_block(const ContentRecord& content, uint64_t index, NodeReader& reader) {
  if (index >= root_span(content.height)) return kNoBlock;
  return next_in(content, content.root, content.height, 0, index, reader);
}

Result<> change_map(ContentRecord& content, const MapChanges& changes, MapWriter& writer) {
  Change change(content, writer);
  if (changes.floor < root_span(content.height)) TRY(change.cut(content.root, content.height, 0, changes.floor));
  if (content.root.empty()) content.height = 0;
  if (changes.blocks.empty()) return {};

  // Grow until the last block that is set fits; holes past the end change nothing.
  uint64_t last = 0;
  for (auto it = changes.blocks.rbegin(); it != changes.blocks.rend(); ++it) {
    if (it->second.has_value()) {
      last = it->first;
      break;
    }
  }
  while (last >= root_span(content.height)) {
    CHECK(content.height < kMapHeightMax);
    ++content.height;
    if (content.root.empty()) continue;
    RefList grown;
    grown.emplace(uint8_t{0}, TRY(writer.write_node(content.height, 0, content.root)));
    content.root = std::move(grown);
  }
  const auto end = changes.blocks.lower_bound(root_span(content.height));
  return change.apply(content.root, content.height, 0, changes.blocks.begin(), end);
}

}  // namespace tain::store
