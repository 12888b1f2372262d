// SPDX-License-Identifier: Apache-2.0
// Sealed records and blocks in their tables: typed reads with a cache, and the batch of one commit.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "store/block_map.h"
#include "store/cipher.h"
#include "store/codec.h"
#include "store/lmdb.h"

namespace tain::store {

/// Map nodes and the last blocks of files, decrypted, by id. A block never changes under its id, so nothing here is ever
/// stale; entries leave in least-recently-used order. Threads: any.
class BlockCache {
 public:
  explicit BlockCache(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  std::shared_ptr<const Bytes> data(const BlockId& id);
  std::shared_ptr<const RefList> node(const BlockId& id);
  void insert(const BlockId& id, std::shared_ptr<const Bytes> data);
  void insert(const BlockId& id, std::shared_ptr<const RefList> node);
  void clear();

 private:
  struct Entry {
    BlockId id;
    std::shared_ptr<const Bytes> data;
    std::shared_ptr<const RefList> node;
    uint64_t bytes = 0;
  };
  void add(Entry entry);
  Entry* touch(const BlockId& id);

  std::mutex mutex_;
  const uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  std::list<Entry> order_;  // most recent first
  std::unordered_map<BlockId, std::list<Entry>::iterator> entries_;
};

/// Reads of the committed state. Threads: any, concurrently.
class Database {
 public:
  Database(Env& env, const Cipher& cipher, uint64_t cache_max_bytes)
      : env_(env), cipher_(cipher), cache_(cache_max_bytes) {}

  Env& env() { return env_; }
  const Cipher& cipher() const { return cipher_; }
  BlockCache& cache() { return cache_; }

  /// Nothing when there is no such record. Errors of all: corrupt, io.
  Result<std::optional<Inode>> load_inode(const ReadTxn& txn, Ino ino);
  /// The record in `value`, found under the key of `ino`. `*damage` of these, when given, is always set: to none
  /// only if the value's checksum is right, too.
  Result<Inode> open_inode(Ino ino, ByteView value, Damage* damage = nullptr) const;
  Result<Xattrs> load_xattrs(const ReadTxn& txn, Ino ino, Damage* damage = nullptr);
  /// The same of what a cursor found in the tables of these.
  Result<Version> open_version(const Cursor::Item& item, Damage* damage = nullptr) const;
  Result<PastName> open_past_name(const Cursor::Item& item, Damage* damage = nullptr) const;
  Result<Dirent> open_dirent(const Cursor::Item& item, Damage* damage = nullptr) const;
  /// Versions of the inode, newest first, at most `limit`. A damaged one is an error: what it shares is not known. With
  /// `damaged` it is left out instead, and that gets when it ended.
  Result<std::vector<Version>> load_versions(const ReadTxn& txn, Ino ino, size_t limit = SIZE_MAX,
                                             std::vector<uint64_t>* damaged = nullptr);
  /// Names that `directory` had and that ended at `from` or later, ascending. Damaged ones are left out.
  Result<std::vector<PastName>> load_past_names(const ReadTxn& txn, Ino directory, uint64_t from);
  /// All of the vault, in no order.
  Result<std::vector<PastName>> load_past_names(const ReadTxn& txn);
  /// At most `limit` of them from `from` on, as a table goes; `next` is where more are. Damaged ones are left out.
  struct PastNameKey {
    Ino directory{};
    uint64_t ended_hlc = 0;
  };
  Result<std::vector<PastName>> some_past_names(const ReadTxn& txn, PastNameKey from, size_t limit,
                                                std::optional<PastNameKey>& next);
  /// Numbers of inodes that have versions or came after others, above `after`; looks at `limit` records. False at the end.
  Result<bool> inodes_with_past(const ReadTxn& txn, Ino after, size_t limit, std::vector<Ino>& out);
  Result<State> load_state(const ReadTxn& txn);
  Result<std::vector<Ino>> load_orphans(const ReadTxn& txn);
  struct Dirents {
    std::vector<Dirent> entries;
    Cookie last{};         // of the last record read
    bool complete = true;  // no more records up to `to`
    uint64_t damaged = 0;  // places in the range where a name may be that cannot be read
    Damage damage = Damage::rot;  // what the last of them suffered
    uint64_t bad_checksums = 0;   // of names that can be read
    uint64_t bytes = 0;           // of the records read, as they are stored
  };
  /// Entries of `directory` with cookies in [from, to], in cookie order, of at most `limit` records.
  Result<Dirents> load_dirents(const ReadTxn& txn, Ino directory, Cookie from, Cookie to, size_t limit);

  /// Errors: not_found when the block is not (any more) in the database.
  Result<std::shared_ptr<const RefList>> read_node(const ReadTxn& txn, const BlockPlace& place, const BlockRef& ref);
  /// Decrypts the block's bytes from `first_cell` on into `out`, which ends with a cell or with the block.
  /// `*damage`, when given, is always set; it costs the checksum of the whole block.
  Result<> read_block(const ReadTxn& txn, const BlockPlace& place, const BlockRef& ref, size_t first_cell, ByteSpan out,
                      Damage* damage = nullptr);
  /// What a record suffered that could not be read.
  Damage diagnose(const ReadTxn& txn, Table table, ByteView key);

 private:
  Result<> walk_past_names(const ReadTxn& txn, std::optional<Ino> directory, uint64_t from, std::vector<PastName>& out);
  Env& env_;
  const Cipher& cipher_;
  BlockCache cache_;
};

/// A NodeReader over one read transaction.
class TxnNodeReader final : public NodeReader {
 public:
  TxnNodeReader(Database& database, const ReadTxn& txn) : database_(database), txn_(txn) {}
  Result<std::shared_ptr<const RefList>> read_node(const BlockPlace& place, const BlockRef& ref) override {
    return database_.read_node(txn_, place, ref);
  }

 private:
  Database& database_;
  const ReadTxn& txn_;
};

/// The changes of one commit: keeps counts and set digests in step with every put and remove.
/// Used by one thread.
class Batch {
 public:
  /// `state` is the last committed one; commit() stores it with the new digests.
  static Result<Batch> begin(Database& database, const State& state);

  /// Seals and stores a record. `fresh` says that the key cannot exist yet.
  Result<> put_record(Table table, ByteView key, Kind kind, uint16_t schema, ByteView body, bool fresh);
  Result<> put_block(const BlockId& id, ByteView value);
  /// Where the caller seals a block of `size` bytes, WriteTxn::kReservedMin or more, before the commit; then it calls
  /// reserved_block_sealed().
  Result<ByteSpan> reserve_block(const BlockId& id, size_t size);
  void reserved_block_sealed(const BlockId& id, ByteView value);
  /// The value as this transaction has it, until its next change.
  Result<std::optional<ByteView>> get(Table table, ByteView key) { return txn_.get(table, key); }
  /// Harmless when the key is not there.
  Result<> remove(Table table, ByteView key);
  /// Seals a record of the older epoch anew, whatever it says. False: it is not there, not of that epoch, or damaged.
  Result<bool> reseal_record(Table table, ByteView key);
  /// The same of a block. Errors: also suite_missing.
  Result<bool> reseal_block(const BlockPlace& place, const BlockRef& ref, Kind kind);
  /// Commits with `state`, whose digests are overwritten by this batch's. Returns the state as stored.
  Result<State> commit(State state) &&;

 private:
  Batch(Database& database, WriteTxn txn, const State& state)
      : database_(&database), txn_(std::move(txn)), sets_(state.sets) {}
  Result<> put(Table table, ByteView key, ByteView value, bool fresh);
  /// The value, if it is of the older epoch.
  Result<std::optional<Bytes>> older_value(Table table, ByteView key);
  void count(Table table, ByteView key, ByteView value, bool added);

  Database* database_;
  WriteTxn txn_;
  std::array<SetDigest, kTableCount + 1> sets_;
};

}  // namespace tain::store
