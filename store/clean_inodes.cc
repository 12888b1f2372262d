// SPDX-License-Identifier: Apache-2.0
// The working set's clean inodes: how many stay in memory, how long, and when they were read.
#include "store/working_set.h"

namespace tain::store {
namespace {

constexpr int64_t kAccessPrecision_s = 24 * 3600;

}  // namespace

void WorkingSet::evict() {
  while (clean_order_.size() > limits_.clean_inodes_max) {
    inodes_.erase(raw(clean_order_.back()));
    clean_order_.pop_back();
  }
}

void WorkingSet::drop_clean() {
  for (auto it = clean_order_.begin(); it != clean_order_.end();) {
    const auto found = inodes_.find(raw(*it));
    if (found->second->accessed) {
      ++it;
      continue;
    }
    inodes_.erase(found);
    it = clean_order_.erase(it);
  }
}

void WorkingSet::note_access(CachedInode& inode) {
  const Time time = now();
  Inode& record = inode.record;
  const bool is_due = record.atime <= record.mtime || record.atime <= record.ctime ||
                      record.atime.seconds <= time.seconds - kAccessPrecision_s;
  if (!is_due) return;
  record.atime = time;
  inode.accessed = true;
}

void WorkingSet::keep_accesses() {
  std::vector<CachedInode*> found;
  for (auto& [number, inode] : inodes_)
    if (inode->accessed && inode->lru) found.push_back(inode.get());
  if (!has_room({.records = static_cast<uint32_t>(found.size())})) return;
  for (CachedInode* inode : found) mark_dirty(*inode);
}

}  // namespace tain::store
