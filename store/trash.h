// SPDX-License-Identifier: Apache-2.0
// What was removed and can come back, and what goes for good: trash and retention (ADR 13).
//
// Threads: all functions, concurrently with all others of the vault.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/past.h"
#include "store/retention.h"

namespace tain::store {

struct TrashItem {
  PastName name;    // what it was called, where, and when it was removed
  uint32_t mode = 0;
  uint64_t size = 0;  // bytes
  bool is_inside = false;  // of a directory that is in the trash, too
};

/// What restore() gives back as one.
struct TrashRoot {
  TrashItem item;
  uint64_t before_hlc = 0;  // all of it was there then
  uint64_t entries = 1;     // itself, and what was removed with it
  uint64_t size = 0;        // bytes of all of them
};

struct Restored {
  uint64_t entries = 0;
  uint64_t failed = 0;  // that could not be restored: damaged, or purged
};

/// What prune() or empty() dropped, or would drop.
struct Pruned {
  uint64_t states = 0;   // of entries
  uint64_t entries = 0;  // from the trash
  uint64_t failed = 0;   // of those, that stay because they are damaged
};

/// Something that a policy does not keep.
struct DueState {
  std::string path;         // of the entry, from the root; what is in the trash under its last name
  uint64_t ended_hlc = 0;   // when it was replaced, or removed
  uint64_t bytes = 0;       // of its content; it may share blocks with states that stay
  bool is_trash = false;    // it goes because its entry has been in the trash for long enough
  bool is_entry = false;    // of the trash: the last state, with which the entry goes
};

class Trash {
 public:
  explicit Trash(WorkingSet& set) : set_(set) {}

  /// Everything in the trash, oldest first.
  Result<std::vector<TrashItem>> list();
  /// Of those, what was not removed together with a directory that is in the trash, oldest first.
  Result<std::vector<TrashRoot>> roots();
  /// Gives `name` back, in the directory `to` and as `to_name`; of a directory also everything that was removed with it.
  /// Same inodes, so same history. Up to some hundred entries are one step that happens as a whole or not at all, and so
  /// is each following one; what a crash or an error left out comes back when the same is asked for again.
  /// Errors: exists, not_found, no_space.
  Result<Restored> restore(const PastName& name, Ino to, std::string_view to_name);
  /// Removes for good what was put into the trash before `before_hlc`, but for what somebody still has open.
  Result<Pruned> empty(uint64_t before_hlc);
  /// Drops the states of all entries that `retention` does not keep. `dry_run`: only counts them.
  Result<Pruned> prune(const Retention& retention, int64_t now_s, bool dry_run);
  /// The time that ages go by (store/age_clock.h), Unix seconds.
  int64_t now_s();
  /// What the janitor would take away by `policy`, by that time. `take` returns false to end it. Errors: io, corrupt.
  Result<> for_each_due(const RetentionPolicy& policy, const std::function<bool(const DueState&)>& take);

  /// The same of one entry, which `ino` is the last inode of.
  Result<Pruned> prune_entry(Ino ino, const Retention& retention, int64_t now_s, bool dry_run);
  /// A retired inode and all states of its entry before it, for good. Where a crash comes between, the oldest are gone.
  /// False: it stays, because it is in use, or back.
  Result<bool> purge(Ino ino);

 private:
  struct Removal;
  Result<std::vector<PastName>> all_past_names();
  Result<uint64_t> collect(const PastName& directory, std::vector<Removal>& out);
  Result<> put_back(const Removal& removal);
  Result<> put_back_some(std::span<const Removal> removals, Restored& out);
  void set_times(const std::vector<Removal>& removals);
  Result<bool> purge_chain(Ino ino, Ino& left);
  Result<std::string> path_of(Ino directory);
  WorkingSet& set_;
};

}  // namespace tain::store
