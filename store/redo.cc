// SPDX-License-Identifier: Apache-2.0
// The working set's side of the journal: changes to a frame's payload, and back (docs/format.md §7).
#include "base/counters.h"
#include "store/edit.h"
#include "store/working_set.h"

namespace tain::store {
namespace {

enum class Item : uint8_t {
  inode = 1,
  inode_removed = 2,
  dirent = 3,
  dirent_removed = 4,
  xattrs = 5,
  block = 6,
  hole = 7,
  version = 8,
  past_name = 9,
  past_name_removed = 10,
};

Writer& begin(Writer& w, Item item) {
  return w.u8(static_cast<uint8_t>(item));
}

Error bad_item() {
  return Error(Code::corrupt, "journal frame has an impossible structure");
}

}  // namespace

Bytes WorkingSet::snapshot_frame() {
  Bytes out;
  out.reserve(unjournaled_bytes_ + 4096);
  Writer w(out);
  for (Ino ino : std::exchange(unjournaled_inodes_, {})) {
    auto it = inodes_.find(raw(ino));
    if (it == inodes_.end() || is_framed(it->second->changed_at)) continue;
    CachedInode& inode = *it->second;
    if (inode.deleted) {
      begin(w, Item::inode_removed).u64(raw(ino));
      continue;
    }
    // Before the change that ends that state.
    if (inode.cut.has_value() && !inode.cut_framed) {
      begin(w, Item::version).u64(raw(ino)).u64(inode.cut->ended_hlc).i64(inode.cut->ended.seconds);
      w.u32(inode.cut->ended.nanoseconds);
      inode.cut_framed = true;
    }
    // The frame has the block list's changes itself; the committed list is in the database.
    RefList root = std::exchange(inode.record.content.root, {});
    begin(w, Item::inode).u64(next_ino_).u64(std::min(inode.journal_floor, inode.frozen_journal_floor));
    w.string32(encode_inode(inode.record));
    inode.record.content.root = std::move(root);
    inode.journal_floor = inode.frozen_journal_floor = kNoBlock;
    if (inode.xattrs.has_value() && !is_framed(inode.xattrs_changed_at))
      begin(w, Item::xattrs).string32(encode_xattrs(ino, *inode.xattrs));
    for (auto& [index, block] : inode.blocks) {
      CellMask cells = std::exchange(block.unjournaled, CellMask{0});
      if (cells == 0) continue;
      if (block.data == nullptr) {
        begin(w, Item::hole).u64(raw(ino)).u64(index);
        continue;
      }
      const size_t length = block.data->length();
      cells &= block.data->present();
      begin(w, Item::block).u64(raw(ino)).u64(index).u32(static_cast<uint32_t>(length)).u16(cells);
      for (size_t cell = 0; cell * kCellSize < length; ++cell)
        if ((cells >> cell & 1) != 0) w.raw(block.data->cell(cell));
    }
  }
  for (const DirentKey& key : std::exchange(unjournaled_dirents_, {})) {
    auto it = dirents_.find(key);
    if (it == dirents_.end() || is_framed(it->second.changed_at)) continue;
    if (it->second.removed)
      begin(w, Item::dirent_removed).u64(key.first).u64(key.second);
    else
      begin(w, Item::dirent).string32(encode_dirent(it->second.dirent));
  }
  for (const DirentKey& key : std::exchange(unjournaled_past_names_, {})) {
    auto it = past_names_.find(key);
    if (it == past_names_.end() || is_framed(it->second.changed_at)) continue;
    if (it->second.removed)
      begin(w, Item::past_name_removed).u64(key.first).u64(key.second);
    else
      begin(w, Item::past_name).string32(encode_past_name(it->second.name));
  }
  unjournaled_bytes_ = frozen_unjournaled_bytes_ = 0;
  framed_tick_ = tick_;
  count(Work::bytes_copied, out.size());
  return out;
}

void WorkingSet::note_replayed() {
  static_cast<void>(snapshot_frame());
  frame_written(tick_);
}

Result<uint64_t> WorkingSet::replay_frame(ByteView payload) {
  Reader r(payload);
  uint64_t skipped = 0;
  while (r.remaining() > 0) {
    auto replayed = replay_item(r);
    if (replayed.ok()) continue;
    // A frame is authentic, so its structure is right; what is damaged is a record that the item builds on.
    if (r.failed() || !(replayed.is(Code::corrupt) || replayed.is(Code::not_found))) return std::move(replayed).error();
    ++skipped;
  }
  return skipped;
}

Result<> WorkingSet::replay_item(Reader& r) {
  switch (static_cast<Item>(r.u8())) {
    case Item::inode: {
      TRY(replay_inode(r));
      return {};
    }
    case Item::inode_removed: {
      const Ino ino{r.u64()};
      if (r.failed()) return bad_item();
      auto inode = find(ino);
      if (inode.ok())
        remove(**inode);
      else if (!inode.is(Code::not_found))
        return std::move(inode).error();
      return {};
    }
    case Item::dirent: {
      ByteView body = r.string32();
      if (r.failed()) return bad_item();
      set_dirent(TRY(decode_dirent(body)), false, true);
      return {};
    }
    case Item::dirent_removed: {
      const Ino directory{r.u64()};
      const Cookie cookie{r.u64()};
      if (r.failed()) return bad_item();
      set_dirent({.directory = directory, .cookie = cookie, .child = {}, .type = 0, .location_stamp = {}, .name = {}},
                 true);
      return {};
    }
    case Item::xattrs: {
      ByteView body = r.string32();
      if (r.failed()) return bad_item();
      InodeXattrs decoded = TRY(decode_xattrs(body));
      CachedInode* inode = TRY(find(decoded.ino));
      inode->xattrs = std::move(decoded.xattrs);
      touch_xattrs(*inode);
      return {};
    }
    case Item::block: return replay_block(r);
    case Item::version: return replay_cut(r);
    case Item::past_name: {
      ByteView body = r.string32();
      if (r.failed()) return bad_item();
      set_past_name(TRY(decode_past_name(body)), false);
      return {};
    }
    case Item::past_name_removed: {
      PastName name;
      name.dirent.directory = Ino{r.u64()};
      name.ended_hlc = r.u64();
      if (r.failed()) return bad_item();
      set_past_name(std::move(name), true);
      return {};
    }
    case Item::hole: {
      const Ino ino{r.u64()};
      const uint64_t index = r.u64();
      if (r.failed()) return bad_item();
      CachedInode* inode = TRY(find(ino));
      Bases bases;
      TRY(load_base_locked(*this, *inode, BlockChange::of_place(index), bases));
      touch(*inode, true);
      punch_block(*inode, index);
      return {};
    }
  }
  return bad_item();
}

Result<CachedInode*> WorkingSet::replay_inode(Reader& r) {
  const uint64_t next_ino = r.u64();
  const uint64_t floor = r.u64();
  ByteView body = r.string32();
  if (r.failed()) return bad_item();
  Inode record = TRY(decode_inode(body));
  next_ino_ = std::max(next_ino_, next_ino);

  auto found = find(record.ino);
  bool content_changed = true;
  CachedInode* inode = nullptr;
  if (found.ok()) {
    inode = *found;
    Bases bases;
    if (floor != kNoBlock && floor != 0)
      TRY(load_base_locked(*this, *inode, BlockChange::of_place(floor - 1), bases));
    ContentRecord content = inode->record.content;  // the committed map stays
    content_changed = content.size != record.content.size || floor != kNoBlock;
    content.size = record.content.size;
    record.content = std::move(content);
    inode->record = std::move(record);
  } else if (found.is(Code::not_found)) {
    auto owned = std::make_unique<CachedInode>();
    inode = owned.get();
    record.content.height = 0;
    record.content.allocated = 0;
    inode->record = std::move(record);
    inode->map_version = ++map_versions_;
    inodes_.insert_or_assign(raw(inode->record.ino), std::move(owned));
  } else {
    return std::move(found).error();
  }
  touch(*inode, content_changed);
  inode->state_changed_at = inode->changed_at;
  if (inode->created_at == 0 && !inode->in_database) inode->created_at = inode->changed_at;
  if (floor != kNoBlock) drop_blocks_from(*inode, floor);
  return inode;
}

Result<> WorkingSet::replay_cut(Reader& r) {
  const Ino ino{r.u64()};
  Cut cut;
  cut.ended_hlc = r.u64();
  cut.ended.seconds = r.i64();
  cut.ended.nanoseconds = r.u32();
  if (r.failed() || cut.ended.nanoseconds >= 1'000'000'000) return bad_item();
  CachedInode* inode = TRY(find(ino));
  hlc_ = std::max(hlc_, cut.ended_hlc);
  if (!inode->in_database || inode->cut.has_value()) return {};
  touch(*inode);
  cut_version(*inode, cut);
  return {};
}

Result<> WorkingSet::replay_block(Reader& r) {
  const Ino ino{r.u64()};
  const uint64_t index = r.u64();
  const size_t length = r.u32();
  const CellMask cells = r.u16() & cells_touching(0, std::min<size_t>(length, kBlockSize));
  if (length > kBlockSize) r.fail();
  std::vector<std::pair<size_t, ByteView>> carried;  // offset in the block, bytes
  for (size_t start = 0; start < length && !r.failed(); start += kCellSize)
    if ((cells >> (start / kCellSize) & 1) != 0)
      carried.emplace_back(start, r.raw(std::min(kCellSize, length - start)));
  if (r.failed()) return bad_item();
  CachedInode* inode = TRY(find(ino));

  // Cells that the frame does not carry come from the committed block, if one still counts.
  const BlockChange change{
      .kind = BlockChange::Kind::cells, .index = index, .begin = 0, .end = length, .touched = cells};
  Bases bases;
  TRY(load_base_locked(*this, *inode, change, bases));
  touch(*inode, true);
  if (cells == 0 && length >= present_length(*inode, index, bases))
    return {};  // nothing but zeros, which need no block
  auto [block, size_before, length_before] = open_block(*this, *inode, change, bases);
  block.data->cut(length);
  block.data->grow(length);
  for (const auto& [start, bytes] : carried) block.data->write(start, bytes);
  block_changed(block, cells_touching(0, length), size_before);
  return {};
}

}  // namespace tain::store
