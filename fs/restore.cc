// SPDX-License-Identifier: Apache-2.0
#include "fs/restore.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "base/secret.h"
#include "store/acl.h"
#include "store/content.h"

namespace tain::fs {

using store::PastState;

namespace {

constexpr size_t kCopyStep = 1 << 20;  // bytes

Result<> copy_content(store::Vault& vault, const PastState& from, Ino to) {
  Bytes buffer(std::min<uint64_t>(kCopyStep, from.inode.content.size));
  for (uint64_t offset = 0; offset < from.inode.content.size;) {
    const size_t wanted = std::min<uint64_t>(buffer.size(), from.inode.content.size - offset);
    const size_t got = TRY(vault.past().read(from, offset, ByteSpan(buffer).first(wanted)));
    if (got == 0) return Error(Code::stale, "the version was pruned meanwhile");
    const auto piece = ByteView(buffer).first(got);
    // Holes stay holes.
    if (std::any_of(piece.begin(), piece.end(), [](uint8_t byte) { return byte != 0; }))
      TRY(vault.content().write(to, offset, piece));
    offset += got;
  }
  store::AttrChange size;
  size.size = from.inode.content.size;
  TRY(vault.tree().setattr(to, size));
  return {};
}

/// All of `from` but its name, in an inode of its own.
Result<> fill(store::Vault& vault, const PastState& from, Ino to) {
  store::Tree& tree = vault.tree();
  if (from.inode.is_regular()) TRY(copy_content(vault, from, to));
  for (const auto& [name, value] : TRY(vault.past().xattrs(from))) {
    if (name == store::kAclAccess) {
      TRY(tree.set_acl(to, store::AclKind::access, value, true));
    } else if (!store::is_acl_name(name)) {
      TRY(tree.set_xattr(to, name, value, store::XattrMode::any));
    }
  }
  store::AttrChange attributes;
  // In a directory that passes its group on it has that.
  attributes.gid = from.inode.gid;
  if (!from.inode.is_symlink()) attributes.mode = from.inode.mode & 07777;
  attributes.mtime = from.inode.mtime;
  TRY(tree.setattr(to, attributes));
  return {};
}

/// Gives `made` the name `to`; `passing` is its name meanwhile, if it has none yet.
Result<> move_into_place(store::Tree& tree, Ino made, const std::string& passing, const Place& to, const Server& server) {
  const bool has_name = TRY(tree.getattr(made)).nlink != 0;
  if (!has_name) {
    // Where nothing is in the way it appears at once.
    if (const auto linked = tree.link(made, to.directory, to.name); linked.ok()) return {};
    TRY(tree.link(made, to.directory, passing));
  }
  auto renamed = tree.rename(to.directory, passing, to.directory, to.name, store::RenameMode::restore);
  if (!renamed.ok()) {
    if (auto gone = tree.unlink(to.directory, passing); gone.ok()) server.unlinked(*gone);
    return std::move(renamed).error();
  }
  if (*renamed) server.unlinked(**renamed);
  return {};
}

}  // namespace

std::string passing_name() {
  uint64_t random = 0;
  fill_random(ByteSpan(reinterpret_cast<uint8_t*>(&random), sizeof random));
  char name[40];
  std::snprintf(name, sizeof name, ".tain-restore-%016" PRIx64 "~", random);
  return name;
}

Result<> restore_version(store::Vault& vault, const PastState& from, const Place& to, const Server& server) {
  store::Tree& tree = vault.tree();
  const store::Inode& inode = from.inode;
  if (from.is_damaged) return Error(Code::corrupt, "that version is damaged").hint("tain log PATH lists those that are not");
  if (inode.is_directory()) return Error(Code::is_directory, "a directory has no versions").hint("tain restore FOLDER@TIME");
  const store::NewInode fresh{
      .mode = inode.mode, .uid = inode.uid, .gid = inode.gid, .rdev = inode.rdev, .symlink = inode.symlink};
  const std::string passing = passing_name();
  // A file gets its content before it has any name: after a crash in between nothing is left of it.
  const store::Attr made = TRY(inode.is_regular() ? tree.make_unnamed(to.directory, fresh) : tree.make(to.directory, passing, fresh));
  Result<> done = fill(vault, from, made.ino);
  if (done.ok()) done = move_into_place(tree, made.ino, passing, to, server);
  if (done.ok()) return {};
  if (!inode.is_regular())
    if (auto gone = tree.unlink(to.directory, passing); gone.ok()) server.unlinked(*gone);
  static_cast<void>(tree.reap(made.ino).ok());
  return done;
}

}  // namespace tain::fs
