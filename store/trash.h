// SPDX-License-Identifier: Apache-2.0
// What was removed and can come back, and what goes for good: trash and retention (ADR 13).
//
// Threads: all functions, concurrently with all others of the vault.
#pragma once

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

struct Restored {
  uint64_t entries = 0;
  uint64_t failed = 0;  // that could not be restored: damaged, or purged
};

/// What prune() dropped, or would drop.
struct Pruned {
  uint64_t states = 0;   // of entries
  uint64_t entries = 0;  // from the trash
};

class Trash {
 public:
  explicit Trash(WorkingSet& set) : set_(set) {}

  /// Everything in the trash, oldest first.
  Result<std::vector<TrashItem>> list();
  /// Gives `name` back, in the directory `to` and as `to_name`; of a directory also everything that was removed with it.
  /// Same inodes, so same history. Errors: exists, not_found, no_space.
  Result<Restored> restore(const PastName& name, Ino to, std::string_view to_name);
  /// Removes for good what was put into the trash before `before_hlc`.
  Result<Pruned> empty(uint64_t before_hlc);
  /// Drops the states of all entries that `retention` does not keep. `dry_run`: only counts them.
  Result<Pruned> prune(const Retention& retention, int64_t now_s, bool dry_run);

 private:
  struct Removal;
  Result<std::vector<PastName>> all_past_names();
  Result<uint64_t> collect(const PastName& directory, std::vector<Removal>& out);
  Result<> put_back(const PastName& name, Ino to, std::string_view to_name);
  Result<> set_times(Ino directory, uint64_t hlc);
  Result<> purge(Ino ino);
  Result<Pruned> prune_entry(Ino ino, const Retention& retention, int64_t now_s, bool dry_run);
  WorkingSet& set_;
};

}  // namespace tain::store
