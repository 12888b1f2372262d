// SPDX-License-Identifier: Apache-2.0
// LMDB behind one small wrapper: an environment with the six tables of docs/format.md §5.
//
// LMDB writes; reading goes through store/pages, which survives a damaged file. What LMDB
// would read on the way of a change is looked at first (PathGuard).
//
// Rules of LMDB that the types keep: one Env per process and file, opened after the last fork; a read
// transaction lives inside one request; a write transaction stays on its thread and only one exists at
// a time; a ByteView from get() is valid until its transaction ends (and, in a WriteTxn, until the next
// change). Flags: MDB_NOTLS, and none that weakens durability or leaks heap memory into the file.
#pragma once

#include <lmdb.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/cold_pages.h"
#include "store/read_ahead.h"
#include "store/read_around.h"
#include "store/read_windows.h"
#include "store/resident.h"
#include "store/snapshot.h"
#include "store/space.h"

namespace tain::store {

class Env {
 public:
  struct Options {
    uint64_t map_size_bytes = 0;  // 0: a sparse map that no vault reaches
    bool create = false;
    bool read_only = false;       // no write transaction will be asked for; works on a read-only file system
  };
  /// Opens the database file `path`. Before LMDB sees it, its size, meta pages and free list are checked.
  /// Errors: not_found, corrupt, io, no_space.
  static Result<std::unique_ptr<Env>> open(const std::string& path, const Options& options);
  ~Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  /// Bytes of the file that hold pages, free ones included.
  uint64_t used_bytes() const;
  /// Bytes of the disk that the file takes: what it holds without its holes.
  uint64_t disk_bytes() const;
  /// What commits can still write: what the disk has to give and the free pages of the file. Those that the last
  /// commit freed are among them, although LMDB takes them only after the next. Lists the file's pages only when
  /// the disk is nearly full. Threads: any.
  FreeSpace free_space();
  /// The same in bytes, always counted. Threads: any.
  uint64_t free_bytes();
  /// Drops the pages of the mapped file from this process; the kernel's cache keeps them. Threads: any.
  void drop_resident() {
    resident_.drop();
    read_windows_.forget();
  }
  /// LMDB's version text.
  static std::string version();

 private:
  friend class ReadTxn;
  friend class Cursor;
  friend class WriteTxn;
  Env() = default;
  /// What the disk has for the file, apart from its free pages.
  FreeSpace space_on_disk() const;
  Result<bool> lacks_tables();
  Result<> open_tables(bool create);
  Result<> map_file();
  /// The database file, open for reading and writing. Remains LMDB's.
  int descriptor() const;
  /// Whether the file reaches to its last page, which LMDB leaves out when it is free (only_free_pages_missing): looking
  /// at a mapped page behind the end of its file ends the process, and a damaged page may refer to any.
  bool covers_pages() const;
  /// Makes it so. Not while anybody else commits.
  Result<> cover_pages();
  /// The state that transaction `number` committed, for who has it pinned. Errors: busy (its meta page is being written
  /// over: pin a newer one), corrupt.
  Result<std::shared_ptr<const Snapshot>> snapshot(uint64_t number);
  /// The same from the file, whatever was read before.
  Result<Snapshot> read_state(uint64_t number) const;

  MDB_env* env_ = nullptr;
  const uint8_t* map_ = nullptr;  // our own map of the file: LMDB does not tell where its is
  size_t map_size_ = 0;
  ResidentBound resident_;  // of both maps
  ReadWindows read_windows_;
  PageSource pages_;
  PageSource file_pages_;  // the same, read with pread
  ReadAround read_around_;
  ReadAhead read_ahead_;
  std::string path_;
  std::array<MDB_dbi, kTableCount + 1> dbi_{};  // by table number; 0: missing (snapshot.h, may_be_missing)
  std::atomic<uint64_t> committing_{0};         // the last transaction whose commit may have begun
  std::mutex idle_mutex_;
  std::shared_ptr<const Snapshot> snapshot_;  // the one last asked for; guarded by idle_mutex_
  struct FreePages {
    uint64_t transaction = 0;
    uint64_t pages = 0;
  };
  FreePages free_pages_;  // as last counted; guarded by idle_mutex_
  std::vector<MDB_txn*> idle_;                // reset read transactions, to be renewed: cheaper than beginning anew
};

/// How a read transaction gets at pages.
enum class PageAccess {
  mapped,
  /// With pread: a sector that the device cannot read is an error and not a signal, and what was read leaves no mapped
  /// pages behind. Every page on the way to a value is checked whole. For who reads everything.
  copied,
};

/// A consistent view of the last commit. Threads: used by one at a time.
class ReadTxn {
 public:
  static Result<ReadTxn> begin(Env& env, PageAccess access = PageAccess::mapped);
  ~ReadTxn();
  ReadTxn(ReadTxn&& other) noexcept
      : env_(other.env_),
        txn_(std::exchange(other.txn_, nullptr)),
        snapshot_(std::move(other.snapshot_)),
        access_(other.access_),
        copies_(std::move(other.copies_)) {}
  ReadTxn& operator=(ReadTxn&&) = delete;

  /// Nothing when the key is not there. Errors: corrupt (also: whether it is there cannot be known), io.
  Result<std::optional<ByteView>> get(Table table, ByteView key) const;
  /// The same for values that lie on pages of their own: those are read into `scratch` with pread. One call of the
  /// kernel gets exactly these bytes, where looking at them through the map costs a fault for each few pages, reads
  /// 128 KiB around the first, and ends the process if the device cannot read one.
  /// With `part` only those bytes of the value are sure to be right: the caller must be able to tell by a seal.
  Result<std::optional<ByteView>> get_large(Table table, ByteView key, Bytes& scratch,
                                            const ValuePart* part = nullptr) const;
  const Snapshot& snapshot() const { return *snapshot_; }

 private:
  friend class Cursor;
  friend class Env;
  // Where the file does not reach to its last page it is not looked at through the map (Env::open).
  ReadTxn(Env& env, MDB_txn* txn, PageAccess access)
      : env_(&env), txn_(txn), access_(env.pages_.is_mapped() ? access : PageAccess::copied) {}
  const PageSource& pages() const { return access_ == PageAccess::mapped ? env_->pages_ : env_->file_pages_; }
  Env* env_;
  MDB_txn* txn_;                              // pins the pages of the state that it sees
  std::shared_ptr<const Snapshot> snapshot_;  // shared with Env and other transactions on the same state
  PageAccess access_;
  mutable std::vector<Bytes> copies_;  // the values that get() returned, when they are not mapped
};

/// Walks a table in key order. Lives inside its transaction.
class Cursor {
 public:
  struct Item {
    ByteView key;
    ByteView value;
  };
  static Result<Cursor> open(const ReadTxn& txn, Table table);

  /// The first item with a key not below `key`; nothing at the end.
  /// After Code::corrupt, next() goes on behind what is damaged; lost() tells which keys that leaves out.
  Result<std::optional<Item>> seek(ByteView key);
  Result<std::optional<Item>> next();
  const KeyRange& lost() const { return lost_; }
  /// Whether the value is the one that was stored under its key. A damaged key may be that of any name between its
  /// neighbours.
  bool is_intact(const Item& item) const { return checksum_matches(table_, item.key, item.value); }
  /// False when the value before the current one does not match its key: it may belong here.
  bool is_certain_before() const;

 private:
  Cursor(const ReadTxn& txn, Table table)
      : table_(table), walk_(txn.pages(), txn.snapshot_->root(table), txn.snapshot_->last_page) {}
  Result<std::optional<Item>> item(Result<bool> moved);
  Table table_;
  TreeWalk walk_;
  KeyRange lost_;
  Bytes scratch_;
};

/// The one transaction that changes the database. Aborts unless committed.
class WriteTxn {
 public:
  static Result<WriteTxn> begin(Env& env);
  ~WriteTxn();
  WriteTxn(WriteTxn&& other) noexcept
      : env_(other.env_),
        txn_(std::exchange(other.txn_, nullptr)),
        bytes_put_(other.bytes_put_),
        values_put_(other.values_put_),
        cold_(std::move(other.cold_)),
        snapshot_(std::move(other.snapshot_)),
        guard_(std::move(other.guard_)) {}
  WriteTxn& operator=(WriteTxn&&) = delete;

  Result<std::optional<ByteView>> get(Table table, ByteView key);
  /// Errors: no_space, io, corrupt.
  Result<> put(Table table, ByteView key, ByteView value);
  /// Puts a value of `size` bytes, at least kReservedMin, that the caller writes afterwards: the bytes lie in the pages
  /// that the commit writes, undefined until then, and belong to the caller until it. Errors: as put().
  Result<ByteSpan> reserve(Table table, ByteView key, size_t size);
  /// LMDB has values of this size in pages of their own, which nothing that is put later moves.
  static constexpr size_t kReservedMin = 4096;
  /// True when the key was there.
  Result<bool> remove(Table table, ByteView key);
  /// Durable when it returns without an error. Consumes the transaction.
  Result<> commit() &&;

  /// The pages that this transaction may overwrite: nothing of the last two committed states lies there, and nothing
  /// that a reader sees. Ascending. While it lives and puts nothing, nobody needs what they hold. Errors: corrupt, io.
  Result<std::vector<uint64_t>> spare_pages() const;
  /// Whether somebody sees a state that is older than the last one. Errors: corrupt, io.
  Result<bool> is_older_state_read() const;
  /// The last page of the file that is or has been in use.
  uint64_t last_page() const { return snapshot_->last_page; }
  /// The database file, open for reading and writing; where it stands belongs to this transaction. Remains LMDB's.
  int descriptor() const;

 private:
  WriteTxn(Env& env, MDB_txn* txn) : env_(&env), txn_(txn) {}
  Env* env_;
  MDB_txn* txn_;
  Result<> put(Table table, ByteView key, MDB_val& value, unsigned flags);
  uint64_t bytes_put_ = 0;
  size_t values_put_ = 0;
  ColdPages cold_;
  std::unique_ptr<const Snapshot> snapshot_;  // what the transaction began with
  std::unique_ptr<PathGuard> guard_;
};

}  // namespace tain::store
