// SPDX-License-Identifier: Apache-2.0
// Time locks: tain does not show, change or remove what is locked before its time (ADR 15).
//
// Policy, not cryptography: who has the password can read everything with another program. A lock is a number in the
// inode. Locking a folder writes it into every file and folder below, and locking anything into the inodes that the entry
// had before, so the rule looks at one inode only, under whatever name or time it was found. It is asked by store/content,
// store/tree and store/past, the doors to all content.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/types.h"

namespace tain::store {

class WorkingSet;

/// An attribute that nobody can set: until when an entry is locked, as unlock_text() says it.
inline constexpr std::string_view kUnlockXattr = "user.tain.unlock_at";

/// `2027-01-01T00:00:00Z`.
std::string unlock_text(int64_t unix_s);

/// The time that locks go by. It never goes back and goes on while the system's clock is set back. Not synchronized.
class LockTime {
 public:
  explicit LockTime(Clock& clock) : clock_(clock) {}
  /// Milliseconds since the Unix epoch, at least what the system's clock says and `seen_ms`, the newest time that is
  /// known otherwise.
  int64_t now_ms(int64_t seen_ms);

 private:
  Clock& clock_;
  int64_t mark_ns_ = INT64_MIN;
  int64_t marked_at_ns_ = 0;  // by the clock that only goes forward
};

/// Whether the inode may be read and changed. With the mutex held. Errors: time_locked; of the second also not_found,
/// corrupt, io.
Result<> check_unlocked(WorkingSet& set, const Inode& inode);
Result<> check_unlocked(WorkingSet& set, Ino ino);

/// What a change of locks did.
struct LockReport {
  uint64_t entries = 0;  // that are locked now, or were
  uint64_t failed = 0;   // damaged ones, which nothing can be said about
};

/// An entry that is locked, and the folder that it is in is not, or not until the same time.
struct LockedEntry {
  std::string path;  // from the root
  uint32_t mode = 0;
  int64_t until_s = 0;
};

/// Threads: all methods, concurrently. The kernel may have content in its cache that was locked meanwhile: the caller
/// makes it forget.
class TimeLocks {
 public:
  explicit TimeLocks(WorkingSet& set) : set_(set) {}

  /// By the clock of the locks, Unix seconds.
  int64_t now_s();
  /// Unix seconds; 0: not locked. Errors: not_found, corrupt, io.
  Result<int64_t> until(Ino ino);
  /// Locks a file, or a folder with everything below and what of it is in the trash, until `until_s` at least. What is
  /// locked for longer stays so.
  /// A crash or an error on the way leaves a part of it locked, the folder first; doing it again does the rest.
  /// Errors: invalid_argument (that time is over, or neither file nor folder), not_permitted (it would be shorter), no_space.
  Result<LockReport> lock(Ino ino, int64_t until_s);
  /// Opens a file, or a folder with everything below, before its time. The locked state becomes a version of each.
  /// Errors: invalid_argument (it is not locked), unsupported (nothing would record it), no_space.
  Result<LockReport> override_lock(Ino ino);
  /// All that are locked. Yields how many folders and entries could not be looked at because they are damaged.
  Result<uint64_t> list(const std::function<void(const LockedEntry&)>& take);

 private:
  enum class Kind : uint8_t;
  struct Step;
  using Change = std::function<Result<>(Ino ino, Step& step)>;
  Result<LockReport> walk(Ino top, const Change& change);
  Result<> list_children(Ino directory, const std::function<void(const Dirent&)>& take);
  Result<> lock_one(Ino ino, int64_t until_s, Step& step);
  Result<> unlock_one(Ino ino, Step& step);
  WorkingSet& set_;
};

}  // namespace tain::store
