// SPDX-License-Identifier: Apache-2.0
#include "store/trash.h"

#include <dirent.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "store/superfluous.h"
#include "store/time_lock.h"
#include "store/working_set.h"

namespace tain::store {
namespace {

// What is removed with a directory goes in one run, without a longer pause.
constexpr uint64_t kPause = uint64_t{15'000} << 16;  // as an HLC
constexpr uint64_t kMoment = uint64_t{500} << 16;
constexpr size_t kRestoreUnit = 256;     // names given back under one lock
constexpr size_t kChainMax = 1'000'000;  // inodes of one entry: a circle would be a damaged vault

}  // namespace

bool is_trash(const Inode& record) {
  return record.is_retired() && (record.past.successors == 0 || (record.flags & kInodeTrashed) != 0);
}

bool is_only_past(const Inode& record) {
  return record.is_retired() && record.past.successors == 1 && (record.flags & kInodeTrashed) == 0;
}

RetentionPolicy with_nothing_for_zero(RetentionPolicy policy) {
  for (int64_t* age : {&policy.states.all_s, &policy.states.hourly_s, &policy.states.daily_s, &policy.states.monthly_s, &policy.trash_s})
    if (*age == 0) *age = Retention::kNever;
  return policy;
}

/// One name to give back.
struct Trash::Removal {
  PastName name;
  Ino to{};             // the directory to put it into
  std::string to_name;
  uint64_t began = 0;   // directories: when the first of what was in it was removed
  std::optional<std::pair<Time, Time>> times;  // directories: atime and mtime before that
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
  std::vector<PastName> names = TRY(all_past_names());
  // What was restored and removed once more has two past names.
  std::set<std::tuple<Ino, Ino, std::string>> seen;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (name->why != NameEnd::removed) continue;
    auto lock = set_.lock();
    const auto inode = set_.find(name->dirent.child);
    if (!inode.ok() || !is_trash((*inode)->record)) continue;
    const Inode& record = (*inode)->record;
    if (!seen.emplace(name->dirent.directory, name->dirent.child, name->dirent.name).second) continue;
    TrashItem item{.name = {}, .mode = record.mode, .size = record.content.size};
    const auto directory = set_.find(name->dirent.directory);
    item.is_inside = directory.ok() && (*directory)->record.is_retired();
    item.name = std::move(*name);
    out.push_back(std::move(item));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

/// What was removed together with a directory, each after the directory that it was in. Yields when the first of it was.
Result<uint64_t> Trash::collect(const PastName& directory, std::vector<Removal>& out) {
  uint64_t began = directory.ended_hlc;
  std::vector<PastName> names;
  {
    auto lock = set_.lock();
    names = TRY(set_.past_names(directory.dirent.child, 0));
  }
  std::set<std::pair<Ino, std::string>> seen;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (name->why != NameEnd::removed || name->ended_hlc > directory.ended_hlc) continue;
    if (began - std::min(began, name->ended_hlc) > kPause) break;
    began = std::min(began, name->ended_hlc);
    if (!seen.emplace(name->dirent.child, name->dirent.name).second) continue;
    {
      // One that was made anew a moment later is a former state of that.
      auto lock = set_.lock();
      const auto inode = set_.find(name->dirent.child);
      if (inode.ok() && (*inode)->record.is_retired() && !is_trash((*inode)->record)) continue;
    }
    const size_t here = out.size();
    out.push_back({.name = *name, .to = name->dirent.directory, .to_name = name->dirent.name, .began = name->ended_hlc});
    if (name->dirent.type != DT_DIR) continue;
    out[here].began = TRY(collect(*name, out));
    began = std::min(began, out[here].began);
  }
  return began;
}

Result<std::vector<TrashRoot>> Trash::roots() {
  const std::vector<TrashItem> items = TRY(list());
  const auto place = [](const PastName& name) { return std::pair(raw(name.dirent.directory), name.ended_hlc); };
  std::map<std::pair<uint64_t, uint64_t>, size_t> by_place;
  for (size_t i = 0; i < items.size(); ++i) by_place.emplace(place(items[i].name), i);
  std::vector<bool> is_inside(items.size());
  std::vector<TrashRoot> out;
  // A directory is removed after what is in it.
  for (size_t i = items.size(); i-- > 0;) {
    if (is_inside[i]) continue;
    const PastName& name = items[i].name;
    TrashRoot root{.item = items[i], .before_hlc = name.ended_hlc - 1, .size = items[i].size};
    if (name.dirent.type == DT_DIR) {
      std::vector<Removal> inside;
      const uint64_t began = TRY(collect(name, inside));
      root.before_hlc = began - std::min(began, kMoment);
      for (const Removal& removal : inside) {
        const auto found = by_place.find(place(removal.name));
        if (found == by_place.end()) continue;
        is_inside[found->second] = true;
        root.size += items[found->second].size;
        ++root.entries;
      }
    }
    out.push_back(std::move(root));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

/// Under the lock. What is back already stays as it is.
Result<> Trash::put_back(const Removal& removal) {
  const Dirent& dirent = removal.name.dirent;
  CachedInode* parent = TRY(set_.find(removal.to));
  if (!parent->record.is_directory() || parent->record.nlink == 0) return Error(Code::not_found, "the directory is gone");
  TRY(check_unlocked(set_, parent->record));
  CachedInode* inode = TRY(set_.find(dirent.child));
  if (const auto taken = TRY(set_.find_name(removal.to, removal.to_name)); taken.has_value()) {
    if (taken->child == dirent.child && inode->record.nlink != 0) return {};
    return Error(Code::exists, "the name is taken");
  }
  const bool is_directory = inode->record.is_directory();
  if (is_directory && !inode->record.is_retired()) return Error(Code::exists, "the directory is there already");
  if (!inode->record.is_retired() && inode->record.nlink == 0) return Error(Code::not_found, "it is being removed");
  TRY(set_.add_name(removal.to, removal.to_name, dirent.child, dirent.type));
  set_.unretire(*inode, removal.to);
  ++parent->record.children;
  if (is_directory) ++parent->record.nlink;
  parent->record.mtime = parent->record.ctime = set_.now();
  set_.touch(*parent);
  return {};
}

/// Under the lock.
Result<> Trash::put_back_some(std::span<const Removal> removals, Restored& out) {
  for (const Removal& removal : removals) {
    auto done = put_back(removal);
    if (done.ok())
      ++out.entries;
    else if (out.entries == 0 || done.is(Code::no_space) || done.is(Code::io))  // the first is what all is for
      return done;
    else
      ++out.failed;
  }
  return {};
}

/// Under the lock: gives directories the times that they had before things were removed from them.
void Trash::set_times(const std::vector<Removal>& removals) {
  for (const Removal& removal : removals) {
    if (!removal.times.has_value()) continue;
    auto inode = set_.find(removal.name.dirent.child);
    if (!inode.ok() || (*inode)->record.is_retired()) continue;
    (*inode)->record.atime = removal.times->first;
    (*inode)->record.mtime = removal.times->second;
    set_.touch(**inode);
  }
}

Result<Restored> Trash::restore(const PastName& name, Ino to, std::string_view to_name) {
  std::vector<Removal> removals;
  removals.push_back({.name = name, .to = to, .to_name = std::string(to_name), .began = name.ended_hlc});
  if (name.dirent.type == DT_DIR) removals[0].began = TRY(collect(name, removals));
  for (Removal& removal : removals) {
    if (removal.name.dirent.type != DT_DIR) continue;
    // The directory's state ended a stamp or two before the first name did, and it had stood for a second.
    const uint64_t before = removal.began - std::min(removal.began, kMoment);
    if (const auto state = PastView(set_).state_of(removal.name.dirent.child, before); state.ok())
      removal.times = {state->inode.atime, state->inode.mtime};
  }

  Restored out;
  for (size_t first = 0; first < removals.size(); first += kRestoreUnit) {
    const size_t count = std::min(kRestoreUnit, removals.size() - first);
    // What is done under one lock is in one frame or commit.
    auto lock = set_.lock();
    TRY(set_.wait_for_room(lock, {.values = 0, .records = static_cast<uint32_t>(8 * count)}));
    TRY(put_back_some(std::span(removals).subspan(first, count), out));
    if (first + count == removals.size()) set_times(removals);
  }
  return out;
}

Result<bool> Trash::purge(Ino ino) {
  bool is_gone = false;
  for (Ino at = ino; raw(at) != 0;) {
    Ino left{};
    if (!TRY(purge_chain(at, left))) break;
    is_gone = true;
    at = left;
  }
  return is_gone;
}

/// `left`: what the last of the chain came after, if nothing else leads to that any more.
Result<bool> Trash::purge_chain(Ino ino, Ino& left) {
  // From the oldest on, so that a crash leaves none behind that nobody knows of.
  std::vector<Ino> chain;
  for (Ino at = ino; raw(at) != 0 && chain.size() < kChainMax;) {
    auto lock = set_.lock();
    auto inode = set_.find(at);
    if (inode.is(Code::not_found)) break;
    CachedInode* found = TRY(std::move(inode));
    const Inode& record = found->record;
    if (at == ino && record.is_retired() && record.past.successors != 0) {
      if ((record.flags & kInodeTrashed) == 0 || set_.is_in_use(ino)) return false;
      // A former state of an entry that lives stays that, and goes when the policy for states says so.
      found->record.flags &= ~kInodeTrashed;
      set_.touch(*found);
      return true;
    }
    if (at != ino && !is_only_past(record)) break;  // another entry's, too
    chain.push_back(at);
    at = record.past.previous;
  }
  if (chain.empty()) return false;
  while (!chain.empty()) {
    const Ino last = chain.back();
    chain.pop_back();
    auto lock = set_.lock();
    set_.wait_to_free(lock);
    auto inode = set_.find(last);
    // Restored meanwhile, or gone, or somebody's former state.
    if (!inode.ok() || !(*inode)->record.is_retired() || set_.is_in_use(last)) return false;
    if (chain.empty() ? (*inode)->record.past.successors != 0 : !is_only_past((*inode)->record)) return false;
    if (!chain.empty()) {
      auto next = set_.find(chain.back());
      if (!next.ok() || (*next)->record.past.previous != last) return false;
      set_.skip_previous(**next, **inode);
      set_.remove(**inode);
      continue;
    }
    // What leads to the one before it and what that counts go in one frame, or commit.
    const Ino previous = (*inode)->record.past.previous;
    if (raw(previous) != 0)
      if (const auto before = set_.find(previous); before.ok() && is_only_past((*before)->record)) left = previous;
    set_.remove_for_good(**inode);
  }
  return true;
}

Result<Pruned> Trash::empty(uint64_t before_hlc) {
  Pruned out;
  for (const PastName& name : TRY(all_past_names())) {
    if (name.why != NameEnd::removed || name.ended_hlc >= before_hlc) continue;
    bool is_there = false, is_gone = false;
    {
      auto lock = set_.lock();
      const auto inode = set_.find(name.dirent.child);
      is_gone = inode.is(Code::not_found);
      is_there = inode.ok() && is_trash((*inode)->record);
      // An older name of it says nothing: it was restored meanwhile, or had another name.
      if (is_there && (*inode)->record.past.retired >= before_hlc) continue;
    }
    if (!is_there && !is_gone) continue;
    if (is_there) {
      const auto purged = purge(name.dirent.child);
      if (purged.is(Code::corrupt)) ++out.failed;  // and hides none of the others
      if (!purged.ok() && !purged.is(Code::corrupt) && !purged.is(Code::not_found)) return purged.error();
      if (!purged.ok() || !*purged) continue;
      ++out.entries;
    }
    auto lock = set_.lock();
    set_.wait_to_free(lock);
    set_.remove_past_name(name);
  }
  return out;
}

/// Else its inode goes with it.
static bool is_only_version(const PastState& state) { return state.is_version && !state.is_stand_in; }

std::vector<size_t> superfluous(const std::vector<PastState>& states, const Retention& retention, int64_t now_s) {
  std::vector<int64_t> times;
  for (size_t i = 1; i < states.size(); ++i) times.push_back(seconds_of(states[i].ended_hlc));
  std::vector<bool> keep = kept_by(retention, times, now_s);
  // Of what another entry's log shows, too, it keeps what is the last of its time there.
  for (size_t i = 1; i < states.size(); ++i) {
    if (!states[i].is_fork) continue;
    const std::vector<bool> theirs = kept_by(retention, std::span(times).subspan(i), now_s);
    for (size_t k = 0; k < theirs.size(); ++k) keep[i + k] = keep[i + k] || theirs[k];
  }
  // What a damaged version shares is not known; it stays, and with it the inode.
  const auto is_kept = [&](size_t i) { return keep[i - 1] || states[i].is_damaged || !states[i].is_own; };
  std::set<Ino> with_kept_versions;
  for (size_t i = 1; i < states.size(); ++i)
    if (is_only_version(states[i]) && is_kept(i)) with_kept_versions.insert(states[i].inode.ino);
  std::vector<size_t> out;
  for (size_t i = 1; i < states.size(); ++i) {
    if (is_kept(i)) continue;
    // A whole inode: one that is present under another name, or that another entry came of, is not ours to drop.
    const bool stays = !is_only_version(states[i]) &&
                       (!is_only_past(states[i].inode) || with_kept_versions.contains(states[i].inode.ino));
    if (!stays) out.push_back(i);
  }
  return out;
}

Result<Pruned> Trash::prune_entry(Ino ino, const Retention& retention, int64_t now_s, bool dry_run) {
  Pruned out;
  const std::vector<PastState> states = TRY(PastView(set_).log(ino));
  std::set<Ino> gone;
  for (size_t i : superfluous(states, retention, now_s)) {
    const Ino owner = states[i].inode.ino;
    if (dry_run) {
      ++out.states;
      continue;
    }
    auto lock = set_.lock();
    set_.wait_to_free(lock);
    if (is_only_version(states[i])) {
      set_.drop_version(owner, states[i].ended_hlc);
      ++out.states;
      continue;
    }
    Ino successor = ino;
    for (size_t newer = i; newer-- > 0 && successor == ino;)
      if (states[newer].inode.ino != owner && !gone.contains(states[newer].inode.ino)) successor = states[newer].inode.ino;
    auto inode = set_.find(owner);
    auto next = set_.find(successor);
    if (!inode.ok() || !next.ok() || !is_only_past((*inode)->record) || (*next)->record.past.previous != owner) continue;
    if (set_.is_in_use(owner)) continue;
    set_.skip_previous(**next, **inode);
    set_.remove(**inode);
    gone.insert(owner);
    ++out.states;
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
        if (!inode.ok() || ((*inode)->record.is_retired() && !is_trash((*inode)->record))) continue;
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
