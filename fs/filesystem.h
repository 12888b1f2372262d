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
// What is in .tain/ is fs/virtual_tree's: it fails with read_only for whoever wants to change it.
//
// Threads: all methods, concurrently. The vault outlives this.
#pragma once

#include <sys/statvfs.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "fs/lookups.h"
#include "fs/owners.h"
#include "fs/virtual_tree.h"
#include "store/content.h"
#include "store/time_lock.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::fs {

/// Who asks.
struct Caller {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t umask = 0;
  /// Supplementary groups, looked up when somebody wants to know: that takes a while. Empty: none.
  std::function<std::vector<uint32_t>()> groups{};

  bool is_member(uint32_t group) const;
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
  struct Options {
    bool keep_atime = false;  // reading changes no atime
    bool acls = true;         // else the attributes that hold ACLs are not supported; they are inherited all the same
    Owners owners{};          // how the numbers that callers have and see differ from those of the vault
    VirtualTree::Options past{};  // of .tain/, or of a mount of the past, where everything is read-only
  };
  explicit Filesystem(store::Vault& vault) : Filesystem(vault, Options()) {}
  Filesystem(store::Vault& vault, const Options& options);
  ~Filesystem();
  Filesystem(const Filesystem&) = delete;
  Filesystem& operator=(const Filesystem&) = delete;

  /// [entry] Errors: not_found, not_directory, name_too_long.
  Result<store::Attr> lookup(Ino directory, std::string_view name);
  /// [entry] The attributes of an item that list() yielded. Errors: not_found.
  Result<store::Attr> acquire(Ino ino);
  /// Gives back `count` lookups; an orphan that nobody uses any more is removed for good.
  void forget(Ino ino, uint64_t count);
  /// An inode lost a name, by a request or otherwise: if it was the last one, it goes once the kernel does not know it.
  void orphaned(const store::Unlinked& unlinked);

  Result<store::Attr> getattr(Ino ino);
  /// Clears set-user-id and set-group-id as chown(2) and truncate(2) demand. A change of nothing is chown(2) with
  /// neither owner nor group, or the kernel's word that a file is about to be written.
  Result<store::Attr> setattr(Ino ino, const store::AttrChange& change, const Caller& caller);
  Result<std::string> readlink(Ino ino);

  /// [entry] Anything but a symbolic link; no type means file. `device` is st_rdev of a device. Errors: those of
  /// Tree::make.
  Result<store::Attr> make(Ino directory, std::string_view name, uint32_t mode, const Caller& caller,
                           uint64_t device = 0);
  /// [entry]
  Result<store::Attr> symlink(std::string_view target, Ino directory, std::string_view name, const Caller& caller);
  /// [entry] A file without a name.
  Result<store::Attr> make_unnamed(Ino directory, uint32_t mode, const Caller& caller);
  /// [entry] Another name for `ino`.
  Result<store::Attr> link(Ino ino, Ino directory, std::string_view name);
  Result<> unlink(Ino directory, std::string_view name);
  Result<> rmdir(Ino directory, std::string_view name);
  /// `flags` as renameat2(2). Errors: invalid_argument for unknown ones.
  Result<> rename(Ino from_directory, std::string_view from, Ino to_directory, std::string_view to, uint32_t flags,
                  const Caller& caller);

  /// Calls `take` for the items after `offset` until it returns false; 0 is the start.
  Result<> list(Ino directory, uint64_t offset, const std::function<bool(const DirectoryItem&)>& take);

  /// `keep_atime`: as O_NOATIME.
  Result<size_t> read(Ino ino, uint64_t offset, ByteSpan out, bool keep_atime = false);
  /// `caller` is the user that writes: everyone but root takes set-user-id away, and set-group-id where it means "run
  /// as group" or the caller is not of that group.
  Result<> write(Ino ino, uint64_t offset, ByteView data, const Caller& caller,
                 store::WriteSource source = store::WriteSource::program);
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
  /// `flags` as setxattr(2). An ACL changes the mode too.
  Result<> set_xattr(Ino ino, const std::string& name, ByteView value, int flags, const Caller& caller);
  Result<> remove_xattr(Ino ino, const std::string& name);

  /// Space as the disk below has it: a vault has no limit of its own.
  Result<struct statvfs> statfs();

  const Lookups& lookups() const { return lookups_; }

  static constexpr uint64_t kCopyMax = uint64_t{16} << 20;  // bytes in one request, so that it can be interrupted
  static constexpr uint32_t kStatfsBlock = 4096;            // bytes

 private:
  /// Whether `ino` is the virtual tree's.
  bool is_past(Ino ino) const { return raw(ino) >= past_from_; }
  /// Errors: read_only, where nothing can be changed.
  Result<> check_writable(Ino ino) const;
  /// Of a name that is to be made, removed or moved. `taken`: what the name .tain means to the caller.
  Result<> check_name(Ino directory, std::string_view name, Code taken = Code::read_only) const;
  Result<> check_xattr_name(std::string_view name) const;
  /// What the attribute kUnlockXattr says; nothing if it is not locked.
  Result<std::optional<std::string>> unlock_time(Ino ino);
  /// `attr` as the mount shows it.
  Result<store::Attr> shown(Result<store::Attr> attr) const;
  /// The same of an inode that the kernel now refers to once more.
  Result<store::Attr> counted(Result<store::Attr> attr);
  /// A new inode of `caller`, whose numbers become those of the vault.
  store::NewInode new_inode(uint32_t mode, const Caller& caller) const;
  /// An ACL with the mount's numbers, made of one with the vault's, or the other way round.
  Result<Bytes> translated_acl(ByteView value) const;
  /// Content of `ino` changes other than by write(): set-user-id and set-group-id go, as they do there.
  Result<> clear_privileges(Ino ino, const Caller& caller);
  void reap(Ino ino);

  store::Vault& vault_;
  store::Tree& tree_;
  store::Content& content_;
  const Options options_;
  UniqueFd directory_;  // the vault's, which may be moved while it is mounted
  Lookups lookups_;
  const uint64_t past_from_;  // inode numbers from here on are the virtual tree's
  VirtualTree past_;
};

}  // namespace tain::fs
