// SPDX-License-Identifier: Apache-2.0
// The map from block index to block: a copy-on-write tree of immutable, sealed map nodes.
//
// The root lives in the inode record (at most 16 references); at height h a root slot covers 128^h
// blocks. A change writes new nodes from the leaf to the root and releases the old ones, so two roots
// may share whole subtrees. Every reference carries its child's nonce and tag: no part of an older map
// can be put back. Pure algorithm: nodes come and go through the two interfaces.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "store/cipher.h"
#include "store/types.h"

namespace tain::store {

/// A patch as the stored block that it is.
BlockRef stored_ref(const Patch& patch);
/// Whether one more patch, of `cells`, leaves at most kPatchesMax. It takes the place of those whose cells it has.
bool has_room_for_patch(const BlockRef& ref, uint16_t cells);
/// Lays `patch` over the block; there must be room.
void add_patch(BlockRef& ref, const Patch& patch);

/// Where map nodes are read from.
class NodeReader {
 public:
  virtual ~NodeReader() = default;
  /// Errors: not_found (the node was replaced meanwhile: take a newer root), corrupt, io.
  virtual Result<std::shared_ptr<const RefList>> read_node(const BlockPlace& place, const BlockRef& ref) = 0;
};

/// Where a changed map puts its new nodes and drops its old blocks.
class MapWriter : public NodeReader {
 public:
  /// Stores a node for `level` ≥ 1 and first block `index`.
  virtual Result<BlockRef> write_node(uint8_t level, uint64_t index, const RefList& node) = 0;
  /// The block or node that stood at `level` and `index` is no longer part of this map.
  virtual Result<> release(const BlockRef& ref, uint8_t level, uint64_t index) = 0;
};

/// The committed block at `index`; nothing for a hole.
Result<std::optional<BlockRef>> find_block(const ContentRecord& content, uint64_t index, NodeReader& reader);
/// Whether the map has that very block, patch or node at `level` (0: block) and `index` (the first block under it).
Result<bool> has_block(const ContentRecord& content, uint8_t level, uint64_t index, const BlockId& id,
                       NodeReader& reader);
/// Calls `take` for every block, patch and node of `content` that none of `others` has. They are maps of the same file
/// at other times: where one has a node, it has all below it, too.
Result<> for_each_unshared(const ContentRecord& content, std::span<const ContentRecord* const> others,
                           NodeReader& reader, const std::function<void(const BlockRef&)>& take);
/// Index of the first committed block at or after `index`; kNoBlock when there is none.
Result<uint64_t> next_block(const ContentRecord& content, uint64_t index, NodeReader& reader);

/// Changes of one commit: first every block from `floor` on goes, then `blocks` are set, or made holes.
/// A block that is set to its old reference with another patch keeps what both have in common.
struct MapChanges {
  uint64_t floor = kNoBlock;
  std::map<uint64_t, std::optional<BlockRef>> blocks;
};
/// Applies `changes` to `content` (root, height, allocated).
Result<> change_map(ContentRecord& content, const MapChanges& changes, MapWriter& writer);

}  // namespace tain::store
