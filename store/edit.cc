// SPDX-License-Identifier: Apache-2.0
#include "store/edit.h"

#include "store/load_block.h"

namespace tain::store {
namespace {

// A commit may replace a block while it is being read; that this happens again and again without the
// block being damaged is not believable.
constexpr int kAttemptsMax = 64;

bool needs_base(const CachedInode& inode, uint64_t index) {
  return !inode.blocks.contains(index) && WorkingSet::committed_visible(inode, index) &&
         !inode.record.content.root.empty();
}

}  // namespace

Result<CachedInode*> load_bases(WorkingSet& set, SetLock& lock, Ino ino, std::span<const uint64_t> indexes,
                                Bases& bases) {
  uint64_t loaded_version = 0;
  bases.clear();
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    CachedInode* inode = TRY(set.find(ino));
    if (inode->record.is_directory()) return Error(Code::is_directory, "is a directory");
    if (!inode->record.is_regular()) return Error(Code::invalid_argument, "not a regular file");
    const uint64_t version = inode->map_version;
    if (version != loaded_version) bases.clear();
    bool complete = true;
    for (uint64_t index : indexes) {
      const bool needed = needs_base(*inode, index);
      if (!needed) bases.erase(index);
      complete = complete && (!needed || bases.contains(index));
    }
    if (complete) return inode;

    const ContentRecord content = inode->record.content;
    std::vector<uint64_t> missing;
    for (uint64_t index : indexes)
      if (needs_base(*inode, index)) missing.push_back(index);
    lock.unlock();
    Result<> loaded;
    for (uint64_t index : missing) {
      auto block = load_block(set.database(), content, index);
      if (!block.ok()) {
        loaded = std::move(block).error();
        break;
      }
      bases[index] = std::move(*block);
    }
    lock.lock();
    if (!loaded.ok()) {
      if (!loaded.is(Code::not_found)) return std::move(loaded).error();
      set.wait_for_commit(lock);
    }
    loaded_version = version;
  }
  return Error(Code::corrupt, "a block of inode " + std::to_string(raw(ino)) + " is missing from the database");
}

Result<> check_map(WorkingSet& set, SetLock& lock, Ino ino, uint64_t first, uint64_t last) {
  CachedInode* inode = TRY(set.find(ino));
  if (inode->record.content.height == 0) return {};  // the inode record is the whole map
  const ContentRecord content = inode->record.content;
  lock.unlock();
  auto checked = [&]() -> Result<> {
    ReadTxn txn = TRY(ReadTxn::begin(set.database().env()));
    TxnNodeReader nodes(set.database(), txn);
    TRY(find_block(content, first, nodes));
    TRY(find_block(content, last, nodes));
    return {};
  }();
  lock.lock();
  // A node that a commit replaced meanwhile was readable a moment ago.
  return checked.is(Code::not_found) ? Result<>() : checked;
}

OpenBlock open_block(WorkingSet& set, CachedInode& inode, uint64_t index, const Bases& bases) {
  const bool present = inode.blocks.contains(index);
  PendingBlock& block = set.writable_block(inode, index);
  const size_t size_before = block.data->size();
  if (!present) {
    auto base = bases.find(index);
    if (base != bases.end() && base->second != nullptr) {
      *block.data = *base->second;
      block.based = true;
    }
  }
  return {block, size_before, block.data->size()};
}

Result<CachedInode*> set_size(WorkingSet& set, SetLock& lock, Ino ino, uint64_t size) {
  if (size > kFileSizeMax) return Error(Code::too_large, "larger than the largest file");
  const uint64_t index = size / kBlockSize;
  const size_t keep = size % kBlockSize;  // bytes of block `index` that stay
  Bases bases;
  TRY(check_map(set, lock, ino, index, index));
  CachedInode* inode = TRY(set.find(ino));
  if (size < inode->record.content.size && keep != 0) {
    inode = TRY(load_bases(set, lock, ino, {&index, 1}, bases));
  } else {
    inode = TRY(load_bases(set, lock, ino, {}, bases));
  }
  set.touch(*inode, true);
  inode->record.mtime = inode->record.ctime = set.now();
  if (size < inode->record.content.size) {
    auto pending = inode->blocks.find(index);
    const bool has_bytes = pending != inode->blocks.end()
                               ? pending->second.data != nullptr && pending->second.data->size() > keep
                               : bases.contains(index) && bases[index] != nullptr && bases[index]->size() > keep;
    if (keep != 0 && has_bytes) {
      auto [block, size_before, valid] = open_block(set, *inode, index, bases);
      block.data->resize(keep);
      block.based = false;  // a patch cannot shorten a block
      set.block_changed(block, keep, kBlockSize, size_before);
    }
    set.drop_blocks_from(*inode, keep != 0 ? index + 1 : index);
  }
  inode->record.content.size = size;
  return inode;
}

}  // namespace tain::store
