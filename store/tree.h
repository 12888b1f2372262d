// SPDX-License-Identifier: Apache-2.0
// The namespace: names, inodes, links and attributes, with the rules of POSIX.
//
// Every method is one atomic change: a crash shows all of it or nothing. What is time-locked (store/time_lock.h) keeps its
// size and, if it is a folder, its names, and is not removed or replaced: time_locked. Permission checks are the
// kernel's (default_permissions); everything else a local file system refuses is refused here.
// Threads: all methods may be called concurrently.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/types.h"

namespace tain::store {

class WorkingSet;

struct NewInode {
  uint32_t mode = 0;  // type and permissions
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint32_t umask = 0;   // permissions to leave out, unless the directory has a default ACL
  std::string symlink;  // target, for S_IFLNK
};

/// Which attributes to change. ctime always becomes now.
struct AttrChange {
  std::optional<uint32_t> mode;  // permission bits; the type is kept
  std::optional<uint32_t> uid, gid;
  std::optional<uint64_t> size;
  std::optional<Time> atime, mtime;  // explicit
  bool atime_now = false, mtime_now = false;
};

/// `restore`: as replace, by a former state of it. What it replaces stays, however short it stood and however many states
/// there are: as the state before, or in the trash. But for droppings, of which nothing is kept.
enum class RenameMode { replace, no_replace, exchange, restore };

/// What an operation did to a linked inode, so that the caller can drop it when the kernel forgets it.
struct Unlinked {
  Ino ino{};
  bool orphan = false;  // no name leads to it any more: call reap() once nobody uses it
};

/// One entry of a listing.
struct ListItem {
  std::string_view name;
  Ino ino{};
  uint8_t type = 0;  // DT_*
  Cookie cookie{};   // pass it to list() to go on after this entry
};

enum class XattrMode { any, create, replace };

enum class AclKind {
  access,    // who may use the inode
  standard,  // "default" in acl(5): what is made in the directory gets
};

/// Whether a file may have this name. Errors: name_too_long, invalid_argument.
Result<> check_name(std::string_view name);

class Tree {
 public:
  explicit Tree(WorkingSet& set) : set_(set) {}

  /// Errors: not_found, not_directory, name_too_long.
  Result<Attr> lookup(Ino directory, std::string_view name);
  Result<Attr> getattr(Ino ino);
  /// `ino` was listed or followed: see WorkingSet::note_access. Harmless when it is gone.
  void note_access(Ino ino);
  /// Changing the size truncates or extends. Errors: too_large, is_directory, no_space.
  /// A new mode moves the mask of an ACL.
  Result<Attr> setattr(Ino ino, const AttrChange& change);
  Result<std::string> readlink(Ino ino);
  /// The directory that `..` of `directory` leads to.
  Result<Ino> parent(Ino directory);

  /// Makes an inode of any type. Set-group-id directories pass on their group, and directories with a default ACL
  /// that.
  /// Errors: exists, not_found (the directory was removed), name_too_long, too_many_links, no_space.
  Result<Attr> make(Ino directory, std::string_view name, const NewInode& inode);
  /// A file without a name (O_TMPFILE); link() may name it. Call reap() once nobody uses it.
  Result<Attr> make_unnamed(Ino directory, const NewInode& inode);
  /// Another name for `ino`. Errors: exists, not_permitted (a directory), too_many_links.
  Result<Attr> link(Ino ino, Ino directory, std::string_view name);
  /// Errors: is_directory.
  Result<Unlinked> unlink(Ino directory, std::string_view name);
  /// Errors: not_directory, not_empty.
  Result<Unlinked> rmdir(Ino directory, std::string_view name);
  /// Yields what the rename replaced, if anything. `whiteout` takes the name that became free, in the same change;
  /// not with an exchange. Errors as rename(2).
  Result<std::optional<Unlinked>> rename(Ino from_directory, std::string_view from, Ino to_directory,
                                         std::string_view to, RenameMode mode,
                                         const std::optional<NewInode>& whiteout = std::nullopt);
  /// Removes an orphan for good. Harmless when `ino` has names or is gone.
  Result<> reap(Ino ino);

  /// Calls `take` for each entry after `after` in cookie order until it returns false. Without `.`
  /// and `..`; start with Cookie{0}. `take` runs without any lock and the name is valid only inside it.
  /// An entry that exists throughout is seen exactly once. Errors: corrupt (after everything that can be read).
  Result<> list(Ino directory, Cookie after, const std::function<bool(const ListItem&)>& take);

  /// Errors: no_attribute.
  Result<Bytes> get_xattr(Ino ino, const std::string& name);
  Result<Xattrs> list_xattrs(Ino ino);
  /// Errors: exists (create), no_attribute (replace), out_of_range (name), too_big (value), no_space (total).
  Result<> set_xattr(Ino ino, const std::string& name, ByteView value, XattrMode mode);
  Result<> remove_xattr(Ino ino, const std::string& name);
  /// Sets an ACL in Linux's form (store/acl.h). An access ACL sets the permission bits too, and is kept only if it says
  /// more than they do; unless `keep_set_group_id`, it clears that bit. ACLs are read and removed as attributes.
  /// Errors: those of Acl::parse, access_denied (a default ACL of what is no directory), unsupported (a symlink).
  Result<> set_acl(Ino ino, AclKind kind, ByteView value, bool keep_set_group_id);
  /// Whether any entry has an ACL, or ever had one. Errors: corrupt, io.
  Result<bool> has_acls();

 private:
  WorkingSet& set_;
};

}  // namespace tain::store
