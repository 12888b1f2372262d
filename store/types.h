// SPDX-License-Identifier: Apache-2.0
// What the store knows of an entry, as plain values: attributes, content, directory entries.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace tain::store {

inline constexpr uint32_t kBlockShift = 16;
inline constexpr uint64_t kBlockSize = uint64_t{1} << kBlockShift;  // bytes of plaintext
inline constexpr size_t kCellSize = 4096;  // bytes: unit of encryption within a block, and of dirty maps
inline constexpr size_t kPatchesMax = 3;       // over one block; a change that would be one more rewrites it
inline constexpr int kPatchCellsMax = 4;       // changes of more cells rewrite the block
inline constexpr uint32_t kMapFanout = 128;  // references in a map node
inline constexpr uint32_t kRootFanout = 16;  // references in an inode record
inline constexpr uint32_t kMapHeightMax = 4;
inline constexpr uint64_t kFileSizeMax = uint64_t{1} << 46;  // bytes
inline constexpr size_t kNameMax = 255;                      // bytes
inline constexpr size_t kSymlinkMax = 4095;                  // bytes
inline constexpr size_t kXattrNameMax = 255;                 // bytes
inline constexpr size_t kXattrValueMax = 65536;              // bytes
inline constexpr size_t kXattrCountMax = 4096;               // of one inode
inline constexpr size_t kXattrTotalMax = 128 * 1024;         // bytes, names and values of one inode
inline constexpr uint32_t kLinkMax = 1u << 30;
inline constexpr size_t kParentsMax = 16;
inline constexpr uint64_t kNoBlock = std::numeric_limits<uint64_t>::max();
static_assert(kBlockSize / kCellSize == 16, "a map of a block's cells is a u16");
// 16 slots of 128^4 blocks of 2^16 bytes = 2^48 ≥ kFileSizeMax.
static_assert(kFileSizeMax <= (uint64_t{kRootFanout} << (7 * kMapHeightMax + kBlockShift)));

/// Seconds and nanoseconds since the Unix epoch.
struct Time {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  auto operator<=>(const Time&) const = default;
};

/// A few cells of a block, written later than the block itself: small changes need not rewrite 64 KiB.
struct Patch {
  uint16_t cells = 0;  // bit i: the patch holds cell i of the block; they stand in it in this order
  BlockId id;
  std::array<uint8_t, 24> nonce{};
  std::array<uint8_t, 16> tag{};
  uint32_t length = 0;  // bytes of plaintext
  bool operator==(const Patch&) const = default;
};

/// Everything needed to find a block and to know that it is the right one.
struct BlockRef {
  BlockId id;
  std::array<uint8_t, 24> nonce{};
  std::array<uint8_t, 16> tag{};
  uint32_t length = 0;         // bytes of plaintext; the rest of the block reads as zeros
  std::vector<Patch> patches;  // laid over it, oldest first; only data blocks have any
  bool operator==(const BlockRef&) const = default;
};

/// A list of references by slot; a missing slot is a hole. The root in an inode, or a map node.
using RefList = std::map<uint8_t, BlockRef>;

/// A file's bytes as last committed to the database.
struct ContentRecord {
  ContentId id;
  uint64_t size = 0;       // bytes
  uint64_t allocated = 0;  // bytes of plaintext in its data blocks, as last committed
  uint8_t height = 0;
  RefList root;
  bool operator==(const ContentRecord&) const = default;
};

inline constexpr uint32_t kInodeHasXattrs = 1;
inline constexpr uint32_t kRootKnowsAcls = 2;  // of the root only: some entry has an ACL, or had one
inline constexpr uint32_t kInodeHasVersions = 8;  // or had some
inline constexpr uint32_t kInodeUnversioned = 32;  // an editor's dropping: nothing of it is kept
inline constexpr uint32_t kInodeTrashed = 64;  // succeeded while it lived on under another name, and removed there: in the trash
inline constexpr uint32_t kInodeHasPast = 256;  // `past` is not empty
inline constexpr uint32_t kInodeAltered = 512;  // changed since an inode last took its entry over

/// What an inode has to do with history (ADR 13). Times are HLCs.
///
/// An inode's *successors* are those that have it as their previous one. There are several where it lived on under another
/// name. Each state belongs to one timeline, which alone prunes it: those that ended after `forked` to the inode's own, those
/// between `floor` and `since` of a successor to that one's. Where a single successor is left, it has all up to its `since`.
struct Past {
  Ino previous{};         // whose entry this inode took over; 0: none
  uint64_t since = 0;     // when it did
  uint64_t floor = 0;     // of the previous one, what ended until then was another successor's already
  uint64_t retired = 0;   // when it left the present; 0: it is there
  uint64_t forked = 0;    // when an inode last took its entry over; 0: none did that is still there
  uint32_t successors = 0;  // how many have it as their previous one
  bool operator==(const Past&) const = default;
};

/// So many have the inode as their previous one. Without any its whole past is its own.
inline void set_successors(Past& past, uint32_t& flags, uint32_t count) {
  past.successors = count;
  if (count != 0) return;
  past.forked = 0;
  flags &= ~(kInodeTrashed | kInodeAltered);
}

/// The inode record (docs/format.md §6.1).
struct Inode {
  Ino ino{};
  EntryId entry;
  uint32_t mode = 0;  // st_mode: type and permission bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t nlink = 0;
  uint64_t rdev = 0;
  Time atime, mtime, ctime, btime;
  uint32_t flags = 0;
  uint64_t children = 0;  // directories: number of entries, without . and ..
  Ino parent{};           // directories: where .. leads
  int64_t time_lock = 0;  // Unix seconds until which content is refused; 0 = none
  Stamp attribute_stamp;
  Stamp content_stamp;
  std::vector<Dot> parents;  // content versions that this one replaces
  std::string symlink;
  Past past;
  ContentRecord content;

  bool is_directory() const { return S_ISDIR(mode); }
  bool is_regular() const { return S_ISREG(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
  /// It has left the present: it is in the trash, or a former state of the inode that took its entry over.
  bool is_retired() const { return past.retired != 0; }
  bool operator==(const Inode&) const = default;
};

/// The directory entry record (docs/format.md §6.2).
struct Dirent {
  Ino directory{};
  Cookie cookie{};
  Ino child{};
  uint8_t type = 0;  // DT_*
  Stamp location_stamp;
  std::string name;
  bool operator==(const Dirent&) const = default;
};

using Xattrs = std::map<std::string, Bytes>;

/// A state that an inode had (docs/format.md §6.6).
struct Version {
  uint64_t ended_hlc = 0;
  Time ended;
  Xattrs xattrs;
  Inode inode;
  bool operator==(const Version&) const = default;
};

/// Why a directory entry is no more.
enum class NameEnd : uint8_t { moved = 0, removed = 1 };

/// A directory entry that is no more (docs/format.md §6.7). It began with its location stamp.
struct PastName {
  uint64_t ended_hlc = 0;
  NameEnd why = NameEnd::moved;
  Dirent dirent;
  bool operator==(const PastName&) const = default;
};

/// Attributes as a caller sees them: what stat() needs.
struct Attr {
  Ino ino{};
  uint32_t mode = 0;
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size = 0;    // bytes
  uint64_t blocks = 0;  // units of 512 bytes, as st_blocks
  Time atime, mtime, ctime, btime;
};

/// DT_* of a mode.
inline uint8_t dirent_type(uint32_t mode) { return static_cast<uint8_t>((mode & S_IFMT) >> 12); }

}  // namespace tain::store
