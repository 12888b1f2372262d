// SPDX-License-Identifier: Apache-2.0
// The inodes of .tain/: what they are, how they are found, and what is read from them. Listings are in
// virtual_listing.cc.
#include "fs/virtual_tree.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>

#include "base/moment.h"
#include "fs/virtual_node.h"
#include "store/content.h"
#include "store/trash.h"

namespace tain::fs {

using store::Attr;
using store::PastState;

namespace {

constexpr size_t kIdleMax = 4096;         // inodes that were listed and nobody asked for
constexpr size_t kSettledMax = 64;        // texts of times
constexpr int64_t kSettled_ms = 60'000;   // that a relative time stands still after its last use
constexpr int64_t kStatusFresh_ms = 1000;
constexpr int64_t kStatusInUse_ms = 100;  // a program that looks at a file and then opens it means the same one
constexpr int64_t kStatusMax_ms = 5000;
constexpr int kAttempts = 3;              // to read a state that becomes a version meanwhile
constexpr uint64_t kDamaged = 1;  // in the key of a damaged state
constexpr uint64_t kDirectorySize = 4096;  // bytes, as those of the store

uint64_t mixed(uint64_t hash) {  // the finalizer of SplitMix64
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
  return hash ^ (hash >> 31);
}

uint64_t nanoseconds(const store::Time& time) {
  return static_cast<uint64_t>(time.seconds) * 1'000'000'000 + time.nanoseconds;
}

store::Time time_of_ms(int64_t ms) {
  return {.seconds = ms / 1000, .nanoseconds = static_cast<uint32_t>(ms % 1000) * 1'000'000};
}

Attr attr_of(const store::Inode& inode) {
  Attr out;
  out.mode = inode.mode;
  out.nlink = inode.is_directory() ? 1 : std::max(inode.nlink, 1u);
  out.uid = inode.uid;
  out.gid = inode.gid;
  out.rdev = inode.rdev;
  out.atime = inode.atime;
  out.mtime = inode.mtime;
  out.ctime = inode.ctime;
  out.btime = inode.btime;
  if (inode.is_regular()) {
    out.size = inode.content.size;
    out.blocks = (std::min(inode.content.allocated, out.size) + 511) / 512;
  } else if (inode.is_symlink()) {
    out.size = inode.symlink.size();
  } else if (inode.is_directory()) {
    out.size = kDirectorySize;
    out.blocks = kDirectorySize / 512;
  }
  return out;
}

/// For a folder whose state at `hlc` is damaged: what is in it is known all the same. The state after it, for its owner only.
Result<PastState> stand_in(store::Vault& vault, Ino ino, uint64_t hlc) {
  const std::vector<PastState> states = TRY(vault.past().log(ino));
  const PastState* found = nullptr;
  for (const PastState& state : states)
    if (!state.is_damaged && (found == nullptr || state.ended_hlc == 0 || state.ended_hlc > hlc)) found = &state;
  if (found == nullptr) return Error(Code::corrupt, "all states of ino " + std::to_string(raw(ino)) + " are damaged");
  PastState out = *found;
  out.is_damaged = true;  // its attributes are not known
  out.inode.mode &= S_IFMT | 0700;
  return out;
}

Error damaged_state() { return Error(Code::corrupt, "this state is damaged"); }

Error gone() { return Error(Code::stale, "the inode has been forgotten"); }

}  // namespace

bool VirtualTree::Node::is_directory() const { return S_ISDIR(attr.mode); }

VirtualTree::VirtualTree(store::Vault& vault, Lookups& lookups, Options options)
    : vault_(vault), lookups_(lookups), options_(std::move(options)), made_(time_of_ms(ms_of_hlc(vault.hlc_now()))) {
  if (auto root = vault_.tree().getattr(kRootIno); root.ok()) {
    owner_ = *root;
  } else {
    owner_.mode = S_IFDIR | 0700;  // whoever it belongs to; using it will say what is wrong
  }
}

VirtualTree::~VirtualTree() = default;

// ---- the table

uint64_t VirtualTree::number_of(const Key& key) const {
  if (options_.root_hlc && key == Key{Kind::folder, false, {raw(kRootIno), *options_.root_hlc}}) return raw(kRootIno);
  uint64_t hash = static_cast<uint64_t>(key.kind) + 1;
  for (uint64_t part : key.of) hash = mixed(hash * 0x9e3779b97f4a7c15ULL + part);
  return kVirtualFirst | (key.is_volatile ? kVolatileBit : 0) | (hash & (kVolatileBit - 1));
}

VirtualTree::NodePtr VirtualTree::intern(Node made, Ino parent) {
  made.parent = parent;
  std::lock_guard lock(mutex_);
  uint64_t number = number_of(made.key);
  for (;; ++number) {
    const auto found = nodes_.find(number);
    if (found == nodes_.end()) break;
    if (found->second->key != made.key) continue;  // one in 2⁶¹: the next number will do
    if (made.key.is_volatile && made.key.kind != Kind::state) {
      made.attr.ino = found->second->ino;
      found->second->attr = made.attr;
    }
    return found->second;
  }
  made.ino = Ino{number};
  made.attr.ino = made.ino;
  auto node = std::make_shared<Node>(std::move(made));
  nodes_.emplace(number, node);
  if (number == raw(kRootIno)) return node;  // stays
  idle_.push_back(node->ino);
  while (idle_.size() > kIdleMax) {
    if (lookups_.count(idle_.front()) == 0) nodes_.erase(raw(idle_.front()));
    idle_.pop_front();
  }
  return node;
}

Result<VirtualTree::NodePtr> VirtualTree::find(Ino ino) {
  {
    std::lock_guard lock(mutex_);
    if (const auto found = nodes_.find(raw(ino)); found != nodes_.end()) return found->second;
  }
  if (ino == kRootIno && options_.root_hlc) return folder_at(kRootIno, *options_.root_hlc, false, kRootIno);
  return gone();
}

Attr VirtualTree::counted(Node& node) {
  std::lock_guard lock(mutex_);
  // It may have been taken for idle meanwhile.
  nodes_.try_emplace(raw(node.ino), node.shared_from_this());
  lookups_.add(node.ino);
  static_cast<void>(lookups_.mark_orphan(node.ino));  // so that drop() comes after the last forget
  return node.attr;
}

void VirtualTree::drop(Ino ino) {
  std::lock_guard lock(mutex_);
  const auto found = nodes_.find(raw(ino));
  if (found == nodes_.end() || lookups_.count(ino) != 0) return;
  if (found->second->key.kind == Kind::trash) trash_.reset();
  nodes_.erase(found);
}

Result<Attr> VirtualTree::acquire(Ino ino) {
  auto node = find(ino);
  if (!node.ok()) return Error(Code::not_found, "not listed");
  return counted(**node);
}

// ---- what there is

Result<Attr> VirtualTree::top() { return counted(*fixed(Kind::top, kRootIno)); }

/// Folders that the vault does not have, one of each kind.
VirtualTree::NodePtr VirtualTree::fixed(Kind kind, Ino parent) {
  Node made;
  made.key.kind = kind;
  made.key.is_volatile = kind == Kind::at || kind == Kind::trash;
  made.attr = owner_;
  made.attr.size = kDirectorySize;
  made.attr.nlink = 1;
  made.attr.mode = kind == Kind::trash || kind == Kind::removed ? S_IFDIR | 0700 : S_IFDIR | (owner_.mode & 0555) | 0200;
  store::Time changed = made_;
  if (kind == Kind::at) {
    const int64_t now_ms = ms_of_hlc(vault_.hlc_now());
    changed = time_of_ms(now_ms - now_ms % 60'000);
  } else if (kind == Kind::trash) {
    const uint64_t fingerprint = trash_fingerprint();
    std::lock_guard lock(mutex_);
    if (fingerprint != trash_seen_ || trash_changed_ == store::Time{}) {
      trash_seen_ = fingerprint;
      trash_changed_ = time_of_ms(ms_of_hlc(vault_.hlc_now()));
    }
    changed = trash_changed_;
  }
  made.attr.atime = made.attr.mtime = made.attr.ctime = made.attr.btime = changed;
  return intern(std::move(made), parent);
}

VirtualTree::NodePtr VirtualTree::status(Ino parent) {
  const int64_t now_ms = ms_of_hlc(vault_.hlc_now());
  Node made;
  made.key = {Kind::status, true, {}};
  made.attr = owner_;
  made.attr.mode = S_IFREG | 0600;
  made.attr.nlink = 1;
  std::unique_lock lock(mutex_);
  const bool is_fresh = now_ms - status_made_ms_ < kStatusFresh_ms ||
                        (now_ms - status_used_ms_ < kStatusInUse_ms && now_ms - status_made_ms_ < kStatusMax_ms);
  if (status_number_ == 0 || !is_fresh) {
    lock.unlock();
    std::string text = options_.status ? options_.status() + "\n" : "{}\n";
    lock.lock();
    status_text_ = std::move(text);
    status_made_ms_ = now_ms;
    ++status_number_;
  }
  status_used_ms_ = now_ms;
  made.key.of[0] = status_number_;
  made.text = status_text_;
  const store::Time at = time_of_ms(status_made_ms_);
  lock.unlock();
  made.attr.atime = made.attr.mtime = made.attr.ctime = made.attr.btime = at;
  made.attr.size = made.text.size();
  made.attr.blocks = (made.attr.size + 511) / 512;
  return intern(std::move(made), parent);
}

VirtualTree::NodePtr VirtualTree::history_folder(const Attr& directory, Ino parent) {
  Node made;
  made.key = {Kind::history, true, {raw(directory.ino)}};
  made.attr = directory;
  made.attr.nlink = 1;
  return intern(std::move(made), parent);
}

/// The folder of one entry's states.
Result<VirtualTree::NodePtr> VirtualTree::entry_folder(const Attr& attr, std::string_view name, Ino parent) {
  Node made;
  made.text = extension_of(name);
  made.key = {Kind::entry, true, {raw(attr.ino), std::hash<std::string>()(made.text)}};
  const auto states = TRY(named_states(vault_, attr.ino, made.text));
  made.attr = attr;
  // Who may read the entry may look for its states.
  const uint32_t readers = attr.mode & 0444;
  made.attr.mode = S_IFDIR | 0700 | readers | (readers >> 2);
  made.attr.nlink = 1;
  made.attr.rdev = 0;
  made.attr.size = kDirectorySize;
  made.attr.blocks = 0;
  if (!states.empty()) made.attr.mtime = made.attr.ctime = time_of_ms(ms_of_hlc(states.back().since));
  return intern(std::move(made), parent);
}

/// The states of what is in the trash: its name is not unique, its inode is.
Result<VirtualTree::NodePtr> VirtualTree::removed_folder(std::string_view number, Ino parent) {
  uint64_t ino = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), ino);
  if (error != std::errc() || end != number.data() + number.size()) return Error(Code::not_found, "no such name");
  const Attr attr = TRY(vault_.tree().getattr(Ino{ino}));
  if (attr.nlink != 0) return Error(Code::not_found, "it was not removed");
  return entry_folder(attr, "", parent);
}

Result<VirtualTree::NodePtr> VirtualTree::present(const Attr& attr, std::string_view name, Ino parent) {
  if (S_ISDIR(attr.mode)) return history_folder(attr, parent);
  return entry_folder(attr, name, parent);
}

Result<VirtualTree::NodePtr> VirtualTree::folder_at(Ino ino, uint64_t hlc, bool is_volatile, Ino parent) {
  auto then = vault_.past().state_of(ino, hlc);
  if (then.is(Code::corrupt)) then = stand_in(vault_, ino, hlc);
  PastState state = TRY(std::move(then));
  if (!state.inode.is_directory()) return Error(Code::corrupt, "ino " + std::to_string(raw(ino)) + " is no directory");
  Node made;
  made.key = {Kind::folder, is_volatile, {raw(ino), hlc}};
  made.attr = attr_of(state.inode);
  made.state = std::make_shared<const PastState>(std::move(state));
  return intern(std::move(made), parent);
}

/// Somebody who looks for it shall see that there was something, and get an error for what it was.
VirtualTree::NodePtr VirtualTree::damaged_node(PastState state, Ino parent) {
  Node made;
  const auto now = vault_.tree().getattr(state.inode.ino);
  made.attr = now.ok() ? *now : owner_;
  made.attr.mode = (state.inode.mode & S_IFMT) | 0400;
  made.attr.nlink = 1;
  made.attr.rdev = 0;
  made.attr.size = 1;  // of an empty file the kernel would not ask for anything
  made.attr.blocks = 0;
  made.attr.atime = made.attr.mtime = made.attr.ctime = made.attr.btime = time_of_ms(ms_of_hlc(state.ended_hlc));
  made.key = {Kind::state, false, {raw(state.inode.ino), state.ended_hlc, 0, kDamaged}};
  made.state = std::make_shared<const PastState>(std::move(state));
  return intern(std::move(made), parent);
}

VirtualTree::NodePtr VirtualTree::state_node(PastState state, bool is_volatile, Ino parent) {
  if (state.is_damaged) return damaged_node(std::move(state), parent);
  Node made;
  const store::Inode& inode = state.inode;
  made.attr = attr_of(inode);
  made.key = {Kind::state, is_volatile, {raw(inode.ino), nanoseconds(inode.ctime), made.attr.size}};
  made.ctime = inode.ctime;
  if (!state.is_version) {  // blocks that are pending count, too
    if (auto now = vault_.tree().getattr(inode.ino); now.ok() && now->ctime == inode.ctime) made.attr.blocks = now->blocks;
  }
  made.state = std::make_shared<const PastState>(std::move(state));
  return intern(std::move(made), parent);
}

Result<VirtualTree::NodePtr> VirtualTree::past_entry(PastState state, uint64_t hlc, bool is_volatile, Ino parent) {
  if (state.inode.is_directory()) return folder_at(state.inode.ino, hlc, is_volatile, parent);
  return state_node(std::move(state), is_volatile, parent);
}

Result<VirtualTree::NodePtr> VirtualTree::at_time(std::string_view text, Ino parent) {
  const uint64_t now = vault_.hlc_now();
  const auto moment = parse_moment(text, ms_of_hlc(now));
  if (!moment.ok()) return Error(Code::not_found, "not a time");
  const bool is_over = !moment->is_relative && moment->ms < ms_of_hlc(now);
  const uint64_t hlc = is_over ? hlc_of_ms(moment->ms) : settled(text, moment->ms);
  return folder_at(kRootIno, hlc, !is_over, parent);
}

/// What a text that means another time later means for who uses it now.
uint64_t VirtualTree::settled(std::string_view text, int64_t ms) {
  const uint64_t now = vault_.hlc_now();
  const int64_t now_ms = ms_of_hlc(now);
  std::lock_guard lock(mutex_);
  std::erase_if(settled_, [&](const Settled& one) { return now_ms - one.used_ms > kSettled_ms; });
  for (Settled& one : settled_) {
    if (one.text != text) continue;
    one.used_ms = now_ms;
    return one.hlc;
  }
  if (settled_.size() >= kSettledMax) settled_.erase(settled_.begin());
  settled_.push_back({std::string(text), std::min(hlc_of_ms(ms), now), now_ms});
  return settled_.back().hlc;
}

// ---- what the kernel asks

Result<VirtualTree::NodePtr> VirtualTree::child(const NodePtr& directory, std::string_view name) {
  const Ino here = directory->ino;
  const Ino ino{directory->key.of[0]};
  switch (directory->key.kind) {
    case Kind::top:
      if (name == "status.json") return status(here);
      if (name == "history") return history_folder(TRY(vault_.tree().getattr(kRootIno)), here);
      if (name == "at") return fixed(Kind::at, here);
      if (name == "trash") return fixed(Kind::trash, here);
      if (name == "conflicts") return fixed(Kind::conflicts, here);
      if (name == "removed") return fixed(Kind::removed, here);
      break;
    case Kind::history: return present(TRY(vault_.tree().lookup(ino, name)), name, here);
    case Kind::at: return at_time(name, here);
    case Kind::folder: {
      const uint64_t hlc = directory->key.of[1];
      auto found = vault_.past().lookup(ino, name, hlc);
      if (found.is(Code::corrupt)) {
        for (const store::PastName& past : TRY(vault_.past().list(ino, hlc)))
          if (past.dirent.name == name && past.dirent.type == DT_DIR) return folder_at(past.dirent.child, hlc, false, here);
      }
      const auto entry = TRY(std::move(found));
      if (entry) return past_entry(entry->state, hlc, false, here);
      break;
    }
    case Kind::entry:
    case Kind::trash: {
      const bool is_trash = directory->key.kind == Kind::trash;
      auto listing = is_trash ? TRY(trash_listing(true)) : TRY(look_at(*directory));
      auto found = listing->by_name.find(std::string(name));
      if (is_trash && found == listing->by_name.end()) {
        listing = TRY(trash_listing(false));
        found = listing->by_name.find(std::string(name));
      }
      if (found != listing->by_name.end()) return resolve(*directory, listing->names[found->second]);
      break;
    }
    case Kind::removed: return removed_folder(name, here);
    case Kind::conflicts: break;
    case Kind::status:
    case Kind::state: return Error(Code::not_directory, "not a directory");
  }
  return Error(Code::not_found, "no such name");
}

Result<Attr> VirtualTree::lookup(Ino directory, std::string_view name) {
  const NodePtr node = TRY(find(directory));
  return counted(*TRY(child(node, name)));
}

Result<Attr> VirtualTree::getattr(Ino ino) {
  const NodePtr node = TRY(find(ino));
  std::lock_guard lock(mutex_);
  return node->attr;
}

Result<std::string> VirtualTree::readlink(Ino ino) {
  const NodePtr node = TRY(find(ino));
  if (!S_ISLNK(node->attr.mode)) return Error(Code::invalid_argument, "not a symbolic link");
  if (node->state->is_damaged) return damaged_state();
  return node->state->inode.symlink;  // never changes
}

Result<uint64_t> VirtualTree::seek(Ino ino, uint64_t offset, bool hole) {
  const NodePtr node = TRY(find(ino));
  if (offset >= node->attr.size) return Error(Code::no_such_offset, "past the end of the file");
  return hole ? node->attr.size : offset;
}

Result<store::Xattrs> VirtualTree::xattrs(Ino ino) {
  const NodePtr node = TRY(find(ino));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::shared_ptr<const PastState> state;
    {
      std::lock_guard lock(mutex_);
      state = node->state;
    }
    if (!state) return store::Xattrs();
    if (state->is_damaged) return damaged_state();
    auto found = vault_.past().xattrs(*state);
    // Those of the present are those of the state as long as it is the present one.
    if (state->is_version || TRY(is_still_present(*node, *state))) {
      if (found.is(Code::not_found)) return gone();
      return found;
    }
  }
  return Error(Code::stale, "the state changes faster than it can be read");
}

/// Whether a state that was the present one still is. If not, the node gets what has become of it.
Result<bool> VirtualTree::is_still_present(Node& node, const PastState& state) {
  if (!node.is_directory()) {
    if (is_untouched(node, state)) return true;
    TRY(find_again(node, state));
    return false;
  }
  PastState then = TRY(vault_.past().state_of(Ino{node.key.of[0]}, node.key.of[1]));
  if (!then.is_version) return true;
  std::lock_guard lock(mutex_);
  node.state = std::make_shared<const PastState>(std::move(then));
  return false;
}

std::optional<Ino> VirtualTree::origin(Ino ino) {
  const auto node = find(ino);
  if (!node.ok()) return std::nullopt;
  std::lock_guard lock(mutex_);
  return (*node)->state ? std::optional((*node)->state->inode.ino) : std::nullopt;
}

Result<size_t> VirtualTree::read(Ino ino, uint64_t offset, ByteSpan out) {
  const NodePtr node = TRY(find(ino));
  if (node->is_directory()) return Error(Code::is_directory, "a directory");
  if (node->key.kind == Kind::state) return read_state(*node, offset, out);
  const std::string& text = node->text;
  if (offset >= text.size()) return size_t{0};
  const size_t size = std::min<size_t>(out.size(), text.size() - offset);
  std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(offset), size, out.begin());
  return size;
}

// ---- the content of a state

/// Whether the inode is as it was when it had this state.
bool VirtualTree::is_untouched(const Node& node, const PastState& state) {
  store::Time expected;
  {
    std::lock_guard lock(mutex_);
    expected = node.ctime;
  }
  const auto now = vault_.tree().getattr(state.inode.ino);
  return now.ok() && now->ctime == expected;
}

Result<> VirtualTree::find_again(Node& node, const PastState& state) {
  store::Time since;
  {
    std::lock_guard lock(mutex_);
    since = node.ctime;
  }
  // What was before it may have the same content, with other attributes.
  const auto is_same = [&](const store::Inode& other) {
    return other.ino == state.inode.ino && other.mtime == state.inode.mtime && other.content.size == state.inode.content.size &&
           nanoseconds(other.ctime) >= nanoseconds(since);
  };
  auto states = vault_.past().log(state.inode.ino);
  if (states.is(Code::not_found)) return gone();
  std::vector<PastState> all = TRY(std::move(states));
  PastState* found = nullptr;
  for (PastState& other : all) {
    // The oldest is the version that was made of it; else the inode itself, which differs in names or times only.
    if (!other.is_damaged && is_same(other.inode)) found = &other;
  }
  if (found == nullptr) return Error(Code::stale, "the state was replaced before it was kept");
  std::lock_guard lock(mutex_);
  node.ctime = found->inode.ctime;
  node.state = std::make_shared<const PastState>(std::move(*found));
  return {};
}

Result<size_t> VirtualTree::read_state(Node& node, uint64_t offset, ByteSpan out) {
  if (offset >= node.attr.size) return size_t{0};
  const ByteSpan wanted = out.first(std::min<uint64_t>(out.size(), node.attr.size - offset));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::shared_ptr<const PastState> state;
    {
      std::lock_guard lock(mutex_);
      state = node.state;
    }
    if (state->is_damaged) return damaged_state();
    if (state->is_version || is_untouched(node, *state)) {
      auto got = vault_.past().read(*state, offset, wanted);
      // What changed during the read may be in it.
      if (got.ok() && (state->is_version || is_untouched(node, *state))) return got;
      if (!got.ok() && !got.is(Code::not_found)) return got;
      if (state->is_version) return Error(Code::stale, "the state was pruned");
    }
    TRY(find_again(node, *state));
  }
  return Error(Code::stale, "the state changes faster than it can be read");
}

}  // namespace tain::fs
