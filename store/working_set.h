// SPDX-License-Identifier: Apache-2.0
// The present, in memory: inodes in use, and everything that changed since the last commit.
//
// Reads look here first and in the database second. A change is made here, under one mutex, and is
// visible at once; it is durable later, by fsync (a journal frame: snapshot_frame) or by the committer
// (freeze, then finish or thaw). Time is counted in ticks, one for each change:
//
//   changed_at > committed_tick   the database does not have it: *pending*
//   changed_at > journaled_tick   the journal does not have it either
//   changed_at > framed_tick      no frame was made of it, not even one that is being written
//
// Both a frame and a commit take the difference to the present as a whole, so a crash always leaves a
// state that existed. While a commit is under way its *frozen* objects stay here and may change again;
// block buffers are shared with it and copied before such a change.
//
// Lock order: commit_mutex (store/committer) before journal_mutex (same) before mutex() here. Every
// method below is called with mutex() held, but where it says otherwise.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/age_clock.h"
#include "store/cells.h"
#include "store/damage_log.h"
#include "store/database.h"
#include "store/space.h"
#include "store/time_lock.h"
#include "store/types.h"

namespace tain::store {

/// That what the database has of an inode becomes a version, because a change ended that state (ADR 13).
struct Cut {
  uint64_t ended_hlc = 0;
  Time ended;
};

/// Of what history counts of an inode.
struct Counted {
  uint64_t content_bytes = 0;
  uint64_t retired_inodes = 0;  // 0 or 1
  uint64_t retired_content_bytes = 0;
  static Counted of(const Inode& inode) {
    const uint64_t size = inode.content.size;
    return inode.is_retired() ? Counted{0, 1, size} : Counted{size, 0, 0};
  }
};

/// A block that differs from the committed one.
struct PendingBlock {
  /// The cells that changed; those that are not here are the committed block's, which then counts and takes a
  /// patch of these (has_room_for_patch). Null: a hole.
  std::shared_ptr<Cells> data;
  CellMask unjournaled = 0;  // changed since the last frame
  Tick changed_at = 0;
};

/// An inode in memory. A *floor* says that committed blocks from there on are gone; one set before the
/// commit under way was frozen is that commit's to apply, one set later is the next one's.
struct CachedInode {
  Inode record;  // as of now, except content.root, height and allocated: as committed
  Tick changed_at = 0;
  Tick created_at = 0;  // 0: not made since the store was opened
  bool in_database = false;
  bool orphan_in_database = false;  // the orphan table has it
  bool deleted = false;
  bool attributes_changed = false;  // since the last commit was frozen: gets a new stamp
  bool content_changed = false;
  bool accessed = false;  // atime is newer than what was last committed or is about to be
  Counted committed;            // as the database has it
  uint64_t map_version = 0;     // another one, never used before, whenever the committed map or a floor changes
  Stamp committed_content_stamp;  // of the version that the database has
  uint64_t floor = kNoBlock;
  uint64_t frozen_floor = kNoBlock;
  uint64_t journal_floor = kNoBlock;  // the lowest floor since the last frame: what the next one says
  uint64_t frozen_journal_floor = kNoBlock;
  std::map<uint64_t, PendingBlock> blocks;
  uint32_t counted_nodes = 0;  // map nodes that the next commit changes for `blocks`
  std::optional<Xattrs> xattrs;  // loaded, or changed
  size_t counted_xattrs = 0;     // bytes of them that are pending
  Tick xattrs_changed_at = 0;
  std::optional<std::list<Ino>::iterator> lru;  // set while clean

  // History (store/history.cc).
  std::optional<Cut> cut, frozen_cut;  // of the next commit, and of the one under way
  bool cut_framed = false;             // the journal has `cut`
  size_t counted_version = 0;          // bytes of the version that is to be written
  int64_t state_ms = 0;                // wall time of the last change that ended a state; 0: of no such change is known
  Tick state_changed_at = 0;           // and its tick
  int64_t cut_ms = 0;                  // of the last cut, or since when there is something to cut
  struct Allowance {
    int used = 0;        // as of `since_ms`
    int64_t since_ms = 0;
  };
  Allowance stood_versions, quick_versions;  // before they are thinned
  bool removing = false;               // directories: the last change took a name away
};

/// A directory entry that differs from the database.
struct PendingDirent {
  Dirent dirent;
  bool removed = false;
  Tick changed_at = 0;
};

/// A past name that the database does not have yet, or has to lose.
struct PendingPastName {
  PastName name;
  bool removed = false;
  Tick changed_at = 0;
};

/// Everything of one commit, detached from further changes (docs: ARCHITECTURE.md, the way of a write).
struct Frozen {
  /// Dropped versions by inode, each by when it ended.
  using DroppedVersions = std::map<Ino, std::set<uint64_t>>;
  struct Block {
    uint64_t index = 0;
    std::shared_ptr<Cells> data;  // null: a hole; not whole: a patch
  };
  struct File {
    Inode inode;
    bool fresh = false;  // the database has no record of it yet
    bool orphan_in_database = false;
    uint64_t floor = kNoBlock;
    std::vector<Block> blocks;
    std::optional<Xattrs> xattrs;  // set when changed
    std::optional<Cut> cut;        // the record that the database has becomes a version
    bool changed = false;          // not only read: attributes, content, names or history
  };
  struct Removed {
    Inode inode;
  };
  Tick tick = 0;
  std::vector<File> files;                        // ascending by inode number
  std::vector<Removed> removed;
  std::vector<std::pair<Dirent, bool>> dirents;   // ascending by key; true: removed
  std::vector<std::pair<PastName, bool>> past_names;  // ascending by key; true: removed
  DroppedVersions dropped_versions;
  uint64_t next_ino = 0;
  int64_t content_bytes_delta = 0;
  int64_t retired_inodes_delta = 0;
  int64_t retired_content_bytes_delta = 0;
  uint64_t hlc = 0;
  AgeMark age;
};

/// What the committer learned while writing a Frozen file: its new map.
struct CommittedMap {
  Ino ino{};
  ContentRecord content;
};

/// What an operation may add to the pending changes, at most.
struct Growth {
  uint32_t values = 0;   // blocks, nodes, long records
  uint32_t records = 8;  // inodes, directory entries, keys of blocks
  /// Of `bytes` written to a file.
  static Growth of_content(uint64_t bytes);
};

class WorkingSet {
 public:
  struct Limits {
    uint64_t pending_max_bytes = uint64_t{64} << 20;
    size_t clean_inodes_max = 20'000;
    bool history = false;  // what is overwritten or removed is kept
  };
  /// `writer` is this opening's incarnation: it marks blocks and stamps.
  WorkingSet(Database& database, Clock& clock, const Limits& limits, uint64_t writer, const State& state);

  std::mutex& mutex() { return mutex_; }
  /// Takes the mutex and first drops inodes that the cache has no room for: nothing is dropped later, so
  /// every CachedInode* stays valid until the lock is released.
  std::unique_lock<std::mutex> lock();
  /// How often lock() was called: who sees the same number twice knows that nobody used the vault meanwhile. The caller
  /// has the mutex.
  uint64_t uses() const { return uses_; }
  /// Drops every clean inode, but for those whose access time would be forgotten. The caller has the mutex and no
  /// CachedInode.
  void drop_clean();
  Database& database() { return database_; }
  /// What reads have found damaged. Needs no lock.
  DamageLog& damage() { return damage_; }
  Time now() const;

  // --- inodes -------------------------------------------------------------------------------------
  /// The inode, loaded if need be. Valid until the lock is released or the inode removed. Errors: not_found, corrupt, io.
  Result<CachedInode*> find(Ino ino);
  /// A new inode with a number of its own; `record.ino` and `entry` are filled in.
  CachedInode& create(Inode record);
  /// Marks attributes as changed now (a new tick); `content` marks the bytes too.
  void touch(CachedInode& inode, bool content = false);
  /// The inode was read: atime becomes now if it is not after the last change, or a day old (as Linux's relatime). That
  /// alone is no reason to write: it is committed with the next change or by keep_accesses(), and forgotten when the
  /// inode leaves the cache before.
  void note_access(CachedInode& inode);
  /// Makes what note_access() changed pending, without a stamp: reading is no change that others need to know of. On a
  /// full disk it is forgotten.
  void keep_accesses();
  /// No name and no user: forgets everything of it.
  void remove(CachedInode& inode);
  Result<Xattrs*> xattrs(CachedInode& inode);
  void touch_xattrs(CachedInode& inode);
  Attr attributes(const CachedInode& inode) const;

  // --- directory entries --------------------------------------------------------------------------
  /// Nothing when there is no such name.
  Result<std::optional<Dirent>> find_name(Ino directory, std::string_view name);
  /// Adds the entry under a free cookie. The name must be free. Errors: no_space (16 colliding hashes).
  Result<> add_name(Ino directory, std::string_view name, Ino child, uint8_t type);
  /// Points an existing entry to another inode. With `same_entry` it is that inode which took the entry over.
  void retarget(Dirent dirent, Ino child, uint8_t type, bool same_entry = false);
  void remove_name(const Dirent& dirent);
  /// Gives a name that the older master key placed the cookie that this one gives it. False: there is no such name.
  /// Errors: no_space (16 colliding hashes), corrupt, io.
  Result<bool> place_anew(Ino directory, std::string_view name);
  /// So many entries of a folder are listed under one lock.
  static constexpr size_t kListChunk = 512;
  struct Listing {
    std::vector<Dirent> entries;  // in cookie order; may be empty although more follow
    Cookie reached{};             // go on after this
    bool end = false;
    bool damaged = false;  // names of this directory, here or where it was listed before, could not be read
  };
  /// Some entries with cookies above `after`: about `limit`.
  Result<Listing> list(Ino directory, Cookie after, size_t limit);

  // --- history (store/history.cc) -------------------------------------------------------------------
  bool keeps_history() const { return limits_.history; }
  /// Before a change that ends a state of the inode: if that state is to become a version, notes it. May let the lock go
  /// to wait for a commit, so it comes before any pointer is taken. `removal`: a directory is about to lose a name; then
  /// the lock is kept.
  void before_change(std::unique_lock<std::mutex>& lock, Ino ino, bool removal = false);
  /// The same before a change of which the vault is to have a record, however short the state stood: false if it cannot.
  bool keep_state(std::unique_lock<std::mutex>& lock, Ino ino);
  /// The name is about to go: keeps it as a past one, if it has stood for a while and is no dropping.
  /// `for_trash`: it is kept in any case, because it is how what stays is found again.
  void keep_name(const Dirent& dirent, NameEnd why, bool for_trash = false);
  /// Whether the inode is worth keeping when its last name, `name`, is removed.
  bool is_worth_keeping(const CachedInode& inode, std::string_view name) const;
  /// Of one that was succeeded and is about to lose `name`, to `by` if that is moved over it: whether it was but the backup
  /// of a save.
  bool is_backup(const CachedInode& inode, std::string_view name, const CachedInode* by) const;
  /// The inode, which has no name any more, leaves the present, and stays.
  void retire(CachedInode& inode);
  /// Whether `moved`, about to be renamed over `replaced`, is its next state rather than another entry. `restores`: it was
  /// made of a former state for that.
  bool takes_over(const CachedInode& moved, const CachedInode& replaced, std::string_view name, bool restores) const;
  /// `successor` is from now on the entry that `previous` was, which `leaves` the present or goes on as another entry.
  /// False: there were too many in a short time; `previous` need not be kept. Never with `must_keep`.
  bool succeed(CachedInode& successor, CachedInode& previous, bool leaves, bool must_keep = false);
  /// A name became free: who is made there soon continues the entry of `ino`.
  void vacate(Ino directory, std::string_view name, Ino ino);
  /// The inode whose name this was a moment ago. Each is told once.
  std::optional<Ino> take_vacated(Ino directory, std::string_view name);
  /// Marks the inode as a dropping, or not, as its new name says.
  void classify(CachedInode& inode, std::string_view name);
  /// Names that `directory` had: those that ended after `ended_after`, ascending by their end.
  Result<std::vector<PastName>> past_names(Ino directory, uint64_t ended_after);
  void remove_past_name(const PastName& name);
  /// Whether a change of that past name is pending; and those that are.
  bool has_past_name(const PastName& name) const {
    return past_names_.contains({raw(name.dirent.directory), name.ended_hlc});
  }
  void append_past_names(std::vector<PastName>& out) const;
  /// The inode is back in the present, with one name more, in `directory`.
  void unretire(CachedInode& inode, Ino directory);
  /// `previous` is about to be removed: `successor` comes after the one before it, from when that ended.
  void skip_previous(CachedInode& successor, CachedInode& previous);
  /// remove() of what may have a past: the one before it has a successor less.
  void remove_for_good(CachedInode& inode);
  /// Makes the next commit drop a version. It need not exist. Not journaled: a crash may bring it back.
  void drop_version(Ino ino, uint64_t ended_hlc);
  uint64_t hlc_now() const;
  /// Who knows which inodes without a name are still in use: those are not removed. Asked under the mutex; may be null.
  void set_in_use(std::function<bool(Ino)> in_use) { in_use_ = std::move(in_use); }
  bool is_in_use(Ino ino) const { return in_use_ && in_use_(ino); }

  /// The time that ages of the past go by, Unix seconds.
  int64_t age_now_s() { return age_clock_.now_s(); }
  /// Makes what of it is not `stored` a change of its own if it is worth a commit.
  void keep_age(const AgeMark& stored);

  // --- time locks (store/time_lock.h) ---------------------------------------------------------------
  /// The time that they go by, Unix seconds. It is kept in the HLC, so that the vault does not forget it.
  int64_t lock_time_s();

  // --- content ------------------------------------------------------------------------------------
  /// The pending block at `index`, made writable: not shared with a commit under way. Makes a whole empty
  /// one if there is none; the caller has loaded the committed bytes if they matter.
  PendingBlock& writable_block(CachedInode& inode, uint64_t index);
  /// Reports what writable_block's caller did: `cells` changed; `size_before` bytes were in memory.
  void block_changed(PendingBlock& block, CellMask cells, size_t size_before);
  /// Makes the block a hole.
  void punch_block(CachedInode& inode, uint64_t index);
  /// Every block from `index` on is gone.
  void drop_blocks_from(CachedInode& inode, uint64_t index);
  /// Whether the committed map still counts at `index`.
  static bool committed_visible(const CachedInode& inode, uint64_t index) {
    return index < inode.floor && index < inode.frozen_floor;
  }

  // --- durability ---------------------------------------------------------------------------------
  bool is_journaled(Tick tick) const { return tick <= journaled_tick_ || tick <= committed_tick_; }
  bool is_committed(Tick tick) const { return tick <= committed_tick_; }
  Tick tick() const { return tick_; }
  uint64_t pending_bytes() const { return static_cast<uint64_t>(std::max<int64_t>(pending_bytes_, 0)); }
  /// Everything up to now came from the journal's frames, which are all right.
  void note_replayed();
  uint64_t unjournaled_bytes() const { return unjournaled_bytes_; }
  /// What pending changes add to the database's count of inodes and of content bytes. Walks all of them.
  struct Counts {
    int64_t inodes = 0;
    int64_t content_bytes = 0;
    int64_t retired_inodes = 0;
    int64_t retired_content_bytes = 0;
  };
  Counts pending_counts() const;
  /// The payload of a frame that brings the journal up to `tick()`; everything counts as journaled from
  /// here on, so a failed write must be followed by a commit.
  Bytes snapshot_frame();
  /// snapshot_frame()'s bytes are durable.
  void frame_written(Tick tick) { journaled_tick_ = std::max(journaled_tick_, tick); }

  /// Detaches everything pending. Followed by exactly one of finish and thaw.
  Frozen freeze();
  /// The database has `frozen`. Takes it back so that its buffers are released under the mutex.
  void finish(Frozen frozen, const std::vector<CommittedMap>& maps);
  /// The commit failed: everything is pending again.
  void thaw(Frozen frozen);

  // --- the committer's side -----------------------------------------------------------------------
  /// Waits until there is room for more changes. Errors: no_space (they would not fit the disk beside what is pending),
  /// those of the last commit, when it failed.
  Result<> wait_for_room(std::unique_lock<std::mutex>& lock, const Growth& growth = {});
  /// Of `free` bytes, those that are left for further changes.
  uint64_t room_of(uint64_t free_bytes) const;
  /// wait_for_room before a change that gives something back: never refuses, but lets a full disk take it in small commits,
  /// for which there is a reserve.
  void wait_to_free(std::unique_lock<std::mutex>& lock);
  /// The same before a change of which the past is kept: a full disk then gives up something older.
  void wait_to_retire(std::unique_lock<std::mutex>& lock);
  /// Waits for the end of the commit under way, if there is one. Whoever finds a block of the committed map
  /// gone calls it before looking again: the database has that commit before this set knows of it.
  void wait_for_commit(std::unique_lock<std::mutex>& lock);
  /// Waits until there is something to commit now: changes a second old, or many of them, or `stop`.
  /// False: nothing changed for as long as `rest`.
  bool wait_for_work(std::unique_lock<std::mutex>& lock, const bool& stop, std::chrono::milliseconds rest);
  /// Wakes wait_for_work, e.g. after setting its `stop`.
  void wake() {
    work_.notify_all();
    room_.notify_all();
  }
  /// Tells those who wait for room how the last commit went.
  void commit_ended(const Result<>& result);
  /// Asks what commits can still write; null: as much as they like.
  void set_space_probe(std::function<FreeSpace()> probe) { space_probe_ = std::move(probe); }
  /// Whether commits mark what they change (store/notes), which takes room.
  void set_marks_changes(bool wanted) {
    marks_changes_ = wanted;
    allowance_ = {0, 0};
  }
  /// Asks for something of the past to be given up when the disk is full: true if it is worth looking again, false if
  /// there is nothing left. Called without the mutex; may commit and take its time. Null: nothing is given up.
  void set_reclaim(std::function<bool()> reclaim) { reclaim_ = std::move(reclaim); }
  /// Whether a committer thread exists: without one, wait_for_room never waits.
  void set_committer_running(bool running) { committer_running_ = running; }

  uint64_t next_ino() const { return next_ino_; }
  uint64_t writer() const { return writer_; }

  // --- replay -------------------------------------------------------------------------------------
  /// Applies one frame's payload (store/redo.cc). Errors: corrupt, io.
  /// Changes of entries whose own records are damaged are left out; returns how many.
  Result<uint64_t> replay_frame(ByteView payload);

 private:
  using DirentKey = std::pair<uint64_t, uint64_t>;  // directory, cookie

  bool is_framed(Tick tick) const { return tick <= framed_tick_ || tick <= committed_tick_; }
  /// The next tick; wakes the committer at the first change after a commit.
  Tick advance();
  bool commit_wanted() const { return commit_wanted_ > committed_tick_; }
  void mark_dirty(CachedInode& inode);
  void account(int64_t bytes);
  /// Of inodes, names and small blocks.
  void account_small(int64_t bytes);
  /// Whether more is pending than one part in `divisor` of what may be. Of what is small only half as much may be: LMDB keeps
  /// the memory of every single page that a commit changed, for the next ones, but gives back that of longer values.
  bool exceeds_share(uint64_t divisor) const;
  void account_inodes(int64_t count);
  void account_dirents(int64_t count);
  void account_block(size_t size_before, size_t size_after);
  void account_xattrs(CachedInode& inode, size_t size);
  void account_version(CachedInode& inode, size_t size);
  void account_dropped_versions(int64_t count);
  void account_new_block(CachedInode& inode, std::map<uint64_t, PendingBlock>::iterator it);
  void account_dropped_nodes(CachedInode& inode);
  void ask_retry();
  void commit_now(std::unique_lock<std::mutex>& lock);
  bool has_room(const Growth& growth);
  bool give_back(std::unique_lock<std::mutex>& lock);
  void forget(CachedInode& inode);
  void evict();
  void make_clean(CachedInode& inode);
  /// The name, if it is where `hash` places it.
  Result<std::optional<Dirent>> find_name_at(Ino directory, std::string_view name, uint64_t hash);
  /// One that no name has, for a name with that hash.
  Result<Cookie> free_cookie(Ino directory, uint64_t hash);
  PendingDirent& set_dirent(Dirent dirent, bool removed, bool keep_stamp = false);
  void set_past_name(PastName name, bool removed);
  bool has_stood(int64_t since_ms) const;
  bool take_version(CachedInode& inode);
  bool take_one(CachedInode::Allowance& allowance, int most);
  /// Neither the database nor the commit under way has it.
  bool is_pending(Tick tick) const { return !is_committed(tick) && tick > frozen_tick_; }
  void cut_version(CachedInode& inode, const Cut& cut);
  int64_t now_ms() const { return clock_.wall_ns() / 1'000'000; }
  Result<> replay_cut(Reader& r);
  PendingBlock& pending_block(CachedInode& inode, uint64_t index);
  void account_dropped(const PendingBlock& block);
  Stamp next_stamp();
  Result<> replay_item(Reader& r);
  Result<CachedInode*> replay_inode(Reader& r);
  Result<> replay_block(Reader& r);

  std::mutex mutex_;
  Database& database_;
  DamageLog damage_;
  Clock& clock_;
  LockTime lock_time_{clock_};
  AgeClock age_clock_;
  const Limits limits_;
  const uint64_t writer_;

  Tick tick_ = 1;
  Tick committed_tick_ = 1;
  Tick journaled_tick_ = 1;
  Tick framed_tick_ = 1;   // of the last snapshot_frame
  Tick frozen_tick_ = 0;   // of the commit under way; 0 = none
  uint64_t next_ino_;
  uint64_t map_versions_ = 0;
  uint64_t uses_ = 0;
  uint64_t stamp_counter_ = 0;
  uint64_t hlc_;
  int64_t pending_bytes_ = 0;
  int64_t pending_small_bytes_ = 0;  // of them
  uint64_t unjournaled_bytes_ = 0;
  uint64_t frozen_unjournaled_bytes_ = 0;  // of those, what the commit under way takes
  std::condition_variable work_, room_;
  std::optional<Error> commit_error_;
  bool committer_running_ = false;
  Tick commit_wanted_ = 0;      // somebody waits until that is committed, for the space that pending deletions free
  bool retry_asked_ = false;    // somebody was refused because the last commit failed
  Tick failed_tick_ = 0;        // when that was
  std::chrono::milliseconds retry_delay_{1000};
  SpaceNeed need_;         // of everything pending
  SpaceNeed frozen_need_;  // of the commit under way; counted twice until it has ended
  std::function<FreeSpace()> space_probe_;
  std::function<bool()> reclaim_;
  std::function<bool(Ino)> in_use_;
  Growth allowance_;  // what may still be added before the disk is asked again
  bool marks_changes_ = false;

  std::unordered_map<uint64_t, std::unique_ptr<CachedInode>> inodes_;
  std::list<Ino> clean_order_;  // least recently used last
  std::map<DirentKey, PendingDirent> dirents_;
  std::map<DirentKey, PendingPastName> past_names_;  // by directory and end
  std::vector<DirentKey> unjournaled_past_names_;
  Frozen::DroppedVersions dropped_versions_;
  struct Vacated {
    Ino ino{};
    int64_t when_ms = 0;
  };
  std::map<std::pair<uint64_t, std::string>, Vacated> vacated_;
  std::unordered_set<uint64_t> damaged_directories_;  // a listing goes on from cookie to cookie: whoever ends it must know
  std::vector<Ino> dirty_inodes_;        // changed since the last freeze; may repeat
  std::vector<Ino> unjournaled_inodes_;  // changed since the last frame or commit; may repeat
  std::vector<DirentKey> unjournaled_dirents_;
};

}  // namespace tain::store
