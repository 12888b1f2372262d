// SPDX-License-Identifier: Apache-2.0
// The rules of a POSIX file system over a vault, without any type of FUSE.
//
// store/ keeps names, attributes and bytes consistent; this class adds what a mount needs beyond that: limits
// on arguments, who owns a new inode, when set-user-id goes, which extended attributes exist, and how long an
// unlinked file lives. fs/ops.cc decodes requests into these calls. Permission checks are the kernel's.
//
// Every method marked [entry] tells the kernel of an inode: its count goes up by one, and the caller gives it
// back with forget(), either because the kernel said so or because the reply did not reach the kernel.
//
// Threads: all methods, concurrently. The vault outlives this.
#pragma once

#include <sys/statvfs.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"
#include "fs/lookups.h"
#include "store/content.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::fs {

/// Who asks.
struct Caller {
  uint32_t uid = 0;
  uint32_t gid = 0;
};

/// One line of a directory listing, `.` and `..` included.
struct DirectoryItem {
  std::string_view name;
  Ino ino{};
  uint8_t type = 0;     // DT_*
  uint64_t offset = 0;  // pass it to list() to go on after this item
};

class Filesystem {
 public:
  explicit Filesystem(store::Vault& vault);

  /// [entry] Errors: not_found, not_directory, name_too_long.
  Result<store::Attr> lookup(Ino directory, std::string_view name);
  /// [entry] The attributes of an item that list() yielded. Errors: not_found.
  Result<store::Attr> acquire(Ino ino);
  /// Gives back `count` lookups; an orphan that nobody uses any more is removed for good.
  void forget(Ino ino, uint64_t count);

  Result<store::Attr> getattr(Ino ino);
  /// Clears set-user-id and set-group-id as chown(2) and truncate(2) demand.
  Result<store::Attr> setattr(Ino ino, const store::AttrChange& change, const Caller& caller);
  Result<std::string> readlink(Ino ino);

  /// [entry] A file, directory, FIFO or socket; no type means file. Errors: not_permitted (a device), those of
  /// Tree::make.
  Result<store::Attr> make(Ino directory, std::string_view name, uint32_t mode, const Caller& caller);
  /// [entry]
  Result<store::Attr> symlink(std::string_view target, Ino directory, std::string_view name, const Caller& caller);
  /// [entry] A file without a name.
  Result<store::Attr> make_unnamed(Ino directory, uint32_t mode, const Caller& caller);
  /// [entry] Another name for `ino`.
  Result<store::Attr> link(Ino ino, Ino directory, std::string_view name);
  Result<> unlink(Ino directory, std::string_view name);
  Result<> rmdir(Ino directory, std::string_view name);
  /// `flags` as renameat2(2). Errors: invalid_argument for any but NOREPLACE or EXCHANGE.
  Result<> rename(Ino from_directory, std::string_view from, Ino to_directory, std::string_view to, uint32_t flags);

  /// Calls `take` for the items after `offset` until it returns false; 0 is the start.
  Result<> list(Ino directory, uint64_t offset, const std::function<bool(const DirectoryItem&)>& take);

  Result<size_t> read(Ino ino, uint64_t offset, ByteSpan out);
  /// `caller` is the user that writes: everyone but root takes set-user-id and set-group-id away.
  Result<> write(Ino ino, uint64_t offset, ByteView data, const Caller& caller);
  /// `mode` as fallocate(2). Errors: unsupported, invalid_argument, too_large, no_space.
  Result<> allocate(Ino ino, int mode, uint64_t offset, uint64_t length, const Caller& caller);
  /// SEEK_DATA and SEEK_HOLE. Errors: no_such_offset, invalid_argument.
  Result<uint64_t> seek(Ino ino, uint64_t offset, int whence);
  /// Copies at most kCopyMax bytes; the caller asks again for the rest.
  Result<uint64_t> copy(Ino from, uint64_t from_offset, Ino to, uint64_t to_offset, uint64_t length,
                        const Caller& caller);
  /// Makes `ino`, a file or a directory, durable.
  Result<> sync(Ino ino);

  /// Errors: no_attribute, unsupported (a name space that is not kept).
  Result<Bytes> get_xattr(Ino ino, const std::string& name);
  /// Names, each followed by NUL. Only root sees trusted.*.
  Result<std::string> list_xattrs(Ino ino, const Caller& caller);
  /// `flags` as setxattr(2).
  Result<> set_xattr(Ino ino, const std::string& name, ByteView value, int flags);
  Result<> remove_xattr(Ino ino, const std::string& name);

  /// Space as the disk below has it: a vault has no limit of its own.
  Result<struct statvfs> statfs();

  const Lookups& lookups() const { return lookups_; }

  static constexpr uint64_t kCopyMax = uint64_t{16} << 20;  // bytes in one request, so that it can be interrupted
  static constexpr uint32_t kStatfsBlock = 4096;            // bytes

 private:
  /// Counts the inode that `attr` is about.
  Result<store::Attr> counted(Result<store::Attr> attr);
  /// Content of `ino` is about to change other than by write(): set-user-id and set-group-id go, as they do there.
  Result<> clear_privileges(Ino ino, const Caller& caller);
  void orphaned(const store::Unlinked& unlinked);
  void reap(Ino ino);

  store::Vault& vault_;
  store::Tree& tree_;
  store::Content& content_;
  UniqueFd directory_;  // the vault's, which may be moved while it is mounted
  Lookups lookups_;
};

}  // namespace tain::fs
