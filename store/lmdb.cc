// SPDX-License-Identifier: Apache-2.0
#include "store/lmdb.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/counters.h"
#include "base/file.h"
#include "store/early_writeback.h"
#include "store/types.h"

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
constexpr uint64_t kPlentyOfSpace = uint64_t{1} << 30;      // bytes
constexpr uint64_t kFreePagesListed = uint64_t{1} << 18;    // 1 GiB: as much again
constexpr uint64_t kFileSystemReserve = uint64_t{1} << 18;  // bytes for its own records of the file
// Pages that LMDB counted when it handed them out, gave up before the commit, and never wrote: a few at a time.
constexpr uint64_t kUnwrittenPages = 256;
// LMDB reports a write that the disk cut short as EIO. With less than this left, space is what was missing.
constexpr uint64_t kNearlyFull = uint64_t{16} << 20;  // bytes: more than a commit of the last reserve writes at once

// Two commits would have to pass between pinning a state and reading where it is, each time.
constexpr int kPinAttempts = 100;

// LMDB begins to write changed pages before the commit when 131 071 of them are in memory, values of several pages
// counted once; each value changes a leaf and a page or two above it.
constexpr size_t kReservedAmongMax = 32768;

// Bytes put. A smaller commit is through before writing early helps, and what it wrote may well be read soon.
constexpr uint64_t kLargeCommit = uint64_t{4} << 20;
constexpr size_t kColdMin = kBlockSize;  // bytes: a whole block of a file. The end of one is soon read again

// Free pages whose numbers are looked at before each change: as many as LMDB may read in search of a row of pages for
// one block, 60 items of 512 for each of its 17 pages.
constexpr uint64_t kFreePagesChecked = uint64_t{1} << 19;

Error lmdb_error(int code, const char* what) {
  const std::string text = std::string(what) + ": " + mdb_strerror(code);
  switch (code) {
    case MDB_MAP_FULL: return Error(Code::no_space, text);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_CURSOR_FULL:
    case MDB_BAD_VALSIZE: return Error(Code::corrupt, text);
    case MDB_PANIC:
      return Error(Code::io, "the disk failed while the database's state was written")
          .hint("what was fsynced is safe, and what is open can be read; unmount, look at the disk, and mount again");
    default: break;
  }
  return code > 0 ? errno_error(code, what) : Error(Code::io, text);
}

MDB_val val(ByteView bytes) {
  // LMDB takes a non-const pointer but only reads keys and put values.
  return {bytes.size(), const_cast<uint8_t*>(bytes.data())};
}
ByteView view(const MDB_val& v) {
  return {static_cast<const uint8_t*>(v.mv_data), v.mv_size};
}

Result<std::optional<ByteView>> get_value(MDB_txn* txn, MDB_dbi dbi, ByteView key) {
  MDB_val k = val(key);
  MDB_val v{};
  const int rc = mdb_get(txn, dbi, &k, &v);
  if (rc == MDB_NOTFOUND) return std::optional<ByteView>();
  if (rc != 0) return lmdb_error(rc, "read database");
  return std::optional<ByteView>(view(v));
}

/// The oldest state that a reader has pinned; `newest` when none has an older one. LMDB tells it in words only: lines
/// that end in the number, or in "-" for a reader at rest, and a headline.
Result<uint64_t> oldest_state_read(MDB_env* env, uint64_t newest) {
  struct Reading {
    uint64_t oldest = 0;
    bool understood = true;
  } reading{.oldest = newest};
  const auto take = [](const char* line, void* context) {
    auto& out = *static_cast<Reading*>(context);
    std::string_view text = line;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    const std::string_view word = text.substr(text.find_last_of(' ') + 1);
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error == std::errc() && end == word.data() + word.size())
      out.oldest = std::min(out.oldest, number);
    else
      out.understood = out.understood && (word == "-" || word == "txnid" || text == "(no active readers)");
    return 0;
  };
  if (mdb_reader_list(env, take, &reading) < 0 || !reading.understood)
    return Error(Code::io, "who reads the database cannot be told");
  return reading.oldest;
}

/// Everything of the file that LMDB would believe without a look: it must be right before LMDB sees it.
Result<> check_before_open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0) return errno_error(errno, "open " + path);
  const auto size = static_cast<uint64_t>(st.st_size);
  const auto keep = [&](Error error) {
    return std::move(error).with(path).hint("keep the file; tain salvage takes out what is intact");
  };
  auto newest = read_newest_meta(fd.get());
  if (!newest.ok()) return keep(std::move(newest).error());
  const PageSource source = PageSource::of_file(fd.get(), newest->page_size);
  if (newest->transaction == 0) return {};  // LMDB's first pages only; the tables will be missing
  auto free_list = read_free_list(source, newest->free_list, newest->last_page);
  const uint64_t present = size / newest->page_size;
  if (present <= newest->last_page &&
      !(free_list.ok() && only_free_pages_missing(*free_list, present, newest->last_page)))
    return keep(Error(Code::corrupt, "the file was truncated: " + std::to_string(size) + " of " +
                                         std::to_string((newest->last_page + 1) * newest->page_size) + " bytes"));
  if (!free_list.ok()) return keep(std::move(free_list).error());
  auto snapshot = read_snapshot(source, *newest);
  if (!snapshot.ok()) return keep(std::move(snapshot).error());
  return {};
}

}  // namespace

Result<std::unique_ptr<Env>> Env::open(const std::string& path, const Options& options) {
  struct stat st {};
  const bool exists = ::stat(path.c_str(), &st) == 0;
  if (!exists && !options.create) return errno_error(errno, path);
  if (exists && !(options.create && st.st_size == 0)) TRY(check_before_open(path));

  std::unique_ptr<Env> out(new Env());
  out->path_ = path;
  if (int rc = mdb_env_create(&out->env_); rc != 0) return lmdb_error(rc, "open database");
  uint64_t map_size = options.map_size_bytes;
  if (map_size == 0) map_size = std::max(kMapSizeDefault, static_cast<uint64_t>(exists ? st.st_size : 0) * 4);
  mdb_env_set_mapsize(out->env_, map_size);
  mdb_env_set_maxdbs(out->env_, kTableCount);
  const unsigned access = options.read_only ? MDB_RDONLY : 0;
  if (int rc = mdb_env_open(out->env_, path.c_str(), MDB_NOSUBDIR | MDB_NOTLS | access, 0600); rc != 0)
    return lmdb_error(rc, "open database");
  int dead = 0;
  mdb_reader_check(out->env_, &dead);  // slots of killed processes would pin old pages

  bool create = options.create;
  if (!create && !options.read_only) create = TRY(out->lacks_tables());
  TRY(out->open_tables(create));
  TRY(out->map_file());
  if (!options.read_only) TRY(out->cover_pages());
  else if (!out->covers_pages()) out->pages_ = out->file_pages_;
  return out;
}

Result<bool> Env::lacks_tables() {
  MDB_txn* txn = nullptr;
  if (int rc = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn); rc != 0) return lmdb_error(rc, "open database");
  bool lacks = false;
  for (Table table : kTables) {
    MDB_dbi unused = 0;
    const int rc = mdb_dbi_open(txn, table_name(table), 0, &unused);
    lacks = lacks || (rc == MDB_NOTFOUND && may_be_missing(table));
  }
  mdb_txn_abort(txn);  // and with it the handles
  return lacks;
}

Result<> Env::open_tables(bool create) {
  MDB_txn* txn = nullptr;
  if (int rc = mdb_txn_begin(env_, nullptr, create ? 0 : MDB_RDONLY, &txn); rc != 0) return lmdb_error(rc, "open database");
  for (Table table : kTables) {
    const int rc = mdb_dbi_open(txn, table_name(table), create ? MDB_CREATE : 0, &dbi_[static_cast<size_t>(table)]);
    if (rc == 0 || (rc == MDB_NOTFOUND && may_be_missing(table))) continue;  // tain reads without LMDB
    mdb_txn_abort(txn);
    if (rc == MDB_NOTFOUND) return Error(Code::corrupt, std::string("table ") + table_name(table) + " is missing");
    return lmdb_error(rc, "open table");
  }
  if (int rc = mdb_txn_commit(txn); rc != 0) return lmdb_error(rc, "open database");
  return {};
}

Result<> Env::map_file() {
  const int fd = descriptor();
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  if (const void* other = find_map(fd, info.me_mapsize); other != nullptr) resident_.add(other, info.me_mapsize);
  void* map = ::mmap(nullptr, info.me_mapsize, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (map == MAP_FAILED) return errno_error(errno, "map database");
  map_ = static_cast<const uint8_t*>(map);
  map_size_ = info.me_mapsize;
  resident_.add(map_, map_size_);
  // Where the kernel does not take this advice it reads more than is asked for.
  static_cast<void>(::madvise(map, map_size_, MADV_RANDOM));
  pages_ = PageSource::mapped(map_, stat.ms_psize, &read_windows_);
  file_pages_ = PageSource::of_file(fd, stat.ms_psize);
  return {};
}

int Env::descriptor() const {
  mdb_filehandle_t fd = -1;
  mdb_env_get_fd(env_, &fd);
  return fd;
}

bool Env::covers_pages() const {
  struct stat st {};
  return ::fstat(descriptor(), &st) == 0 && static_cast<uint64_t>(st.st_size) >= used_bytes();
}

Result<> Env::cover_pages() {
  if (covers_pages()) return {};
  if (::ftruncate(descriptor(), static_cast<off_t>(used_bytes())) != 0) return errno_error(errno, "extend the database");
  return {};
}

Env::~Env() {
  for (MDB_txn* txn : idle_) mdb_txn_abort(txn);
  if (map_ != nullptr) ::munmap(const_cast<uint8_t*>(map_), map_size_);
  if (env_ != nullptr) mdb_env_close(env_);
}

Result<std::shared_ptr<const Snapshot>> Env::snapshot(uint64_t number) {
  {
    std::lock_guard lock(idle_mutex_);
    if (snapshot_ != nullptr && snapshot_->transaction == number) return snapshot_;
  }
  auto read = std::make_shared<const Snapshot>(TRY(read_state(number)));
  std::lock_guard lock(idle_mutex_);
  if (snapshot_ == nullptr || snapshot_->transaction < number) snapshot_ = read;
  return std::shared_ptr<const Snapshot>(std::move(read));
}

// Why this is safe. The caller's transaction is registered in LMDB's reader table with `number` (or is the one write
// transaction), so LMDB takes no page of this state for anything else until that ends: everything below the meta page
// stands still. The meta page itself does not: transactions take turns on the two of them, so the commit of number + 2
// overwrites it, and it is written from its beginning to its end with the transaction's number last, so a copy taken
// meanwhile may be new in front and old behind and look whole. Only this process commits (the vault's lock), and a
// commit says so in committing_ before it begins; a copy that was finished before number + 2 said so is the old page,
// whole.
Result<Snapshot> Env::read_state(uint64_t number) const {
  std::array<uint8_t, kMetaSize> copy;
  std::memcpy(copy.data(), map_ + (number & 1) * pages_.page_size(), copy.size());
  std::atomic_thread_fence(std::memory_order_acquire);  // the copy comes before the look at committing_
  if (committing_.load(std::memory_order_relaxed) > number + 1) return Error(Code::busy, "the state was overtaken");
  const MetaPage meta = TRY(parse_meta(copy, number & 1));
  if (meta.transaction != number || meta.page_size != pages_.page_size() ||
      meta.last_page >= map_size_ / pages_.page_size())
    return Error(Code::corrupt, "meta page " + std::to_string(number & 1) + " of the database is damaged");
  return read_snapshot(pages_, meta);
}

uint64_t Env::used_bytes() const {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  return (uint64_t{info.me_last_pgno} + 1) * stat.ms_psize;
}

uint64_t Env::disk_bytes() const {
  struct stat file {};
  return ::stat(path_.c_str(), &file) == 0 ? static_cast<uint64_t>(file.st_blocks) * 512 : 0;
}

/// Pages that the file can grow by: what the disk has, what a failed commit left behind the last page, and all that
/// within the map. Holes of the file are still to be paid for, and the file system itself needs some blocks.
FreeSpace Env::space_on_disk() const {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  const uint64_t pages = uint64_t{info.me_last_pgno} + 1;
  const uint64_t mapped = info.me_mapsize / stat.ms_psize;
  FreeSpace out;
  out.beyond = mapped > pages ? mapped - pages : 0;
  struct statvfs disk {};
  struct stat file {};
  if (::statvfs(path_.c_str(), &disk) != 0 || ::stat(path_.c_str(), &file) != 0) return out;  // the commit will tell
  const uint64_t available = uint64_t{disk.f_bavail} * disk.f_frsize;
  const uint64_t usable =
      (available - std::min(available, kFileSystemReserve + std::min(available / 64, kFileSystemReserve * 64))) /
      stat.ms_psize;
  const auto size = static_cast<uint64_t>(file.st_size);
  const uint64_t stored = file.st_blocks == 0 ? size : static_cast<uint64_t>(file.st_blocks) * 512;  // 0: not known
  const uint64_t present = std::min(stored, size) / stat.ms_psize;
  out.beyond = std::min(out.beyond, usable + present > pages ? usable + present - pages : 0);
  // LMDB does not know which free pages are holes. When the disk cannot pay for them all, each may be one that it cannot.
  if (pages > present + usable + kUnwrittenPages) out.limit = usable;
  return out;
}

uint64_t Env::free_bytes() {
  const FreeSpace disk = space_on_disk();
  auto txn = ReadTxn::begin(*this);
  if (!txn.ok()) return disk.beyond * pages_.page_size();
  const Snapshot& snapshot = txn->snapshot();
  std::unique_lock lock(idle_mutex_);
  auto counted = free_pages_;  // the list may be long, and df asks often
  lock.unlock();
  if (counted.transaction != snapshot.transaction) {
    auto listed = count_free_pages(pages_, snapshot.free_list, snapshot.last_page);
    counted = {.transaction = snapshot.transaction, .pages = listed.ok() ? *listed : 0};
    lock.lock();
    if (free_pages_.transaction < counted.transaction) free_pages_ = counted;
  }
  return std::min(disk.beyond + counted.pages, disk.limit) * pages_.page_size();
}

FreeSpace Env::free_space() {
  FreeSpace out = space_on_disk();
  auto txn = ReadTxn::begin(*this);
  if (!txn.ok()) return out;
  const Snapshot& snapshot = txn->snapshot();
  for (Table table : kTables) out.tree_pages += snapshot.root(table).tree_pages;
  if (out.beyond >= kPlentyOfSpace / pages_.page_size()) return out;

  auto free = read_free_list(pages_, snapshot.free_list, snapshot.last_page, nullptr, kFreePagesListed);
  if (!free.ok()) return out;  // no commit will use it either
  for (uint64_t page : *free) {
    if (!out.runs.empty() && out.runs.back().first + out.runs.back().count == page)
      ++out.runs.back().count;
    else
      out.runs.push_back({page, 1});
  }
  return out;
}

std::string Env::version() {
  return mdb_version(nullptr, nullptr, nullptr);
}

Result<ReadTxn> ReadTxn::begin(Env& env, PageAccess access) {
  count(Work::read_transactions);
  env.resident_.look();
  MDB_txn* txn = nullptr;
  {
    std::lock_guard lock(env.idle_mutex_);
    if (!env.idle_.empty()) {
      txn = env.idle_.back();
      env.idle_.pop_back();
    }
  }
  int rc = txn != nullptr ? mdb_txn_renew(txn) : mdb_txn_begin(env.env_, nullptr, MDB_RDONLY, &txn);
  if (rc == MDB_PANIC) {
    // The disk failed while a commit wrote its meta page, so LMDB refuses everything. It also writes nothing any more:
    // the state before that commit, which the committer looked at last, stands still without being pinned.
    std::lock_guard lock(env.idle_mutex_);
    if (txn != nullptr) env.idle_.push_back(txn);
    ReadTxn last(env, nullptr, access);
    last.snapshot_ = env.snapshot_;
    if (last.snapshot_ == nullptr) return lmdb_error(rc, "read database");
    return last;
  }
  if (rc != 0) return lmdb_error(rc, "read database");
  ReadTxn out(env, txn, access);
  for (int attempt = 0;; ++attempt) {
    auto snapshot = env.snapshot(mdb_txn_id(txn));
    if (snapshot.ok()) {
      out.snapshot_ = std::move(snapshot).value();
      return out;
    }
    if (attempt == kPinAttempts || !snapshot.is(Code::busy)) return std::move(snapshot).error();
    mdb_txn_reset(txn);
    if (rc = mdb_txn_renew(txn); rc != 0) return lmdb_error(rc, "read database");
  }
}

ReadTxn::~ReadTxn() {
  if (txn_ == nullptr) return;
  mdb_txn_reset(txn_);  // unpins the pages; the handle waits for its next use
  std::lock_guard lock(env_->idle_mutex_);
  env_->idle_.push_back(txn_);
}

Result<std::optional<ByteView>> ReadTxn::get(Table table, ByteView key) const {
  const bool mapped = access_ == PageAccess::mapped;
  if (mapped) {
    if (auto value = find_value(pages(), snapshot_->root(table), snapshot_->last_page, key)) return value;
  }
  // Not there, or damaged: only a closer look tells.
  TreeWalk walk(pages(), snapshot_->root(table), snapshot_->last_page);
  const bool found = TRY(walk.seek(key));
  if (!found || compare_keys(walk.node().key, key) != 0) return std::optional<ByteView>();
  Bytes copy;
  ByteView value = TRY(walk.value(copy));
  if (mapped) return std::optional<ByteView>(value);
  if (copy.empty()) {  // it stands on a page of the walk's
    copy.assign(value.begin(), value.end());
    value = copy;
  }
  copies_.push_back(std::move(copy));  // its bytes stay where they are
  return std::optional<ByteView>(value);
}

Result<std::optional<ByteView>> ReadTxn::get_large(Table table, ByteView key, Bytes& scratch,
                                                   const ValuePart* part) const {
  if (access_ != PageAccess::mapped) return get(table, key);
  const auto node = find_node(pages(), snapshot_->root(table), snapshot_->last_page, key);
  if (!node.has_value() || node->page == kNoPage) return get(table, key);
  const PageSource& file = env_->file_pages_;
  const uint64_t last_page = snapshot_->last_page;
  if (const auto around = env_->read_around_.visit(node->page)) file.expect(*around);
  if (part != nullptr && part->end <= node->size && part->head <= node->size)  // else it is not what the caller thinks
    return std::optional<ByteView>(TRY(read_overflow_part(file, node->page, node->size, *part, last_page, scratch)));
  if (node->size >= kBlockSize) {  // of a large file: small ones are rarely wanted in the order in which they lie
    const PageRange read{.page = node->page, .count = overflow_pages(node->size, file.page_size())};
    if (const auto ahead = env_->read_ahead_.visit(read)) file.expect(*ahead);
  }
  return std::optional<ByteView>(TRY(read_overflow(file, node->page, node->size, last_page, scratch)));
}

Result<Cursor> Cursor::open(const ReadTxn& txn, Table table) {
  return Cursor(txn, table);
}

Result<std::optional<Cursor::Item>> Cursor::item(Result<bool> moved) {
  if (!moved.ok()) {
    lost_ = walk_.lost();
    return std::move(moved).error();
  }
  if (!*moved) return std::optional<Item>();
  const ByteView key = walk_.node().key;
  auto value = walk_.value(scratch_);
  if (!value.ok()) {  // this one alone
    lost_.low.assign(key.begin(), key.end());
    lost_.high = lost_.low;
    lost_.high.push_back(0);
    return std::move(value).error();
  }
  return std::optional<Item>(Item{key, *value});
}

Result<std::optional<Cursor::Item>> Cursor::seek(ByteView key) {
  return item(walk_.seek(key));
}
Result<std::optional<Cursor::Item>> Cursor::next() {
  return item(walk_.next());
}

bool Cursor::is_certain_before() const {
  const auto before = walk_.before();
  if (!before.has_value()) return walk_.previous_page_fits();  // a damaged parent may have led past the right page
  return before->page != kNoPage || checksum_matches(table_, before->key, before->data);
}

Result<WriteTxn> WriteTxn::begin(Env& env) {
  MDB_txn* txn = nullptr;
  if (int rc = mdb_txn_begin(env.env_, nullptr, 0, &txn); rc != 0) return lmdb_error(rc, "change database");
  WriteTxn out(env, txn);
  // Nobody else commits meanwhile. Looked at anew each time: LMDB goes by the main tree and the free list as they are
  // now.
  out.snapshot_ = std::make_unique<const Snapshot>(TRY(env.read_state(mdb_txn_id(txn) - 1)));
  TRY(check_free_list(env.pages_, out.snapshot_->free_list, out.snapshot_->last_page, kFreePagesChecked));
  out.guard_ = std::make_unique<PathGuard>(env.pages_, *out.snapshot_);
  return out;
}

WriteTxn::~WriteTxn() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

Result<std::optional<ByteView>> WriteTxn::get(Table table, ByteView key) {
  TRY(guard_->check(table, key, false));
  return get_value(txn_, env_->dbi_[static_cast<size_t>(table)], key);
}

Result<> WriteTxn::put(Table table, ByteView key, ByteView value) {
  MDB_val v = val(value);
  return put(table, key, v, 0);
}

Result<ByteSpan> WriteTxn::reserve(Table table, ByteView key, size_t size) {
  // With many changed pages LMDB writes some before the commit: they would be written as they are.
  CHECK(size >= kReservedMin && values_put_ < kReservedAmongMax);
  MDB_val v{size, nullptr};
  TRY(put(table, key, v, MDB_RESERVE));
  const ByteSpan value(static_cast<uint8_t*>(v.mv_data), size);
  if (size >= kColdMin) cold_.add(first_page_of(value), overflow_pages(size, env_->file_pages_.page_size()));
  return value;
}

Result<> WriteTxn::put(Table table, ByteView key, MDB_val& value, unsigned flags) {
  env_->resident_.look();
  TRY(guard_->check(table, key, false));
  bytes_put_ += value.mv_size;
  ++values_put_;
  count(Work::bytes_put, value.mv_size);
  MDB_val k = val(key);
  if (int rc = mdb_put(txn_, env_->dbi_[static_cast<size_t>(table)], &k, &value, flags); rc != 0)
    return lmdb_error(rc, "change database");
  return {};
}

Result<bool> WriteTxn::remove(Table table, ByteView key) {
  env_->resident_.look();
  TRY(guard_->check(table, key, true));
  MDB_val k = val(key);
  const int rc = mdb_del(txn_, env_->dbi_[static_cast<size_t>(table)], &k, nullptr);
  if (rc == MDB_NOTFOUND) return false;
  if (rc != 0) return lmdb_error(rc, "change database");
  return true;
}

Result<std::vector<uint64_t>> WriteTxn::spare_pages() const {
  // LMDB's own rule for what it may take. The free list says with each page which transaction gave it up; a state that
  // is older still has it. So a page must have been given up before the oldest state that somebody sees, and before the
  // last commit: the state before that is what a damaged meta page leaves.
  const uint64_t oldest = TRY(oldest_state_read(env_->env_, snapshot_->transaction));
  return read_free_list(env_->pages_, snapshot_->free_list, snapshot_->last_page, nullptr, kNoPage, oldest);
}

Result<bool> WriteTxn::is_older_state_read() const {
  return TRY(oldest_state_read(env_->env_, snapshot_->transaction)) < snapshot_->transaction;
}

int WriteTxn::descriptor() const {
  return env_->descriptor();
}

Result<> WriteTxn::commit() && {
  MDB_txn* txn = std::exchange(txn_, nullptr);
  env_->committing_.store(mdb_txn_id(txn));  // see read_state()
  int rc = 0;
  {
    std::optional<EarlyWriteback> early;
    if (bytes_put_ >= kLargeCommit) early.emplace(env_->descriptor());
    rc = mdb_txn_commit(txn);
  }
  if (rc == 0) {
    if (bytes_put_ >= kLargeCommit) cold_.drop(env_->descriptor(), env_->file_pages_.page_size());
    count(Work::commits);
    // The commit stands whatever comes of this.
    static_cast<void>(env_->cover_pages().ok());
    return {};
  }
  struct statvfs disk {};
  if (rc == EIO && ::statvfs(env_->path_.c_str(), &disk) == 0 && uint64_t{disk.f_bavail} * disk.f_frsize < kNearlyFull)
    return lmdb_error(ENOSPC, "commit");
  return lmdb_error(rc, "commit");
}

}  // namespace tain::store
