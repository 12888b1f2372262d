// SPDX-License-Identifier: Apache-2.0
// File content: read, write, resize, holes. Changes stay in memory until the committer or fsync.
//
// A file that is time-locked (store/time_lock.h) is neither read nor changed: all methods but seek say time_locked.
// Threads: all methods may be called concurrently. A read that overlaps a write sees the old or the
// new bytes of each block.
#pragma once

#include "base/result.h"
#include "store/types.h"

namespace tain::store {

class WorkingSet;

enum class Whence { data, hole };

/// What a write does to set-user-id and set-group-id: changed bytes are not the program that was trusted. Set-group-id
/// without group execute stays: whether it may depends on the writer's groups, which the store does not know.
enum class Privileges { keep, clear };

/// Who wants to write: a program now, or the kernel with what a program wrote into mapped memory before.
enum class WriteSource { program, page_cache };

/// Whether a read is one that moves atime (WorkingSet::note_access).
enum class Access { unnoticed, noted };

class Database;

/// Reads up to out.size() bytes of a content that is committed, whether it is present or past; short only at its end.
/// Takes no lock. Errors: not_found (it was changed or pruned meanwhile), corrupt, io.
Result<size_t> read_content(Database& database, const ContentRecord& content, uint64_t offset, ByteSpan out);

class Content {
 public:
  explicit Content(WorkingSet& set) : set_(set) {}

  /// Reads up to out.size() bytes at `offset`; the count read is short only at the end of the file.
  /// Errors: corrupt (a block of this range is damaged), io, is_directory.
  Result<size_t> read(Ino ino, uint64_t offset, ByteSpan out, Access access = Access::unnoticed);
  /// Writes all of `data` at `offset`, growing the file; mtime and ctime become now. `mode_after`, if not
  /// null, is told the mode that the file has then. What comes from the page cache is taken although the file is locked:
  /// it was written before.
  /// Blocks the caller while too much is pending. Errors: too_large, no_space, corrupt, io.
  Result<> write(Ino ino, uint64_t offset, ByteView data, Privileges privileges = Privileges::keep,
                 uint32_t* mode_after = nullptr, WriteSource source = WriteSource::program);
  /// Frees [offset, offset + length): reads as zeros afterwards. The size stays, unless `extend` is set.
  Result<> zero(Ino ino, uint64_t offset, uint64_t length, bool extend);
  /// posix_fallocate: grows the file to at least offset + length; mtime and ctime become now. Without `extend` the
  /// size stays: space cannot be set aside in a store that writes elsewhere at every change.
  Result<> allocate(Ino ino, uint64_t offset, uint64_t length, bool extend = true);
  /// Next data or hole at or after `offset`, as lseek(2). Errors: no_such_offset.
  Result<uint64_t> seek(Ino ino, uint64_t offset, Whence whence);
  /// Copies within the store. Yields the bytes copied; short at the end of the source.
  Result<uint64_t> copy(Ino from, uint64_t from_offset, Ino to, uint64_t to_offset, uint64_t length);

 private:
  WorkingSet& set_;
};

}  // namespace tain::store
