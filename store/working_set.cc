// SPDX-License-Identifier: Apache-2.0
#include "store/working_set.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>

#include "base/check.h"
#include "base/counters.h"
#include "base/secret.h"

namespace tain::store {
namespace {

// What they add to a journal frame, about.
constexpr uint64_t kInodeFrameCost = 320;
constexpr uint64_t kDirentFrameCost = 128;
constexpr std::chrono::milliseconds kCommitDelay{1000};
constexpr std::chrono::milliseconds kRetryDelayMax{32'000};
constexpr unsigned kCollisionsMax = 16;

template <class T>
int64_t as_signed(T value) {
  return static_cast<int64_t>(value);
}

void add_difference(Frozen& out, const Counted& before, const Counted& after) {
  out.content_bytes_delta += as_signed(after.content_bytes) - as_signed(before.content_bytes);
  out.retired_inodes_delta += as_signed(after.retired_inodes) - as_signed(before.retired_inodes);
  out.retired_content_bytes_delta += as_signed(after.retired_content_bytes) - as_signed(before.retired_content_bytes);
}

}  // namespace

WorkingSet::WorkingSet(Database& database, Clock& clock, const Limits& limits, uint64_t writer, const State& state)
    : database_(database),
      clock_(clock),
      age_clock_(clock, state.age),
      limits_(limits),
      writer_(writer),
      next_ino_(state.next_ino),
      hlc_(state.hlc) {
  age_clock_.look();  // from here on time passes
}

Time WorkingSet::now() const {
  const int64_t ns = clock_.wall_ns();
  int64_t seconds = ns / 1'000'000'000;
  int64_t rest = ns % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  return {.seconds = seconds, .nanoseconds = static_cast<uint32_t>(rest)};
}

Stamp WorkingSet::next_stamp() {
  const auto now_ms = static_cast<uint64_t>(clock_.wall_ns() / 1'000'000);
  hlc_ = std::max(hlc_ + 1, now_ms << 16);
  return {.dot = {.writer = writer_, .counter = ++stamp_counter_}, .hlc = hlc_};
}

std::unique_lock<std::mutex> WorkingSet::lock() {
  std::unique_lock lock(mutex_);
  ++uses_;
  evict();
  return lock;
}

Tick WorkingSet::advance() {
  if (is_committed(tick_)) work_.notify_all();
  return ++tick_;
}

// --- inodes ---------------------------------------------------------------------------------------

Result<CachedInode*> WorkingSet::find(Ino ino) {
  auto it = inodes_.find(raw(ino));
  if (it != inodes_.end()) {
    CachedInode& cached = *it->second;
    if (cached.deleted) return Error(Code::not_found, "inode " + std::to_string(raw(ino)) + " was removed");
    if (cached.lru) clean_order_.splice(clean_order_.begin(), clean_order_, *cached.lru);
    return &cached;
  }
  ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
  auto stored = database_.load_inode(txn, ino);
  if (stored.is(Code::corrupt)) damage_.add_record(ino, database_.diagnose(txn, Table::inodes, ino_key(ino)));
  auto loaded = TRY(std::move(stored));
  if (!loaded.has_value()) return Error(Code::not_found, "inode " + std::to_string(raw(ino)) + " does not exist");
  auto cached = std::make_unique<CachedInode>();
  cached->record = std::move(*loaded);
  cached->in_database = true;
  cached->orphan_in_database = cached->record.nlink == 0 && !cached->record.is_retired();
  cached->committed = Counted::of(cached->record);
  cached->committed_content_stamp = cached->record.content_stamp;
  cached->map_version = ++map_versions_;
  clean_order_.push_front(ino);
  cached->lru = clean_order_.begin();
  CachedInode* out = cached.get();
  inodes_.emplace(raw(ino), std::move(cached));
  return out;
}

CachedInode& WorkingSet::create(Inode record) {
  record.ino = Ino{next_ino_++};
  fill_random(record.entry.bytes);
  fill_random(record.content.id.bytes);
  auto owned = std::make_unique<CachedInode>();
  CachedInode& cached = *owned;
  cached.record = std::move(record);
  cached.map_version = ++map_versions_;
  cached.state_ms = cached.cut_ms = now_ms();
  inodes_.emplace(raw(cached.record.ino), std::move(owned));
  touch(cached, true);
  cached.created_at = cached.state_changed_at = cached.changed_at;
  return cached;
}

void WorkingSet::mark_dirty(CachedInode& inode) {
  if (is_committed(inode.changed_at)) {
    account_inodes(1);
    if (inode.lru) {
      clean_order_.erase(*inode.lru);
      inode.lru.reset();
    }
  }
  // Not in the list of changes since the last freeze yet?
  if (is_committed(inode.changed_at) || inode.changed_at <= frozen_tick_) dirty_inodes_.push_back(inode.record.ino);
  if (is_framed(inode.changed_at)) {
    unjournaled_inodes_.push_back(inode.record.ino);
    unjournaled_bytes_ += kInodeFrameCost;
  }
  inode.changed_at = advance();
}

void WorkingSet::touch(CachedInode& inode, bool content) {
  mark_dirty(inode);
  inode.attributes_changed = true;
  if (!content) return;
  inode.content_changed = true;
  inode.state_changed_at = inode.changed_at;
}

void WorkingSet::touch_xattrs(CachedInode& inode) {
  touch(inode);
  inode.xattrs_changed_at = inode.state_changed_at = inode.changed_at;
  account_xattrs(inode, kRecordOverhead + xattrs_body_size(*inode.xattrs));
}

Result<Xattrs*> WorkingSet::xattrs(CachedInode& inode) {
  if (!inode.xattrs.has_value()) {
    Xattrs loaded;
    if ((inode.record.flags & kInodeHasXattrs) != 0 && inode.in_database) {
      ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
      auto stored = database_.load_xattrs(txn, inode.record.ino);
      if (stored.is(Code::corrupt))
        damage_.add_record(inode.record.ino, database_.diagnose(txn, Table::xattrs, ino_key(inode.record.ino)));
      loaded = TRY(std::move(stored));
    }
    inode.xattrs = std::move(loaded);
  }
  return &*inode.xattrs;
}

void WorkingSet::remove(CachedInode& inode) {
  damage_.removed(inode.record.ino);
  for (const auto& [index, block] : inode.blocks) account_dropped(block);
  inode.blocks.clear();
  account_dropped_nodes(inode);
  account_xattrs(inode, 0);
  account_version(inode, 0);
  inode.cut.reset();
  inode.xattrs.reset();
  const bool seen_elsewhere = inode.in_database || is_framed(inode.created_at) || inode.created_at <= frozen_tick_;
  if (!seen_elsewhere) {
    forget(inode);  // neither database, journal nor the commit under way knows of it
    return;
  }
  inode.deleted = true;
  mark_dirty(inode);
}

void WorkingSet::forget(CachedInode& inode) {
  if (inode.lru) clean_order_.erase(*inode.lru);
  else account_inodes(-1);
  inodes_.erase(raw(inode.record.ino));
}

Attr WorkingSet::attributes(const CachedInode& inode) const {
  const Inode& record = inode.record;
  Attr attr;
  attr.ino = record.ino;
  attr.mode = record.mode;
  attr.nlink = record.nlink;
  attr.uid = record.uid;
  attr.gid = record.gid;
  attr.rdev = record.rdev;
  attr.atime = record.atime;
  attr.mtime = record.mtime;
  attr.ctime = record.ctime;
  attr.btime = record.btime;
  if (record.is_regular()) {
    attr.size = record.content.size;
    // Pending blocks may lie over committed ones, so this is an upper bound until the next commit.
    uint64_t bytes = committed_visible(inode, 0) ? record.content.allocated : 0;
    for (const auto& [index, block] : inode.blocks)
      if (block.data != nullptr) bytes += block.data->bytes().size();
    attr.blocks = (std::min(bytes, attr.size) + 511) / 512;
  } else if (record.is_symlink()) {
    attr.size = record.symlink.size();
  } else if (record.is_directory()) {
    attr.size = 4096;
    attr.blocks = 8;
  }
  return attr;
}

// --- directory entries ----------------------------------------------------------------------------

Result<std::optional<Dirent>> WorkingSet::find_name(Ino directory, std::string_view name) {
  auto found = find_name_at(directory, name, database_.cipher().name_hash(directory, name));
  if (!found.ok() || found->has_value()) return found;
  // While the master key is changed some names are where the one before placed them.
  const auto older = database_.cipher().older_name_hash(directory, name);
  return older.has_value() ? find_name_at(directory, name, *older) : found;
}

Result<std::optional<Dirent>> WorkingSet::find_name_at(Ino directory, std::string_view name, uint64_t hash) {
  const DirentKey first{raw(directory), hash};
  const DirentKey last{raw(directory), hash | (kCollisionsMax - 1)};
  bool overlaid = false;
  for (auto it = dirents_.lower_bound(first); it != dirents_.end() && it->first <= last; ++it) {
    overlaid = true;
    if (!it->second.removed && it->second.dirent.name == name) return std::optional<Dirent>(it->second.dirent);
  }
  auto parent = inodes_.find(raw(directory));
  if (parent != inodes_.end() && !parent->second->in_database) return std::optional<Dirent>();

  ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
  auto stored = TRY(database_.load_dirents(txn, directory, Cookie{first.second}, Cookie{last.second}, kCollisionsMax));
  for (Dirent& dirent : stored.entries) {
    if (dirent.name != name) continue;
    if (overlaid && dirents_.contains({raw(directory), raw(dirent.cookie)})) continue;
    return std::optional<Dirent>(std::move(dirent));
  }
  // Its hash is that of a name that cannot be read: it may be this very one.
  if (stored.damaged > 0) {
    damage_.add_names(directory, stored.damage);
    return Error(Code::corrupt, "a name in directory " + std::to_string(raw(directory)) + " is damaged");
  }
  return std::optional<Dirent>();
}

PendingDirent& WorkingSet::set_dirent(Dirent dirent, bool removed, bool keep_stamp) {
  const DirentKey key{raw(dirent.directory), raw(dirent.cookie)};
  auto [it, inserted] = dirents_.try_emplace(key);
  PendingDirent& pending = it->second;
  if (inserted) account_dirents(1);
  if (inserted || is_framed(pending.changed_at)) {
    unjournaled_dirents_.push_back(key);
    unjournaled_bytes_ += kDirentFrameCost + dirent.name.size();
  }
  if (!removed && !keep_stamp) dirent.location_stamp = next_stamp();
  hlc_ = std::max(hlc_, dirent.location_stamp.hlc);
  pending.dirent = std::move(dirent);
  pending.removed = removed;
  pending.changed_at = advance();
  return pending;
}

Result<Cookie> WorkingSet::free_cookie(Ino directory, uint64_t hash) {
  std::array<bool, kCollisionsMax> taken{};
  auto parent = inodes_.find(raw(directory));
  if (parent == inodes_.end() || parent->second->in_database) {
    ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
    auto stored =
        TRY(database_.load_dirents(txn, directory, Cookie{hash}, Cookie{hash | (kCollisionsMax - 1)}, kCollisionsMax));
    for (const Dirent& dirent : stored.entries) taken[raw(dirent.cookie) - hash] = true;
  }
  for (auto it = dirents_.lower_bound({raw(directory), hash});
       it != dirents_.end() && it->first <= DirentKey{raw(directory), hash | (kCollisionsMax - 1)}; ++it)
    taken[it->first.second - hash] = !it->second.removed;
  const auto free = std::find(taken.begin(), taken.end(), false);
  if (free == taken.end()) return Error(Code::no_space, "too many names with one hash in this directory");
  return Cookie{hash + static_cast<uint64_t>(free - taken.begin())};
}

Result<> WorkingSet::add_name(Ino directory, std::string_view name, Ino child, uint8_t type) {
  const Cookie cookie = TRY(free_cookie(directory, database_.cipher().name_hash(directory, name)));
  set_dirent({.directory = directory,
              .cookie = cookie,
              .child = child,
              .type = type,
              .location_stamp = {},
              .name = std::string(name)},
             false);
  return {};
}

void WorkingSet::retarget(Dirent dirent, Ino child, uint8_t type, bool same_entry) {
  dirent.child = child;
  dirent.type = type;
  set_dirent(std::move(dirent), false, same_entry);
}

void WorkingSet::remove_name(const Dirent& dirent) { set_dirent(dirent, true); }

Result<bool> WorkingSet::place_anew(Ino directory, std::string_view name) {
  const auto older = database_.cipher().older_name_hash(directory, name);
  if (!older.has_value()) return false;
  const auto found = TRY(find_name_at(directory, name, *older));
  if (!found.has_value()) return false;
  Dirent placed = *found;
  placed.cookie = TRY(free_cookie(directory, database_.cipher().name_hash(directory, name)));
  // One frame and one commit have both, or neither.
  set_dirent(*found, true, true);
  set_dirent(std::move(placed), false, true);
  return true;
}

Result<WorkingSet::Listing> WorkingSet::list(Ino directory, Cookie after, size_t limit) {
  Listing out;
  out.end = true;
  out.reached = Cookie{kNoBlock};
  out.damaged = damaged_directories_.contains(raw(directory));
  std::vector<Dirent> stored;
  auto parent = inodes_.find(raw(directory));
  if (raw(after) == kNoBlock) return out;
  const uint64_t from = raw(after) + 1;
  if (parent == inodes_.end() || parent->second->in_database) {
    ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
    auto loaded = TRY(database_.load_dirents(txn, directory, Cookie{from}, Cookie{kNoBlock}, limit));
    stored = std::move(loaded.entries);
    if (loaded.damaged > 0) {
      damaged_directories_.insert(raw(directory));
      damage_.add_names(directory, loaded.damage);
      out.damaged = true;
    }
    if (!loaded.complete) {
      out.reached = loaded.last;
      out.end = false;
    }
  }
  // Merge with what is pending up to the last stored entry read; pending wins.
  auto pending = dirents_.lower_bound({raw(directory), from});
  const auto last = DirentKey{raw(directory), raw(out.reached)};
  size_t i = 0;
  auto more_pending = [&] { return pending != dirents_.end() && pending->first <= last; };
  while (i < stored.size() || more_pending()) {
    if (out.entries.size() >= 2 * limit) {  // a huge pending directory: stop between two cookies
      out.reached = out.entries.back().cookie;
      out.end = false;
      return out;
    }
    if (more_pending() && (i == stored.size() || pending->first.second <= raw(stored[i].cookie))) {
      if (i < stored.size() && pending->first.second == raw(stored[i].cookie)) ++i;
      if (!pending->second.removed) out.entries.push_back(pending->second.dirent);
      ++pending;
    } else {
      out.entries.push_back(std::move(stored[i++]));
    }
  }
  return out;
}

// --- content --------------------------------------------------------------------------------------

PendingBlock& WorkingSet::pending_block(CachedInode& inode, uint64_t index) {
  auto [it, inserted] = inode.blocks.try_emplace(index);
  if (!inserted) return it->second;
  account_new_block(inode, it);
  return it->second;
}

PendingBlock& WorkingSet::writable_block(CachedInode& inode, uint64_t index) {
  PendingBlock& block = pending_block(inode, index);
  if (block.data == nullptr) {
    block.data = std::make_shared<Cells>();
  } else if (block.data.use_count() > 1) {
    block.data = std::make_shared<Cells>(*block.data);  // the commit under way keeps the old bytes
    count(Work::bytes_copied, block.data->bytes().size());
  }
  return block;
}

void WorkingSet::block_changed(PendingBlock& block, CellMask cells, size_t size_before) {
  account_block(size_before, block.data->bytes().size());
  block.changed_at = tick_;
  const auto fresh = static_cast<CellMask>(cells & ~block.unjournaled);
  unjournaled_bytes_ += static_cast<size_t>(std::popcount(fresh)) * kCellSize;
  block.unjournaled |= cells;
}

void WorkingSet::punch_block(CachedInode& inode, uint64_t index) {
  PendingBlock& block = pending_block(inode, index);
  if (block.data != nullptr) account_block(block.data->bytes().size(), 0);
  block.data.reset();
  block.unjournaled = kAllCells;
  block.changed_at = tick_;
}

void WorkingSet::drop_blocks_from(CachedInode& inode, uint64_t index) {
  for (auto it = inode.blocks.lower_bound(index); it != inode.blocks.end(); it = inode.blocks.erase(it))
    account_dropped(it->second);
  account_dropped_nodes(inode);
  inode.floor = std::min(inode.floor, index);
  inode.journal_floor = std::min(inode.journal_floor, index);
  inode.map_version = ++map_versions_;
}

// --- durability -----------------------------------------------------------------------------------

Frozen WorkingSet::freeze() {
  CHECK(frozen_tick_ == 0);
  Frozen out;
  out.tick = tick_;
  frozen_tick_ = tick_;
  std::vector<Ino> dirty = std::exchange(dirty_inodes_, {});
  std::sort(dirty.begin(), dirty.end());
  dirty.erase(std::unique(dirty.begin(), dirty.end()), dirty.end());
  for (Ino ino : dirty) {
    auto it = inodes_.find(raw(ino));
    if (it == inodes_.end() || is_committed(it->second->changed_at)) continue;
    CachedInode& inode = *it->second;
    if (inode.deleted) {
      out.removed.push_back({inode.record});
      if (inode.in_database) add_difference(out, inode.committed, {});
      continue;
    }
    const bool changed = inode.attributes_changed || inode.content_changed || !inode.in_database;
    if (inode.attributes_changed) inode.record.attribute_stamp = next_stamp();
    if (inode.content_changed) {
      // The version that the database has, not one of a commit that failed.
      const Dot before = inode.committed_content_stamp.dot;
      inode.record.parents.clear();
      if (before != Dot{}) inode.record.parents.push_back(before);
      inode.record.content_stamp = next_stamp();
    }
    inode.attributes_changed = inode.content_changed = inode.accessed = false;
    inode.frozen_floor = std::exchange(inode.floor, kNoBlock);
    inode.frozen_journal_floor = std::exchange(inode.journal_floor, kNoBlock);

    Frozen::File file{.inode = inode.record,
                      .fresh = !inode.in_database,
                      .orphan_in_database = inode.orphan_in_database,
                      .floor = inode.frozen_floor,
                      .blocks = {},
                      .xattrs = std::nullopt,
                      .cut = inode.in_database ? inode.cut : std::nullopt,
                      .changed = changed};
    inode.frozen_cut = std::exchange(inode.cut, std::nullopt);
    file.blocks.reserve(inode.blocks.size());
    for (const auto& [index, block] : inode.blocks) file.blocks.push_back({index, block.data});
    if (!is_committed(inode.xattrs_changed_at)) file.xattrs = inode.xattrs;
    add_difference(out, inode.committed, Counted::of(inode.record));
    out.files.push_back(std::move(file));
  }
  out.dirents.reserve(dirents_.size());
  for (const auto& [key, pending] : dirents_) out.dirents.emplace_back(pending.dirent, pending.removed);
  out.past_names.reserve(past_names_.size());
  for (const auto& [key, pending] : past_names_) out.past_names.emplace_back(pending.name, pending.removed);
  out.dropped_versions = std::exchange(dropped_versions_, {});
  out.next_ino = next_ino_;
  out.hlc = hlc_;
  out.age = age_clock_.look();
  frozen_unjournaled_bytes_ = unjournaled_bytes_;
  frozen_need_ = need_;
  allowance_ = {0, 0};
  return out;
}

void WorkingSet::make_clean(CachedInode& inode) {
  account_inodes(-1);
  account_xattrs(inode, 0);
  inode.xattrs.reset();  // loaded again on demand: the cache of clean inodes is bounded by their number
  clean_order_.push_front(inode.record.ino);
  inode.lru = clean_order_.begin();
}

void WorkingSet::finish(Frozen frozen, const std::vector<CommittedMap>& maps) {
  CHECK(frozen_tick_ == frozen.tick);
  frozen_tick_ = 0;
  committed_tick_ = frozen.tick;
  frozen_need_ = {};
  allowance_ = {0, 0};
  CHECK(maps.size() == frozen.files.size());
  for (size_t i = 0; i < maps.size(); ++i) {
    auto it = inodes_.find(raw(maps[i].ino));
    CHECK(it != inodes_.end());  // pending inodes are never evicted, and removed ones stay until committed
    CachedInode& inode = *it->second;
    ContentRecord& content = inode.record.content;
    content.root = maps[i].content.root;
    content.height = maps[i].content.height;
    content.allocated = maps[i].content.allocated;
    inode.map_version = ++map_versions_;
    inode.committed_content_stamp = frozen.files[i].inode.content_stamp;
    inode.in_database = true;
    const Inode& stored = frozen.files[i].inode;
    inode.orphan_in_database = stored.nlink == 0 && !stored.is_retired();
    inode.committed = Counted::of(stored);
    inode.frozen_cut.reset();
    if (!inode.cut.has_value()) account_version(inode, 0);
    inode.frozen_floor = inode.frozen_journal_floor = kNoBlock;
    for (const Frozen::Block& block : frozen.files[i].blocks) {
      auto pending = inode.blocks.find(block.index);
      if (pending == inode.blocks.end() || pending->second.changed_at > frozen.tick) continue;
      account_dropped(pending->second);
      inode.blocks.erase(pending);
    }
    account_dropped_nodes(inode);
    if (inode.changed_at <= frozen.tick) make_clean(inode);
  }
  for (const Frozen::Removed& removed : frozen.removed) {
    auto it = inodes_.find(raw(removed.inode.ino));
    if (it != inodes_.end() && it->second->changed_at <= frozen.tick) forget(*it->second);
  }
  for (const auto& [dirent, was_removed] : frozen.dirents) {
    auto it = dirents_.find({raw(dirent.directory), raw(dirent.cookie)});
    if (it == dirents_.end() || it->second.changed_at > frozen.tick) continue;
    dirents_.erase(it);
    account_dirents(-1);
  }
  for (const auto& [name, was_removed] : frozen.past_names) {
    auto it = past_names_.find({raw(name.dirent.directory), name.ended_hlc});
    if (it == past_names_.end() || it->second.changed_at > frozen.tick) continue;
    past_names_.erase(it);
    account_dirents(-1);
  }
  for (const auto& [ino, ends] : frozen.dropped_versions) account_dropped_versions(-as_signed(ends.size()));
  evict();
  // The journal need not have what the database has.
  unjournaled_bytes_ -= std::min(unjournaled_bytes_, std::exchange(frozen_unjournaled_bytes_, 0));
  std::erase_if(unjournaled_inodes_, [&](Ino ino) {
    auto it = inodes_.find(raw(ino));
    return it == inodes_.end() || is_framed(it->second->changed_at);
  });
  std::erase_if(unjournaled_dirents_, [&](const DirentKey& key) {
    auto it = dirents_.find(key);
    return it == dirents_.end() || is_framed(it->second.changed_at);
  });
  std::erase_if(unjournaled_past_names_, [&](const DirentKey& key) {
    auto it = past_names_.find(key);
    return it == past_names_.end() || is_framed(it->second.changed_at);
  });
}

void WorkingSet::thaw(Frozen frozen) {
  CHECK(frozen_tick_ == frozen.tick);
  frozen_tick_ = 0;
  frozen_unjournaled_bytes_ = 0;
  frozen_need_ = {};
  allowance_ = {0, 0};
  for (const Frozen::File& file : frozen.files) {
    CachedInode& inode = *inodes_.at(raw(file.inode.ino));
    inode.floor = std::min(inode.floor, std::exchange(inode.frozen_floor, kNoBlock));
    inode.journal_floor = std::min(inode.journal_floor, std::exchange(inode.frozen_journal_floor, kNoBlock));
    inode.attributes_changed = true;
    // Of two states that ended only the first is in the database.
    if (auto cut = std::exchange(inode.frozen_cut, std::nullopt)) inode.cut = cut;
    dirty_inodes_.push_back(file.inode.ino);
  }
  for (auto& [ino, ends] : frozen.dropped_versions) {
    dropped_versions_[ino].merge(ends);
    account_dropped_versions(-as_signed(ends.size()));  // those that were dropped meanwhile once more
  }
  for (const Frozen::Removed& removed : frozen.removed) dirty_inodes_.push_back(removed.inode.ino);
}

// --- the committer's side -------------------------------------------------------------------------

bool WorkingSet::wait_for_work(std::unique_lock<std::mutex>& lock, const bool& stop, std::chrono::milliseconds rest) {
  if (!work_.wait_for(lock, rest, [&] { return stop || tick_ > committed_tick_; })) return false;
  const bool failed = commit_error_.has_value();
  // A commit that failed writes a lot for nothing each time: without anything new it is tried again less and less often.
  if (failed)
    work_.wait_for(lock, retry_delay_, [&] { return stop || retry_asked_ || commit_wanted() || tick_ > failed_tick_; });
  work_.wait_for(lock, kCommitDelay, [&] {
    return stop || commit_wanted() || (exceeds_share(2) && !failed);
  });
  return true;
}

void WorkingSet::commit_ended(const Result<>& result) {
  commit_error_.reset();
  retry_asked_ = false;
  if (result.ok()) {
    retry_delay_ = kCommitDelay;
  } else {
    commit_error_ = result.error();
    commit_wanted_ = 0;
    failed_tick_ = tick_;
    retry_delay_ = std::min(2 * retry_delay_, kRetryDelayMax);
  }
  room_.notify_all();
}

}  // namespace tain::store
