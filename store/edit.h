// SPDX-License-Identifier: Apache-2.0
// Changing a file's bytes in the working set: what Content and Tree::setattr share.
//
// A partial change of a committed block needs the block's old bytes, which are read and decrypted
// without the mutex; meanwhile the block may have changed, so it is looked at again afterwards.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "base/result.h"
#include "store/working_set.h"

namespace tain::store {

using SetLock = std::unique_lock<std::mutex>;

/// Committed bytes of blocks that are about to be changed in part; nothing for holes and pending blocks.
using Bases = std::map<uint64_t, std::shared_ptr<const Bytes>>;

/// Yields the regular file `ino` with the bases of `indexes` loaded: valid together while the lock is held.
/// Releases the lock on the way. Errors: not_found, is_directory, corrupt, io.
Result<CachedInode*> load_bases(WorkingSet& set, SetLock& lock, Ino ino, std::span<const uint64_t> indexes,
                                Bases& bases);

/// Reads the map's nodes on the way to blocks `first` and `last`, so that a change that no commit could carry out
/// is refused here. Releases the lock on the way. Errors: corrupt, not_found (the inode), io.
Result<> check_map(WorkingSet& set, SetLock& lock, Ino ino, uint64_t first, uint64_t last);

/// A block opened for a partial change: `block` holds its present bytes.
struct OpenBlock {
  PendingBlock& block;
  size_t size_before;  // bytes that were pending, for WorkingSet::block_changed
  size_t valid;        // bytes that the block holds now
};
OpenBlock open_block(WorkingSet& set, CachedInode& inode, uint64_t index, const Bases& bases);

/// Sets the size, freeing or zero-extending; mtime and ctime become now. Releases the lock on the way;
/// the inode is valid afterwards. Errors: as load_bases, too_large.
Result<CachedInode*> set_size(WorkingSet& set, SetLock& lock, Ino ino, uint64_t size);

}  // namespace tain::store
