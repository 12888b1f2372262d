// SPDX-License-Identifier: Apache-2.0
// The working set's side of history (ADR 13): which states become versions, which inodes stay, which names are kept.
#include <dirent.h>

#include <cstdlib>
#include <utility>

#include "base/secret.h"
#include "store/droppings.h"
#include "store/working_set.h"

namespace tain::store {
namespace {

constexpr int64_t kStood_ms = 1000;          // a state that was there for so long is worth keeping
constexpr int64_t kEndless_ms = 60'000;      // under one who never stops writing: a state in so long
constexpr int kStoodAtOnce = 1024;           // states of one entry; then one for each kEndless_ms
constexpr int kQuickAtOnce = 128;            // the same, of those that did not stand
constexpr int64_t kContinued_ms = 15'000;    // a name that is taken again within it goes on with the same entry
constexpr int64_t kAgeStep_ms = 60'000;  // of the time that ages go by, between two marks of it in the vault
constexpr int64_t kMade_ms = 10 * 60'000;  // a file that is not older, and was changed a moment ago, is still being made
constexpr size_t kVacatedMax = 4096;

uint64_t milliseconds_of(uint64_t hlc) { return hlc >> 16; }

void set_past(Inode& record, const Past& past) {
  record.past = past;
  if (past == Past{})
    record.flags &= ~kInodeHasPast;
  else
    record.flags |= kInodeHasPast;
}

int64_t since_epoch_ms(const Time& time) { return time.seconds * 1000 + time.nanoseconds / 1'000'000; }

}  // namespace

void WorkingSet::keep_age(const AgeMark& stored) {
  const AgeMark& now = age_clock_.look();
  const bool is_worth_it = std::abs(now.aged_ms - stored.aged_ms) >= kAgeStep_ms || now.waited_ms - stored.waited_ms >= kAgeStep_ms;
  if (is_worth_it && is_committed(tick_)) advance();  // there is something to commit
}

uint64_t WorkingSet::hlc_now() const { return std::max(hlc_, static_cast<uint64_t>(now_ms()) << 16); }

/// A clock that was set back is no reason to lose something.
bool WorkingSet::has_stood(int64_t since_ms) const { return std::abs(now_ms() - since_ms) >= kStood_ms; }

/// One more within what may be kept in a short time: `most` at once, then one for each kEndless_ms.
bool WorkingSet::take_one(CachedInode::Allowance& allowance, int most) {
  const int64_t now = now_ms();
  const int64_t periods = std::abs(now - allowance.since_ms) / kEndless_ms;
  if (periods > 0) {
    allowance.used = static_cast<int>(std::max<int64_t>(allowance.used - periods, 0));
    allowance.since_ms = now;
  }
  if (allowance.used >= most) return false;
  ++allowance.used;
  return true;
}

/// Whether the state that a change is about to end is to be kept. Endless writers are thinned, those first whose states do
/// not stand.
bool WorkingSet::take_version(CachedInode& inode) {
  if (has_stood(inode.state_ms)) return take_one(inode.stood_versions, kStoodAtOnce);
  return take_one(inode.quick_versions, kQuickAtOnce);
}

void WorkingSet::before_change(std::unique_lock<std::mutex>& lock, Ino ino, bool removal) {
  auto found = find(ino);
  if (!found.ok()) return;  // the change itself will say so
  CachedInode* inode = *found;
  // What another inode took over before is that one's past: that state stays, whatever else is kept.
  const bool is_anothers = inode->record.past.successors != 0 && (inode->record.flags & kInodeAltered) == 0;
  if (!limits_.history && !is_anothers) return;
  const bool is_directory = inode->record.is_directory();
  const Inode& record = inode->record;  // as long as nobody waits
  const bool is_kept = (record.flags & kInodeUnversioned) == 0 && (record.nlink != 0 || record.is_retired());
  const bool run_begins = removal && (!inode->removing || has_stood(inode->state_ms));
  if (is_directory) inode->removing = removal;
  // A state in place ends with each write: what did not stand counts once a minute.
  const bool stood = has_stood(inode->state_ms);
  const bool is_endless = !is_directory && std::abs(now_ms() - inode->cut_ms) >= kEndless_ms;
  const bool is_due = is_anothers || (is_kept && (stood || is_endless || run_begins) &&
                      (run_begins ? take_one(inode->stood_versions, kStoodAtOnce) : is_endless || take_version(*inode)));
  // Before a removal the directory's times count, too; but a commit for each file that comes and goes would be too much
  // for them.
  const auto is_state_pending = [&] {
    return is_pending(removal ? inode->changed_at : inode->state_changed_at);
  };
  if (is_due && is_state_pending() && !removal) {
    commit_now(lock);
    found = find(ino);
    if (!found.ok()) return;
    inode = *found;
  }
  // Without a committer nobody waits for one, and what is pending cannot become a version.
  const bool is_cut = is_due && !is_state_pending() && !inode->cut.has_value();
  if (removal && !is_cut) return;  // times alone are no state
  if (is_cut) {
    // A cut lies on what is pending only: a change that fails after all leaves a version like the present, but none that
    // some later commit would make of another state.
    mark_dirty(*inode);
    cut_version(*inode, {.ended_hlc = next_stamp().hlc, .ended = now()});
  }
  if (is_anothers) inode->record.flags |= kInodeAltered;
  inode->state_ms = now_ms();
  inode->state_changed_at = tick_ + 1;  // of the change that follows
}

bool WorkingSet::keep_state(std::unique_lock<std::mutex>& lock, Ino ino) {
  auto inode = find(ino);
  if (!limits_.history || !inode.ok()) return false;
  if (is_pending((*inode)->changed_at)) {
    commit_now(lock);
    inode = find(ino);
    if (!inode.ok() || is_pending((*inode)->changed_at)) return false;
  }
  if (!(*inode)->in_database) return false;
  if (!(*inode)->cut.has_value()) {
    mark_dirty(**inode);
    cut_version(**inode, {.ended_hlc = next_stamp().hlc, .ended = now()});
  }
  (*inode)->state_ms = now_ms();
  (*inode)->state_changed_at = tick_ + 1;
  return true;
}

void WorkingSet::cut_version(CachedInode& inode, const Cut& cut) {
  inode.cut = cut;
  inode.cut_framed = false;
  inode.cut_ms = now_ms();
  inode.record.flags |= kInodeHasVersions;
  // What is replaced may be longer than what replaces it; the map's root is most of it.
  account_version(inode, kRecordOverhead + 512 + inode.record.content.root.size() * (62 + kPatchesMax * 62) +
                             ((inode.record.flags & kInodeHasXattrs) != 0 ? kXattrTotalMax : 0));
}

void WorkingSet::keep_name(const Dirent& dirent, NameEnd why, bool for_trash) {
  const bool is_worth_it = limits_.history && !is_dropping(dirent.name, dirent.type == DT_DIR) &&
                           has_stood(static_cast<int64_t>(milliseconds_of(dirent.location_stamp.hlc)));
  if (!is_worth_it && !for_trash) return;
  set_past_name({.ended_hlc = next_stamp().hlc, .why = why, .dirent = dirent}, false);
}

void WorkingSet::set_past_name(PastName name, bool removed) {
  const DirentKey key{raw(name.dirent.directory), name.ended_hlc};
  auto [it, inserted] = past_names_.try_emplace(key);
  if (inserted) account_dirents(1);
  if (inserted || is_framed(it->second.changed_at)) {
    unjournaled_past_names_.push_back(key);
    unjournaled_bytes_ += 128 + name.dirent.name.size();
  }
  hlc_ = std::max(hlc_, name.ended_hlc);
  it->second = {.name = std::move(name), .removed = removed, .changed_at = advance()};
}

void WorkingSet::remove_past_name(const PastName& name) { set_past_name(name, true); }

bool WorkingSet::is_worth_keeping(const CachedInode& inode, std::string_view name) const {
  const Inode& record = inode.record;
  // What has a past leads to it, whatever it is called now, and whether or not history is kept now.
  if ((record.flags & (kInodeHasVersions | kInodeHasPast)) != 0) return true;
  if (!limits_.history || (record.flags & kInodeUnversioned) != 0 || is_dropping(name, record.is_directory())) return false;
  return has_stood(since_epoch_ms(record.btime));
}

bool WorkingSet::is_backup(const CachedInode& inode, std::string_view name, const CachedInode* by) const {
  if (is_dropping(name, inode.record.is_directory())) return true;
  // As long as nothing has changed it, all that it holds is the state that its successor's history has.
  if ((inode.record.flags & kInodeAltered) != 0) return false;
  if (by != nullptr && by->record.past.previous == inode.record.ino) return true;
  return std::abs(now_ms() - static_cast<int64_t>(milliseconds_of(inode.record.past.forked))) < kContinued_ms;
}

void WorkingSet::retire(CachedInode& inode) {
  Past past = inode.record.past;
  past.retired = next_stamp().hlc;
  set_past(inode.record, past);
  touch(inode);
}

bool WorkingSet::takes_over(const CachedInode& moved, const CachedInode& replaced, std::string_view name, bool restores) const {
  const Inode& from = moved.record;
  const Inode& to = replaced.record;
  if ((!limits_.history && !restores) || is_dropping(name) || from.is_directory() || to.is_directory()) return false;
  if ((to.flags & kInodeUnversioned) != 0) return false;
  if (from.time_lock != 0) return false;  // its lock is its own
  if (from.nlink != 1) return false;      // its other names are no states of that entry
  if ((from.flags & kInodeHasPast) != 0) return false;
  const auto is_recent = [&](int64_t ms) { return std::abs(now_ms() - ms) < kContinued_ms; };
  // One that is written for long, with pauses, has states of its own by then.
  if ((from.flags & kInodeHasVersions) != 0 && std::abs(now_ms() - since_epoch_ms(from.btime)) >= kMade_ms) return false;
  return restores || (from.flags & kInodeUnversioned) != 0 || is_recent(since_epoch_ms(from.btime)) || is_recent(moved.state_ms) ||
         is_recent(static_cast<int64_t>(milliseconds_of(from.content_stamp.hlc)));
}

bool WorkingSet::succeed(CachedInode& successor, CachedInode& previous, bool leaves, bool must_keep) {
  // Thinning may leave out a state, but nothing that others lead to, that leads to more than itself, or that stays anyway.
  const bool must_stay = must_keep || !leaves || previous.record.is_retired() || previous.record.past.successors != 0 || (previous.record.flags & kInodeHasVersions) != 0;
  const bool is_kept = take_version(previous) || must_stay;
  successor.stood_versions = previous.stood_versions;
  successor.quick_versions = previous.quick_versions;
  if (is_kept) {
    const uint64_t now = next_stamp().hlc;
    Past past = successor.record.past, before = previous.record.past;
    past.previous = previous.record.ino;
    past.since = now;
    past.floor = before.forked;
    before.forked = now;
    ++before.successors;
    set_past(successor.record, past);
    set_past(previous.record, before);
    previous.record.flags &= ~kInodeAltered;
  } else {
    skip_previous(successor, previous);
  }
  successor.record.flags &= ~kInodeUnversioned;
  successor.record.entry = previous.record.entry;
  touch(successor);
  if (!leaves) fill_random(previous.record.entry.bytes);  // it goes on, as another entry
  touch(previous);
  return is_kept;
}

void WorkingSet::vacate(Ino directory, std::string_view name, Ino ino) {
  if (!limits_.history || is_dropping(name)) return;
  if (vacated_.size() >= kVacatedMax)
    std::erase_if(vacated_, [&](const auto& item) { return std::abs(now_ms() - item.second.when_ms) >= kContinued_ms; });
  if (vacated_.size() >= kVacatedMax) vacated_.clear();
  vacated_[{raw(directory), std::string(name)}] = {.ino = ino, .when_ms = now_ms()};
}

std::optional<Ino> WorkingSet::take_vacated(Ino directory, std::string_view name) {
  if (vacated_.empty()) return std::nullopt;
  const auto it = vacated_.find({raw(directory), std::string(name)});
  if (it == vacated_.end()) return std::nullopt;
  const Vacated found = it->second;
  vacated_.erase(it);
  if (std::abs(now_ms() - found.when_ms) >= kContinued_ms) return std::nullopt;
  return found.ino;
}

void WorkingSet::classify(CachedInode& inode, std::string_view name) {
  if (!limits_.history) return;
  if (!is_dropping(name, inode.record.is_directory()))
    inode.record.flags &= ~kInodeUnversioned;
  else if (inode.record.nlink <= 1)  // else its other names are somebody's document
    inode.record.flags |= kInodeUnversioned;
}

Result<std::vector<PastName>> WorkingSet::past_names(Ino directory, uint64_t ended_after) {
  std::vector<PastName> out;
  if (ended_after == UINT64_MAX) return out;
  ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
  for (PastName& name : TRY(database_.load_past_names(txn, directory, ended_after + 1)))
    if (!past_names_.contains({raw(directory), name.ended_hlc})) out.push_back(std::move(name));
  for (auto it = past_names_.upper_bound({raw(directory), ended_after});
       it != past_names_.end() && it->first.first == raw(directory); ++it)
    if (!it->second.removed) out.push_back(it->second.name);
  std::sort(out.begin(), out.end(), [](const PastName& a, const PastName& b) { return a.ended_hlc < b.ended_hlc; });
  return out;
}

void WorkingSet::append_past_names(std::vector<PastName>& out) const {
  for (const auto& [key, pending] : past_names_)
    if (!pending.removed) out.push_back(pending.name);
}

void WorkingSet::unretire(CachedInode& inode, Ino directory) {
  Inode& record = inode.record;
  Past past = record.past;
  past.retired = 0;
  set_past(record, past);
  record.flags &= ~kInodeTrashed;
  if (record.is_directory()) {
    record.nlink = 2;
    record.parent = directory;
  } else {
    ++record.nlink;
  }
  touch(inode);
}

void WorkingSet::skip_previous(CachedInode& successor, CachedInode& previous) {
  Past past = successor.record.past, before = previous.record.past;
  past.previous = std::exchange(before.previous, Ino{});
  past.since = std::exchange(before.since, 0);
  past.floor = std::exchange(before.floor, 0);
  set_past(successor.record, past);
  set_past(previous.record, before);
  touch(successor);
}

void WorkingSet::remove_for_good(CachedInode& inode) {
  const Ino previous = inode.record.past.previous;
  remove(inode);
  if (raw(previous) == 0) return;
  auto found = find(previous);
  if (!found.ok()) return;  // lost: nobody counts
  Inode& record = (*found)->record;
  Past past = record.past;
  set_successors(past, record.flags, past.successors - std::min(past.successors, 1U));
  set_past(record, past);
  touch(**found);
}

void WorkingSet::drop_version(Ino ino, uint64_t ended_hlc) {
  if (dropped_versions_.empty() && is_committed(tick_)) advance();  // there is something to commit
  if (dropped_versions_[ino].insert(ended_hlc).second) account_dropped_versions(1);
}

}  // namespace tain::store
