// SPDX-License-Identifier: Apache-2.0
#include "store/salvage_content.h"

#include <algorithm>
#include <utility>

namespace tain::store {
namespace {

constexpr size_t kXattrTextMax = 4096;  // bytes of the list of damaged ranges

/// The block without its patches, then each of them, as stored values.
std::vector<BlockRef> parts_of(const BlockRef& ref) {
  std::vector<BlockRef> out{ref};
  out[0].patches.clear();
  for (const Patch& patch : ref.patches) out.push_back(stored_ref(patch));
  return out;
}

bool has_part(const std::optional<BlockRef>& ref, const BlockId& id) {
  if (!ref.has_value()) return false;
  const auto same = [&](const Patch& patch) { return patch.id == id; };
  return ref->id == id || std::any_of(ref->patches.begin(), ref->patches.end(), same);
}

}  // namespace

std::string damaged_ranges(const FileReport& file) {
  std::string out;
  for (const auto& [ranges, kind] : {std::pair(&file.damaged, ""), std::pair(&file.doubtful, "maybe-outdated ")}) {
    for (const ByteRange& range : *ranges) {
      const std::string text = kind + std::to_string(range.begin) + "-" + std::to_string(range.end - 1);
      if (out.size() + text.size() + 5 > kXattrTextMax) return out + " …";
      out += (out.empty() ? "" : " ") + text;
    }
  }
  return out;
}

Result<ContentRecord> SalvagedContent::put(uint64_t size, const std::vector<FoundBlock>& blocks, bool is_last) {
  MapChanges changes;
  std::unordered_map<uint64_t, Slot> now;
  std::unordered_set<uint64_t> here;
  for (const FoundBlock& block : blocks) {
    const auto before = before_.find(block.index);
    const bool is_new = before == before_.end() || before->second.found != block.ref || before->second.bad != block.bad;
    std::optional<BlockRef> stored;
    if (is_new) {
      stored = TRY(copy_block(block, before != before_.end() ? &before->second : nullptr, is_last));
      changes.blocks.emplace(block.index, stored);
    } else {
      stored = before->second.stored;
    }
    if (!before_.empty()) here.insert(block.index);
    if (!is_last) now.insert_or_assign(block.index, Slot{block.ref, block.bad, std::move(stored)});
  }
  for (const auto& [index, slot] : before_)
    if (!here.contains(index)) changes.blocks.emplace(index, std::nullopt);
  content_.size = size;
  TRY(change_map(content_, changes, nodes_));
  TRY(nodes_.store());
  before_ = std::move(now);
  return content_;
}

/// The block as it is, or, if cells of it are lost, what is left of it as a new one.
Result<std::optional<BlockRef>> SalvagedContent::copy_block(const FoundBlock& block, const Slot* before, bool is_last) {
  std::vector<std::pair<BlockRef, Extent>> wanted;
  bool is_intact = block.bad == 0;
  for (const BlockRef& part : parts_of(block.ref)) {
    if (!is_intact) break;
    if (before != nullptr && has_part(before->stored, part.id)) continue;
    const BlockPlace place{.content = content_.id, .id = part.id, .level = 0, .index = block.index};
    const auto opened = finder_.open(place, part, Kind::data_block);
    // One that an older state had, and the one before this has not, would break the line.
    is_intact = opened.found && opened.bad == 0 && !opened.suite_missing && !written_.contains(part.id);
    wanted.emplace_back(part, opened.extent);
  }
  if (!is_intact) return seal_anew(block);
  for (const auto& [part, extent] : wanted) {
    TRY(copy_value(part, extent));
    if (!is_last) written_.insert(part.id);
  }
  return std::optional<BlockRef>(block.ref);
}

Result<std::optional<BlockRef>> SalvagedContent::seal_anew(const FoundBlock& block) {
  CellMask bad = 0;
  const Bytes plain = compose_block(finder_, content_.id, block.index, block.ref, bad);
  if (std::all_of(plain.begin(), plain.end(), [](uint8_t byte) { return byte == 0; })) return std::optional<BlockRef>();
  const BlockPlace place{.content = content_.id, .id = out_.new_block_id(), .level = 0, .index = block.index};
  const SealedBlock sealed = finder_.cipher().seal_block(suite_, place, Kind::data_block, plain);
  TRY(out_.put_block(place.id, sealed.value));
  return std::optional<BlockRef>(sealed.ref);
}

Result<> SalvagedContent::copy_value(const BlockRef& ref, const Extent& extent) {
  Bytes value = TRY(finder_.survey().read(extent));
  // A damaged checksum over a good seal is made right.
  const auto checksum =
      value_checksum(Table::blocks, block_key(ref.id), ByteView(value).first(value.size() - kChecksumSize));
  std::copy(checksum.begin(), checksum.end(), value.end() - kChecksumSize);
  return out_.put_block(ref.id, value);
}

Result<std::shared_ptr<const RefList>> SalvagedContent::Nodes::read_node(const BlockPlace&, const BlockRef& ref) {
  const auto it = nodes_.find(ref.id);
  if (it == nodes_.end()) return Error(Code::not_found, "map node");
  return it->second.list;
}

Result<BlockRef> SalvagedContent::Nodes::write_node(uint8_t level, uint64_t index, const RefList& node) {
  const BlockPlace place{
      .content = owner_.content_.id, .id = owner_.out_.new_block_id(), .level = level, .index = index};
  SealedBlock sealed = owner_.finder_.cipher().seal_block(owner_.suite_, place, Kind::map_node, encode_refs(node));
  nodes_.insert_or_assign(place.id, Node{std::make_shared<const RefList>(node), std::move(sealed.value)});
  unstored_.push_back(place.id);
  return sealed.ref;
}

/// No later state has what this one drops, and older ones are written.
Result<> SalvagedContent::Nodes::release(const BlockRef& ref, uint8_t level, uint64_t) {
  if (level > 0) nodes_.erase(ref.id);
  return {};
}

Result<> SalvagedContent::Nodes::store() {
  for (const BlockId& id : std::exchange(unstored_, {})) {
    const auto it = nodes_.find(id);
    if (it == nodes_.end()) continue;
    TRY(owner_.out_.put_block(id, it->second.value));
    it->second.value = {};
  }
  return {};
}

}  // namespace tain::store
