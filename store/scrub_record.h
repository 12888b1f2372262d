// SPDX-License-Identifier: Apache-2.0
// The file `scrub` of a vault: where the pass over all its data stands, and how the last one ended (docs/format.md
// §2.1).
//
// It holds no secret and nothing depends on it but when the next pass begins and where: what is torn, of another vault
// or not there at all means to begin anew.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace tain::store {

inline constexpr char kScrubFileName[] = "scrub";
inline constexpr size_t kScrubDamagedMax = 256;  // inodes that the file lists

/// What to look at next of the entry `ino`. Values that are behind the end of the entry mean the next entry. Behind all
/// entries come the tables marks and notes: there `ino` and `at` are both halves of the key.
struct ScrubPlace {
  enum class Stage : uint8_t { record = 0, names = 1, content = 2, versions = 3, past_names = 4, marks = 5, notes = 6 };
  Ino ino{};
  Stage stage = Stage::record;
  uint64_t at = 0;  // names: the first cookie; content: the first block; versions, past_names: the second half of the key
  bool operator==(const ScrubPlace&) const = default;
};

/// What a pass has looked at so far.
struct ScrubCounts {
  uint64_t bytes = 0;    // as they are stored
  uint64_t entries = 0;  // inodes
  uint64_t records = 0;  // values that are no blocks
  uint64_t blocks = 0;   // data blocks, patches and map nodes
  uint64_t lost = 0;     // damaged places of which nobody knows whose they are
  bool operator==(const ScrubCounts&) const = default;
};

struct ScrubRecord {
  VaultId vault;
  // The pass under way, when started_s is not 0. Times are seconds since the Unix epoch.
  int64_t started_s = 0;
  ScrubPlace place;
  ScrubCounts counts;
  // The last pass that came to its end; none when last_ended_s is 0.
  int64_t last_started_s = 0;
  int64_t last_ended_s = 0;
  ScrubCounts last;
  uint64_t last_damaged = 0;  // entries
  /// Inodes found damaged by the pass under way and by the last one, ascending, the first kScrubDamagedMax of them.
  std::vector<uint64_t> damaged;
  bool operator==(const ScrubRecord&) const = default;
};

Bytes encode_scrub_record(const ScrubRecord& record);
/// Errors: corrupt, format_too_new.
Result<ScrubRecord> decode_scrub_record(ByteView bytes);

/// The record in the vault at `directory`; nothing when there is none, or it cannot be used. Needs no key.
std::optional<ScrubRecord> read_scrub_record(const std::string& directory, const VaultId& vault);
/// Replaces it. Errors: io, no_space, read_only.
Result<> write_scrub_record(const std::string& directory, const ScrubRecord& record);

}  // namespace tain::store
