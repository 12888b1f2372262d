// SPDX-License-Identifier: Apache-2.0
#include "store/time_lock.h"

#include <dirent.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <unordered_set>

#include "store/working_set.h"

namespace tain::store {
namespace {

constexpr int64_t kSecond_ms = 1000;
constexpr int64_t kMarkStep_ms = 60'000;  // of lock time, between two marks of it in the vault

bool can_be_locked(const Inode& record) { return record.is_regular() || record.is_directory(); }

Error damaged_names(Ino directory) {
  return Error(Code::corrupt, "names in directory " + std::to_string(raw(directory)) + " are damaged");
}

bool is_damage(const Result<>& result) { return result.is(Code::corrupt) || result.is(Code::not_found); }

}  // namespace

std::string unlock_text(int64_t unix_s) {
  const time_t seconds = unix_s;
  tm date{};
  if (::gmtime_r(&seconds, &date) == nullptr) return "@" + std::to_string(unix_s);
  char out[64];
  if (std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &date) == 0) return "@" + std::to_string(unix_s);
  return out;
}

int64_t LockTime::now_ms(int64_t seen_ms) {
  const int64_t going_ns = clock_.boottime_ns();
  const int64_t wall_ns = clock_.wall_ns();
  const int64_t last_ns = mark_ns_ == INT64_MIN ? wall_ns : mark_ns_ + std::max<int64_t>(going_ns - marked_at_ns_, 0);
  constexpr int64_t kMillisecond_ns = 1'000'000;
  mark_ns_ = std::max({last_ns, wall_ns, std::min(seen_ms, INT64_MAX / kMillisecond_ns) * kMillisecond_ns});
  marked_at_ns_ = going_ns;
  return mark_ns_ / kMillisecond_ns;
}

int64_t WorkingSet::lock_time_s() {
  const auto marked_ms = static_cast<int64_t>(hlc_ >> 16);
  const int64_t now_ms = lock_time_.now_ms(marked_ms);
  // Rarely, so that looking at what is locked costs no commit each time. It is asked for only where there is a lock.
  if (now_ms - marked_ms >= kMarkStep_ms) {
    hlc_ = static_cast<uint64_t>(now_ms) << 16;
    if (is_committed(tick_)) advance();  // there is something to commit
  }
  return now_ms / kSecond_ms;
}

Result<> check_unlocked(WorkingSet& set, const Inode& inode) {
  if (inode.time_lock == 0 || inode.time_lock <= set.lock_time_s()) return {};
  return Error(Code::time_locked, "time-locked until " + unlock_text(inode.time_lock));
}

Result<> check_unlocked(WorkingSet& set, Ino ino) { return check_unlocked(set, TRY(set.find(ino))->record); }

int64_t TimeLocks::now_s() {
  auto lock = set_.lock();
  return set_.lock_time_s();
}

Result<int64_t> TimeLocks::until(Ino ino) {
  auto lock = set_.lock();
  const int64_t until_s = TRY(set_.find(ino))->record.time_lock;
  return until_s == 0 || until_s <= set_.lock_time_s() ? 0 : until_s;
}

/// Why an inode is concerned.
enum class TimeLocks::Kind : uint8_t {
  entry,     // it is what was meant, or in it
  previous,  // a former state of that
  removed,   // it was in that, and is in the trash
};

/// What was found at one inode.
struct TimeLocks::Step {
  Kind kind = Kind::entry;
  bool counts = false;        // it is locked now, or was
  bool is_directory = false;  // whose content is concerned too
  Ino previous{};             // whose entry it took over; 0: none
};

/// Calls `change` for `top` and everything that belongs to it.
Result<LockReport> TimeLocks::walk(Ino top, const Change& change) {
  struct Place {
    Ino ino{};
    Kind kind = Kind::entry;
  };
  LockReport out;
  std::vector<Place> places{{.ino = top}};
  std::unordered_set<uint64_t> entered;  // a damaged vault may have a circle
  while (!places.empty()) {
    const Place place = places.back();
    places.pop_back();
    const bool is_entry = place.kind == Kind::entry;
    Step step{.kind = place.kind};
    auto changed = change(place.ino, step);
    if (is_damage(changed)) {
      if (is_entry) ++out.failed;
      continue;
    }
    TRY(std::move(changed));
    if (step.counts && is_entry) ++out.entries;
    if (raw(step.previous) != 0) places.push_back({.ino = step.previous, .kind = Kind::previous});
    // A folder takes nothing in and gives nothing away once it is locked, so what is listed now is all.
    if (!step.is_directory || !entered.insert(raw(place.ino)).second) continue;
    const auto add = [&](const Dirent& dirent, Kind kind) {
      if (dirent.type == DT_DIR || dirent.type == DT_REG) places.push_back({.ino = dirent.child, .kind = kind});
    };
    if (is_entry) {
      auto listed = list_children(place.ino, [&](const Dirent& dirent) { add(dirent, Kind::entry); });
      if (is_damage(listed)) ++out.failed;
      else TRY(std::move(listed));
    }
    auto lock = set_.lock();
    for (const PastName& name : TRY(set_.past_names(place.ino, 0)))
      if (name.why == NameEnd::removed) add(name.dirent, Kind::removed);
  }
  return out;
}

/// Errors: corrupt (after everything that can be read).
Result<> TimeLocks::list_children(Ino directory, const std::function<void(const Dirent&)>& take) {
  bool is_damaged = false;
  for (Cookie after{0};;) {
    auto lock = set_.lock();
    const WorkingSet::Listing listing = TRY(set_.list(directory, after, WorkingSet::kListChunk));
    lock.unlock();
    for (const Dirent& dirent : listing.entries) take(dirent);
    is_damaged = is_damaged || listing.damaged;
    after = listing.reached;
    if (!listing.end) continue;
    return is_damaged ? Result<>(damaged_names(directory)) : Result<>();
  }
}

Result<LockReport> TimeLocks::lock(Ino ino, int64_t until_s) {
  {
    auto lock = set_.lock();
    const Inode& record = TRY(set_.find(ino))->record;
    if (!can_be_locked(record)) return Error(Code::invalid_argument, "only files and folders can be time-locked");
    const int64_t now_s = set_.lock_time_s();
    if (until_s <= now_s) return Error(Code::invalid_argument, unlock_text(until_s) + " is over, or now");
    if (record.time_lock > std::max(until_s, now_s))
      return Error(Code::not_permitted, "it is locked until " + unlock_text(record.time_lock) + ", and a time lock is not shortened")
          .hint("tain timelock --override opens it now");
  }
  return walk(ino, [&](Ino at, Step& step) { return lock_one(at, until_s, step); });
}

Result<> TimeLocks::lock_one(Ino ino, int64_t until_s, Step& step) {
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock));
  CachedInode* inode = TRY(set_.find(ino));
  Inode& record = inode->record;
  if (!can_be_locked(record)) return {};
  if (step.kind == Kind::removed && !record.is_retired()) return {};  // it is elsewhere
  step.counts = true;
  step.is_directory = record.is_directory();
  step.previous = record.past.previous;
  if (record.time_lock >= until_s) return {};
  record.time_lock = until_s;
  if (!record.is_retired()) record.ctime = set_.now();  // what is past keeps its times
  set_.touch(*inode);
  return {};
}

Result<LockReport> TimeLocks::override_lock(Ino ino) {
  if (TRY(until(ino)) == 0) return Error(Code::invalid_argument, "it is not time-locked");
  if (!set_.keeps_history()) return Error(Code::unsupported, "without history nothing would tell that the lock was overridden");
  return walk(ino, [&](Ino at, Step& step) { return unlock_one(at, step); });
}

Result<> TimeLocks::unlock_one(Ino ino, Step& step) {
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock));
  CachedInode* inode = TRY(set_.find(ino));
  if (!can_be_locked(inode->record)) return {};
  const bool is_entry = step.kind == Kind::entry;
  if (!is_entry && !inode->record.is_retired()) return {};  // it went on as another entry, with a lock of its own
  step.is_directory = inode->record.is_directory();
  step.previous = inode->record.past.previous;
  if (inode->record.time_lock == 0) return {};
  if (is_entry) {
    // It may wait for a commit, and the lock may change meanwhile: what is recorded is what is taken away.
    if (!set_.keep_state(lock, ino)) return Error(Code::busy, "the override could not be recorded").hint("try again");
    inode = TRY(set_.find(ino));
    inode->record.ctime = set_.now();
    step.counts = true;
  }
  inode->record.time_lock = 0;
  set_.touch(*inode);
  return {};
}

Result<uint64_t> TimeLocks::list(const std::function<void(const LockedEntry&)>& take) {
  struct Folder {
    Ino ino{};
    std::string path;  // with a slash at its end
    int64_t until_s = 0;
  };
  uint64_t damaged = 0;
  std::vector<Folder> folders{{.ino = kRootIno, .path = "", .until_s = 0}};
  std::unordered_set<uint64_t> entered;
  while (!folders.empty()) {
    const Folder folder = std::move(folders.back());
    folders.pop_back();
    if (!entered.insert(raw(folder.ino)).second) continue;
    std::vector<Dirent> children;
    auto listed = list_children(folder.ino, [&](const Dirent& dirent) {
      if (dirent.type == DT_DIR || dirent.type == DT_REG) children.push_back(dirent);
    });
    if (is_damage(listed)) ++damaged;
    else TRY(std::move(listed));
    std::sort(children.begin(), children.end(), [](const Dirent& a, const Dirent& b) { return a.name > b.name; });
    for (auto child = children.rbegin(); child != children.rend(); ++child) {
      auto until_s = until(child->child);
      if (until_s.is(Code::corrupt) || until_s.is(Code::not_found)) {
        ++damaged;
        continue;
      }
      const int64_t locked_s = TRY(std::move(until_s));
      const bool is_directory = child->type == DT_DIR;
      if (locked_s != 0 && locked_s != folder.until_s)
        take({.path = folder.path + child->name, .mode = static_cast<uint32_t>(DTTOIF(child->type)), .until_s = locked_s});
      if (is_directory) folders.push_back({.ino = child->child, .path = folder.path + child->name + "/", .until_s = locked_s});
    }
  }
  return damaged;
}

}  // namespace tain::store
