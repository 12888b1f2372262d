// SPDX-License-Identifier: Apache-2.0
#include "store/lmdb.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

namespace tain::store {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

// Address space is free on 64-bit machines, and resizing a live map is where other users of LMDB met
// hangs and corruption; so one map is chosen for good. ThreadSanitizer leaves little address space.
constexpr uint64_t kMapSizeDefault = kSanitized ? uint64_t{64} << 30 : uint64_t{1} << 40;

// Above this much disk space nobody needs to know how much there is.
constexpr uint64_t kPlentyOfSpace = uint64_t{1} << 30;  // bytes
// LMDB reports a write that the disk cut short as EIO. With less than this left, space is what was missing.
constexpr uint64_t kNearlyFull = uint64_t{16} << 20;  // bytes: more than a commit of the last reserve writes at once

constexpr const char* kTableNames[kTableCount + 1] = {nullptr,  "state",  "inodes", "dirents",
                                                      "xattrs", "blocks", "orphans"};

Error lmdb_error(int code, const char* what) {
  const std::string text = std::string(what) + ": " + mdb_strerror(code);
  switch (code) {
    case MDB_MAP_FULL: return Error(Code::no_space, text);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_CURSOR_FULL:
    case MDB_BAD_VALSIZE: return Error(Code::corrupt, text);
    case MDB_PANIC: return Error(Code::io, text);
    default: break;
  }
  return code > 0 ? errno_error(code, what) : Error(Code::io, text);
}

MDB_val val(ByteView bytes) {
  // LMDB takes a non-const pointer but only reads keys and put values.
  return {bytes.size(), const_cast<uint8_t*>(bytes.data())};
}
ByteView view(const MDB_val& v) { return {static_cast<const uint8_t*>(v.mv_data), v.mv_size}; }

Result<std::optional<ByteView>> get_value(MDB_txn* txn, MDB_dbi dbi, ByteView key) {
  MDB_val k = val(key);
  MDB_val v{};
  const int rc = mdb_get(txn, dbi, &k, &v);
  if (rc == MDB_NOTFOUND) return std::optional<ByteView>();
  if (rc != 0) return lmdb_error(rc, "read database");
  return std::optional<ByteView>(view(v));
}

}  // namespace

Result<std::unique_ptr<Env>> Env::open(const std::string& path, const Options& options) {
  struct stat st {};
  const bool exists = ::stat(path.c_str(), &st) == 0;
  if (!exists && !options.create) return errno_error(errno, path);
  if (exists && st.st_size == 0 && !options.create)
    return Error(Code::corrupt, path + " is empty").hint("keep the file; restore the vault from a backup");

  std::unique_ptr<Env> out(new Env());
  out->path_ = path;
  if (int rc = mdb_env_create(&out->env_); rc != 0) return lmdb_error(rc, "open database");
  uint64_t map_size = options.map_size_bytes != 0 ? options.map_size_bytes : kMapSizeDefault;
  if (exists && static_cast<uint64_t>(st.st_size) * 4 > map_size) map_size = static_cast<uint64_t>(st.st_size) * 4;
  mdb_env_set_mapsize(out->env_, map_size);
  mdb_env_set_maxdbs(out->env_, kTableCount);
  if (int rc = mdb_env_open(out->env_, path.c_str(), MDB_NOSUBDIR | MDB_NOTLS, 0600); rc != 0)
    return lmdb_error(rc, "open database");

  // LMDB trusts the file's size: touching a page past a truncated end kills the process (SIGBUS).
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(out->env_, &info);
  mdb_env_stat(out->env_, &stat);
  if (exists) {
    const uint64_t needed = (uint64_t{info.me_last_pgno} + 1) * stat.ms_psize;
    if (static_cast<uint64_t>(st.st_size) < needed)
      return Error(Code::corrupt, path + " was truncated: " + std::to_string(st.st_size) + " of " +
                                      std::to_string(needed) + " bytes")
          .hint("keep the file; restore the vault from a backup");
  }
  int dead = 0;
  mdb_reader_check(out->env_, &dead);  // slots of killed processes would pin old pages

  MDB_txn* txn = nullptr;
  if (int rc = mdb_txn_begin(out->env_, nullptr, options.create ? 0 : MDB_RDONLY, &txn); rc != 0)
    return lmdb_error(rc, "open database");
  for (Table table : kTables) {
    const auto number = static_cast<size_t>(table);
    const unsigned flags = options.create ? MDB_CREATE : 0;
    if (int rc = mdb_dbi_open(txn, kTableNames[number], flags, &out->dbi_[number]); rc != 0) {
      mdb_txn_abort(txn);
      if (rc == MDB_NOTFOUND) return Error(Code::corrupt, std::string("table ") + kTableNames[number] + " is missing");
      return lmdb_error(rc, "open table");
    }
  }
  if (int rc = mdb_txn_commit(txn); rc != 0) return lmdb_error(rc, "open database");
  return out;
}

Env::~Env() {
  for (MDB_txn* txn : idle_) mdb_txn_abort(txn);
  if (env_ != nullptr) mdb_env_close(env_);
}

uint64_t Env::used_bytes() const {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  return (uint64_t{info.me_last_pgno} + 1) * stat.ms_psize;
}

uint64_t Env::free_bytes() {
  struct statvfs disk {};
  if (::statvfs(path_.c_str(), &disk) != 0) return kPlentyOfSpace;  // the commit itself will tell
  const uint64_t available = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (available >= kPlentyOfSpace) return available;
  // The free list (LMDB's table 0) holds, for each transaction, a count and that many page numbers.
  auto txn = ReadTxn::begin(*this);
  MDB_cursor* cursor = nullptr;
  if (!txn.ok() || mdb_cursor_open(txn->txn_, 0, &cursor) != 0) return available;
  MDB_stat stat{};
  mdb_env_stat(env_, &stat);
  uint64_t pages = 0;
  MDB_val key{};
  MDB_val value{};
  while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
    size_t count = 0;
    if (value.mv_size >= sizeof count) std::memcpy(&count, value.mv_data, sizeof count);
    pages += count;
  }
  mdb_cursor_close(cursor);
  return available + pages * stat.ms_psize;
}

std::string Env::version() { return mdb_version(nullptr, nullptr, nullptr); }

Result<ReadTxn> ReadTxn::begin(Env& env) {
  MDB_txn* txn = nullptr;
  {
    std::lock_guard lock(env.idle_mutex_);
    if (!env.idle_.empty()) {
      txn = env.idle_.back();
      env.idle_.pop_back();
    }
  }
  const int rc = txn != nullptr ? mdb_txn_renew(txn) : mdb_txn_begin(env.env_, nullptr, MDB_RDONLY, &txn);
  if (rc != 0) return lmdb_error(rc, "read database");
  return ReadTxn(env, txn);
}

ReadTxn::~ReadTxn() {
  if (txn_ == nullptr) return;
  mdb_txn_reset(txn_);  // unpins the pages; the handle waits for its next use
  std::lock_guard lock(env_->idle_mutex_);
  env_->idle_.push_back(txn_);
}

Result<std::optional<ByteView>> ReadTxn::get(Table table, ByteView key) const {
  return get_value(txn_, env_->dbi_[static_cast<size_t>(table)], key);
}

Result<Cursor> Cursor::open(const ReadTxn& txn, Table table) {
  MDB_cursor* cursor = nullptr;
  if (int rc = mdb_cursor_open(txn.txn_, txn.env_->dbi_[static_cast<size_t>(table)], &cursor); rc != 0)
    return lmdb_error(rc, "read database");
  return Cursor(cursor);
}

Cursor::~Cursor() {
  if (cursor_ != nullptr) mdb_cursor_close(cursor_);
}

Result<std::optional<Cursor::Item>> Cursor::move(MDB_val key, MDB_cursor_op op) {
  MDB_val value{};
  const int rc = mdb_cursor_get(cursor_, &key, &value, op);
  if (rc == MDB_NOTFOUND) return std::optional<Item>();
  if (rc != 0) return lmdb_error(rc, "read database");
  return std::optional<Item>(Item{view(key), view(value)});
}

Result<std::optional<Cursor::Item>> Cursor::seek(ByteView key) { return move(val(key), MDB_SET_RANGE); }
Result<std::optional<Cursor::Item>> Cursor::next() { return move({}, MDB_NEXT); }

Result<WriteTxn> WriteTxn::begin(Env& env) {
  MDB_txn* txn = nullptr;
  if (int rc = mdb_txn_begin(env.env_, nullptr, 0, &txn); rc != 0) return lmdb_error(rc, "change database");
  return WriteTxn(env, txn);
}

WriteTxn::~WriteTxn() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

Result<std::optional<ByteView>> WriteTxn::get(Table table, ByteView key) const {
  return get_value(txn_, env_->dbi_[static_cast<size_t>(table)], key);
}

Result<> WriteTxn::put(Table table, ByteView key, ByteView value) {
  MDB_val k = val(key);
  MDB_val v = val(value);
  if (int rc = mdb_put(txn_, env_->dbi_[static_cast<size_t>(table)], &k, &v, 0); rc != 0)
    return lmdb_error(rc, "change database");
  return {};
}

Result<bool> WriteTxn::remove(Table table, ByteView key) {
  MDB_val k = val(key);
  const int rc = mdb_del(txn_, env_->dbi_[static_cast<size_t>(table)], &k, nullptr);
  if (rc == MDB_NOTFOUND) return false;
  if (rc != 0) return lmdb_error(rc, "change database");
  return true;
}

Result<> WriteTxn::commit() && {
  MDB_txn* txn = std::exchange(txn_, nullptr);
  const int rc = mdb_txn_commit(txn);
  if (rc == 0) return {};
  struct statvfs disk {};
  if (rc == EIO && ::statvfs(env_->path_.c_str(), &disk) == 0 &&
      uint64_t{disk.f_bavail} * disk.f_frsize < kNearlyFull)
    return lmdb_error(ENOSPC, "commit");
  return lmdb_error(rc, "commit");
}

}  // namespace tain::store
