// SPDX-License-Identifier: Apache-2.0
// Strong types for the numbers and names that must not be swapped for one another.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>

namespace tain {

/// Inode number: persistent, local to this store, never reused. The root directory is 1.
enum class Ino : uint64_t {};
inline constexpr Ino kRootIno{1};
constexpr uint64_t raw(Ino ino) { return static_cast<uint64_t>(ino); }

/// Position of a name within its directory, from a keyed hash of the name: a readdir cookie.
enum class Cookie : uint64_t {};
constexpr uint64_t raw(Cookie cookie) { return static_cast<uint64_t>(cookie); }

/// Time in memory: one more with every change to the working set. Not stored.
using Tick = uint64_t;

using Id16 = std::array<uint8_t, 16>;
using Id32 = std::array<uint8_t, 32>;

/// Global identity of an entry, kept over renames, saves and devices. Random.
struct EntryId { Id16 bytes{}; auto operator<=>(const EntryId&) const = default; };
/// Identity of one file's content; every block of it is bound to this. Random.
struct ContentId { Id16 bytes{}; auto operator<=>(const ContentId&) const = default; };
/// Identity of the vault, in the header and in every associated data. Random.
struct VaultId { Id16 bytes{}; auto operator<=>(const VaultId&) const = default; };

/// Identity of a stored block: the writer that made it and that writer's running number.
/// Sequential within a writer, so that blocks written together lie together in the store.
struct BlockId {
  uint64_t writer = 0;
  uint64_t number = 0;
  auto operator<=>(const BlockId&) const = default;
};

/// A change's position: which writer (a device's incarnation) made it and its running number.
struct Dot {
  uint64_t writer = 0;
  uint64_t counter = 0;
  auto operator<=>(const Dot&) const = default;
};

/// A change's position and hybrid logical time (48 bits of Unix milliseconds, 16 bits of counter).
struct Stamp {
  Dot dot;
  uint64_t hlc = 0;
  auto operator<=>(const Stamp&) const = default;
};

/// The Unix seconds of a hybrid logical time.
constexpr int64_t seconds_of(uint64_t hlc) { return static_cast<int64_t>(hlc >> 16) / 1000; }

}  // namespace tain

template <>
struct std::hash<tain::BlockId> {
  size_t operator()(const tain::BlockId& id) const noexcept {
    return std::hash<uint64_t>()(id.writer ^ (id.number * 0x9e3779b97f4a7c15ULL));
  }
};
