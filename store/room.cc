// SPDX-License-Identifier: Apache-2.0
// The working set's account of what is pending: memory, and space on the disk (ADR 10).
#include <algorithm>
#include <array>

#include "store/cipher.h"
#include "store/working_set.h"

namespace tain::store {
namespace {

// What a pending inode and directory entry count for, in bytes of memory, besides content.
constexpr int64_t kInodeCost = 768;
constexpr int64_t kDirentCost = 384;
constexpr int64_t kBlockCost = 192;
// What they add to the database, about: keys and sealed records.
constexpr int64_t kInodeBytes = 512;
constexpr int64_t kDirentBytes = 320;
constexpr int64_t kBlockKeyBytes = 64;
constexpr int64_t kMarkBytes = 512;  // with a name
// A map node with every patch that it can have.
constexpr size_t kNodeBytes = block_value_size(28'000);
// Kept free so that deleting works on a full disk: it writes, too, before it frees. What one commit frees is used only
// by the commit after the next, so a reserve serves several.
constexpr uint64_t kReservePages = 512;
constexpr uint64_t kFreeingPages = kReservePages / 4;  // of one commit on a full disk
// How much may be added before the disk is asked again, the largest first.
constexpr std::array<Growth, 4> kAllowances = {{{4096, 16384}, {512, 2048}, {64, 256}, {0, 0}}};

template <class T>
int64_t as_signed(T value) {
  return static_cast<int64_t>(value);
}

}  // namespace

// --- what is pending --------------------------------------------------------------------------------

void WorkingSet::account(int64_t bytes) {
  pending_bytes_ += bytes;
  if (bytes > 0 && exceeds_share(2)) work_.notify_all();
}

bool WorkingSet::exceeds_share(uint64_t divisor) const {
  const auto small = static_cast<uint64_t>(std::max<int64_t>(pending_small_bytes_, 0));
  return pending_bytes() > limits_.pending_max_bytes / divisor || small > limits_.pending_max_bytes / 2 / divisor;
}

void WorkingSet::account_small(int64_t bytes) {
  pending_small_bytes_ += bytes;
  account(bytes);
}

void WorkingSet::account_inodes(int64_t count) {
  account_small(count * kInodeCost);
  need_.change_records(count, count * kInodeBytes);
}

void WorkingSet::account_dirents(int64_t count) {
  account_small(count * kDirentCost);
  need_.change_records(count, count * kDirentBytes);
}

void WorkingSet::account_block(size_t size_before, size_t size_after) {
  const auto small = [](size_t size) { return size < WriteTxn::kReservedMin ? as_signed(size) : 0; };
  pending_small_bytes_ += small(size_after) - small(size_before);
  account(as_signed(size_after) - as_signed(size_before));
  const auto value_size = [](size_t size) { return size == 0 ? 0 : block_value_size(size); };
  need_.change_value(value_size(size_before), value_size(size_after));
}

void WorkingSet::account_xattrs(CachedInode& inode, size_t size) {
  account(as_signed(size) - as_signed(inode.counted_xattrs));
  need_.change_value(inode.counted_xattrs, size);
  inode.counted_xattrs = size;
}

void WorkingSet::account_version(CachedInode& inode, size_t size) {
  account(as_signed(size) - as_signed(inode.counted_version));
  need_.change_value(inode.counted_version, size);
  inode.counted_version = size;
}

/// What a version has of its own is not known yet.
void WorkingSet::account_dropped_versions(int64_t count) {
  constexpr int64_t kRecordsEach = 8;
  account(count * kDirentCost);
  need_.change_records(count * kRecordsEach, 0);
}

void WorkingSet::account_new_block(CachedInode& inode, std::map<uint64_t, PendingBlock>::iterator it) {
  account(kBlockCost);
  need_.change_records(2, kBlockKeyBytes);  // a new key, and the one that it replaces
  // Blocks of one map node lie side by side here.
  const auto shares_node = [&](auto other) { return other->first / kMapFanout == it->first / kMapFanout; };
  const bool mapped = it->first >= kRootFanout || inode.record.content.height > 0;
  if (mapped && !(it != inode.blocks.begin() && shares_node(std::prev(it))) &&
      !(std::next(it) != inode.blocks.end() && shares_node(std::next(it)))) {
    ++inode.counted_nodes;
    need_.change_value(0, kNodeBytes);
    need_.change_records(2, kBlockKeyBytes);
  }
}

void WorkingSet::account_dropped(const PendingBlock& block) {
  account(-kBlockCost);
  need_.change_records(-2, -kBlockKeyBytes);
  if (block.data != nullptr) account_block(block.data->bytes().size(), 0);
}

/// When none of its blocks is pending any more.
void WorkingSet::account_dropped_nodes(CachedInode& inode) {
  if (!inode.blocks.empty()) return;
  for (; inode.counted_nodes > 0; --inode.counted_nodes) {
    need_.change_value(kNodeBytes, 0);
    need_.change_records(-2, -kBlockKeyBytes);
  }
}

WorkingSet::Counts WorkingSet::pending_counts() const {
  Counts out;
  for (const auto& [number, inode] : inodes_) {
    if (is_committed(inode->changed_at)) continue;
    const Counted now = inode->deleted ? Counted{} : Counted::of(inode->record);
    out.inodes += (inode->deleted ? 0 : 1) - (inode->in_database ? 1 : 0);
    out.retired_inodes += as_signed(now.retired_inodes) - as_signed(inode->committed.retired_inodes);
    out.content_bytes += as_signed(now.content_bytes) - as_signed(inode->committed.content_bytes);
    out.retired_content_bytes += as_signed(now.retired_content_bytes) - as_signed(inode->committed.retired_content_bytes);
  }
  return out;
}

// --- what there is room for -------------------------------------------------------------------------

Growth Growth::of_content(uint64_t bytes) {
  const auto blocks = static_cast<uint32_t>(std::min<uint64_t>(bytes / kBlockSize, UINT16_MAX)) + 2;
  const uint32_t nodes = blocks / kMapFanout + 2;
  return {.values = blocks + nodes, .records = 8 + 2 * (blocks + nodes)};
}

/// Whether the disk takes what is pending and `growth`.
bool WorkingSet::has_room(const Growth& growth) {
  if (!space_probe_) return true;
  if (growth.values > allowance_.values || growth.records > allowance_.records) {
    const FreeSpace space = space_probe_();
    const auto fits = [&](const Growth& more) {
      SpaceNeed need = need_;
      need.add(frozen_need_);
      need.add_any(growth.values + more.values, growth.records + more.records);
      if (marks_changes_) need.double_records(kMarkBytes);
      return need.fits(space, kReservePages);
    };
    const auto* more = std::find_if(kAllowances.begin(), kAllowances.end(), fits);
    if (more == kAllowances.end()) return false;
    allowance_ = {.values = growth.values + more->values, .records = growth.records + more->records};
  }
  allowance_.values -= growth.values;
  allowance_.records -= growth.records;
  return true;
}

/// What was in the way of the last commit may be gone: somebody would like to know, but does not wait.
void WorkingSet::ask_retry() {
  retry_asked_ = true;
  work_.notify_all();
}

/// Makes the committer commit everything up to now, and waits for it.
void WorkingSet::commit_now(std::unique_lock<std::mutex>& lock) {
  if (!committer_running_ || tick_ <= committed_tick_) return;
  if (commit_error_.has_value()) return ask_retry();
  const Tick now = tick_;
  commit_wanted_ = now;
  work_.notify_all();
  room_.wait(lock, [&] { return is_committed(now) || commit_error_.has_value() || !committer_running_; });
}

void WorkingSet::wait_for_commit(std::unique_lock<std::mutex>& lock) {
  const Tick under_way = frozen_tick_;
  if (under_way != 0) room_.wait(lock, [&] { return frozen_tick_ != under_way; });
}

/// Whether something of the past was given up for more room.
bool WorkingSet::give_back(std::unique_lock<std::mutex>& lock) {
  if (!reclaim_) return false;
  lock.unlock();
  const bool is_more_free = reclaim_();
  lock.lock();
  return is_more_free;
}

Result<> WorkingSet::wait_for_room(std::unique_lock<std::mutex>& lock, const Growth& growth) {
  if (!has_room(growth)) {
    // What is pending counts for more than it will take, and what was deleted is not free yet: commit, and look again.
    commit_now(lock);
    // The present comes before the past.
    while (!has_room(growth))
      if (!give_back(lock)) return Error(Code::no_space, "the disk that holds the vault is full");
  }
  while (committer_running_ && exceeds_share(1)) {
    if (commit_error_.has_value()) {
      ask_retry();
      return *commit_error_;
    }
    work_.notify_all();
    room_.wait(lock);
  }
  return {};
}

uint64_t WorkingSet::room_of(uint64_t free_bytes) const {
  const uint64_t taken = (need_.pages(0) + kReservePages) * kPageSize;
  return free_bytes - std::min(free_bytes, taken);
}

void WorkingSet::wait_to_free(std::unique_lock<std::mutex>& lock) {
  if (!has_room({}) && need_.pages(UINT64_MAX) > kFreeingPages) commit_now(lock);
}

void WorkingSet::wait_to_retire(std::unique_lock<std::mutex>& lock) {
  wait_to_free(lock);
  // What is to stay takes some room for itself, and the reserve is for what really goes.
  if (limits_.history && !has_room({})) give_back(lock);
}

}  // namespace tain::store
