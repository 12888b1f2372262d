// SPDX-License-Identifier: Apache-2.0
#include "fs/restore_folder.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fs/restore.h"
#include "fs/virtual_tree.h"
#include "store/acl.h"
#include "store/content.h"
#include "store/droppings.h"
#include "store/trash.h"

namespace tain::fs {

using store::PastName;
using store::PastState;

namespace {

constexpr uint64_t kYoung = uint64_t{2000} << 16;  // as an HLC: what is younger, the trash may not take
constexpr size_t kCompareStep = 1 << 20;           // bytes
constexpr int kDepthMax = 2000;  // folders in folders: each takes of the stack

/// What ends the whole; everything else is one entry's trouble.
bool is_fatal(Code code) { return code == Code::no_space || code == Code::io || code == Code::read_only; }

struct Item {
  std::string name;
  Ino ino{};
  bool is_directory = false;
};

class FolderRestore {
 public:
  FolderRestore(store::Vault& vault, uint64_t hlc, const Server& server) : vault_(vault), tree_(vault.tree()), hlc_(hlc), server_(server) {}

  Result<FolderRestored> in_place(Ino from, Ino to) {
    place_ = to;
    TRY(look_at_trash());
    TRY(set_aside(from, to, 0));
    TRY(look_at_trash());
    TRY(bring_back(from, to, false, 0));
    return out_;
  }
  Result<FolderRestored> copy(Ino from, const Place& to) {
    const PastState state = TRY(vault_.past().state_of(from, hlc_));
    // What is half done has a name of its own.
    const std::string passing = passing_name();
    const Ino made = TRY(make_directory(state, {to.directory, passing}));
    Result<> done = bring_back(from, made, true, 0);
    if (done.ok()) {
      auto renamed = tree_.rename(to.directory, passing, to.directory, to.name, store::RenameMode::no_replace);
      if (!renamed.ok()) done = std::move(renamed).error();
    }
    if (!done.ok()) {
      discard(to.directory, {passing, made, true});
      return std::move(done).error();
    }
    server_.changed(to.directory, to.name);
    ++out_.restored;
    return out_;
  }

 private:
  Result<> set_aside(Ino from, Ino to, int depth);
  Result<> remove(Ino directory, const Item& item, int depth);
  Result<> look_at_trash();
  /// `is_back`: `to` itself came back, with all that is in it.
  Result<> bring_back(Ino from, Ino to, bool is_back, int depth);
  Result<> bring_back_entry(const PastName& then, Ino to, bool is_back, int depth);
  Result<> make_again(const PastState& state, const Place& place, int depth);
  Result<bool> set_state(const PastState& state, const Place& place, Ino present);
  Result<Ino> make_directory(const PastState& state, const Place& place);
  Result<> set_attributes(const PastState& state, Ino to);
  Result<> link_over(Ino ino, const Place& place);
  void discard(Ino directory, const Item& item);
  Result<std::vector<Item>> items(Ino directory);
  std::optional<Ino> fits(const PastName& then, const Item& now);
  bool can_come_back(Ino directory);
  Result<bool> is_same(const PastState& state, Ino present);
  bool is_present_state(const PastState& state, Ino present) const { return state.inode.ino == present && !state.is_version; }
  /// Of one entry.
  Result<> passed_over(Result<> done) {
    if (done.ok() || is_fatal(done.error().code())) return done;
    ++out_.failed;
    return {};
  }

  store::Vault& vault_;
  store::Tree& tree_;
  const uint64_t hlc_;
  const Server& server_;
  FolderRestored out_;
  std::optional<Ino> place_;       // what is made as it was; nothing for a copy
  std::map<Ino, PastName> trash_;  // how it was called last
  std::set<Ino> aside_;            // directories that were put there since
  std::map<Ino, store::Time> mtimes_;  // of directories, before anything was done to them
  std::map<Ino, Ino> made_;        // files that are as they were, by the inode that had the state: for their other names
};

Result<std::vector<Item>> FolderRestore::items(Ino directory) {
  std::vector<Item> out;
  TRY(tree_.list(directory, Cookie{0}, [&](const store::ListItem& item) {
    out.push_back({std::string(item.name), item.ino, item.type == DT_DIR});
    return true;
  }));
  return out;
}

/// Whether a directory that is not in its place is in the trash, or will be.
bool FolderRestore::can_come_back(Ino directory) {
  const auto attr = tree_.getattr(directory);
  if (!attr.ok()) return false;
  if (attr->nlink == 0) return trash_.contains(directory) || aside_.contains(directory);
  Ino at = directory;
  for (int depth = 0; depth < kDepthMax && at != place_ && at != kRootIno; ++depth) {
    const auto parent = tree_.parent(at);
    if (!parent.ok()) return false;
    at = *parent;
  }
  return at == place_;
}

/// The inode whose state `now` is to have, if it may stay where it is. Where that is a directory that cannot come back, one
/// that has its name takes its place.
std::optional<Ino> FolderRestore::fits(const PastName& then, const Item& now) {
  const auto state = vault_.past().state(then, hlc_);
  if (!state.ok()) return now.ino;  // it cannot be brought back, so nothing has to make room for it
  const Ino ino = state->inode.ino;
  const bool was_directory = state->inode.is_directory();
  if (was_directory != now.is_directory) return std::nullopt;
  if (was_directory) return ino == now.ino || !can_come_back(ino) ? std::optional(ino) : std::nullopt;
  if (is_present_state(*state, now.ino)) made_[ino] = ino;
  if (ino == now.ino) return ino;
  const auto log = vault_.past().log(now.ino);
  const bool is_one_entry =
      log.ok() && std::any_of(log->begin(), log->end(), [&](const PastState& one) { return one.inode.ino == ino; });
  const auto same = is_one_entry ? Result<bool>(true) : is_same(*state, now.ino);
  return same.ok() && *same ? std::optional(ino) : std::nullopt;
}

/// Puts into the trash what is in `to` and was not in `from`, or was something else.
Result<> FolderRestore::set_aside(Ino from, Ino to, int depth) {
  if (depth > kDepthMax) return Error(Code::unsupported, "folders are nested too deep");
  mtimes_.emplace(to, TRY(tree_.getattr(to)).mtime);
  std::map<std::string, PastName> then;
  for (PastName& name : TRY(vault_.past().list(from, hlc_))) {
    std::string text = name.dirent.name;
    then.emplace(std::move(text), std::move(name));
  }
  for (const Item& item : TRY(items(to))) {
    const auto found = then.find(item.name);
    const auto had = found == then.end() ? std::nullopt : fits(found->second, item);
    Result<> done;
    if (!had) {
      done = remove(to, item, depth + 1);
    } else if (item.is_directory) {
      done = set_aside(*had, item.ino, depth + 1);
    }
    TRY(passed_over(std::move(done)));
  }
  return {};
}

Result<> FolderRestore::remove(Ino directory, const Item& item, int depth) {
  if (depth > kDepthMax) return Error(Code::unsupported, "folders are nested too deep");
  const store::Attr attr = TRY(tree_.getattr(item.ino));
  const uint64_t born = static_cast<uint64_t>(attr.btime.seconds * 1000 + attr.btime.nanoseconds / 1'000'000) << 16;
  const uint64_t now = vault_.hlc_now();
  if (store::is_dropping(item.name, item.is_directory) || (born <= now && now - born < kYoung)) {
    ++out_.left;
    return {};
  }
  if (item.is_directory) {
    for (const Item& inside : TRY(items(item.ino))) TRY(passed_over(remove(item.ino, inside, depth + 1)));
  }
  auto gone = item.is_directory ? tree_.rmdir(directory, item.name) : tree_.unlink(directory, item.name);
  if (gone.is(Code::not_empty)) {  // something in it stays
    ++out_.left;
    return {};
  }
  server_.unlinked(TRY(std::move(gone)));
  server_.changed(directory, item.name);
  if (item.is_directory) aside_.insert(item.ino);
  ++out_.removed;
  return {};
}

/// Of a copy that did not become whole; as much as can be.
void FolderRestore::discard(Ino directory, const Item& item) {
  if (item.is_directory) {
    if (const auto inside = items(item.ino); inside.ok())
      for (const Item& one : *inside) discard(item.ino, one);
  }
  const auto gone = item.is_directory ? tree_.rmdir(directory, item.name) : tree_.unlink(directory, item.name);
  if (gone.ok()) server_.unlinked(*gone);
}

Result<> FolderRestore::look_at_trash() {
  for (store::TrashItem& item : TRY(vault_.trash().list())) {
    const Ino child = item.name.dirent.child;
    trash_.insert_or_assign(child, std::move(item.name));
  }
  return {};
}

Result<> FolderRestore::bring_back(Ino from, Ino to, bool is_back, int depth) {
  if (depth > kDepthMax) return Error(Code::unsupported, "folders are nested too deep");
  for (const PastName& then : TRY(vault_.past().list(from, hlc_))) TRY(passed_over(bring_back_entry(then, to, is_back, depth)));
  const auto state = vault_.past().state_of(from, hlc_);  // what is in it is known, even if this is damaged
  return passed_over(state.ok() ? set_attributes(*state, to) : Result<>(state.error()));
}

Result<> FolderRestore::bring_back_entry(const PastName& then, Ino to, bool is_back, int depth) {
  const Place place{to, then.dirent.name};
  const PastState state = TRY(vault_.past().state(then, hlc_));
  const bool is_directory = state.inode.is_directory();
  auto now = tree_.lookup(to, place.name);
  if (now.is(Code::not_found)) {
    const auto removed = trash_.find(then.dirent.child);
    const auto attr = tree_.getattr(then.dirent.child);
    if (removed == trash_.end() || !attr.ok() || attr->nlink != 0) return make_again(state, place, depth);
    TRY(vault_.trash().restore(removed->second, to, place.name));
    server_.changed(to, place.name);
    now = tree_.lookup(to, place.name);
    is_back = true;
    if (now.ok() && is_directory && S_ISDIR(now->mode)) {
      // With a folder comes what it had when it was removed, which may be other things.
      const uint64_t before = out_.removed;
      TRY(set_aside(state.inode.ino, now->ino, depth + 1));
      if (out_.removed != before) TRY(look_at_trash());
    }
  }
  const store::Attr present = TRY(std::move(now));
  if (is_directory != S_ISDIR(present.mode)) return Error(Code::exists, "the name is taken");
  const bool is_changed = !is_directory && TRY(set_state(state, place, present.ino));
  ++(is_back || is_changed ? out_.restored : out_.unchanged);
  return is_directory ? bring_back(state.inode.ino, present.ino, is_back, depth + 1) : Result<>();
}

/// Of what is neither in its place nor in the trash.
Result<> FolderRestore::make_again(const PastState& state, const Place& place, int depth) {
  if (state.inode.is_directory()) {
    const Ino made = TRY(make_directory(state, place));
    server_.changed(place.directory, place.name);
    ++out_.restored;
    return bring_back(state.inode.ino, made, true, depth + 1);
  }
  if (const auto same = made_.find(state.inode.ino); same != made_.end()) {
    TRY(tree_.link(same->second, place.directory, place.name));
  } else {
    TRY(restore_version(vault_, state, place, server_));
    made_[state.inode.ino] = TRY(tree_.lookup(place.directory, place.name)).ino;
  }
  server_.changed(place.directory, place.name);
  ++out_.restored;
  return {};
}

/// Gives the file that is in its place, `present`, its former state. False: it has that.
Result<bool> FolderRestore::set_state(const PastState& state, const Place& place, Ino present) {
  if (is_present_state(state, present)) {
    made_[present] = present;
    return false;
  }
  if (const auto same = made_.find(state.inode.ino); same != made_.end()) {
    if (same->second == present) return false;
    TRY(link_over(same->second, place));
  } else if (TRY(is_same(state, present))) {
    made_[state.inode.ino] = present;
    return false;
  } else {
    TRY(restore_version(vault_, state, place, server_));
    made_[state.inode.ino] = TRY(tree_.lookup(place.directory, place.name)).ino;
  }
  server_.changed(place.directory, place.name);
  return true;
}

/// Whether `present` has all that restore_version() would give it: it has come back already.
Result<bool> FolderRestore::is_same(const PastState& state, Ino present) {
  const store::Inode& inode = state.inode;
  const store::Attr attr = TRY(tree_.getattr(present));
  const bool may_be = attr.mode == inode.mode && attr.uid == inode.uid && attr.gid == inode.gid && attr.mtime == inode.mtime &&
                      attr.rdev == inode.rdev && attr.size == (inode.is_symlink() ? inode.symlink.size() : inode.content.size);
  if (!may_be || TRY(vault_.past().xattrs(state)) != TRY(tree_.list_xattrs(present))) return false;
  if (inode.is_symlink()) return TRY(tree_.readlink(present)) == inode.symlink;
  Bytes then(std::min<uint64_t>(kCompareStep, attr.size)), now(then.size());
  for (uint64_t offset = 0; inode.is_regular() && offset < attr.size;) {
    const size_t size = std::min<uint64_t>(then.size(), attr.size - offset);
    const size_t got = TRY(vault_.past().read(state, offset, ByteSpan(then).first(size)));
    const size_t other = TRY(vault_.content().read(present, offset, ByteSpan(now).first(size)));
    if (got != size || other != size || !std::equal(then.begin(), then.begin() + static_cast<std::ptrdiff_t>(size), now.begin())) return false;
    offset += size;
  }
  return true;
}

Result<> FolderRestore::link_over(Ino ino, const Place& place) {
  const std::string passing = passing_name();
  TRY(tree_.link(ino, place.directory, passing));
  auto replaced = tree_.rename(place.directory, passing, place.directory, place.name, store::RenameMode::restore);
  if (!replaced.ok()) {
    if (auto gone = tree_.unlink(place.directory, passing); gone.ok()) server_.unlinked(*gone);
    return std::move(replaced).error();
  }
  if (*replaced) server_.unlinked(**replaced);
  return {};
}

Result<Ino> FolderRestore::make_directory(const PastState& state, const Place& place) {
  const store::Inode& inode = state.inode;
  return TRY(tree_.make(place.directory, place.name, {.mode = inode.mode, .uid = inode.uid, .gid = inode.gid, .symlink = {}})).ino;
}

Result<> FolderRestore::set_attributes(const PastState& state, Ino to) {
  const store::Inode& inode = state.inode;
  const store::Xattrs then = TRY(vault_.past().xattrs(state));
  const store::Xattrs now = TRY(tree_.list_xattrs(to));
  for (const auto& [name, value] : now)
    if (!then.contains(name)) TRY(tree_.remove_xattr(to, name));
  for (const auto& [name, value] : then) {
    const auto same = now.find(name);
    if (same != now.end() && same->second == value) continue;
    if (store::is_acl_name(name)) {
      TRY(tree_.set_acl(to, name == store::kAclAccess ? store::AclKind::access : store::AclKind::standard, value, true));
    } else {
      TRY(tree_.set_xattr(to, name, value, store::XattrMode::any));
    }
  }
  const store::Attr attr = TRY(tree_.getattr(to));
  store::AttrChange change;
  // A present state has the time of what was just done here; before that it was another one.
  const auto before = mtimes_.find(to);
  const store::Time mtime = is_present_state(state, to) && before != mtimes_.end() ? before->second : inode.mtime;
  if (attr.mode != inode.mode) change.mode = inode.mode & 07777;
  if (attr.uid != inode.uid) change.uid = inode.uid;
  if (attr.gid != inode.gid) change.gid = inode.gid;
  if (attr.mtime != mtime) change.mtime = mtime;
  if (!change.mode && !change.uid && !change.gid && !change.mtime) return {};
  TRY(tree_.setattr(to, change));
  server_.changed(to, ".");  // no name of it, but its attributes
  return {};
}

}  // namespace

Result<FolderRestored> restore_folder(store::Vault& vault, Ino from, uint64_t hlc, Ino to, const Server& server) {
  if (!vault.keeps_history())
    return Error(Code::not_permitted, "nothing is kept of what is there now").hint("mount it without nohistory, or restore --to another place");
  return FolderRestore(vault, hlc, server).in_place(from, to);
}

Result<FolderRestored> copy_folder(store::Vault& vault, Ino from, uint64_t hlc, const Place& to, const Server& server) {
  return FolderRestore(vault, hlc, server).copy(from, to);
}

}  // namespace tain::fs
