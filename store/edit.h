// SPDX-License-Identifier: Apache-2.0
// Changing a file's bytes in the working set: what Content, Tree::setattr and replay share.
//
// A small change of a committed block keeps only the cells that it touches, for a patch; any other change makes
// the pending block whole. Either may need some of the block's old bytes (its *base*), which are read and decrypted
// without the mutex; meanwhile the block may have changed, so it is looked at again afterwards.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <span>

#include "base/result.h"
#include "store/working_set.h"

namespace tain::store {

using SetLock = std::unique_lock<std::mutex>;

/// What an operation is about to do to one block.
struct BlockChange {
  enum class Kind : uint8_t {
    write,  // new bytes in [begin, end), which may lie past the block's length
    clear,  // zeros in [begin, end), as far as the block has bytes there
    cut,    // nothing is left from `begin` on
    cells,  // new bytes in `touched`, and the block has `end` bytes afterwards
  };
  Kind kind = Kind::write;
  uint64_t index = 0;
  size_t begin = 0;
  size_t end = 0;
  CellMask touched = 0;  // only for Kind::cells

  /// Nothing of the block's own bytes. What a commit needs to change the map beside it or to make it a hole is only
  /// that its place in the map can be read.
  static BlockChange of_place(uint64_t index) { return {.kind = Kind::clear, .index = index}; }
};

/// What the committed block gives to a change.
struct Base {
  std::optional<BlockRef> ref;  // nothing: a hole
  Cells cells;                  // those that were asked for
};
using Bases = std::map<uint64_t, Base>;

/// Reads what `changes` need of the committed blocks of the regular file `ino`: valid together while the lock is held.
/// Releases the lock on the way. A change of which no commit could be carried out, because the map is damaged on the
/// way to its block, is refused here. Errors: not_found, is_directory, invalid_argument, corrupt, io.
Result<CachedInode*> load_bases(WorkingSet& set, SetLock& lock, Ino ino, std::span<const BlockChange> changes,
                                Bases& bases);

/// What load_bases does, at once and with the mutex held all the time: for replay.
Result<> load_base_locked(WorkingSet& set, CachedInode& inode, const BlockChange& change, Bases& bases);

/// A block opened for a change: `block` holds all the bytes that the change keeps. A change that covers the whole
/// block needs no base.
struct OpenBlock {
  PendingBlock& block;
  size_t size_before;  // bytes that were in memory, for WorkingSet::block_changed
  size_t length;       // of the block, before the change
};
OpenBlock open_block(WorkingSet& set, CachedInode& inode, const BlockChange& change, const Bases& bases);

/// Bytes that the block has now, of which load_bases read the base; 0: a hole.
size_t present_length(const CachedInode& inode, uint64_t index, const Bases& bases);

/// Sets the size, freeing or zero-extending; mtime and ctime become now. Releases the lock on the way;
/// the inode is valid afterwards. Errors: as load_bases, too_large.
Result<CachedInode*> set_size(WorkingSet& set, SetLock& lock, Ino ino, uint64_t size);

}  // namespace tain::store
