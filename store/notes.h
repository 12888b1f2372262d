// SPDX-License-Identifier: Apache-2.0
// What a vault keeps for whoever mirrors it: marks of what changed, and notes of somebody else's format (ADR 19).
//
// A *mark* says "look at this inode, or this name": it is written in the transaction that changes it, in vaults that ask for
// that, and one mark stands for all changes since it was last taken away. Marks are hints: what changed, and whether
// at all, is found by looking. *Notes* are opaque here. Neither is in the journal; after a crash the commit that brings the
// journal's changes into the database marks them.
//
// Threads: any, none of them with a transaction.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/types.h"

namespace tain::store {

class Batch;
class Committer;
class Database;
struct Frozen;

inline constexpr size_t kNoteSizeMax = size_t{16} << 20;  // bytes

/// 16 bytes of the owner's choice; notes stand in the order of these.
struct NoteKey {
  uint64_t first = 0;
  uint64_t second = 0;
  auto operator<=>(const NoteKey&) const = default;
};

/// A change that was committed. Which name: nothing, the inode itself, or that directory entry of it.
struct Mark {
  Ino ino{};
  Cookie cookie{};      // of the directory entry; 0: the inode itself changed, or is gone
  uint64_t commit = 0;  // the last one that changed it
  EntryId entry;        // of the inode itself; zeros with a name
  std::optional<Dirent> name;
  bool removed = false;  // the name was, or the inode left the present
  bool operator==(const Mark&) const = default;
};

class Notes {
 public:
  explicit Notes(Database& database, Committer& committer, bool read_only)
      : database_(database), committer_(committer), read_only_(read_only) {}

  /// From the next commit on changes are marked, or not. Durable when it returns. Errors: read_only, no_space, io, corrupt.
  Result<> mark_changes(bool wanted);
  bool marks_changes() const;

  /// At most `limit` marks, ascending by inode. Damaged ones are an error. Errors: corrupt, io.
  Result<std::vector<Mark>> marks(size_t limit) const;

  /// Errors: corrupt, io.
  Result<std::optional<Bytes>> find(NoteKey key) const;
  /// At most `limit` notes from `from` on, ascending. Errors: corrupt, io.
  Result<std::vector<std::pair<NoteKey, Bytes>>> list(NoteKey from, size_t limit) const;

  struct Change {
    NoteKey key;
    std::optional<Bytes> value;  // nothing: the note goes. At most kNoteSizeMax bytes
  };
  /// All of it in one commit, with the marks in `done` taken away that no later commit made anew. Durable when it returns.
  /// Errors: read_only, no_space, io, corrupt.
  Result<> change(const std::vector<Change>& changes, const std::vector<Mark>& done = {});

 private:
  Database& database_;
  Committer& committer_;
  const bool read_only_;
};

/// The committer's part: marks for all that a commit changes.
Result<> put_marks(Batch& batch, const Frozen& frozen, uint64_t commit_number);

Bytes encode_mark(const Mark& mark);
/// Errors: corrupt.
Result<Mark> decode_mark(Ino ino, Cookie cookie, ByteView body);

}  // namespace tain::store
