// SPDX-License-Identifier: Apache-2.0
#include "store/janitor.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "base/secret.h"
#include "store/superfluous.h"

namespace tain::store {
namespace {

using std::chrono::milliseconds;

constexpr size_t kStepRecords = 256;
constexpr milliseconds kFirstPass = std::chrono::minutes{3};
constexpr milliseconds kBetweenSteps{50};
constexpr milliseconds kBetweenPasses = std::chrono::hours{6};
// On a full disk: at least so much of the past at once, and commits of so many states.
constexpr uint64_t kGiveBackBytes = uint64_t{16} << 20;
constexpr uint64_t kGiveBackPart = 8;
constexpr uint64_t kGiveBackStates = 32;
constexpr std::chrono::seconds kGiveBackAgain{2};  // after there was nothing
constexpr uint64_t kRecordBytes = 1024;  // a state counts for, besides its content
constexpr int64_t kMinute = 60;
constexpr Retention kNothing{.all_s = Retention::kNever, .hourly_s = Retention::kNever, .daily_s = Retention::kNever, .monthly_s = Retention::kNever};

bool is_about_one_entry(const Error& error) { return error.code() == Code::not_found || error.code() == Code::corrupt; }

}  // namespace

Janitor::Role Janitor::role_of(Ino ino, int64_t& retired_s) {
  auto lock = set_.lock();
  const auto inode = set_.find(ino);
  if (!inode.ok()) return Role::none;
  const Inode& record = (*inode)->record;
  retired_s = seconds_of(record.past.retired);
  if (!record.is_retired()) return Role::entry;
  // Those that were succeeded are looked at with their successors.
  return is_trash(record) ? Role::trash : Role::former;
}

Result<> Janitor::tidy_inode(Ino ino, const RetentionPolicy& policy, int64_t now_s, Tidied& out) {
  int64_t retired_s = 0;
  const Role role = role_of(ino, retired_s);
  if (role == Role::none || role == Role::former) return {};
  if (role == Role::trash && now_s - retired_s > policy.trash_s) {
    if (TRY(trash_.purge(ino))) ++out.entries;
    return {};
  }
  const Pruned pruned = TRY(trash_.prune_entry(ino, policy.states, now_s, /*dry_run=*/false));
  out.states += pruned.states;
  return {};
}

Result<Janitor::Tidied> Janitor::step_inodes(const RetentionPolicy& policy, int64_t now_s) {
  Tidied out;
  std::vector<Ino> found;
  bool is_more = false;
  {
    ReadTxn txn = TRY(ReadTxn::begin(set_.database().env()));
    is_more = TRY(set_.database().inodes_with_past(txn, after_, kStepRecords, found));
  }
  for (Ino ino : found) {
    after_ = ino;
    auto tidied = tidy_inode(ino, policy, now_s, out);
    if (!tidied.ok() && !is_about_one_entry(tidied.error())) return std::move(tidied).error();
  }
  if (!is_more) names_from_ = Database::PastNameKey{};
  return out;
}

/// Whether nobody will ask for that name any more.
Result<bool> Janitor::is_due(const PastName& name, const RetentionPolicy& policy, int64_t now_s) {
  auto lock = set_.lock();
  if (set_.has_past_name(name)) return false;  // just made, or going already
  const auto directory = set_.find(name.dirent.directory);
  const auto child = set_.find(name.dirent.child);
  if (child.is(Code::not_found)) return true;
  if (child.ok() && is_trash((*child)->record)) return false;  // it is found by it, also where its directory is gone
  if (directory.is(Code::not_found)) return true;
  if (!directory.ok() || !child.ok()) return false;  // damaged: repair may need it
  return now_s - seconds_of(name.ended_hlc) > policy.states.longest_s();
}

Result<Janitor::Tidied> Janitor::step_names(const RetentionPolicy& policy, int64_t now_s) {
  Tidied out;
  std::optional<Database::PastNameKey> next;
  std::vector<PastName> names;
  {
    ReadTxn txn = TRY(ReadTxn::begin(set_.database().env()));
    names = TRY(set_.database().some_past_names(txn, *names_from_, kStepRecords, next));
  }
  for (const PastName& name : names) {
    if (!TRY(is_due(name, policy, now_s))) continue;
    auto lock = set_.lock();
    set_.wait_to_free(lock);
    set_.remove_past_name(name);
    ++out.names;
  }
  names_from_ = next;
  if (!next.has_value()) {
    after_ = Ino{0};
    out.end = true;
    auto lock = set_.lock();
    set_.keep_age(committer_.state().age);
  }
  return out;
}

Result<Janitor::Tidied> Janitor::step() {
  const RetentionPolicy policy = with_nothing_for_zero(committer_.state().retention);
  int64_t now_s = 0;
  {
    auto lock = set_.lock();
    now_s = set_.age_now_s();
  }
  return names_from_.has_value() ? step_names(policy, now_s) : step_inodes(policy, now_s);
}

// --- a full disk --------------------------------------------------------------------------------------

template <class Take>
Result<> Janitor::for_each_with_past(Take take) {
  Ino after{0};
  for (bool is_more = true; is_more;) {
    std::vector<Ino> found;
    {
      ReadTxn txn = TRY(ReadTxn::begin(set_.database().env()));
      is_more = TRY(set_.database().inodes_with_past(txn, after, kStepRecords, found));
    }
    for (Ino ino : found) {
      after = ino;
      Result<> taken = take(ino);
      if (!taken.ok() && !is_about_one_entry(taken.error())) return taken;
    }
  }
  return {};
}

/// Whether there may be anything to give up.
bool Janitor::has_past() {
  const State state = committer_.state();
  std::lock_guard lock(set_.mutex());
  return state.retired_inodes != 0 || state.sets[static_cast<size_t>(Table::versions)].count != 0 ||
         set_.pending_counts().retired_inodes > 0;
}

/// Until when states and trash have to go so that it is worth the while. Nothing if there are none that end after `after_s`.
/// What cannot go, as it is present under another name or another entry came of it, counts for nothing: there may be much.
Result<std::optional<int64_t>> Janitor::choose_cut(int64_t after_s) {
  std::map<int64_t, uint64_t> bytes_by_minute;
  uint64_t total = 0;
  const auto count = [&](Ino ino) -> Result<> {
    int64_t retired_s = 0;
    const Role role = role_of(ino, retired_s);
    if (role == Role::none || role == Role::former) return {};
    const std::vector<PastState> states = TRY(PastView(set_).log(ino));
    const auto add = [&](size_t i) {
      const int64_t ended_s = seconds_of(states[i].ended_hlc);
      if (ended_s < after_s) return;
      const uint64_t bytes = kRecordBytes + states[i].inode.content.size;
      bytes_by_minute[ended_s / kMinute] += bytes;
      total += bytes;
    };
    if (role == Role::trash) add(0);
    for (size_t i : superfluous(states, kNothing, /*now_s=*/0)) add(i);
    return {};
  };
  TRY(for_each_with_past(count));
  const uint64_t wanted = std::max(total / kGiveBackPart, kGiveBackBytes);
  uint64_t sum = 0;
  std::optional<int64_t> out;
  for (const auto& [minute, bytes] : bytes_by_minute) {
    if (sum >= wanted) break;
    sum += bytes;
    out = (minute + 1) * kMinute;
  }
  return out;
}

/// Commits as it goes: there is not much room for what is pending.
Result<bool> Janitor::give_up_before(int64_t cut_s) {
  const int64_t now_s = set_.now().seconds;
  // A state is kept that is not older than that.
  Retention since_cut = kNothing;
  since_cut.all_s = now_s - cut_s;
  const RetentionPolicy policy{.states = since_cut, .trash_s = since_cut.all_s};
  Tidied gone;
  uint64_t committed = 0;
  const auto give_up = [&](Ino ino) -> Result<> {
    TRY(tidy_inode(ino, policy, now_s, gone));
    if (gone.states + gone.entries - committed < kGiveBackStates) return {};
    committed = gone.states + gone.entries;
    auto done = committer_.commit();
    // Not about this entry, whatever it says.
    if (!done.ok()) return Error(Code::io, done.error().message());
    return {};
  };
  TRY(for_each_with_past(give_up));
  if (gone.states + gone.entries == 0) return false;
  TRY(committer_.commit());
  TRY(committer_.free_pages());  // what a commit frees is of use to the one after the next
  return true;
}

bool Janitor::give_back() {
  const uint64_t seen = given_back_.load();
  std::lock_guard one(give_back_mutex_);
  if (given_back_.load() != seen) return true;  // somebody else did it while we waited
  const auto now = std::chrono::steady_clock::now();
  // Looking through everything for each write that is refused would be too much.
  if (gave_nothing_at_.has_value() && now - *gave_nothing_at_ < kGiveBackAgain) return false;
  if (!has_past()) return false;
  const auto given = [&]() -> Result<bool> {
    TRY(committer_.commit());  // what is to go must be in the database
    // What is in use now may not go, and be all that a cut takes.
    for (auto cut_s = TRY(choose_cut(INT64_MIN)); cut_s.has_value(); cut_s = TRY(choose_cut(*cut_s)))
      if (TRY(give_up_before(*cut_s))) return true;
    return false;
  }();
  if (!given.ok() || !*given) {
    gave_nothing_at_ = std::chrono::steady_clock::now();
    return false;
  }
  gave_nothing_at_.reset();
  given_back_.fetch_add(1);
  return true;
}

// --- in the background --------------------------------------------------------------------------------

void Janitor::start() {
  stop_ = false;
  thread_ = std::thread([this] { run(); });
}

void Janitor::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    stopped_.notify_all();
  }
  thread_.join();
}

/// False when it is time to stop.
bool Janitor::wait(milliseconds time) {
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, time, [&] { return stop_; });
}

void Janitor::run() {
  static_cast<void>(::setpriority(PRIO_PROCESS, 0 /* this thread */, 19));
  {
    // A vault that is never open for long enough for a whole pass is tidied up all the same, here and there.
    std::lock_guard lock(set_.mutex());
    after_ = Ino{random_u64() % set_.next_ino()};
  }
  if (!wait(kFirstPass)) return;
  for (;;) {
    const auto tidied = step();
    const bool rests = !tidied.ok() || tidied->end;
    if (!wait(rests ? kBetweenPasses : kBetweenSteps)) return;
  }
}

}  // namespace tain::store
