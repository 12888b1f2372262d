// SPDX-License-Identifier: Apache-2.0
// Bytes ⇄ values for every record body (docs/format.md §6). Pure functions; decoding never trusts a length.
#pragma once

#include <array>

#include "base/bytes.h"
#include "base/result.h"
#include "store/age_clock.h"
#include "store/cipher.h"
#include "store/retention.h"
#include "store/types.h"

namespace tain::store {

inline constexpr uint16_t kInodeSchema = 1;
inline constexpr uint16_t kDirentSchema = 1;
inline constexpr uint16_t kXattrsSchema = 1;
inline constexpr uint16_t kStateSchema = 3;
inline constexpr uint16_t kStateSchemaOldest = 1;  // without a retention policy; 2: without marks, notes and the age mark
inline constexpr uint16_t kOrphanSchema = 1;
inline constexpr uint16_t kVersionSchema = 1;
inline constexpr uint16_t kPastNameSchema = 1;
inline constexpr uint16_t kMarkSchema = 1;
inline constexpr uint16_t kNoteSchema = 1;

/// Count and keyed digest of one table's values.
struct SetDigest {
  uint64_t count = 0;
  Id32 sum{};
  bool operator==(const SetDigest&) const = default;
};

/// The one record that ties the tables and the journal together (docs/format.md §6.5).
struct State {
  uint64_t next_ino = raw(kRootIno) + 1;
  uint64_t commit_number = 0;
  Id16 commit_id{};
  uint64_t journal_sequence = 0;
  Id32 journal_chain{};
  uint64_t hlc = 0;
  Id16 device{};
  std::array<SetDigest, kTableCount + 1> sets{};  // by table number; entries 0 and 1 (state) are not used
  uint64_t content_bytes = 0;          // of what is present
  uint64_t retired_inodes = 0;         // those that are not, but stay (ADR 13)
  uint64_t retired_content_bytes = 0;  // and theirs
  RetentionPolicy retention;
  AgeMark age;
  bool marks_changes = false;  // each commit says in the table marks what it changed
  bool operator==(const State&) const = default;
};

Bytes encode_inode(const Inode& inode);
Bytes encode_dirent(const Dirent& dirent);
Bytes encode_xattrs(Ino ino, const Xattrs& xattrs);
/// How long that is.
size_t xattrs_body_size(const Xattrs& xattrs);
Bytes encode_refs(const RefList& refs);
Bytes encode_version(const Version& version);
Bytes encode_past_name(const PastName& name);
Bytes encode_state(const State& state);

/// Errors of all: corrupt. Of inodes, versions and states also format_too_old: with a past that a development version wrote.
Result<Inode> decode_inode(ByteView body);
Result<Dirent> decode_dirent(ByteView body);
struct InodeXattrs {
  Ino ino{};
  Xattrs xattrs;
};
Result<InodeXattrs> decode_xattrs(ByteView body);
Result<Version> decode_version(ByteView body);
Result<PastName> decode_past_name(ByteView body);
/// `fanout` is the largest number of slots.
Result<RefList> decode_refs(ByteView body, uint32_t fanout);
/// `schema`: of the record, between kStateSchemaOldest and kStateSchema.
Result<State> decode_state(ByteView body, uint16_t schema = kStateSchema);

// Database keys.
std::array<uint8_t, 8> ino_key(Ino ino);
std::array<uint8_t, 16> dirent_key(Ino directory, Cookie cookie);
/// Newest first.
std::array<uint8_t, 16> version_key(Ino ino, uint64_t ended_hlc);
std::array<uint8_t, 16> past_name_key(Ino directory, uint64_t ended_hlc);
inline constexpr std::array<uint8_t, 1> kStateKey = {1};

}  // namespace tain::store
