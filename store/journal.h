// SPDX-License-Identifier: Apache-2.0
// The redo log: sealed frames in a preallocated file, chained, bound to the last commit.
//
// docs/format.md §7 has the layout. The journal knows bytes only; store/redo gives them meaning.
// Writing over blocks that already exist keeps an append to one data flush without file system
// metadata: measured at half the time of a growing file.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "store/cipher.h"

namespace tain::store {

inline constexpr uint64_t kJournalSize = uint64_t{8} << 20;         // bytes of the file
inline constexpr size_t kJournalPayloadMax = size_t{1} << 20;       // bytes of one frame's payload
inline constexpr uint64_t kJournalAlignment = 4096;                 // frames start at multiples of this

/// Where the journal stood at a commit; kept in the state record.
struct JournalPosition {
  uint64_t sequence = 0;
  Id32 chain{};
  bool operator==(const JournalPosition&) const = default;
};

/// Threads: the caller serialises all calls.
class Journal {
 public:
  /// Makes the file, filled with zeros and flushed, its directory too.
  static Result<> create(const std::string& path);
  /// Opens the file. A missing one is not an error, since a commit may be newer than any frame: the first
  /// append makes it anew.
  static Result<std::unique_ptr<Journal>> open(const std::string& path, const Cipher& cipher);

  struct ReplayReport {
    uint64_t frames = 0;         // applied
    bool damaged = false;        // an intact later frame follows one that is not: not a torn end
  };
  /// Calls `apply` with the payload of each frame after `position`, in order, and positions the journal
  /// to append after the last one; after damage, as abandon() does. Errors: those of `apply`, io.
  Result<ReplayReport> replay(const JournalPosition& position, const std::function<Result<>(ByteView)>& apply);

  /// Whether a payload of `size` bytes fits behind the frames that are still needed.
  bool has_room(size_t size) const;
  /// Appends one frame; durable when it returns without an error. After an error nothing more is
  /// appended until restart(): the file's end is unknown. Errors: io, no_space.
  Result<> append(ByteView payload);
  /// The database has everything up to position(): the next frame goes to the start of the file.
  void restart();
  /// restart(), and zeros over all that the file holds, durable. Errors: io.
  Result<> erase();
  /// Appends nothing more until restart(): changes that left the working set for a frame never got here.
  void abandon();
  /// False between a failed append (or abandon) and restart().
  bool usable() const { return usable_; }
  /// The last frame appended (or replayed).
  const JournalPosition& position() const { return position_; }
  uint64_t frames_written() const { return frames_written_; }

 private:
  Journal(std::string path, UniqueFd fd, const Cipher& cipher)
      : path_(std::move(path)), fd_(std::move(fd)), cipher_(cipher) {}
  Result<> write(ByteView frame);

  const std::string path_;
  UniqueFd fd_;  // invalid while there is no file
  const Cipher& cipher_;
  JournalPosition position_;
  uint64_t offset_ = 0;  // where the next frame goes
  bool usable_ = true;
  uint64_t frames_written_ = 0;
};

}  // namespace tain::store
