// SPDX-License-Identifier: Apache-2.0
// The content of one salvaged file, written into the new vault: its versions first, the oldest before the others, then
// what is present.
//
// Blocks keep their ids, so what states share stays shared; map nodes are made anew, and shared between one state and
// the next. The new vault relies on its states being a line: a block that is in two of them is in all between
// (docs/format.md §6.6). Where damage broke the line, a block that comes again is sealed anew.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/block_map.h"
#include "store/catalog.h"
#include "store/salvage_writer.h"

namespace tain::store {

/// What the attribute of a salvaged file says: ranges that read as zeros, then those that may be outdated.
std::string damaged_ranges(const FileReport& file);

class SalvagedContent {
 public:
  /// `suite` seals what has to be sealed anew.
  SalvagedContent(BlockFinder& finder, Suite suite, SalvageWriter& out, const ContentId& content)
      : finder_(finder), suite_(suite), out_(out), nodes_(*this) {
    content_.id = content;
  }

  /// Writes what the next state has that the one before had not: `blocks` of a file of `size` bytes, by index. Nothing
  /// follows the last one. Errors: io, no_space.
  Result<ContentRecord> put(uint64_t size, const std::vector<FoundBlock>& blocks, bool is_last);

 private:
  /// What the state before has at an index.
  struct Slot {
    BlockRef found;
    CellMask bad = 0;
    std::optional<BlockRef> stored;  // in the new vault; nothing for zeros
  };
  /// Nodes that do not outlive the change that made them are not stored.
  class Nodes final : public MapWriter {
   public:
    explicit Nodes(SalvagedContent& owner) : owner_(owner) {}
    Result<std::shared_ptr<const RefList>> read_node(const BlockPlace& place, const BlockRef& ref) override;
    Result<BlockRef> write_node(uint8_t level, uint64_t index, const RefList& node) override;
    Result<> release(const BlockRef& ref, uint8_t level, uint64_t index) override;
    Result<> store();

   private:
    struct Node {
      std::shared_ptr<const RefList> list;
      Bytes value;  // until it is stored
    };
    SalvagedContent& owner_;
    std::unordered_map<BlockId, Node> nodes_;
    std::vector<BlockId> unstored_;
  };

  Result<std::optional<BlockRef>> copy_block(const FoundBlock& block, const Slot* before, bool is_last);
  Result<> copy_value(const BlockRef& ref, const Extent& extent);
  Result<std::optional<BlockRef>> seal_anew(const FoundBlock& block);

  BlockFinder& finder_;
  const Suite suite_;
  SalvageWriter& out_;
  ContentRecord content_;                      // as last put
  std::unordered_map<uint64_t, Slot> before_;  // by index
  std::unordered_set<BlockId> written_;
  Nodes nodes_;
};

}  // namespace tain::store
