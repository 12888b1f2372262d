// SPDX-License-Identifier: Apache-2.0
// One file's content against its map: which bytes are there, and what is wrong with the others.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "store/block_map.h"
#include "store/cells.h"
#include "store/survey.h"

namespace tain::store {

/// Finds stored blocks in a survey. A block that is not where the table has it may have been carved elsewhere:
/// its nonce, which nothing else has, is what a reference and a carved value have in common.
class BlockFinder {
 public:
  BlockFinder(const Survey& survey, const Cipher& cipher);

  void add_carved(const std::array<uint8_t, 24>& nonce, uint64_t offset) { carved_.emplace(nonce_hash(nonce), offset); }

  struct Opened {
    bool found = false;  // there is a value at all
    Damage damage = Damage::none;
    CellMask bad = 0;  // cells that cannot be read
    Bytes plain;       // zeros where bad; ref.length bytes
    Extent extent;
    bool suite_missing = false;  // intact perhaps, but not readable on this machine
  };
  /// The best copy of the block.
  Opened open(const BlockPlace& place, const BlockRef& ref, Kind kind);
  /// False when a reference to `id` was taken before, or the table does not have it.
  bool take(const BlockId& id);
  /// Whether a reference to `id` was taken.
  bool is_taken(const BlockId& id) const;
  /// Blocks of the table that nothing took.
  std::vector<BlockId> unused() const;
  /// Blocks of one file that nothing took yet, for a map that is damaged.
  std::vector<std::pair<BlockId, Extent>> unused_of(const ContentId& content);
  const Survey& survey() const { return survey_; }
  const Cipher& cipher() const { return cipher_; }

 private:
  static uint64_t nonce_hash(const std::array<uint8_t, 24>& nonce) { return load_be64(nonce.data()); }
  const StoredValue* find(const BlockId& id) const;
  Opened try_extent(const BlockPlace& place, const BlockRef& ref, Kind kind, const Extent& extent);

  const Survey& survey_;
  const Cipher& cipher_;
  std::vector<bool> used_;
  std::unordered_multimap<uint64_t, uint64_t> carved_;
  std::optional<std::multimap<ContentId, size_t>> by_content_;
};

struct ByteRange {
  uint64_t begin = 0, end = 0;
  bool operator==(const ByteRange&) const = default;
};

struct FileReport {
  uint64_t allocated = 0;              // bytes of plaintext in its data blocks
  std::vector<ByteRange> damaged;      // ascending, joined, inside the file's size
  std::vector<ByteRange> doubtful;     // the same, of what reads, but may have been changed since
  std::vector<Finding> findings;       // without ino and path
  std::vector<BlockId> bad_checksums;  // of blocks whose seals are good
  bool map_damaged = false;            // a node or reference is wrong: the map must be made anew
  bool elsewhere = false;              // some blocks were found where the table does not have them
  bool unreadable_here = false;        // sealed with a cipher that this machine lacks: intact perhaps
};

/// What a rebuilt file is made of: the block at `index`, and which of its cells could not be read.
struct FoundBlock {
  uint64_t index = 0;
  BlockRef ref;
  CellMask bad = 0;
  bool in_place = true;  // every part is in the table, and intact
};

/// What reading one state of a file found of its stored values. The next state has most of them, too.
struct FileMemo {
  using Nonce = std::array<uint8_t, 24>;
  struct Part {
    Nonce nonce{};
    BlockFinder::Opened opened;  // without the plaintext
  };
  struct Node {
    Nonce nonce{};
    std::shared_ptr<const RefList> list;
  };
  std::unordered_map<BlockId, Part> parts;
  std::unordered_map<BlockId, Node> nodes;  // intact ones
};

/// What a file certainly has at a block, whatever its map says; nothing where nobody knows.
using KnownBlock = std::function<std::optional<BlockRef>(uint64_t index)>;

/// Reads the whole file. With `blocks`, lists them and looks for those below damaged map nodes, too.
FileReport check_file(BlockFinder& finder, const Inode& inode, std::vector<FoundBlock>* blocks = nullptr,
                      FileMemo* memo = nullptr);
/// Reads a version of a file whole, after the file itself, and lists its blocks. Below damaged map nodes it has what is
/// `known`: to search by seal would take blocks of other states for its own.
FileReport check_state(BlockFinder& finder, const Inode& version, std::vector<FoundBlock>& blocks, FileMemo& memo,
                       const KnownBlock& known);
/// Reads what only this version of a file has, after the file itself and its newer versions: what was taken before was
/// read then. `allocated` is not counted.
FileReport check_version(BlockFinder& finder, const Inode& version);

/// The plaintext of a block with its patches, zeros where `bad` says; as long as the block.
Bytes compose_block(BlockFinder& finder, const ContentId& content, uint64_t index, const BlockRef& ref, CellMask& bad);

}  // namespace tain::store
