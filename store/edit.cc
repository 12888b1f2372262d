// SPDX-License-Identifier: Apache-2.0
#include "store/edit.h"

#include <bit>

#include "base/check.h"
#include "store/load_block.h"

namespace tain::store {
namespace {

// A commit may replace a block while it is being read; that this happens again and again without the
// block being damaged is not believable.
constexpr int kEditAttemptsMax = 64;

/// Whether the committed block still counts for the block at `index`, at least in part.
bool has_base(const CachedInode& inode, uint64_t index) {
  if (inode.record.content.root.empty() || !WorkingSet::committed_visible(inode, index)) return false;
  auto pending = inode.blocks.find(index);
  if (pending == inode.blocks.end()) return true;
  return pending->second.data != nullptr && !pending->second.data->whole();
}

/// What is pending of a block that has a base.
struct Pending {
  CellMask present = 0;
  size_t length = 0;
};
Pending pending_of(const CachedInode& inode, uint64_t index) {
  auto it = inode.blocks.find(index);
  if (it == inode.blocks.end()) return {};
  return {it->second.data->present(), it->second.data->length()};
}

/// How a change of a block with the base `ref` goes.
struct Plan {
  bool whole = false;   // else the pending block keeps only its cells
  CellMask needed = 0;  // cells of the base that must be loaded
  size_t length = 0;    // of the block, before the change
};
Plan plan(const Pending& pending, const BlockRef& ref, const BlockChange& change) {
  const size_t base_length = block_length(ref);
  const size_t length = std::max(base_length, pending.length);
  size_t end = change.end;
  CellMask touched = change.touched;
  bool shorter = false;
  switch (change.kind) {
    case BlockChange::Kind::write: break;
    case BlockChange::Kind::clear: end = std::min(end, length); break;
    case BlockChange::Kind::cut: shorter = change.begin < length; break;
    case BlockChange::Kind::cells: shorter = change.end < length; break;
  }
  CellMask kept = 0;  // touched cells that keep some of their old bytes
  if (change.kind == BlockChange::Kind::write || change.kind == BlockChange::Kind::clear) {
    touched = cells_touching(change.begin, end);
    if (change.begin % kCellSize != 0) kept |= cells_touching(change.begin, change.begin + 1);
    if (end % kCellSize != 0 && end < length) kept |= cells_touching(end, end + 1);
    kept &= touched;
  }
  Plan out{.whole = false, .needed = 0, .length = length};
  if (touched == 0 && !shorter) return out;  // nothing to do
  const auto here = static_cast<CellMask>(pending.present | touched);
  const CellMask all = cells_touching(0, std::max(length, end));
  out.whole = shorter || here == 0 || (all & ~here) == 0 || std::popcount(here) > kPatchCellsMax ||
              !has_room_for_patch(ref, here);
  const CellMask wanted = out.whole ? static_cast<CellMask>(~touched | kept) : kept;
  out.needed = wanted & static_cast<CellMask>(~pending.present) & cells_touching(0, base_length);
  return out;
}

Result<Base> load_base(Database& database, const ReadTxn& txn, const ContentRecord& content, const Pending& pending,
                       const BlockChange& change) {
  TxnNodeReader nodes(database, txn);
  Base base;
  base.ref = TRY(find_block(content, change.index, nodes));
  if (!base.ref.has_value()) return base;
  const CellMask needed = plan(pending, *base.ref, change).needed;
  base.cells = TRY(load_cells(database, txn, content.id, change.index, *base.ref, needed));
  return base;
}

/// Whether `bases` has what `change` needs of the block as it is now.
bool suffices(const Bases& bases, const CachedInode& inode, const BlockChange& change) {
  if (!has_base(inode, change.index)) return true;
  auto it = bases.find(change.index);
  if (it == bases.end()) return false;
  const Base& base = it->second;
  if (!base.ref.has_value()) return true;
  return (plan(pending_of(inode, change.index), *base.ref, change).needed & ~base.cells.present()) == 0;
}

}  // namespace

Result<CachedInode*> load_bases(WorkingSet& set, SetLock& lock, Ino ino, std::span<const BlockChange> changes,
                                Bases& bases) {
  uint64_t loaded_version = 0;
  bases.clear();
  for (int attempt = 0; attempt < kEditAttemptsMax; ++attempt) {
    CachedInode* inode = TRY(set.find(ino));
    if (inode->record.is_directory()) return Error(Code::is_directory, "is a directory");
    if (!inode->record.is_regular()) return Error(Code::invalid_argument, "not a regular file");
    const uint64_t version = inode->map_version;
    if (version != loaded_version) bases.clear();
    std::vector<std::pair<const BlockChange*, Pending>> missing;
    for (const BlockChange& change : changes)
      if (!suffices(bases, *inode, change)) missing.emplace_back(&change, pending_of(*inode, change.index));
    if (missing.empty()) return inode;

    const ContentRecord content = inode->record.content;
    lock.unlock();
    auto loaded = [&]() -> Result<> {
      ReadTxn txn = TRY(ReadTxn::begin(set.database().env()));
      for (const auto& [change, pending] : missing)
        bases[change->index] = TRY(load_base(set.database(), txn, content, pending, *change));
      return {};
    }();
    lock.lock();
    if (!loaded.ok()) {
      if (!loaded.is(Code::not_found)) return std::move(loaded).error();
      set.wait_for_commit(lock);
    }
    loaded_version = version;
  }
  return Error(Code::corrupt, "a block of inode " + std::to_string(raw(ino)) + " is missing from the database");
}

Result<> load_base_locked(WorkingSet& set, CachedInode& inode, const BlockChange& change, Bases& bases) {
  bases.clear();
  if (!has_base(inode, change.index)) return {};
  ReadTxn txn = TRY(ReadTxn::begin(set.database().env()));
  bases[change.index] =
      TRY(load_base(set.database(), txn, inode.record.content, pending_of(inode, change.index), change));
  return {};
}

OpenBlock open_block(WorkingSet& set, CachedInode& inode, const BlockChange& change, const Bases& bases) {
  const auto found = bases.find(change.index);
  const Base* base = found != bases.end() && has_base(inode, change.index) ? &found->second : nullptr;
  if (base == nullptr || !base->ref.has_value()) {
    PendingBlock& block = set.writable_block(inode, change.index);
    return {block, block.data->bytes().size(), block.data->length()};
  }
  const Pending pending = pending_of(inode, change.index);
  const Plan todo = plan(pending, *base->ref, change);
  PendingBlock& block = set.writable_block(inode, change.index);
  const size_t size_before = block.data->bytes().size();
  Cells& cells = *block.data;
  const bool replaced = change.kind == BlockChange::Kind::write && todo.whole && todo.needed == 0;  // all of it
  if (pending.present == 0 && !replaced) cells = Cells::none_of(todo.length);
  CHECK((todo.needed & ~base->cells.present()) == 0);
  cells.add(todo.whole ? kAllCells : todo.needed);
  for (size_t cell = 0; cell * kCellSize < base->cells.length(); ++cell)
    if ((todo.needed >> cell & 1) != 0) cells.write(cell * kCellSize, base->cells.cell(cell));
  return {block, size_before, todo.length};
}

size_t present_length(const CachedInode& inode, uint64_t index, const Bases& bases) {
  auto pending = inode.blocks.find(index);
  if (pending != inode.blocks.end()) return pending->second.data != nullptr ? pending->second.data->length() : 0;
  auto base = bases.find(index);
  if (base == bases.end() || !has_base(inode, index) || !base->second.ref.has_value()) return 0;
  return block_length(*base->second.ref);
}

Result<CachedInode*> set_size(WorkingSet& set, SetLock& lock, Ino ino, uint64_t size) {
  if (size > kFileSizeMax) return Error(Code::too_large, "larger than the largest file");
  const size_t keep = size % kBlockSize;  // bytes of the last block that stay
  // A cut between two blocks needs nothing of either, so a damaged one is not in its way; but a commit changes the map
  // on the way to the last one that stays.
  BlockChange cut{.kind = BlockChange::Kind::cut, .index = size / kBlockSize, .begin = keep, .end = kBlockSize};
  if (keep == 0 && size != 0) cut = BlockChange::of_place(size / kBlockSize - 1);
  if (TRY(set.find(ino))->record.content.size != size) set.before_change(lock, ino);  // else it is only touched
  Bases bases;
  CachedInode* inode = TRY(load_bases(set, lock, ino, {&cut, size != 0 ? size_t{1} : size_t{0}}, bases));
  set.touch(*inode, size != inode->record.content.size);
  inode->record.mtime = inode->record.ctime = set.now();
  if (size < inode->record.content.size) {
    if (keep != 0 && keep < present_length(*inode, cut.index, bases)) {
      auto [block, size_before, length] = open_block(set, *inode, cut, bases);
      block.data->cut(keep);
      set.block_changed(block, cells_touching(keep, kBlockSize), size_before);
    }
    set.drop_blocks_from(*inode, (size + kBlockSize - 1) / kBlockSize);
  }
  inode->record.content.size = size;
  set.damage().overwritten(ino, size, kFileSizeMax);
  return inode;
}

}  // namespace tain::store
