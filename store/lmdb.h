// SPDX-License-Identifier: Apache-2.0
// LMDB behind one small wrapper: an environment with the six tables of docs/format.md §5.
//
// Rules of LMDB that the types keep: one Env per process and file, opened after the last fork; a read
// transaction lives inside one request; a write transaction stays on its thread and only one exists at
// a time; a ByteView from get() is valid until its transaction ends (and, in a WriteTxn, until the next
// change). Flags: MDB_NOTLS, and none that weakens durability or leaks heap memory into the file.
#pragma once

#include <lmdb.h>

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/cipher.h"
#include "store/space.h"

namespace tain::store {

inline constexpr size_t kTableCount = 6;
inline constexpr std::array<Table, kTableCount> kTables = {Table::state,  Table::inodes, Table::dirents,
                                                           Table::xattrs, Table::blocks, Table::orphans};

class Env {
 public:
  struct Options {
    uint64_t map_size_bytes = 0;  // 0: a sparse map that no vault reaches
    bool create = false;
  };
  /// Opens the database file `path`. Refuses a truncated file before LMDB would touch the missing pages.
  /// Errors: not_found, corrupt, io, no_space.
  static Result<std::unique_ptr<Env>> open(const std::string& path, const Options& options);
  ~Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  /// Bytes of the file that hold pages, free ones included.
  uint64_t used_bytes() const;
  /// What commits can still write: what the disk has to give and the free pages of the file. Those that the last
  /// commit freed are among them, although LMDB takes them only after the next. Lists the file's pages only when
  /// the disk is nearly full. Threads: any.
  FreeSpace free_space();
  /// The same in bytes, always counted. Threads: any.
  uint64_t free_bytes();
  /// LMDB's version text.
  static std::string version();

 private:
  friend class ReadTxn;
  friend class Cursor;
  friend class WriteTxn;
  Env() = default;
  uint64_t pages_beyond_end() const;

  MDB_env* env_ = nullptr;
  std::string path_;
  std::array<MDB_dbi, kTableCount + 1> dbi_{};  // by table number
  std::mutex idle_mutex_;
  std::vector<MDB_txn*> idle_;  // reset read transactions, to be renewed: cheaper than beginning anew
};

/// A consistent view of the last commit. Threads: used by one at a time.
class ReadTxn {
 public:
  static Result<ReadTxn> begin(Env& env);
  ~ReadTxn();
  ReadTxn(ReadTxn&& other) noexcept : env_(other.env_), txn_(std::exchange(other.txn_, nullptr)) {}
  ReadTxn& operator=(ReadTxn&&) = delete;

  /// Nothing when the key is not there. Errors: corrupt, io.
  Result<std::optional<ByteView>> get(Table table, ByteView key) const;

 private:
  friend class Cursor;
  friend class Env;
  ReadTxn(Env& env, MDB_txn* txn) : env_(&env), txn_(txn) {}
  Env* env_;
  MDB_txn* txn_;
};

/// Walks a table in key order. Lives inside its transaction.
class Cursor {
 public:
  struct Item {
    ByteView key;
    ByteView value;
  };
  static Result<Cursor> open(const ReadTxn& txn, Table table);
  ~Cursor();
  Cursor(Cursor&& other) noexcept : cursor_(std::exchange(other.cursor_, nullptr)) {}
  Cursor& operator=(Cursor&&) = delete;

  /// The first item with a key not below `key`; nothing at the end.
  Result<std::optional<Item>> seek(ByteView key);
  Result<std::optional<Item>> next();

 private:
  explicit Cursor(MDB_cursor* cursor) : cursor_(cursor) {}
  Result<std::optional<Item>> move(MDB_val key, MDB_cursor_op op);
  MDB_cursor* cursor_;
};

/// The one transaction that changes the database. Aborts unless committed.
class WriteTxn {
 public:
  static Result<WriteTxn> begin(Env& env);
  ~WriteTxn();
  WriteTxn(WriteTxn&& other) noexcept : env_(other.env_), txn_(std::exchange(other.txn_, nullptr)) {}
  WriteTxn& operator=(WriteTxn&&) = delete;

  Result<std::optional<ByteView>> get(Table table, ByteView key) const;
  /// Errors: no_space, io, corrupt.
  Result<> put(Table table, ByteView key, ByteView value);
  /// True when the key was there.
  Result<bool> remove(Table table, ByteView key);
  /// Durable when it returns without an error. Consumes the transaction.
  Result<> commit() &&;

 private:
  WriteTxn(Env& env, MDB_txn* txn) : env_(&env), txn_(txn) {}
  Env* env_;
  MDB_txn* txn_;
};

}  // namespace tain::store
