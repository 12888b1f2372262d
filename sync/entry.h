// SPDX-License-Identifier: Apache-2.0
// What devices tell one another of an entry: three registers and their versions, as plain values (ADR 19).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "store/types.h"

namespace tain::sync {

inline constexpr EntryId kRootEntry{};           // 16 zeros
inline constexpr size_t kParentsMax = 16;
inline constexpr size_t kLinksMax = 1024;
inline constexpr size_t kSeenMax = 32;
inline constexpr size_t kInlineMax = 65536;      // bytes of content in a record
inline constexpr size_t kChunkSize = 65536;      // bytes of plaintext, at most
inline constexpr size_t kListMax = 1024;         // chunks of a list
inline constexpr uint8_t kListHeightMax = 3;
/// How many data chunks one chunk of a list of that height stands for.
constexpr uint64_t chunks_covered(uint8_t height) { return uint64_t{1} << (10 * height); }

using Hash = Id32;    // keyed, of content (docs/remote-protocol.md §3.4)
using PackId = Id16;

/// One name of an entry. The directory is named by its entry, so a renamed directory changes nothing below it.
struct Link {
  EntryId directory;
  std::string name;
  auto operator<=>(const Link&) const = default;
};

struct Location {
  std::vector<Link> links;  // ascending; none: removed
  std::vector<Link> taken;  // of a removal: the links that it took away; of a directory's move: where it was
  std::vector<Dot> seen;    // of a removal: the heads of content and attributes that the remover knew, ascending
  bool is_removal() const { return links.empty(); }
  bool operator==(const Location&) const = default;
};

/// A piece of a file's content in a pack; or, in a list of a height above 0, a list of such.
struct Chunk {
  uint64_t index = 0;  // of the first data chunk it is or covers
  Hash hash{};
  PackId pack{};
  uint32_t offset = 0;  // bytes, in the pack
  uint32_t length = 0;  // bytes of plaintext
  bool operator==(const Chunk&) const = default;
};

struct ChunkList {
  uint8_t height = 0;
  std::vector<Chunk> chunks;  // ascending; what none covers is zeros
  bool operator==(const ChunkList&) const = default;
};

struct FileContent {
  uint64_t size = 0;  // bytes
  store::Time mtime;
  Hash hash{};        // of the bytes, wherever they are
  std::variant<Bytes, ChunkList> data;
  bool operator==(const FileContent&) const = default;
};

struct SymlinkContent {
  store::Time mtime;
  std::string target;
  bool operator==(const SymlinkContent&) const = default;
};

using Content = std::variant<FileContent, SymlinkContent>;

struct Attributes {
  uint32_t mode = 0;  // permission bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  store::Time btime;
  int64_t time_lock = 0;  // Unix seconds, 0 = none
  store::Xattrs xattrs;
  bool operator==(const Attributes&) const = default;
};

/// A value that a register had. `dot` is its identity; `parents` are the versions that it replaces.
template <class Value>
struct Version {
  Dot dot;
  uint64_t hlc = 0;
  std::vector<Dot> parents;  // ascending
  Value value;
  bool operator==(const Version&) const = default;
};

/// What a segment says of one entry: the registers that changed.
struct EntryRecord {
  EntryId entry;
  uint8_t type = 0;  // DT_*
  std::optional<Version<Location>> location;
  std::optional<Version<Content>> content;
  std::optional<Version<Attributes>> attributes;
  bool operator==(const EntryRecord&) const = default;
};

}  // namespace tain::sync
