// SPDX-License-Identifier: Apache-2.0
#include "store/tree.h"

#include <dirent.h>

#include <algorithm>

#include "base/check.h"
#include "store/acl.h"
#include "store/droppings.h"
#include "store/edit.h"
#include "store/time_lock.h"
#include "store/tree_parts.h"

namespace tain::store {
namespace {

constexpr size_t kListedAtOnce = 128;  // entries read under one lock

Error no_such_name() { return Error(Code::not_found, "no such name in this directory"); }
Error name_taken() { return Error(Code::exists, "the name is taken"); }

Result<CachedInode*> find_directory(WorkingSet& set, Ino ino) {
  CachedInode* inode = TRY(set.find(ino));
  if (!inode->record.is_directory()) return Error(Code::not_directory, "not a directory");
  return inode;
}

/// Nothing is added to a time-locked directory, and nothing taken away.
Result<CachedInode*> find_unlocked_directory(WorkingSet& set, Ino ino) {
  CachedInode* inode = TRY(find_directory(set, ino));
  TRY(check_unlocked(set, inode->record));
  return inode;
}

/// A directory that still has a name: nothing may be added to a removed one.
Result<CachedInode*> find_live_directory(WorkingSet& set, Ino ino) {
  CachedInode* inode = TRY(find_unlocked_directory(set, ino));
  if (inode->record.nlink == 0) return Error(Code::not_found, "the directory was removed");
  return inode;
}

void touch_directory(WorkingSet& set, CachedInode& directory, Time now) {
  directory.record.mtime = directory.record.ctime = now;
  set.touch(directory);
}

/// One name fewer leads to `inode`. It was the last one: the inode stays if it `stays`, else it is an orphan.
Unlinked drop_link(WorkingSet& set, CachedInode& inode, Time now, bool stays) {
  if (inode.record.is_directory()) inode.record.nlink = 0;
  else --inode.record.nlink;
  const bool is_last = inode.record.nlink == 0;
  // What stays keeps its times: restoring it is no change.
  if (is_last && stays) set.retire(inode);
  else touch_inode(set, inode, now);
  return {.ino = inode.record.ino, .orphan = is_last && !stays};
}

/// The name `dirent` goes, to `by` if that is moved over it: what leads where stays in the past, in any case with `must_keep`.
Unlinked drop_name(WorkingSet& set, const Dirent& dirent, CachedInode& inode, Time now, const CachedInode* by = nullptr,
                   bool must_keep = false) {
  const bool stays = must_keep || set.is_worth_keeping(inode, dirent.name);
  const bool is_last = inode.record.is_directory() || inode.record.nlink == 1;
  // One that was succeeded and lived on is an entry of its own; as the backup of a save it is but a former state.
  const bool was_succeeded = inode.record.past.successors != 0;
  const bool is_trashed = is_last && stays && (!was_succeeded || must_keep || !set.is_backup(inode, dirent.name, by));
  if (is_trashed && was_succeeded) inode.record.flags |= kInodeTrashed;
  set.keep_name(dirent, NameEnd::removed, is_trashed);
  set.vacate(dirent.directory, dirent.name, dirent.child);
  return drop_link(set, inode, now, stays);
}

/// Whoever is made under a name that was just removed, or renamed away, is the same entry's next state.
void continue_entry(WorkingSet& set, Ino directory, std::string_view name, CachedInode& made) {
  set.classify(made, name);
  const std::optional<Ino> before = set.take_vacated(directory, name);
  if (!before.has_value() || !made.record.is_regular()) return;
  auto previous = set.find(*before);
  if (!previous.ok() || *previous == &made || !(*previous)->record.is_regular()) return;
  const Inode& record = (*previous)->record;
  // An orphan is not worth keeping, and the history of an entry does not fork.
  if (!check_unlocked(set, record).ok()) return;  // what is locked stays what it is
  if ((record.nlink == 0 && !record.is_retired()) || record.past.successors != 0) return;
  set.succeed(made, **previous, record.nlink == 0);
}

/// Whether `directory` is `ancestor` or lies below it.
Result<bool> is_inside(WorkingSet& set, Ino directory, Ino ancestor) {
  while (directory != ancestor) {
    if (directory == kRootIno) return false;
    directory = TRY(find_directory(set, directory))->record.parent;
  }
  return true;
}

Inode new_record(WorkingSet& set, const CachedInode& parent, const NewInode& options) {
  Inode record;
  record.mode = options.mode;
  record.uid = options.uid;
  record.gid = options.gid;
  record.rdev = options.rdev;
  record.symlink = options.symlink;
  if ((parent.record.mode & S_ISGID) != 0) {
    record.gid = parent.record.gid;
    if (record.is_directory()) record.mode |= S_ISGID;
  }
  record.nlink = record.is_directory() ? 2 : 1;
  if (record.is_directory()) record.parent = parent.record.ino;
  record.atime = record.mtime = record.ctime = record.btime = set.now();
  return record;
}

/// What ACL `name` says, if the inode has it.
Result<std::optional<Acl>> find_acl(WorkingSet& set, CachedInode& inode, std::string_view name) {
  using Found = std::optional<Acl>;
  if ((inode.record.flags & kInodeHasXattrs) == 0) return Found();
  const Xattrs* xattrs = TRY(set.xattrs(inode));
  const auto it = xattrs->find(std::string(name));
  if (it == xattrs->end()) {
    release_xattrs(inode);
    return Found();
  }
  auto acl = Acl::parse(it->second);
  release_xattrs(inode);
  if (!acl.ok()) return Error(Code::corrupt, "the access control list of an inode is damaged");
  return Found(std::move(acl).value());
}

/// Applies the parent's default ACL, or the umask where there is none, to a new record. Yields its ACLs.
Result<Xattrs> inherit_acls(WorkingSet& set, CachedInode& parent, Inode& record, uint32_t umask) {
  Xattrs out;
  if (record.is_symlink()) return out;
  std::optional<Acl> acl = TRY(find_acl(set, parent, kAclDefault));
  if (!acl.has_value()) {
    record.mode &= ~(umask & 0777u);
    return out;
  }
  if (record.is_directory()) out[std::string(kAclDefault)] = acl->encode();
  record.mode = acl->inherit(record.mode);
  if (!acl->is_minimal()) out[std::string(kAclAccess)] = acl->encode();
  return out;
}

/// A new inode with these attributes.
CachedInode& create(WorkingSet& set, const Inode& record, Xattrs xattrs) {
  CachedInode& inode = set.create(record);
  if (xattrs.empty()) return inode;
  inode.xattrs = std::move(xattrs);
  inode.record.flags |= kInodeHasXattrs;
  set.touch_xattrs(inode);
  return inode;
}

/// Times alone are no state of their own, and neither is what is there already.
bool changes_owner_or_mode(const Inode& record, const AttrChange& change) {
  return (change.mode.has_value() && (*change.mode & 07777u) != (record.mode & 07777u)) ||
         (change.uid.has_value() && *change.uid != record.uid) || (change.gid.has_value() && *change.gid != record.gid);
}

}  // namespace

Result<> check_name(std::string_view name) {
  if (name.size() > kNameMax) return Error(Code::name_too_long, "names have at most 255 bytes");
  if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos || name.find('\0') != name.npos)
    return Error(Code::invalid_argument, "not a name");
  return {};
}

Result<Attr> Tree::lookup(Ino directory, std::string_view name) {
  if (name.size() > kNameMax) return Error(Code::name_too_long, "names have at most 255 bytes");
  auto lock = set_.lock();
  CachedInode* parent = TRY(find_directory(set_, directory));
  if (name == ".") return set_.attributes(*parent);
  if (name == "..") return set_.attributes(*TRY(set_.find(parent->record.parent)));
  auto dirent = TRY(set_.find_name(directory, name));
  if (!dirent.has_value()) return no_such_name();
  auto inode = set_.find(dirent->child);
  // The name is there, so what it leads to has to be.
  if (inode.is(Code::not_found)) return Error(Code::corrupt, std::move(inode).error().message());
  return set_.attributes(*TRY(std::move(inode)));
}

Result<Attr> Tree::getattr(Ino ino) {
  auto lock = set_.lock();
  return set_.attributes(*TRY(set_.find(ino)));
}

void Tree::note_access(Ino ino) {
  auto lock = set_.lock();
  if (auto inode = set_.find(ino); inode.ok()) set_.note_access(**inode);
}

Result<Attr> Tree::setattr(Ino ino, const AttrChange& change) {
  auto lock = set_.lock();
  CachedInode* inode = nullptr;
  if (change.size.has_value()) {
    TRY(check_unlocked(set_, ino));
    // Only a file that gets longer takes space for good.
    if (*change.size > TRY(set_.find(ino))->record.content.size)
      TRY(set_.wait_for_room(lock, Growth::of_content(kBlockSize)));
    else
      set_.wait_to_retire(lock);
    inode = TRY(set_size(set_, lock, ino, *change.size));
  } else {
    set_.wait_to_retire(lock);
    if (changes_owner_or_mode(TRY(set_.find(ino))->record, change)) set_.before_change(lock, ino);
    inode = TRY(set_.find(ino));
  }
  Inode& record = inode->record;
  const Time now = set_.now();
  if (change.mode.has_value()) {
    if (auto acl = TRY(find_acl(set_, *inode, kAclAccess)); acl.has_value()) {
      acl->set_mode(*change.mode);
      put_xattr(set_, *inode, *TRY(set_.xattrs(*inode)), kAclAccess, acl->encode());
    }
    record.mode = (record.mode & S_IFMT) | (*change.mode & 07777u);
  }
  if (change.uid.has_value()) record.uid = *change.uid;
  if (change.gid.has_value()) record.gid = *change.gid;
  if (change.atime.has_value()) record.atime = *change.atime;
  if (change.atime_now) record.atime = now;
  if (change.mtime.has_value()) record.mtime = *change.mtime;
  if (change.mtime_now) record.mtime = now;
  touch_inode(set_, *inode, now);
  return set_.attributes(*inode);
}

Result<std::string> Tree::readlink(Ino ino) {
  auto lock = set_.lock();
  CachedInode* inode = TRY(set_.find(ino));
  if (!inode->record.is_symlink()) return Error(Code::invalid_argument, "not a symbolic link");
  return inode->record.symlink;
}

Result<Ino> Tree::parent(Ino directory) {
  auto lock = set_.lock();
  return TRY(find_directory(set_, directory))->record.parent;
}

Result<Attr> Tree::make(Ino directory, std::string_view name, const NewInode& options) {
  TRY(check_name(name));
  if (options.symlink.size() > kSymlinkMax) return Error(Code::name_too_long, "a link's target has at most 4095 bytes");
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock, {.values = 2}));  // a long link, or inherited ACLs
  CachedInode* parent = TRY(find_live_directory(set_, directory));
  if (TRY(set_.find_name(directory, name)).has_value()) return name_taken();
  const bool is_directory = S_ISDIR(options.mode);
  if (is_directory && parent->record.nlink >= kLinkMax)
    return Error(Code::too_many_links, "the directory has too many subdirectories");

  Inode record = new_record(set_, *parent, options);
  Xattrs acls = TRY(inherit_acls(set_, *parent, record, options.umask));
  // The name first: it is what can fail. The number is the one that create() will take.
  TRY(set_.add_name(directory, name, Ino{set_.next_ino()}, dirent_type(record.mode)));
  CachedInode& inode = create(set_, record, std::move(acls));
  continue_entry(set_, directory, name, inode);
  parent->removing = false;
  ++parent->record.children;
  if (is_directory) ++parent->record.nlink;
  touch_directory(set_, *parent, record.mtime);
  return set_.attributes(inode);
}

Result<Attr> Tree::make_unnamed(Ino directory, const NewInode& options) {
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock, {.values = 2}));
  CachedInode* parent = TRY(find_live_directory(set_, directory));
  Inode record = new_record(set_, *parent, options);
  record.nlink = 0;
  Xattrs acls = TRY(inherit_acls(set_, *parent, record, options.umask));
  return set_.attributes(create(set_, record, std::move(acls)));
}

Result<Attr> Tree::link(Ino ino, Ino directory, std::string_view name) {
  TRY(check_name(name));
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock));
  CachedInode* parent = TRY(find_live_directory(set_, directory));
  CachedInode* inode = TRY(set_.find(ino));
  if (inode->record.is_directory()) return Error(Code::not_permitted, "directories have one name");
  if (inode->record.nlink >= kLinkMax) return Error(Code::too_many_links, "the file has too many names");
  if (TRY(set_.find_name(directory, name)).has_value()) return name_taken();

  TRY(set_.add_name(directory, name, ino, dirent_type(inode->record.mode)));
  const Time now = set_.now();
  if (inode->record.is_retired()) set_.unretire(*inode, directory);  // named again while somebody has it open
  else ++inode->record.nlink;
  if (!is_dropping(name)) set_.classify(*inode, name);
  touch_inode(set_, *inode, now);
  ++parent->record.children;
  touch_directory(set_, *parent, now);
  return set_.attributes(*inode);
}

Result<Unlinked> Tree::unlink(Ino directory, std::string_view name) {
  TRY(check_name(name));
  auto lock = set_.lock();
  set_.wait_to_retire(lock);
  CachedInode* parent = TRY(find_unlocked_directory(set_, directory));
  auto dirent = TRY(set_.find_name(directory, name));
  if (!dirent.has_value()) return no_such_name();
  if (dirent->type == DT_DIR) return Error(Code::is_directory, "is a directory");
  auto inode = set_.find(dirent->child);
  // A name that leads to a damaged file can go; the file's record stays for repair.
  const bool damaged = inode.is(Code::corrupt) || inode.is(Code::not_found);
  if (!inode.ok() && !damaged) return std::move(inode).error();
  if (!damaged) TRY(check_unlocked(set_, (*inode)->record));

  if (!is_dropping(name)) set_.before_change(lock, directory, /*removal=*/true);  // it has its times from before
  const Time now = set_.now();
  set_.remove_name(*dirent);
  --parent->record.children;
  touch_directory(set_, *parent, now);
  if (damaged) return Unlinked{.ino = dirent->child, .orphan = false};
  return drop_name(set_, *dirent, **inode, now);
}

Result<Unlinked> Tree::rmdir(Ino directory, std::string_view name) {
  TRY(check_name(name));
  auto lock = set_.lock();
  set_.wait_to_retire(lock);
  CachedInode* parent = TRY(find_unlocked_directory(set_, directory));
  auto dirent = TRY(set_.find_name(directory, name));
  if (!dirent.has_value()) return no_such_name();
  CachedInode* inode = TRY(find_directory(set_, dirent->child));
  if (inode->record.children != 0) return Error(Code::not_empty, "the directory is not empty");
  TRY(check_unlocked(set_, inode->record));

  set_.before_change(lock, directory, /*removal=*/true);  // it has its times from before
  const Time now = set_.now();
  set_.remove_name(*dirent);
  --parent->record.children;
  --parent->record.nlink;
  touch_directory(set_, *parent, now);
  return drop_name(set_, *dirent, *inode, now);
}

Result<> Tree::reap(Ino ino) {
  auto lock = set_.lock();
  set_.wait_to_free(lock);
  auto inode = set_.find(ino);
  if (inode.is(Code::not_found)) return {};
  if (!inode.ok()) return std::move(inode).error();
  if ((*inode)->record.nlink == 0 && !(*inode)->record.is_retired()) set_.remove_for_good(**inode);
  return {};
}

Result<std::optional<Unlinked>> Tree::rename(Ino from_directory, std::string_view from, Ino to_directory,
                                             std::string_view to, RenameMode mode,
                                             const std::optional<NewInode>& whiteout) {
  using Replaced = std::optional<Unlinked>;
  TRY(check_name(from));
  TRY(check_name(to));
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock));
  CachedInode* source_parent = TRY(find_unlocked_directory(set_, from_directory));
  CachedInode* target_parent = TRY(find_live_directory(set_, to_directory));
  auto source = TRY(set_.find_name(from_directory, from));
  if (!source.has_value()) return no_such_name();
  auto target = TRY(set_.find_name(to_directory, to));
  CachedInode* moved = TRY(set_.find(source->child));
  CachedInode* replaced = target.has_value() ? TRY(set_.find(target->child)) : nullptr;
  const bool moves_directory = moved->record.is_directory();

  if (mode == RenameMode::no_replace && replaced != nullptr) return name_taken();
  if (mode == RenameMode::exchange && replaced == nullptr) return no_such_name();
  if (moves_directory && TRY(is_inside(set_, to_directory, moved->record.ino)))
    return Error(Code::invalid_argument, "a directory cannot move into itself");
  const Time now = set_.now();

  if (mode == RenameMode::exchange) {
    const bool other_directory = replaced->record.is_directory();
    if (other_directory && TRY(is_inside(set_, from_directory, replaced->record.ino)))
      return Error(Code::invalid_argument, "a directory cannot move into itself");
    if (replaced == moved) return Replaced();
    const Dirent source_entry = *source;
    set_.keep_name(*source, NameEnd::moved);
    set_.keep_name(*target, NameEnd::moved);
    set_.retarget(*source, target->child, target->type);
    set_.retarget(*target, source_entry.child, source_entry.type);
    if (moves_directory) moved->record.parent = to_directory;
    if (other_directory) replaced->record.parent = from_directory;
    if (moves_directory != other_directory) {
      CachedInode* gains = moves_directory ? target_parent : source_parent;
      CachedInode* loses = moves_directory ? source_parent : target_parent;
      ++gains->record.nlink;
      --loses->record.nlink;
    }
    touch_inode(set_, *replaced, now);
    touch_inode(set_, *moved, now);
    touch_directory(set_, *source_parent, now);
    touch_directory(set_, *target_parent, now);
    return Replaced();
  }

  if (replaced == moved) return Replaced();  // two names of one file: rename(2) does nothing
  if (replaced != nullptr) {
    const bool replaces_directory = replaced->record.is_directory();
    if (moves_directory && !replaces_directory) return Error(Code::not_directory, "the target is not a directory");
    if (!moves_directory && replaces_directory) return Error(Code::is_directory, "the target is a directory");
    if (replaces_directory && replaced->record.children != 0)
      return Error(Code::not_empty, "the target directory is not empty");
    TRY(check_unlocked(set_, replaced->record));
  }

  std::optional<Unlinked> out;
  const bool restores = mode == RenameMode::restore;
  const Dirent source_entry = *source;
  set_.keep_name(source_entry, NameEnd::moved);  // it ends before anything new begins
  if (replaced != nullptr && set_.takes_over(*moved, *replaced, to, restores)) {
    set_.retarget(*target, moved->record.ino, source->type, /*same_entry=*/true);
    const bool stays = set_.succeed(*moved, *replaced, replaced->record.nlink == 1, restores);
    out = drop_link(set_, *replaced, now, stays);
  } else if (replaced != nullptr) {
    set_.retarget(*target, moved->record.ino, source->type);
    if (moves_directory) --target_parent->record.nlink;
    out = drop_name(set_, *target, *replaced, now, moved, /*must_keep=*/restores && !is_dropping(to));
    set_.take_vacated(to_directory, to);  // it is taken again already
  } else {
    TRY(set_.add_name(to_directory, to, moved->record.ino, source->type));
    ++target_parent->record.children;
    set_.take_vacated(to_directory, to);
  }
  set_.classify(*moved, to);
  set_.vacate(from_directory, from, moved->record.ino);
  if (whiteout.has_value()) {
    const CachedInode& left = set_.create(new_record(set_, *source_parent, *whiteout));
    set_.retarget(*source, left.record.ino, dirent_type(left.record.mode));
  } else {
    set_.remove_name(*source);
    --source_parent->record.children;
  }
  if (moves_directory) {
    --source_parent->record.nlink;
    ++target_parent->record.nlink;
    moved->record.parent = to_directory;
  }
  touch_inode(set_, *moved, now);
  touch_directory(set_, *source_parent, now);
  if (source_parent != target_parent) touch_directory(set_, *target_parent, now);
  return out;
}

Result<> Tree::list(Ino directory, Cookie after, const std::function<bool(const ListItem&)>& take) {
  for (;;) {
    WorkingSet::Listing listing;
    {
      auto lock = set_.lock();
      TRY(find_directory(set_, directory));
      listing = TRY(set_.list(directory, after, kListedAtOnce));
    }
    for (const Dirent& dirent : listing.entries) {
      if (!take({.name = dirent.name, .ino = dirent.child, .type = dirent.type, .cookie = dirent.cookie})) return {};
    }
    if (listing.end && listing.damaged) {
      return Error(Code::corrupt, "names in directory " + std::to_string(raw(directory)) + " are damaged: more may be there")
          .hint("tain check tells what is damaged, tain salvage takes out what is intact");
    }
    if (listing.end) return {};
    after = listing.reached;
  }
}

}  // namespace tain::store
