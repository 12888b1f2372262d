// SPDX-License-Identifier: Apache-2.0
#include "store/database.h"

namespace tain::store {
namespace {

constexpr size_t kPartMax = 4 * kCellSize;  // bytes: reads up to this do not copy a whole block out of the kernel

/// 256-bit little-endian addition or subtraction, mod 2^256.
void add_mod(Id32& sum, const Id32& summand, bool add) {
  unsigned carry = add ? 0 : 1;
  for (size_t i = 0; i < sum.size(); ++i) {
    const unsigned term = add ? summand[i] : static_cast<uint8_t>(~summand[i]);
    const unsigned total = unsigned{sum[i]} + term + carry;
    sum[i] = static_cast<uint8_t>(total);
    carry = total >> 8;
  }
}

Error unknown_schema(const char* what, unsigned schema) {
  return Error(Code::format_too_new, std::string(what) + " has schema version " + std::to_string(schema) +
                                         ", which this version of tain does not know");
}

}  // namespace

std::shared_ptr<const Bytes> BlockCache::data(const BlockId& id) {
  std::lock_guard lock(mutex_);
  Entry* entry = touch(id);
  return entry != nullptr ? entry->data : nullptr;
}

std::shared_ptr<const RefList> BlockCache::node(const BlockId& id) {
  std::lock_guard lock(mutex_);
  Entry* entry = touch(id);
  return entry != nullptr ? entry->node : nullptr;
}

void BlockCache::insert(const BlockId& id, std::shared_ptr<const Bytes> data) {
  const uint64_t bytes = data->size() + 128;
  add({.id = id, .data = std::move(data), .node = nullptr, .bytes = bytes});
}

void BlockCache::insert(const BlockId& id, std::shared_ptr<const RefList> node) {
  const uint64_t bytes = node->size() * 112 + 128;
  add({.id = id, .data = nullptr, .node = std::move(node), .bytes = bytes});
}

void BlockCache::clear() {
  std::list<Entry> dropped;  // freed after the lock is released
  std::lock_guard lock(mutex_);
  entries_ = {};
  dropped.swap(order_);
  bytes_ = 0;
}

BlockCache::Entry* BlockCache::touch(const BlockId& id) {
  auto it = entries_.find(id);
  if (it == entries_.end()) return nullptr;
  order_.splice(order_.begin(), order_, it->second);
  return &*it->second;
}

void BlockCache::add(Entry entry) {
  std::list<Entry> evicted;  // freed after the lock is released
  std::lock_guard lock(mutex_);
  if (touch(entry.id) != nullptr || entry.bytes > max_bytes_) return;
  bytes_ += entry.bytes;
  order_.push_front(std::move(entry));
  entries_.emplace(order_.front().id, order_.begin());
  while (bytes_ > max_bytes_) {
    bytes_ -= order_.back().bytes;
    entries_.erase(order_.back().id);
    evicted.splice(evicted.begin(), order_, std::prev(order_.end()));
  }
}

Result<std::optional<Inode>> Database::load_inode(const ReadTxn& txn, Ino ino) {
  const auto key = ino_key(ino);
  auto value = TRY(txn.get(Table::inodes, key));
  if (!value.has_value()) return std::optional<Inode>();
  return std::optional<Inode>(TRY(open_inode(ino, *value)));
}

Result<Inode> Database::open_inode(Ino ino, ByteView value, Damage* damage) const {
  auto record = TRY(cipher_.open_record(Table::inodes, ino_key(ino), value, damage));
  if (record.kind != Kind::inode) return Error(Code::corrupt, "inode table holds another kind of record");
  if (record.schema != kInodeSchema) return unknown_schema("inode", record.schema);
  Inode inode = TRY(decode_inode(record.body));
  if (inode.ino != ino) return Error(Code::corrupt, "inode record names another inode");
  return inode;
}

Result<Xattrs> Database::load_xattrs(const ReadTxn& txn, Ino ino, Damage* damage) {
  if (damage != nullptr) *damage = Damage::none;
  const auto key = ino_key(ino);
  auto value = TRY(txn.get(Table::xattrs, key));
  if (!value.has_value()) return Xattrs();
  auto record = TRY(cipher_.open_record(Table::xattrs, key, *value, damage));
  if (record.kind != Kind::xattrs) return Error(Code::corrupt, "attribute table holds another kind of record");
  if (record.schema != kXattrsSchema) return unknown_schema("extended attributes", record.schema);
  InodeXattrs xattrs = TRY(decode_xattrs(record.body));
  if (xattrs.ino != ino) return Error(Code::corrupt, "attribute record names another inode");
  return std::move(xattrs.xattrs);
}

Result<Version> Database::open_version(const Cursor::Item& item, Damage* damage) const {
  auto record = TRY(cipher_.open_record(Table::versions, item.key, item.value, damage));
  if (record.kind != Kind::version) return Error(Code::corrupt, "version table holds another kind of record");
  if (record.schema != kVersionSchema) return unknown_schema("version", record.schema);
  Version version = TRY(decode_version(record.body));
  if (raw(version.inode.ino) != load_be64(item.key.data()) || version.ended_hlc != ~load_be64(item.key.data() + 8))
    return Error(Code::corrupt, "version record names another version");
  return version;
}

Result<std::vector<Version>> Database::load_versions(const ReadTxn& txn, Ino ino, size_t limit,
                                                     std::vector<uint64_t>* damaged) {
  std::vector<Version> out;
  Cursor cursor = TRY(Cursor::open(txn, Table::versions));
  for (auto item = TRY(cursor.seek(version_key(ino, UINT64_MAX))); item.has_value() && out.size() < limit;
       item = TRY(cursor.next())) {
    if (item->key.size() != 16) return Error(Code::corrupt, "version table has an impossible key");
    if (load_be64(item->key.data()) != raw(ino)) break;
    auto version = open_version(*item);
    if (damaged != nullptr && version.is(Code::corrupt))
      damaged->push_back(~load_be64(item->key.data() + 8));
    else
      out.push_back(TRY(std::move(version)));
  }
  return out;
}

Result<PastName> Database::open_past_name(const Cursor::Item& item, Damage* damage) const {
  auto record = TRY(cipher_.open_record(Table::past_names, item.key, item.value, damage));
  if (record.kind != Kind::past_name || record.schema != kPastNameSchema) return unknown_schema("past name", record.schema);
  PastName name = TRY(decode_past_name(record.body));
  if (raw(name.dirent.directory) != load_be64(item.key.data()) || name.ended_hlc != load_be64(item.key.data() + 8))
    return Error(Code::corrupt, "a past name is not the one of its key");
  return name;
}

Result<> Database::walk_past_names(const ReadTxn& txn, std::optional<Ino> directory, uint64_t from,
                                   std::vector<PastName>& out) {
  Cursor cursor = TRY(Cursor::open(txn, Table::past_names));
  for (auto item = cursor.seek(past_name_key(directory.value_or(Ino{0}), from));; item = cursor.next()) {
    if (item.is(Code::corrupt)) {  // a page is lost; what is behind it is not
      if (!cursor.lost().high.empty()) continue;
      break;
    }
    auto found = TRY(std::move(item));
    if (!found.has_value() || found->key.size() != 16) break;
    const Ino owner{load_be64(found->key.data())};
    if (directory.has_value() && owner != *directory) break;
    auto name = open_past_name(*found);
    if (name.ok()) out.push_back(std::move(*name));
  }
  return {};
}

Result<std::vector<PastName>> Database::load_past_names(const ReadTxn& txn, Ino directory, uint64_t from) {
  std::vector<PastName> out;
  TRY(walk_past_names(txn, directory, from, out));
  return out;
}

Result<std::vector<PastName>> Database::load_past_names(const ReadTxn& txn) {
  std::vector<PastName> out;
  TRY(walk_past_names(txn, std::nullopt, 0, out));
  return out;
}

Result<std::vector<PastName>> Database::some_past_names(const ReadTxn& txn, PastNameKey from, size_t limit,
                                                        std::optional<PastNameKey>& next) {
  std::vector<PastName> out;
  next.reset();
  Cursor cursor = TRY(Cursor::open(txn, Table::past_names));
  size_t records = 0;
  for (auto item = cursor.seek(past_name_key(from.directory, from.ended_hlc));; item = cursor.next()) {
    if (item.is(Code::corrupt)) {
      if (!cursor.lost().high.empty()) continue;
      return out;
    }
    auto found = TRY(std::move(item));
    if (!found.has_value() || found->key.size() != 16) return out;
    const PastNameKey key{Ino{load_be64(found->key.data())}, load_be64(found->key.data() + 8)};
    if (records++ == limit) {
      next = key;
      return out;
    }
    auto name = open_past_name(*found);
    if (name.ok()) out.push_back(std::move(*name));
  }
}

Result<bool> Database::inodes_with_past(const ReadTxn& txn, Ino after, size_t limit, std::vector<Ino>& out) {
  Cursor cursor = TRY(Cursor::open(txn, Table::inodes));
  size_t records = 0;
  for (auto item = cursor.seek(ino_key(Ino{raw(after) + 1}));; item = cursor.next()) {
    if (item.is(Code::corrupt)) {
      if (!cursor.lost().high.empty()) continue;
      return false;
    }
    auto found = TRY(std::move(item));
    if (!found.has_value() || found->key.size() != 8) return false;
    const Ino ino{load_be64(found->key.data())};
    auto inode = open_inode(ino, found->value);
    const bool is_last = ++records == limit;
    // The last one looked at is where the next step goes on, whatever it is.
    if (is_last || (inode.ok() && (inode->flags & (kInodeHasVersions | kInodeHasPast)) != 0)) out.push_back(ino);
    if (is_last) return true;
  }
}

Result<State> Database::load_state(const ReadTxn& txn) {
  auto value = TRY(txn.get(Table::state, kStateKey));
  if (!value.has_value()) return Error(Code::corrupt, "the state record is missing");
  auto record = TRY(cipher_.open_record(Table::state, kStateKey, *value));
  if (record.kind != Kind::state) return Error(Code::corrupt, "state table holds another kind of record");
  if (record.schema < kStateSchemaOldest || record.schema > kStateSchema) return unknown_schema("state", record.schema);
  return decode_state(record.body, record.schema);
}

Result<std::vector<Ino>> Database::load_orphans(const ReadTxn& txn) {
  std::vector<Ino> out;
  Cursor cursor = TRY(Cursor::open(txn, Table::orphans));
  for (auto item = TRY(cursor.seek(ino_key(Ino{0}))); item.has_value(); item = TRY(cursor.next())) {
    if (item->key.size() != 8) return Error(Code::corrupt, "orphan table has an impossible key");
    out.push_back(Ino{load_be64(item->key.data())});
  }
  return out;
}

Result<Database::Dirents> Database::load_dirents(const ReadTxn& txn, Ino directory, Cookie from, Cookie to,
                                                 size_t limit) {
  Dirents out;
  Cursor cursor = TRY(Cursor::open(txn, Table::dirents));
  const auto last = dirent_key(directory, to);
  size_t records = 0;
  auto item = cursor.seek(dirent_key(directory, from));
  if (!item.is(Code::corrupt) && !cursor.is_certain_before()) ++out.damaged;
  for (;; item = cursor.next()) {
    if (item.is(Code::corrupt)) {  // a page is lost; what is behind it is not
      if (!cursor.lost().low.empty() && compare_keys(cursor.lost().low, last) > 0) break;
      ++out.damaged;
      if (!cursor.lost().high.empty() && compare_keys(cursor.lost().high, last) <= 0) continue;
      break;
    }
    auto found = TRY(std::move(item));
    if (!found.has_value()) break;
    const bool well_formed = found->key.size() == last.size();
    if (!well_formed || compare_keys(found->key, last) > 0) {
      if (!cursor.is_intact(*found)) ++out.damaged;  // its key may have been one of these
      break;
    }
    if (records++ == limit) {
      out.complete = false;
      break;
    }
    out.last = Cookie{load_be64(found->key.data() + 8)};
    out.bytes += found->value.size();
    Damage damage = Damage::none;
    auto dirent = open_dirent(*found, &damage);
    // One damaged name must not take the rest of its folder along.
    if (dirent.is(Code::corrupt) || dirent.is(Code::format_too_new)) {
      ++out.damaged;
      out.damage = damage == Damage::none ? Damage::rot : damage;
    } else {
      if (damage != Damage::none) ++out.bad_checksums;
      out.entries.push_back(TRY(std::move(dirent)));
    }
  }
  if (out.damaged > 0 && out.damage == Damage::none) out.damage = Damage::rot;  // a whole page
  return out;
}

Result<Dirent> Database::open_dirent(const Cursor::Item& item, Damage* damage) const {
  auto record = TRY(cipher_.open_record(Table::dirents, item.key, item.value, damage));
  if (record.kind != Kind::dirent) return Error(Code::corrupt, "directory entry table holds another kind of record");
  if (record.schema != kDirentSchema) return unknown_schema("directory entry", record.schema);
  Dirent dirent = TRY(decode_dirent(record.body));
  if (raw(dirent.directory) != load_be64(item.key.data()) || raw(dirent.cookie) != load_be64(item.key.data() + 8))
    return Error(Code::corrupt, "directory entry record names another entry");
  return dirent;
}

Result<std::shared_ptr<const RefList>> Database::read_node(const ReadTxn& txn, const BlockPlace& place,
                                                           const BlockRef& ref) {
  if (auto cached = cache_.node(ref.id)) return cached;
  auto value = TRY(txn.get(Table::blocks, block_key(ref.id)));
  if (!value.has_value()) return Error(Code::not_found, "map node is not in the database");
  Bytes plain(ref.length);
  TRY(cipher_.open_block(place, ref, Kind::map_node, *value, plain));
  auto node = std::make_shared<const RefList>(TRY(decode_refs(plain, kMapFanout)));
  cache_.insert(ref.id, node);
  return std::shared_ptr<const RefList>(std::move(node));
}

Result<> Database::read_block(const ReadTxn& txn, const BlockPlace& place, const BlockRef& ref, size_t first_cell,
                              ByteSpan out, Damage* damage) {
  if (damage != nullptr) *damage = Damage::none;
  thread_local Bytes scratch;  // sealed bytes only; kept, for a fresh one would be cleared each time
  if (out.size() <= kPartMax && ref.length > 2 * kPartMax && damage == nullptr) {
    const size_t text = block_text_offset(ref.length);
    const size_t begin = text + first_cell * kCellSize;
    const ValuePart part{.head = text, .begin = begin, .end = begin + out.size()};
    const auto value = txn.get_large(Table::blocks, block_key(ref.id), scratch, &part);
    if (value.ok() && value->has_value() &&
        cipher_.open_cells(place, ref, Kind::data_block, **value, first_cell, out).ok())
      return {};
    // What is wrong with it, the whole value tells.
  }
  auto value = TRY(txn.get_large(Table::blocks, block_key(ref.id), scratch));
  if (!value.has_value()) return Error(Code::not_found, "block is not in the database");
  return cipher_.open_cells(place, ref, Kind::data_block, *value, first_cell, out, damage);
}

Damage Database::diagnose(const ReadTxn& txn, Table table, ByteView key) {
  Damage damage = Damage::none;
  auto value = txn.get(table, key);
  if (value.ok() && value->has_value()) static_cast<void>(cipher_.open_record(table, key, **value, &damage).ok());
  return damage == Damage::none ? Damage::rot : damage;  // not even found: the page is damaged
}

Result<Batch> Batch::begin(Database& database, const State& state) {
  WriteTxn txn = TRY(WriteTxn::begin(database.env()));
  return Batch(database, std::move(txn), state);
}

void Batch::count(Table table, ByteView key, ByteView value, bool added) {
  if (table == Table::state || value.size() < kChecksumSize) return;
  SetDigest& set = sets_[static_cast<size_t>(table)];
  const Id32 summand = database_->cipher().set_summand(table, key, value.last(kChecksumSize), value_epoch(value));
  add_mod(set.sum, summand, added);
  set.count += added ? 1 : ~uint64_t{0};
}

Result<> Batch::put(Table table, ByteView key, ByteView value, bool fresh) {
  if (!fresh) {
    auto old = TRY(txn_.get(table, key));
    if (old.has_value()) count(table, key, *old, false);
  }
  count(table, key, value, true);
  return txn_.put(table, key, value);
}

Result<> Batch::put_record(Table table, ByteView key, Kind kind, uint16_t schema, ByteView body, bool fresh) {
  return put(table, key, database_->cipher().seal_record(table, key, kind, schema, body), fresh);
}

Result<> Batch::put_block(const BlockId& id, ByteView value) { return put(Table::blocks, block_key(id), value, true); }

Result<ByteSpan> Batch::reserve_block(const BlockId& id, size_t size) {
  return txn_.reserve(Table::blocks, block_key(id), size);
}

void Batch::reserved_block_sealed(const BlockId& id, ByteView value) { count(Table::blocks, block_key(id), value, true); }

Result<> Batch::remove(Table table, ByteView key) {
  auto old = TRY(txn_.get(table, key));
  if (!old.has_value()) return {};
  count(table, key, *old, false);
  TRY(txn_.remove(table, key));
  return {};
}

Result<std::optional<Bytes>> Batch::older_value(Table table, ByteView key) {
  const uint32_t older = database_->cipher().older_epoch();
  const auto stored = TRY(txn_.get(table, key));
  if (!stored.has_value() || older == 0 || value_epoch(*stored) != older) return std::optional<Bytes>();
  return std::optional<Bytes>(Bytes(stored->begin(), stored->end()));
}

Result<bool> Batch::reseal_record(Table table, ByteView key) {
  const auto old = TRY(older_value(table, key));
  if (!old.has_value()) return false;
  auto record = database_->cipher().open_record(table, key, *old);
  if (record.is(Code::corrupt)) return false;
  const Cipher::Record opened = TRY(std::move(record));
  TRY(put_record(table, key, opened.kind, opened.schema, opened.body, false));
  return true;
}

Result<bool> Batch::reseal_block(const BlockPlace& place, const BlockRef& ref, Kind kind) {
  const auto key = block_key(ref.id);
  const auto old = TRY(older_value(Table::blocks, key));
  if (!old.has_value()) return false;
  auto resealed = database_->cipher().reseal_block(place, ref, kind, *old);
  if (resealed.is(Code::corrupt)) return false;
  const Bytes value = TRY(std::move(resealed));
  TRY(put(Table::blocks, key, value, false));
  return true;
}

Result<State> Batch::commit(State state) && {
  state.sets = sets_;
  TRY(put_record(Table::state, kStateKey, Kind::state, kStateSchema, encode_state(state), false));
  TRY(std::move(txn_).commit());
  return state;
}

}  // namespace tain::store
