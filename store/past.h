// SPDX-License-Identifier: Apache-2.0
// How the vault was: states of entries, and folders at a time (ADR 13).
//
// Read-only views over the working set and the database. A state stays readable until it is pruned. Times are HLCs, as
// everything that history orders. Threads: all functions, concurrently.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "store/types.h"

namespace tain::store {

class WorkingSet;

/// One state of an entry.
struct PastState {
  Inode inode;             // as it was; its content may share blocks with other states
  uint64_t ended_hlc = 0;  // 0: it is the present one, or the last one in the trash
  Time ended;              // wall clock; of a state that has ended
  bool is_version = false; // a version record; else the inode itself
  bool is_stand_in = false; // a version where the inode itself has become something else since, under another name: it goes with the inode
  bool is_own = true;  // nothing but this entry's retention prunes it
  bool is_fork = false;  // this one and all older ones are another entry's past, too
  bool is_damaged = false; // it cannot be read; of `inode` only the number and the type are known
  Xattrs xattrs;           // of a version
};

/// A name as it was at some time, and the state that it led to. A name that is still there has not ended: 0.
struct PastEntry {
  PastName name;
  PastState state;
};

class PastView {
 public:
  explicit PastView(WorkingSet& set) : set_(set) {}

  /// All states of the entry that `ino` is, newest first, over every inode that it had. A damaged one is listed as such;
  /// where that is an inode that the entry had before, nothing older is known.
  /// Errors: not_found, corrupt, io.
  Result<std::vector<PastState>> log(Ino ino);
  /// What `name` led to in `directory` at `hlc`. Nothing when there was no such name.
  Result<std::optional<PastEntry>> lookup(Ino directory, std::string_view name, uint64_t hlc);
  /// What was in `directory` at `hlc`, by cookie. Names that are still there have not ended: 0.
  Result<std::vector<PastName>> list(Ino directory, uint64_t hlc);
  /// The state at `hlc` of what `name`, as list() yields it, leads to.
  Result<PastState> state(const PastName& name, uint64_t hlc);
  /// The state of inode `ino` itself at `hlc`, for directories.
  Result<PastState> state_of(Ino ino, uint64_t hlc);

  /// Reads content: as many bytes as there are, short only at the end. Errors: not_found (pruned meanwhile),
  /// time_locked (the entry is now), corrupt, io.
  Result<size_t> read(const PastState& state, uint64_t offset, ByteSpan out);
  Result<Xattrs> xattrs(const PastState& state);

 private:
  /// States of one inode, newest first; the first is the inode itself.
  Result<std::vector<PastState>> states_of(Ino ino);
  WorkingSet& set_;
};

}  // namespace tain::store
