// SPDX-License-Identifier: Apache-2.0
#include "store/trash.h"

#include <dirent.h>

#include <algorithm>

#include "store/working_set.h"

namespace tain::store {
namespace {

// What is removed with a directory goes in one run, without a longer pause.
constexpr uint64_t kPause = uint64_t{15'000} << 16;  // as an HLC
constexpr uint64_t kMoment = uint64_t{500} << 16;

int64_t seconds_of(uint64_t hlc) { return static_cast<int64_t>(hlc >> 16) / 1000; }

}  // namespace

/// One name to give back.
struct Trash::Removal {
  PastName name;
  uint64_t began = 0;  // directories: when the first of what was in it was removed
  size_t depth = 0;
};

Result<std::vector<PastName>> Trash::all_past_names() {
  std::vector<PastName> out;
  auto lock = set_.lock();
  ReadTxn txn = TRY(ReadTxn::begin(set_.database().env()));
  for (PastName& name : TRY(set_.database().load_past_names(txn)))
    if (!set_.has_past_name(name)) out.push_back(std::move(name));
  set_.append_past_names(out);
  std::sort(out.begin(), out.end(), [](const PastName& a, const PastName& b) { return a.ended_hlc < b.ended_hlc; });
  return out;
}

Result<std::vector<TrashItem>> Trash::list() {
  std::vector<TrashItem> out;
  for (PastName& name : TRY(all_past_names())) {
    if (name.why != NameEnd::removed) continue;
    auto lock = set_.lock();
    const auto inode = set_.find(name.dirent.child);
    if (!inode.ok()) continue;
    const Inode& record = (*inode)->record;
    if (!record.is_retired() || (record.flags & kInodeSucceeded) != 0) continue;
    TrashItem item{.name = {}, .mode = record.mode, .size = record.content.size};
    const auto directory = set_.find(name.dirent.directory);
    item.is_inside = directory.ok() && (*directory)->record.is_retired();
    item.name = std::move(name);
    out.push_back(std::move(item));
  }
  return out;
}

/// What was removed together with a directory, deepest last. Yields when the first of it was.
Result<uint64_t> Trash::collect(const PastName& directory, std::vector<Removal>& out) {
  const size_t depth = out.empty() ? 0 : out.back().depth + 1;
  uint64_t began = directory.ended_hlc;
  std::vector<PastName> names;
  {
    auto lock = set_.lock();
    names = TRY(set_.past_names(directory.dirent.child, 0));
  }
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (name->why != NameEnd::removed || name->ended_hlc > directory.ended_hlc) continue;
    if (began - std::min(began, name->ended_hlc) > kPause) break;
    const size_t here = out.size();
    out.push_back({*name, name->ended_hlc, depth});
    began = std::min(began, name->ended_hlc);
    if (name->dirent.type != DT_DIR) continue;
    began = std::min(began, TRY(collect(*name, out)));
    out[here].began = began;
    out.back().depth = std::max(out.back().depth, depth);
  }
  return began;
}

Result<> Trash::put_back(const PastName& name, Ino to, std::string_view to_name) {
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock));
  CachedInode* parent = TRY(set_.find(to));
  if (!parent->record.is_directory() || parent->record.nlink == 0) return Error(Code::not_found, "the directory is gone");
  CachedInode* inode = TRY(set_.find(name.dirent.child));
  if (TRY(set_.find_name(to, to_name)).has_value()) return Error(Code::exists, "the name is taken");
  const bool is_directory = inode->record.is_directory();
  if (is_directory && !inode->record.is_retired()) return Error(Code::exists, "the directory is there already");
  if (!inode->record.is_retired() && inode->record.nlink == 0) return Error(Code::not_found, "it is being removed");
  TRY(set_.add_name(to, to_name, inode->record.ino, name.dirent.type));
  set_.unretire(*inode, to);
  ++parent->record.children;
  if (is_directory) ++parent->record.nlink;
  parent->record.mtime = parent->record.ctime = set_.now();
  set_.touch(*parent);
  return {};
}

/// Gives a directory the times that it had before things were removed from it.
Result<> Trash::set_times(Ino directory, uint64_t hlc) {
  // The directory's state ended a stamp or two before the first name did, and it had stood for a second.
  const PastState before = TRY(PastView(set_).state_of(directory, hlc - std::min(hlc, kMoment)));
  auto lock = set_.lock();
  CachedInode* inode = TRY(set_.find(directory));
  inode->record.atime = before.inode.atime;
  inode->record.mtime = before.inode.mtime;
  set_.touch(*inode);
  return {};
}

Result<Restored> Trash::restore(const PastName& name, Ino to, std::string_view to_name) {
  std::vector<Removal> inside;
  uint64_t began = name.ended_hlc;
  if (name.dirent.type == DT_DIR) began = TRY(collect(name, inside));
  TRY(put_back(name, to, to_name));
  Restored out{.entries = 1};
  for (const Removal& removal : inside) {
    auto done = put_back(removal.name, removal.name.dirent.directory, removal.name.dirent.name);
    if (done.ok())
      ++out.entries;
    else if (done.is(Code::no_space) || done.is(Code::io))
      return std::move(done).error();
    else
      ++out.failed;
  }
  for (auto removal = inside.rbegin(); removal != inside.rend(); ++removal)
    if (removal->name.dirent.type == DT_DIR) static_cast<void>(set_times(removal->name.dirent.child, removal->began).ok());
  if (name.dirent.type == DT_DIR) TRY(set_times(name.dirent.child, began));
  return out;
}

/// A retired inode and all states of its entry before it, for good.
Result<> Trash::purge(Ino ino) {
  while (raw(ino) != 0) {
    auto lock = set_.lock();
    set_.wait_to_free(lock);
    auto inode = set_.find(ino);
    if (inode.is(Code::not_found)) return {};
    CachedInode* found = TRY(std::move(inode));
    if (!found->record.is_retired()) return {};
    const Ino previous = found->record.past.previous;
    set_.remove(*found);
    ino = previous;
  }
  return {};
}

Result<Pruned> Trash::empty(uint64_t before_hlc) {
  Pruned out;
  for (const PastName& name : TRY(all_past_names())) {
    if (name.why != NameEnd::removed || name.ended_hlc >= before_hlc) continue;
    bool is_trash = false, is_gone = false;
    {
      auto lock = set_.lock();
      const auto inode = set_.find(name.dirent.child);
      is_gone = inode.is(Code::not_found);
      is_trash = inode.ok() && (*inode)->record.is_retired() && ((*inode)->record.flags & kInodeSucceeded) == 0;
    }
    if (!is_trash && !is_gone) continue;
    if (is_trash) {
      TRY(purge(name.dirent.child));
      ++out.entries;
    }
    auto lock = set_.lock();
    set_.wait_to_free(lock);
    set_.remove_past_name(name);
  }
  return out;
}

Result<Pruned> Trash::prune_entry(Ino ino, const Retention& retention, int64_t now_s, bool dry_run) {
  Pruned out;
  const std::vector<PastState> states = TRY(PastView(set_).log(ino));
  std::vector<size_t> ended;  // indexes of those that are not the entry's last state
  std::vector<int64_t> times;
  for (size_t i = 1; i < states.size(); ++i) {
    ended.push_back(i);
    times.push_back(seconds_of(states[i].ended_hlc));
  }
  const std::vector<bool> keep = kept_by(retention, times, now_s);
  for (size_t k = 0; k < ended.size(); ++k) {
    if (keep[k]) continue;
    const PastState& state = states[ended[k]];
    const Ino owner = state.inode.ino;
    if (state.is_version) {
      ++out.states;
      if (dry_run) continue;
      auto lock = set_.lock();
      set_.wait_to_free(lock);
      set_.drop_version(owner, state.ended_hlc);
      continue;
    }
    // A whole inode: one that is present under another name is not ours to drop, nor one that has states to keep.
    bool has_kept = false;
    for (size_t other = 0; other < ended.size(); ++other)
      has_kept |= keep[other] && states[ended[other]].is_version && states[ended[other]].inode.ino == owner;
    if (has_kept) continue;
    auto lock = set_.lock();
    set_.wait_to_free(lock);
    auto inode = set_.find(owner);
    if (!inode.ok() || !(*inode)->record.is_retired()) continue;
    ++out.states;
    if (dry_run) continue;
    const Ino successor = [&] {
      for (size_t i = ended[k]; i-- > 0;)
        if (states[i].inode.ino != owner) return states[i].inode.ino;
      return ino;
    }();
    auto next = set_.find(successor);
    inode = set_.find(owner);
    if (!next.ok() || !inode.ok() || (*next)->record.past.previous != owner) continue;
    set_.skip_previous(**next, **inode);
    set_.remove(**inode);
  }
  return out;
}

Result<Pruned> Trash::prune(const Retention& retention, int64_t now_s, bool dry_run) {
  Pruned out;
  // In steps, so that neither a read transaction nor the lock is held for long.
  constexpr size_t kStep = 256;
  Ino after{0};
  for (;;) {
    std::vector<Ino> found;
    bool end = false;
    {
      ReadTxn txn = TRY(ReadTxn::begin(set_.database().env()));
      end = !TRY(set_.database().inodes_with_past(txn, after, kStep, found));
    }
    for (Ino ino : found) {
      after = ino;
      {
        auto lock = set_.lock();
        auto inode = set_.find(ino);
        // Those that were succeeded are looked at with their successors.
        if (!inode.ok() || ((*inode)->record.is_retired() && ((*inode)->record.flags & kInodeSucceeded) != 0)) continue;
      }
      auto one = prune_entry(ino, retention, now_s, dry_run);
      if (!one.ok()) {
        if (one.is(Code::not_found) || one.is(Code::corrupt)) continue;
        return std::move(one).error();
      }
      out.states += one->states;
    }
    if (end) break;
  }
  return out;
}

}  // namespace tain::store
