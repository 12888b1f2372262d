// SPDX-License-Identifier: Apache-2.0
#include "store/committer.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/memory.h"
#include "base/secret.h"
#include "store/notes.h"

namespace tain::store {
namespace {

constexpr size_t kReservedBlocksMax = 16384;  // of one commit: WriteTxn::reserve() takes no more than twice as many
constexpr std::chrono::seconds kRest{3};  // unused for one to two of them, a vault gives back what its caches take
constexpr uint64_t kParallelMinBytes = 256 * 1024;  // below, starting a thread costs more than it saves
constexpr unsigned kSealThreadsMax = 4;

/// Runs work(0 … count-1), on several threads when there are `bytes` enough to share.
void parallel(size_t count, uint64_t bytes, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  auto loop = [&] {
    for (size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) work(i);
  };
  std::vector<std::thread> helpers;
  if (bytes >= kParallelMinBytes) {
    const unsigned threads = std::min(std::max(std::thread::hardware_concurrency(), 1u), kSealThreadsMax);
    try {
      for (unsigned i = 1; i < threads; ++i) helpers.emplace_back(loop);
    } catch (const std::exception&) {
      // Threads enough already, or no memory; this one does the rest.
    }
  }
  loop();
  for (std::thread& helper : helpers) helper.join();
}

JournalPosition journal_position(const State& state) {
  return {.sequence = state.journal_sequence, .chain = state.journal_chain};
}

/// Seals the new map nodes of one commit and remembers what to write and what to remove.
class CommitMapWriter final : public MapWriter {
 public:
  CommitMapWriter(Database& database, const ReadTxn& txn, Suite suite, uint64_t writer, uint64_t& block_number)
      : database_(database), txn_(txn), suite_(suite), writer_(writer), block_number_(block_number) {}

  /// The file that the next calls are about. What `shared`, if given, has is kept when it is released; with `keeps_all`
  /// everything is.
  void set_content(ContentId id, const ContentRecord* shared = nullptr, bool keeps_all = false) {
    content_ = id;
    shared_ = shared;
    keeps_all_ = keeps_all;
  }

  Result<std::shared_ptr<const RefList>> read_node(const BlockPlace& place, const BlockRef& ref) override {
    auto it = nodes_.find(ref.id);
    if (it != nodes_.end()) return it->second.list;
    return database_.read_node(txn_, place, ref);
  }

  Result<BlockRef> write_node(uint8_t level, uint64_t index, const RefList& node) override {
    const BlockPlace place{.content = content_, .id = {writer_, ++block_number_}, .level = level, .index = index};
    SealedBlock sealed = database_.cipher().seal_block(suite_, place, Kind::map_node, encode_refs(node));
    const BlockRef ref = sealed.ref;
    nodes_.emplace(ref.id, Node{std::make_shared<const RefList>(node), std::move(sealed.value)});
    return ref;
  }

  Result<> release(const BlockRef& ref, uint8_t level, uint64_t index) override {
    if (nodes_.erase(ref.id) != 0) return {};  // a node of this very commit was never stored
    if (keeps_all_) return {};
    if (shared_ != nullptr) {
      auto has = has_block(*shared_, level, index, ref.id, *this);
      // Where the version's map is damaged nobody knows what it has: nothing is freed.
      if (has.is(Code::corrupt) || has.is(Code::not_found)) return {};
      if (TRY(std::move(has))) return {};
    }
    release_stored(ref);
    return {};
  }
  void release_stored(const BlockRef& ref) { released_.push_back(ref.id); }

  Result<> store(Batch& batch) {
    std::sort(released_.begin(), released_.end());
    for (const BlockId& id : released_) TRY(batch.remove(Table::blocks, block_key(id)));
    std::vector<BlockId> order;
    order.reserve(nodes_.size());
    for (const auto& [id, node] : nodes_) order.push_back(id);
    std::sort(order.begin(), order.end());
    for (const BlockId& id : order) {
      Node& node = nodes_.at(id);
      TRY(batch.put_block(id, node.value));
      database_.cache().insert(id, node.list);
    }
    return {};
  }

 private:
  struct Node {
    std::shared_ptr<const RefList> list;
    Bytes value;
  };
  Database& database_;
  const ReadTxn& txn_;
  const Suite suite_;
  const uint64_t writer_;
  uint64_t& block_number_;
  ContentId content_;
  const ContentRecord* shared_ = nullptr;
  bool keeps_all_ = false;
  std::unordered_map<BlockId, Node> nodes_;
  std::vector<BlockId> released_;
};

Result<> put_inode(Batch& batch, const Frozen::File& file, const ContentRecord& content) {
  const auto key = ino_key(file.inode.ino);
  Inode record = file.inode;
  record.content = content;
  TRY(batch.put_record(Table::inodes, key, Kind::inode, kInodeSchema, encode_inode(record), file.fresh));
  if (file.xattrs.has_value()) {
    if (file.xattrs->empty())
      TRY(batch.remove(Table::xattrs, key));
    else
      TRY(batch.put_record(Table::xattrs, key, Kind::xattrs, kXattrsSchema, encode_xattrs(record.ino, *file.xattrs),
                           false));
  }
  const bool orphan = record.nlink == 0 && !record.is_retired();
  if (orphan && !file.orphan_in_database)
    TRY(batch.put_record(Table::orphans, key, Kind::orphan, kOrphanSchema, {}, false));
  if (!orphan && file.orphan_in_database) TRY(batch.remove(Table::orphans, key));
  return {};
}

/// What the database has of an inode becomes a version.
Result<> put_version(Database& database, const ReadTxn& txn, Batch& batch, const Inode& stored, const Cut& cut) {
  Version version{.ended_hlc = cut.ended_hlc, .ended = cut.ended, .xattrs = {}, .inode = stored};
  if ((stored.flags & kInodeHasXattrs) != 0) {
    auto xattrs = database.load_xattrs(txn, stored.ino);
    if (!xattrs.ok() && !xattrs.is(Code::corrupt)) return std::move(xattrs).error();
    if (xattrs.ok())
      version.xattrs = std::move(*xattrs);
    else
      version.inode.flags &= ~kInodeHasXattrs;  // damaged ones are no reason to keep nothing
  }
  return batch.put_record(Table::versions, version_key(stored.ino, cut.ended_hlc), Kind::version, kVersionSchema,
                          encode_version(version), true);
}

/// Frees what only these versions have. `present` is the inode's content as the database has it.
Result<> drop_versions(Batch& batch, std::vector<Version> versions, const std::set<uint64_t>& dropped,
                       const ContentRecord* present, CommitMapWriter& writer) {
  for (size_t i = 0; i < versions.size();) {
    if (!dropped.contains(versions[i].ended_hlc)) {
      ++i;
      continue;
    }
    std::vector<const ContentRecord*> neighbours;  // newest first
    if (i > 0) neighbours.push_back(&versions[i - 1].inode.content);
    else if (present != nullptr) neighbours.push_back(present);
    if (i + 1 < versions.size()) neighbours.push_back(&versions[i + 1].inode.content);
    TRY(for_each_unshared(versions[i].inode.content, neighbours, writer,
                          [&](const BlockRef& ref) { writer.release_stored(ref); }));
    TRY(batch.remove(Table::versions, version_key(versions[i].inode.ino, versions[i].ended_hlc)));
    versions.erase(versions.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return {};
}

Result<> remove_inode(Database& database, const ReadTxn& txn, Batch& batch, const Inode& inode,
                      CommitMapWriter& writer) {
  const auto key = ino_key(inode.ino);
  if ((inode.flags & kInodeHasVersions) != 0) {
    std::vector<uint64_t> damaged;
    std::vector<Version> versions = TRY(database.load_versions(txn, inode.ino, SIZE_MAX, &damaged));
    std::set<uint64_t> all;
    for (const Version& version : versions) all.insert(version.ended_hlc);
    TRY(drop_versions(batch, std::move(versions), all, &inode.content, writer));
    // The blocks that only these have stay for repair to find.
    for (uint64_t ended_hlc : damaged) TRY(batch.remove(Table::versions, version_key(inode.ino, ended_hlc)));
  }
  ContentRecord content = inode.content;
  writer.set_content(content.id);
  TRY(change_map(content, {.floor = 0, .blocks = {}}, writer));
  TRY(batch.remove(Table::inodes, key));
  TRY(batch.remove(Table::xattrs, key));  // whatever the flag says now: it may have changed since the last commit
  return batch.remove(Table::orphans, key);
}

}  // namespace

void Committer::start() {
  std::lock_guard lock(set_.mutex());
  set_.set_committer_running(true);
  stop_ = false;
  thread_ = std::thread([this] { run(); });
}

void Committer::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(set_.mutex());
    stop_ = true;
    set_.set_committer_running(false);
    set_.wake();
  }
  thread_.join();
}

void Committer::run() {
  uint64_t uses = 0;         // of the working set, when last looked at
  uint64_t at_rest = ~uses;  // when the memory was given back
  for (;;) {
    std::unique_lock lock(set_.mutex());
    while (!set_.wait_for_work(lock, stop_, kRest)) {
      if (const bool idle = std::exchange(uses, set_.uses()) == uses; !idle || at_rest == uses) continue;
      at_rest = uses;
      set_.drop_clean();
      lock.unlock();
      set_.database().cache().clear();
      set_.database().env().drop_resident();
      return_freed_memory();
      lock.lock();
    }
    if (stop_) return;
    lock.unlock();
    // The error, if any, is kept in the working set for those who wait; the next round tries again.
    static_cast<void>(commit().ok());
  }
}

State Committer::state() const {
  std::lock_guard lock(state_mutex_);
  return state_;
}

Result<> Committer::commit() noexcept {
  std::lock_guard one_commit(commit_mutex_);
  Frozen frozen;
  JournalPosition position;
  {
    // No frame may be under way: it would be older than this commit but replayed after it.
    std::lock_guard no_frame(journal_mutex_);
    std::lock_guard lock(set_.mutex());
    // Without changes there may still be frames that the state record does not know to be done with.
    if (set_.is_committed(set_.tick()) && journal_position(state_) == journal_.position()) return {};
    frozen = set_.freeze();
    position = journal_.position();
  }

  std::vector<CommittedMap> maps;
  auto written = write(frozen, position, BlockOrder::as_written, maps);
  if (written.is(Code::no_space) && write_empty().ok()) {
    maps.clear();
    written = write(frozen, position, BlockOrder::longest_first, maps);
  }

  if (!written.ok()) {
    Result<> failed = std::move(written).error();
    report(failed);
    std::lock_guard no_frame(journal_mutex_);
    std::lock_guard lock(set_.mutex());
    set_.thaw(std::move(frozen));
    set_.commit_ended(failed);
    return failed;
  }
  report({});
  std::lock_guard no_frame(journal_mutex_);
  std::lock_guard lock(set_.mutex());
  {
    std::lock_guard state_lock(state_mutex_);
    state_ = std::move(*written);
  }
  set_.finish(std::move(frozen), maps);
  if (journal_.position() == position) journal_.restart();  // no frame since: all of them are in the database
  set_.commit_ended({});
  return {};
}

void Committer::report(const Result<>& committed) {
  // The committer tries again every second; nobody reads the same line that often.
  if (!committed.ok() && failed_ && committed.error().message() != reported_) failed_(committed.error());
  reported_ = committed.ok() ? std::string() : committed.error().message();
}

/// On a full disk: what the last commit freed is not used by LMDB before the commit after the next, because the last
/// state must survive a crash of the next commit. So make an empty one, for which the reserve is kept.
Result<> Committer::write_empty(const std::function<Result<>(Batch&)>& work, const std::function<void(State&)>& change) {
  Batch batch = TRY(Batch::begin(set_.database(), state_));
  if (work) TRY(work(batch));
  State state = state_;  // with the journal's old position: its frames are still needed
  if (change) change(state);
  ++state.commit_number;
  fill_random(state.commit_id);
  State stored = TRY(std::move(batch).commit(state));
  std::lock_guard lock(state_mutex_);
  state_ = std::move(stored);
  return {};
}

Result<> Committer::free_pages() noexcept {
  std::lock_guard one_commit(commit_mutex_);
  return write_empty();
}

Result<> Committer::rewrite(const std::function<Result<>(Batch&)>& work) noexcept {
  std::lock_guard one_commit(commit_mutex_);
  return write_empty(work);
}

Result<> Committer::erase_journal() noexcept {
  for (;;) {
    TRY(commit());
    std::lock_guard one_commit(commit_mutex_);
    std::lock_guard no_frame(journal_mutex_);
    if (journal_position(state_) != journal_.position()) continue;  // a frame came between
    return journal_.erase();
  }
}

Result<> Committer::set_retention(const RetentionPolicy& policy) noexcept {
  std::lock_guard one_commit(commit_mutex_);
  return write_empty({}, [&](State& state) { state.retention = policy; });
}

Result<> Committer::set_marks_changes(bool wanted) noexcept {
  std::lock_guard one_commit(commit_mutex_);
  {
    std::lock_guard lock(set_.mutex());
    set_.set_marks_changes(true);  // before the first commit that does; after the last one that does not
  }
  const auto written = write_empty({}, [&](State& state) { state.marks_changes = wanted; });
  std::lock_guard lock(set_.mutex());
  set_.set_marks_changes(state().marks_changes);
  return written;
}

/// What to seal: whole blocks, and patches for the blocks that they lie over.
Result<std::vector<Committer::BlockJob>> Committer::plan_blocks(const Frozen& frozen) {
  Database& database = set_.database();
  ReadTxn txn = TRY(ReadTxn::begin(database.env()));
  TxnNodeReader nodes(database, txn);
  std::vector<BlockJob> jobs;
  for (size_t f = 0; f < frozen.files.size(); ++f) {
    const Frozen::File& file = frozen.files[f];
    for (const Frozen::Block& block : file.blocks) {
      if (block.data == nullptr || (block.data->whole() && block.data->bytes().empty())) continue;
      BlockJob job{.file = f, .index = block.index, .plain = block.data.get()};
      if (!block.data->whole()) {
        // A change is only kept as cells while the block takes a patch of them, and each commit since then has
        // laid a patch that this one covers: there is room.
        CHECK(block.index < file.floor && block.data->present() != 0);
        job.base = TRY(find_block(file.inode.content, block.index, nodes));
        CHECK(job.base.has_value());
      }
      jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

/// Makes a version of the state that `file` ends, if it is to be one. Yields the content that its map shares blocks with:
/// the newest version. One damaged record is no reason for a commit to fail.
Result<Committer::Shared> Committer::keep_past(const ReadTxn& committed, Batch& batch, const Frozen& frozen,
                                               const Frozen::File& file) {
  if (file.fresh) return Shared();
  Database& database = set_.database();
  if (file.cut.has_value()) {
    auto stored = database.load_inode(committed, file.inode.ino);
    if (stored.is(Code::corrupt)) return Shared{.newest = {}, .unknown = true};
    auto found = TRY(std::move(stored));
    if (!found.has_value()) return Shared();
    TRY(put_version(database, committed, batch, *found, *file.cut));
    return Shared{.newest = std::move(found->content)};
  }
  if ((file.inode.flags & kInodeHasVersions) == 0 || (file.blocks.empty() && file.floor == kNoBlock)) return Shared();
  const auto dropped = frozen.dropped_versions.find(file.inode.ino);
  const size_t gone = dropped != frozen.dropped_versions.end() ? dropped->second.size() : 0;
  auto loaded = database.load_versions(committed, file.inode.ino, gone + 1);
  if (loaded.is(Code::corrupt)) return Shared{.newest = {}, .unknown = true};
  std::vector<Version> newest = TRY(std::move(loaded));
  for (Version& version : newest)
    if (gone == 0 || !dropped->second.contains(version.ended_hlc))
      return Shared{.newest = std::move(version.inode.content)};
  return Shared();
}

/// Large blocks are sealed straight into the pages that the commit writes: they are copied nowhere.
Result<> Committer::put_blocks(const Frozen& frozen, BlockOrder order, std::vector<BlockJob>& jobs, Batch& batch) {
  const auto value_size = [](const BlockJob& job) { return block_value_size(job.plain->bytes().size()); };
  std::vector<BlockJob*> large;
  std::vector<BlockJob*> small;
  uint64_t bytes = 0;
  for (BlockJob& job : jobs) {
    const bool is_reserved = value_size(job) >= WriteTxn::kReservedMin && large.size() < kReservedBlocksMax;
    (is_reserved ? large : small).push_back(&job);
    bytes += job.plain->bytes().size();
  }
  if (order == BlockOrder::longest_first) {
    std::stable_sort(large.begin(), large.end(), [&](const BlockJob* a, const BlockJob* b) {
      return pages_in_a_row(value_size(*a)) > pages_in_a_row(value_size(*b));
    });
  }
  // All are put in the order of their keys.
  for (BlockJob* job : large) {
    job->id = {set_.writer(), ++block_number_};
    job->value = TRY(batch.reserve_block(job->id, value_size(*job)));
  }
  for (BlockJob* job : small) {
    job->id = {set_.writer(), ++block_number_};
    job->own.resize(value_size(*job));
    job->value = job->own;
  }
  parallel(jobs.size(), bytes, [&](size_t i) {
    BlockJob& job = jobs[i];
    const BlockPlace place{
        .content = frozen.files[job.file].inode.content.id, .id = job.id, .level = 0, .index = job.index};
    job.ref = set_.database().cipher().seal_block_into(job.value, suite_, place, Kind::data_block, job.plain->bytes());
  });
  for (const BlockJob* job : large) batch.reserved_block_sealed(job->id, job->value);
  for (BlockJob* job : small) {
    TRY(batch.put_block(job->id, job->value));
    job->own = {};
  }
  return {};
}

Result<State> Committer::write(const Frozen& frozen, const JournalPosition& position, BlockOrder block_order,
                               std::vector<CommittedMap>& maps) {
  Database& database = set_.database();

  std::vector<BlockJob> jobs = TRY(plan_blocks(frozen));
  Batch batch = TRY(Batch::begin(database, state_));
  TRY(put_blocks(frozen, block_order, jobs, batch));
  ReadTxn committed = TRY(ReadTxn::begin(database.env()));
  CommitMapWriter map_writer(database, committed, suite_, set_.writer(), block_number_);

  for (const auto& [ino, dropped] : frozen.dropped_versions) {
    const bool is_gone = std::any_of(frozen.removed.begin(), frozen.removed.end(),
                                     [&, gone = ino](const Frozen::Removed& removed) { return removed.inode.ino == gone; });
    if (is_gone) continue;
    auto stored = database.load_inode(committed, ino);
    auto versions = database.load_versions(committed, ino);
    // What shares blocks with what is not known then: none of them goes.
    if (stored.is(Code::corrupt) || versions.is(Code::corrupt)) continue;
    const auto present = TRY(std::move(stored));
    std::vector<Version> all = TRY(std::move(versions));
    if (!present.has_value()) continue;
    TRY(drop_versions(batch, std::move(all), dropped, &present->content, map_writer));
  }
  auto job = jobs.begin();
  for (size_t f = 0; f < frozen.files.size(); ++f) {
    const Frozen::File& file = frozen.files[f];
    MapChanges changes{.floor = file.floor, .blocks = {}};
    for (const Frozen::Block& block : file.blocks) changes.blocks.emplace(block.index, std::nullopt);
    for (; job != jobs.end() && job->file == f; ++job) {
      if (job->base.has_value()) {
        const BlockRef& ref = job->ref;
        add_patch(*job->base, {job->plain->present(), ref.id, ref.nonce, ref.tag, ref.length});
        changes.blocks[job->index] = std::move(job->base);
        continue;
      }
      changes.blocks[job->index] = job->ref;
      // The end of a file is what gets read back or appended to next.
      if (job->plain->length() < kBlockSize)
        database.cache().insert(job->id, std::shared_ptr<const Bytes>(std::make_shared<Bytes>(job->plain->bytes())));
    }
    ContentRecord content = file.inode.content;
    const Shared shared = TRY(keep_past(committed, batch, frozen, file));
    map_writer.set_content(content.id, shared.newest.has_value() ? &*shared.newest : nullptr, shared.unknown);
    TRY(change_map(content, changes, map_writer));
    TRY(put_inode(batch, file, content));
    maps.push_back({file.inode.ino, std::move(content)});
  }
  for (const Frozen::Removed& removed : frozen.removed) TRY(remove_inode(database, committed, batch, removed.inode, map_writer));
  for (const auto& [name, was_removed] : frozen.past_names) {
    const auto key = past_name_key(name.dirent.directory, name.ended_hlc);
    if (was_removed)
      TRY(batch.remove(Table::past_names, key));
    else
      TRY(batch.put_record(Table::past_names, key, Kind::past_name, kPastNameSchema, encode_past_name(name), false));
  }
  for (const auto& [dirent, was_removed] : frozen.dirents) {
    const auto key = dirent_key(dirent.directory, dirent.cookie);
    if (was_removed)
      TRY(batch.remove(Table::dirents, key));
    else
      TRY(batch.put_record(Table::dirents, key, Kind::dirent, kDirentSchema, encode_dirent(dirent), false));
  }
  TRY(map_writer.store(batch));
  if (state_.marks_changes) TRY(put_marks(batch, frozen, state_.commit_number + 1));

  State state = state_;
  state.next_ino = frozen.next_ino;
  ++state.commit_number;
  fill_random(state.commit_id);
  state.journal_sequence = position.sequence;
  state.journal_chain = position.chain;
  state.hlc = frozen.hlc;
  state.age = frozen.age;
  state.content_bytes += static_cast<uint64_t>(frozen.content_bytes_delta);
  state.retired_inodes += static_cast<uint64_t>(frozen.retired_inodes_delta);
  state.retired_content_bytes += static_cast<uint64_t>(frozen.retired_content_bytes_delta);
  return std::move(batch).commit(state);
}

/// Makes everything up to `target`, and more, durable by one frame. False: no frame can take it.
bool Committer::write_frame(Tick target) {
  std::lock_guard one_frame(journal_mutex_);
  Bytes payload;
  Tick covered = 0;
  {
    std::lock_guard lock(set_.mutex());
    if (set_.is_journaled(target)) return true;  // somebody's frame or commit covered us while we waited
    if (!journal_.usable() || set_.unjournaled_bytes() > kJournalPayloadMax * 3 / 4 ||
        !journal_.has_room(kJournalPayloadMax))
      return false;
    payload = set_.snapshot_frame();
    covered = set_.tick();
  }
  if (payload.size() > kJournalPayloadMax) {
    journal_.abandon();
    return false;
  }
  if (!journal_.append(payload).ok()) return false;
  frames_.fetch_add(1, std::memory_order_relaxed);
  std::lock_guard lock(set_.mutex());
  set_.frame_written(covered);
  return true;
}

Result<> Committer::fsync(Ino ino) {
  Tick target = 0;
  {
    std::lock_guard lock(set_.mutex());
    auto inode = set_.find(ino);
    // Gone: its last name was removed and nobody uses it; nothing to make durable.
    if (inode.is(Code::not_found)) return {};
    if (!inode.ok()) return std::move(inode).error();
    if (set_.is_journaled((*inode)->changed_at)) return {};
    target = set_.tick();
  }
  if (write_frame(target)) return {};
  // Too much for a frame, no room, or the journal failed: the database takes it all.
  return commit();
}

bool Committer::keep_in_journal() {
  Tick now = 0;
  {
    std::lock_guard lock(set_.mutex());
    now = set_.tick();
  }
  return write_frame(now);
}

}  // namespace tain::store
