// SPDX-License-Identifier: Apache-2.0
// The namespace's side of extended attributes and ACLs.
#include "store/acl.h"
#include "store/tree.h"
#include "store/tree_parts.h"

namespace tain::store {
namespace {

size_t xattr_bytes(const Xattrs& xattrs) {
  size_t total = 0;
  for (const auto& [name, value] : xattrs) total += name.size() + value.size();
  return total;
}

/// Whether the inode may have `name` with a value of `size` bytes besides its other attributes.
Result<> check_room(const Xattrs& xattrs, std::string_view name, size_t size) {
  const auto it = xattrs.find(std::string(name));
  const size_t before = it != xattrs.end() ? it->first.size() + it->second.size() : 0;
  const bool too_many = it == xattrs.end() && xattrs.size() >= kXattrCountMax;
  if (too_many || xattr_bytes(xattrs) - before + name.size() + size > kXattrTotalMax)
    return Error(Code::no_space, "attributes of one file are at most 4096 and have at most 128 KiB together");
  return {};
}

Error no_such_attribute() { return Error(Code::no_attribute, "no such attribute"); }

}  // namespace

Result<Bytes> Tree::get_xattr(Ino ino, const std::string& name) {
  auto lock = set_.lock();
  CachedInode* inode = TRY(set_.find(ino));
  if ((inode->record.flags & kInodeHasXattrs) == 0) return no_such_attribute();
  Xattrs* xattrs = TRY(set_.xattrs(*inode));
  auto it = xattrs->find(name);
  if (it == xattrs->end()) {
    release_xattrs(*inode);
    return no_such_attribute();
  }
  Bytes value = it->second;
  release_xattrs(*inode);
  return value;
}

Result<Xattrs> Tree::list_xattrs(Ino ino) {
  auto lock = set_.lock();
  CachedInode* inode = TRY(set_.find(ino));
  if ((inode->record.flags & kInodeHasXattrs) == 0) return Xattrs();
  Xattrs out = *TRY(set_.xattrs(*inode));
  release_xattrs(*inode);
  return out;
}

Result<> Tree::set_xattr(Ino ino, const std::string& name, ByteView value, XattrMode mode) {
  if (name.empty() || name.size() > kXattrNameMax)
    return Error(Code::out_of_range, "attribute names have 1 to 255 bytes");
  if (value.size() > kXattrValueMax) return Error(Code::too_big, "attribute values have at most 65536 bytes");
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock, {.values = 2}));
  CachedInode* inode = TRY(set_.find(ino));
  Xattrs* xattrs = TRY(set_.xattrs(*inode));
  auto it = xattrs->find(name);
  if (mode == XattrMode::create && it != xattrs->end()) return Error(Code::exists, "the attribute exists");
  if (mode == XattrMode::replace && it == xattrs->end()) return no_such_attribute();
  TRY(check_room(*xattrs, name, value.size()));
  set_.before_change(lock, ino);
  inode = TRY(set_.find(ino));
  xattrs = TRY(set_.xattrs(*inode));

  (*xattrs)[name] = Bytes(value.begin(), value.end());
  inode->record.flags |= kInodeHasXattrs;
  inode->record.ctime = set_.now();
  set_.touch_xattrs(*inode);
  return {};
}

Result<> Tree::set_acl(Ino ino, AclKind kind, ByteView value, bool keep_set_group_id) {
  const Acl acl = TRY(Acl::parse(value));
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock, {.values = 2}));
  CachedInode* inode = TRY(set_.find(ino));
  if (inode->record.is_symlink()) return Error(Code::unsupported, "symbolic links have no access control list");
  if (kind == AclKind::standard && !inode->record.is_directory())
    return Error(Code::access_denied, "only directories have a default access control list");
  Xattrs* xattrs = TRY(set_.xattrs(*inode));
  const std::string_view name = kind == AclKind::access ? kAclAccess : kAclDefault;
  TRY(check_room(*xattrs, name, value.size()));
  CachedInode* root = TRY(set_.find(kRootIno));
  set_.before_change(lock, ino);
  inode = TRY(set_.find(ino));
  xattrs = TRY(set_.xattrs(*inode));
  root = TRY(set_.find(kRootIno));
  const uint32_t mode_before = inode->record.mode;
  if (kind == AclKind::access) {
    inode->record.mode = acl.applied_to(inode->record.mode);
    if (!keep_set_group_id) inode->record.mode &= ~static_cast<uint32_t>(S_ISGID);
  }
  const bool is_kept = kind == AclKind::standard || !acl.is_minimal();
  if (!is_kept && mode_before == inode->record.mode && !xattrs->contains(std::string(name))) {
    release_xattrs(*inode);
    return {};  // unlike chmod to the mode that is there already, this leaves ctime alone
  }
  if (is_kept && (root->record.flags & kRootKnowsAcls) == 0) {
    root->record.flags |= kRootKnowsAcls;
    set_.touch(*root);
  }
  touch_inode(set_, *inode, set_.now());
  if (is_kept) {
    put_xattr(set_, *inode, *xattrs, name, acl.encode());
  } else if (xattrs->erase(std::string(name)) != 0) {
    if (xattrs->empty()) inode->record.flags &= ~kInodeHasXattrs;
    set_.touch_xattrs(*inode);
  }
  return {};
}

Result<bool> Tree::has_acls() {
  auto lock = set_.lock();
  return (TRY(set_.find(kRootIno))->record.flags & kRootKnowsAcls) != 0;
}

Result<> Tree::remove_xattr(Ino ino, const std::string& name) {
  auto lock = set_.lock();
  set_.wait_to_retire(lock);
  CachedInode* inode = TRY(set_.find(ino));
  if ((inode->record.flags & kInodeHasXattrs) == 0) return no_such_attribute();
  Xattrs* xattrs = TRY(set_.xattrs(*inode));
  if (xattrs->contains(name)) {
    set_.before_change(lock, ino);
    inode = TRY(set_.find(ino));
    xattrs = TRY(set_.xattrs(*inode));
  }
  if (xattrs->erase(name) == 0) {
    release_xattrs(*inode);
    return no_such_attribute();
  }
  if (xattrs->empty()) inode->record.flags &= ~kInodeHasXattrs;
  inode->record.ctime = set_.now();
  set_.touch_xattrs(*inode);
  return {};
}

}  // namespace tain::store
