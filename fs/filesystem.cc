// SPDX-License-Identifier: Apache-2.0
// The rules of a POSIX file system over a vault.
#include "fs/filesystem.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "store/acl.h"

namespace tain::fs {

using store::Attr;

namespace {

constexpr uint32_t kPermissionBits = 07777;
constexpr uint64_t kInodesReported = uint64_t{1} << 32;  // statfs: "no limit you will meet"

/// The kernel passes on names of up to 1024 bytes and lets the file system refuse.
Result<> check_range(uint64_t offset, uint64_t length) {
  if (offset > store::kFileSizeMax || length > store::kFileSizeMax - offset) {
    return Error(Code::too_large, "past the largest file size");
  }
  return {};
}

/// The mode of `file` after `caller` changed its owner or content: set-user-id goes; set-group-id goes where it means
/// "run as group", and elsewhere unless the caller is of the group. Root (CAP_FSETID) may change content without losing
/// them.
uint32_t without_privileges(const Attr& file, const Caller& caller) {
  if (S_ISDIR(file.mode) || (file.mode & (S_ISUID | S_ISGID)) == 0) return file.mode;
  uint32_t mode = file.mode & ~static_cast<uint32_t>(S_ISUID);
  if ((mode & S_ISGID) != 0 && ((mode & S_IXGRP) != 0 || !caller.is_member(file.gid))) {
    mode &= ~static_cast<uint32_t>(S_ISGID);
  }
  return mode;
}

bool is_empty(const store::AttrChange& change) {
  return !change.mode && !change.uid && !change.gid && !change.size && !change.atime && !change.mtime &&
         !change.atime_now && !change.mtime_now;
}

}  // namespace

bool Caller::is_member(uint32_t group) const {
  if (uid == 0 || gid == group) return true;
  if (!groups) return false;
  const std::vector<uint32_t> all = groups();
  return std::find(all.begin(), all.end(), group) != all.end();
}

Filesystem::Filesystem(store::Vault& vault, const Options& options)
    : vault_(vault),
      tree_(vault.tree()),
      content_(vault.content()),
      options_{.keep_atime = options.keep_atime || vault.read_only(), .acls = options.acls, .owners = options.owners},
      directory_(::open(vault.info().directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)),
      past_from_(options.past.root_hlc ? raw(kRootIno) : kVirtualFirst),
      past_(vault, lookups_, options.past) {
  // Whoever has a file open that is in the trash goes on using it, also when its time there is over.
  vault_.set_in_use([this](Ino ino) { return lookups_.count(ino) > 0; });
}

Filesystem::~Filesystem() { vault_.set_in_use(nullptr); }

Result<> Filesystem::check_writable(Ino ino) const {
  return is_past(ino) ? Result<>(Error(Code::read_only, "the past cannot be changed")) : Result<>();
}

Result<> Filesystem::check_name(Ino directory, std::string_view name, Code taken) const {
  TRY(store::check_name(name));
  TRY(check_writable(directory));
  if (directory == kRootIno && name == VirtualTree::kName) return Error(taken, "the name belongs to tain");
  return {};
}

Result<Attr> Filesystem::shown(Result<Attr> attr) const {
  if (attr.ok()) {
    attr->uid = options_.owners.user(attr->uid);
    attr->gid = options_.owners.group(attr->gid);
  }
  return attr;
}

Result<Attr> Filesystem::counted(Result<Attr> attr) {
  if (attr.ok()) lookups_.add(attr->ino);
  return shown(std::move(attr));
}

store::NewInode Filesystem::new_inode(uint32_t mode, const Caller& caller) const {
  return {.mode = mode,
          .uid = options_.owners.user(caller.uid),
          .gid = options_.owners.group(caller.gid),
          .umask = caller.umask,
          .symlink = {}};
}

Result<Attr> Filesystem::lookup(Ino directory, std::string_view name) {
  if (name.size() > store::kNameMax) return Error(Code::name_too_long, "name longer than 255 bytes");
  if (is_past(directory)) return shown(past_.lookup(directory, name));
  if (directory == kRootIno && name == VirtualTree::kName) return shown(past_.top());
  return counted(tree_.lookup(directory, name));
}

Result<Attr> Filesystem::acquire(Ino ino) {
  if (is_past(ino)) return shown(past_.acquire(ino));
  return counted(tree_.getattr(ino));
}

void Filesystem::forget(Ino ino, uint64_t count) {
  if (lookups_.forget(ino, count)) reap(ino);
}

void Filesystem::orphaned(const store::Unlinked& unlinked) {
  if (unlinked.orphan && lookups_.mark_orphan(unlinked.ino)) reap(unlinked.ino);
}

void Filesystem::reap(Ino ino) {
  if (is_past(ino)) return past_.drop(ino);
  // Nobody waits for this. An orphan that could not be removed is on the vault's list and goes at the next open.
  static_cast<void>(tree_.reap(ino));
}

Result<Attr> Filesystem::getattr(Ino ino) {
  if (is_past(ino)) return shown(past_.getattr(ino));
  return shown(tree_.getattr(ino));
}

Result<Attr> Filesystem::setattr(Ino ino, const store::AttrChange& change, const Caller& caller) {
  if (is_past(ino)) {
    // The kernel's word that a file is about to be written: the write will say it.
    return is_empty(change) ? getattr(ino) : Result<Attr>(Error(Code::read_only, "the past cannot be changed"));
  }
  store::AttrChange all = change;
  // chmod by someone outside the file's group clears set-group-id too; the kernel, who knows the caller's groups,
  // has done that already (setattr_prepare). The kernel holds the inode's lock: nobody changes the mode meanwhile.
  const bool changes_owner = change.uid || change.gid;
  const bool changes_size = change.size && caller.uid != 0;
  const bool changes_nothing = is_empty(change);
  if ((changes_owner || changes_size || changes_nothing) && !change.mode) {
    const Attr now = TRY(getattr(ino));
    const uint32_t mode = without_privileges(now, caller);
    if (mode != now.mode) all.mode = mode & kPermissionBits;
    // Of a file with privileges it is chown by its owner or by root, or else a write is about to come, which clears
    // them itself.
    if (changes_nothing && mode != now.mode && caller.uid != 0 && caller.uid != now.uid) return now;
  }
  if (all.mode) all.mode = *all.mode & kPermissionBits;
  if (all.size) TRY(check_range(0, *all.size));
  if (all.uid) all.uid = options_.owners.user(*all.uid);
  if (all.gid) all.gid = options_.owners.group(*all.gid);
  return shown(tree_.setattr(ino, all));
}

Result<std::string> Filesystem::readlink(Ino ino) {
  if (is_past(ino)) return past_.readlink(ino);
  std::string target = TRY(tree_.readlink(ino));
  if (!options_.keep_atime) tree_.note_access(ino);
  return target;
}

Result<Attr> Filesystem::make(Ino directory, std::string_view name, uint32_t mode, const Caller& caller,
                              uint64_t device) {
  TRY(check_name(directory, name, Code::exists));
  const uint32_t type = (mode & S_IFMT) == 0 ? S_IFREG : mode & S_IFMT;
  uint64_t rdev = 0;
  switch (type) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFIFO:
    case S_IFSOCK: break;
    // Who may make one is the kernel's affair; the mount is nodev, so nobody opens one.
    case S_IFCHR:
    case S_IFBLK: rdev = device; break;
    default: return Error(Code::invalid_argument, "unknown file type");
  }
  store::NewInode made = new_inode(type | (mode & kPermissionBits), caller);
  made.rdev = rdev;
  return counted(tree_.make(directory, name, made));
}

Result<Attr> Filesystem::symlink(std::string_view target, Ino directory, std::string_view name, const Caller& caller) {
  TRY(check_name(directory, name, Code::exists));
  if (target.empty()) return Error(Code::not_found, "empty link target");
  if (target.size() > store::kSymlinkMax) return Error(Code::name_too_long, "link target longer than 4095 bytes");
  store::NewInode made = new_inode(S_IFLNK | 0777, caller);
  made.symlink = target;
  return counted(tree_.make(directory, name, made));
}

Result<Attr> Filesystem::make_unnamed(Ino directory, uint32_t mode, const Caller& caller) {
  TRY(check_writable(directory));
  Result<Attr> made = counted(tree_.make_unnamed(directory, new_inode(S_IFREG | (mode & kPermissionBits), caller)));
  // Counted above, so not reaped here but when the kernel forgets it; harmless if link() names it before.
  if (made.ok()) orphaned({.ino = made->ino, .orphan = true});
  return made;
}

Result<Attr> Filesystem::link(Ino ino, Ino directory, std::string_view name) {
  TRY(check_name(directory, name, Code::exists));
  TRY(check_writable(ino));
  return counted(tree_.link(ino, directory, name));
}

Result<> Filesystem::unlink(Ino directory, std::string_view name) {
  TRY(check_name(directory, name));
  orphaned(TRY(tree_.unlink(directory, name)));
  return {};
}

Result<> Filesystem::rmdir(Ino directory, std::string_view name) {
  TRY(check_name(directory, name));
  orphaned(TRY(tree_.rmdir(directory, name)));
  return {};
}

Result<> Filesystem::rename(Ino from_directory, std::string_view from, Ino to_directory, std::string_view to,
                            uint32_t flags, const Caller& caller) {
  TRY(check_name(from_directory, from));
  TRY(check_name(to_directory, to));
  std::optional<store::NewInode> whiteout;
  if ((flags & RENAME_WHITEOUT) != 0) {
    // What overlayfs takes for "removed": a character device 0:0.
    whiteout = new_inode(S_IFCHR, caller);
    flags &= ~static_cast<uint32_t>(RENAME_WHITEOUT);
    if ((flags & RENAME_EXCHANGE) != 0) return Error(Code::invalid_argument, "an exchange leaves no name free");
  }
  store::RenameMode mode = store::RenameMode::replace;
  switch (flags) {
    case 0: break;
    case RENAME_NOREPLACE: mode = store::RenameMode::no_replace; break;
    case RENAME_EXCHANGE: mode = store::RenameMode::exchange; break;
    default: return Error(Code::invalid_argument, "unknown rename flag");
  }
  const std::optional<store::Unlinked> replaced =
      TRY(tree_.rename(from_directory, from, to_directory, to, mode, whiteout));
  if (replaced) orphaned(*replaced);
  return {};
}

Result<> Filesystem::list(Ino directory, uint64_t offset, const std::function<bool(const DirectoryItem&)>& take) {
  constexpr uint64_t kDot = 1;  // cookies of the store start at 16 (docs/format.md §6.2)
  constexpr uint64_t kDotDot = 2;
  const uint8_t type = store::dirent_type(S_IFDIR);
  if (is_past(directory)) {
    return past_.list(directory, offset, [&](const VirtualTree::Item& item) {
      return take({.name = item.name, .ino = item.ino, .type = item.type, .offset = item.offset});
    });
  }
  if (offset == 0 && !options_.keep_atime) tree_.note_access(directory);
  if (offset < kDot && !take({.name = ".", .ino = directory, .type = type, .offset = kDot})) return {};
  if (offset < kDotDot) {
    const Ino parent = TRY(tree_.parent(directory));
    if (!take({.name = "..", .ino = parent, .type = type, .offset = kDotDot})) return {};
  }
  return tree_.list(directory, Cookie{offset <= kDotDot ? 0 : offset}, [&](const store::ListItem& item) {
    return take({.name = item.name, .ino = item.ino, .type = item.type, .offset = raw(item.cookie)});
  });
}

Result<size_t> Filesystem::read(Ino ino, uint64_t offset, ByteSpan out, bool keep_atime) {
  if (is_past(ino)) return past_.read(ino, offset, out);
  const bool is_noted = !keep_atime && !options_.keep_atime;
  return content_.read(ino, offset, out, is_noted ? store::Access::noted : store::Access::unnoticed);
}

Result<> Filesystem::write(Ino ino, uint64_t offset, ByteView data, const Caller& caller, store::WriteSource source) {
  TRY(check_writable(ino));
  TRY(check_range(offset, data.size()));
  const bool is_root = caller.uid == 0;
  uint32_t mode = 0;
  TRY(content_.write(ino, offset, data, is_root ? store::Privileges::keep : store::Privileges::clear, &mode, source));
  // What is left depends on the caller's groups.
  if (!is_root && (mode & S_ISGID) != 0) TRY(clear_privileges(ino, caller));
  return {};
}

Result<> Filesystem::clear_privileges(Ino ino, const Caller& caller) {
  if (caller.uid == 0) return {};
  const Attr now = TRY(getattr(ino));
  const uint32_t mode = without_privileges(now, caller);
  if (mode == now.mode) return {};
  store::AttrChange change;
  change.mode = mode & kPermissionBits;
  TRY(tree_.setattr(ino, change));
  return {};
}

Result<> Filesystem::allocate(Ino ino, int mode, uint64_t offset, uint64_t length, const Caller& caller) {
  TRY(check_writable(ino));
  if (length == 0) return Error(Code::invalid_argument, "empty range");
  TRY(check_range(offset, length));
  TRY(clear_privileges(ino, caller));
  switch (mode) {
    case 0: return content_.allocate(ino, offset, length);
    case FALLOC_FL_KEEP_SIZE: return content_.allocate(ino, offset, length, /*extend=*/false);
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE: return content_.zero(ino, offset, length, /*extend=*/false);
    case FALLOC_FL_ZERO_RANGE: return content_.zero(ino, offset, length, /*extend=*/true);
    default: return Error(Code::unsupported, "fallocate mode not supported");
  }
}

Result<uint64_t> Filesystem::seek(Ino ino, uint64_t offset, int whence) {
  if (is_past(ino) && (whence == SEEK_DATA || whence == SEEK_HOLE)) return past_.seek(ino, offset, whence == SEEK_HOLE);
  switch (whence) {
    case SEEK_DATA: return content_.seek(ino, offset, store::Whence::data);
    case SEEK_HOLE: return content_.seek(ino, offset, store::Whence::hole);
    default: return Error(Code::invalid_argument, "unknown whence");
  }
}

Result<uint64_t> Filesystem::copy(Ino from, uint64_t from_offset, Ino to, uint64_t to_offset, uint64_t length,
                                  const Caller& caller) {
  TRY(check_writable(to));
  if (is_past(from)) return Error(Code::unsupported, "read it, and write that");  // which the kernel then does
  length = std::min(length, kCopyMax);
  TRY(check_range(from_offset, 0));
  TRY(check_range(to_offset, length));
  TRY(clear_privileges(to, caller));
  return content_.copy(from, from_offset, to, to_offset, length);
}

Result<> Filesystem::sync(Ino ino) {
  if (is_past(ino)) return {};
  return vault_.fsync(ino);
}

/// Name spaces that are kept. The kernel decides who may use them; of `system.*` it passes on POSIX ACLs, which it
/// enforces. Labels of SELinux are the kernel's affair on FUSE; and `ls -l` asks for them file by file, a round trip
/// each, until it hears "not supported".
Result<> Filesystem::check_xattr_name(std::string_view name) const {
  if (name.size() > store::kXattrNameMax) return Error(Code::out_of_range, "attribute name longer than 255 bytes");
  if (name == "security.selinux") return Error(Code::unsupported, "labels are not kept");
  if (options_.acls && store::is_acl_name(name)) return {};
  for (std::string_view space : {"user.", "trusted.", "security."}) {
    if (!name.starts_with(space)) continue;
    if (name.size() == space.size()) return Error(Code::invalid_argument, "attribute name without a name");
    return {};
  }
  return Error(Code::unsupported, "attribute name space not supported");
}

Result<Bytes> Filesystem::translated_acl(ByteView value) const {
  const Owners& owners = options_.owners;
  store::Acl acl = TRY(store::Acl::parse(value));
  acl.rename([&](uint32_t uid) { return owners.user(uid); }, [&](uint32_t gid) { return owners.group(gid); });
  return acl.encode();
}

Result<std::optional<std::string>> Filesystem::unlock_time(Ino ino) {
  using Found = std::optional<std::string>;
  const std::optional<Ino> of = is_past(ino) ? past_.origin(ino) : ino;
  if (!of) return Found();
  const auto until_s = vault_.time_locks().until(*of);
  if (until_s.is(Code::not_found) && is_past(ino)) return Found();  // pruned
  const int64_t locked_s = TRY(until_s);
  return locked_s == 0 ? Found() : Found(store::unlock_text(locked_s));
}

Result<Bytes> Filesystem::get_xattr(Ino ino, const std::string& name) {
  TRY(check_xattr_name(name));
  if (name == store::kDamagedXattr) {
    // Found now; what salvage wrote there is about the vault that this one was made from.
    if (const auto damage = vault_.damage().describe(ino)) return Bytes(damage->begin(), damage->end());
  }
  if (name == store::kUnlockXattr) {
    const auto text = TRY(unlock_time(ino));
    if (!text) return Error(Code::no_attribute, "no such attribute");
    return Bytes(text->begin(), text->end());
  }
  if (is_past(ino)) {
    store::Xattrs all = TRY(past_.xattrs(ino));
    const auto found = all.find(name);
    if (found == all.end()) return Error(Code::no_attribute, "no such attribute");
    if (!options_.owners.change_places() || !store::is_acl_name(name)) return std::move(found->second);
    return translated_acl(found->second);
  }
  Bytes value = TRY(tree_.get_xattr(ino, name));
  if (!options_.owners.change_places() || !store::is_acl_name(name)) return value;
  return translated_acl(value);
}

Result<std::string> Filesystem::list_xattrs(Ino ino, const Caller& caller) {
  store::Xattrs xattrs = is_past(ino) ? TRY(past_.xattrs(ino)) : TRY(tree_.list_xattrs(ino));
  if (vault_.damage().describe(ino)) xattrs.try_emplace(store::kDamagedXattr);
  if (TRY(unlock_time(ino))) xattrs.try_emplace(std::string(store::kUnlockXattr));
  std::string names;
  for (const auto& [name, value] : xattrs) {
    if (caller.uid != 0 && name.starts_with("trusted.")) continue;
    if (!options_.acls && store::is_acl_name(name)) continue;
    names.append(name).push_back('\0');
  }
  return names;
}

Result<> Filesystem::set_xattr(Ino ino, const std::string& name, ByteView value, int flags, const Caller& caller) {
  TRY(check_writable(ino));
  TRY(check_xattr_name(name));
  if (store::is_acl_name(name)) {
    const auto kind = name == store::kAclAccess ? store::AclKind::access : store::AclKind::standard;
    // Only who could set set-group-id may keep it.
    const Attr now = TRY(getattr(ino));
    const bool keeps = (now.mode & S_ISGID) == 0 || caller.is_member(now.gid);
    if (!options_.owners.change_places()) return tree_.set_acl(ino, kind, value, keeps);
    return tree_.set_acl(ino, kind, TRY(translated_acl(value)), keeps);
  }
  if (name == store::kDamagedXattr) return Error(Code::not_permitted, "only tain says what is damaged");
  if (name == store::kUnlockXattr) return Error(Code::not_permitted, "tain timelock is for that");
  if (value.size() > store::kXattrValueMax) return Error(Code::too_big, "attribute value longer than 64 KiB");
  switch (flags) {
    case 0: return tree_.set_xattr(ino, name, value, store::XattrMode::any);
    case XATTR_CREATE: return tree_.set_xattr(ino, name, value, store::XattrMode::create);
    case XATTR_REPLACE: return tree_.set_xattr(ino, name, value, store::XattrMode::replace);
    case XATTR_CREATE | XATTR_REPLACE: {  // cannot succeed, and Linux says which of the two stands against it
      TRY(tree_.get_xattr(ino, name));
      return Error(Code::exists, "the attribute exists");
    }
    default: return Error(Code::invalid_argument, "unknown xattr flag");
  }
}

Result<> Filesystem::remove_xattr(Ino ino, const std::string& name) {
  TRY(check_writable(ino));
  TRY(check_xattr_name(name));
  if (name == store::kUnlockXattr && TRY(unlock_time(ino))) return Error(Code::not_permitted, "tain timelock is for that");
  Result<> removed = tree_.remove_xattr(ino, name);
  // Every file has an access control list, if only its mode.
  if (removed.is(Code::no_attribute) && store::is_acl_name(name)) return {};
  return removed;
}

Result<struct statvfs> Filesystem::statfs() {
  struct statvfs disk {};
  if (::fstatvfs(directory_.get(), &disk) != 0) return errno_error(errno, "statvfs of the vault");
  const uint64_t unit = disk.f_frsize != 0 ? disk.f_frsize : disk.f_bsize;
  const auto blocks = [unit](uint64_t count) { return count * unit / kStatfsBlock; };
  const uint64_t entries = std::min(vault_.stats().entries, kInodesReported);
  struct statvfs out {};
  out.f_bsize = kStatfsBlock;
  out.f_frsize = kStatfsBlock;
  out.f_blocks = blocks(disk.f_blocks);
  // What can be written here: free pages of the store count, and what is pending no more.
  const uint64_t room = vault_.room_bytes() / unit;
  out.f_bavail = blocks(room);
  out.f_bfree = blocks(std::min<uint64_t>(disk.f_blocks, disk.f_bfree - disk.f_bavail + room));
  out.f_files = kInodesReported;
  out.f_ffree = kInodesReported - entries;
  out.f_favail = out.f_ffree;
  out.f_namemax = store::kNameMax;
  return out;
}

}  // namespace tain::fs
