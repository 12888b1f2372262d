// SPDX-License-Identifier: Apache-2.0
// Random saves, renames, links, removals, restores, prunes and empties of the trash, against what every entry's log must show.
//
// The oracle is what the logs showed before the step. A step may put states on top of a log; pruning takes from each only
// what its own retention does not keep; what is removed is in the trash or in somebody's past; nothing else changes. The
// vault's check finds every chain right, and in the end nothing is left. TAIN_LONG makes it longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "store/janitor.h"
#include "store/past.h"
#include "store/trash.h"
#include "tests/support/audit.h"
#include "tests/support/long_run.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;

struct Shown {
  uint64_t ended = 0;
  std::string text;
  bool operator==(const Shown&) const = default;
};
using Log = std::vector<Shown>;  // newest first

std::string show(const Log& log) {
  std::string out;
  for (const Shown& one : log) out += one.text + "@" + std::to_string((one.ended >> 16) % 100'000'000) + "." + std::to_string(one.ended & 0xffff) + " ";
  return out;
}

class HistoryModel {
 public:
  explicit HistoryModel(uint64_t seed) : random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE("step " + std::to_string(i) + " after:\n" + trail_);
      step();
      if (i % 50 == 49) audit();
    }
    if (!testing::Test::HasFailure()) leave_nothing();
    if (testing::Test::HasFailure()) std::cout << trail_;
  }

 private:
  struct Names {
    std::map<std::string, Ino> present;
    std::map<Ino, PastName> trash;
  };

  uint64_t pick(uint64_t below) { return random_() % below; }
  std::string any_name() { return std::string(1, static_cast<char>('a' + pick(6))); }
  std::string fresh_text() { return "v" + std::to_string(++texts_); }
  int64_t any_pause() {
    constexpr int64_t kPauses[] = {2, 2, 3, 7, 20, 70, 600, 4000, 30'000, 100'000};
    return kPauses[pick(std::size(kPauses))];
  }

  /// Every state stood, and is in the database.
  void pass() {
    ASSERT_TRUE(temp_.vault().sync().ok());
    temp_.clock().advance_seconds(any_pause());
  }

  Names names() {
    Names out;
    EXPECT_TRUE(temp_.tree().list(kRootIno, Cookie{0}, [&](const ListItem& item) {
      out.present[std::string(item.name)] = item.ino;
      return true;
    }).ok());
    const std::vector<TrashItem> items = temp_.vault().trash().list().value();
    for (const TrashItem& item : items) out.trash[item.name.dirent.child] = item.name;
    return out;
  }
  Log log(Ino ino) {
    Log out;
    const auto states = temp_.vault().past().log(ino);
    EXPECT_TRUE(states.ok());
    if (!states.ok()) return out;
    for (const PastState& state : *states) {
      Bytes text(state.inode.content.size);
      EXPECT_TRUE(temp_.vault().past().read(state, 0, text).ok());
      out.push_back({state.ended_hlc, std::string(as_text(text))});
    }
    return out;
  }
  std::map<Ino, Log> logs() {
    std::map<Ino, Log> out;
    const Names now = names();
    for (const auto& [name, ino] : now.present) out.try_emplace(ino, log(ino));
    for (const auto& [ino, name] : now.trash) out.try_emplace(ino, log(ino));
    return out;
  }
  Ino ino_of(const std::string& name) {
    const auto attr = temp_.tree().lookup(kRootIno, name);
    return attr.ok() ? attr->ino : Ino{0};
  }

  // --- steps ---------------------------------------------------------------------------------------

  void step() {
    pass();
    const auto before = logs();
    switch (pick(13)) {
      case 0: case 1: return changes(before, make(any_name()));
      case 2: case 3: return changes(before, overwrite(any_name()));
      case 4: return changes(before, save_by_rename(any_name(), RenameMode::replace));
      case 5: return changes(before, save_by_rename(any_name(), RenameMode::restore));
      case 6: case 7: return changes(before, rename(any_name(), any_name()));
      case 8: return changes(before, back_up(any_name(), any_name()));
      case 9: return changes(before, pick(3) == 0 ? link(any_name(), any_name()) : remove(any_name()));
      case 10: return changes(before, restore_from_trash());
      case 11: return pick(2) == 0 ? prune(before) : empty_trash(before);
      default:
        trail_ += pick(2) == 0 ? (temp_.crash(), "crash\n") : (temp_.reopen(), "reopen\n");
        return changes(before, Ino{0});
    }
  }

  /// The inode whose content the step changed; 0: none.
  Ino make(const std::string& name) {
    if (raw(ino_of(name)) != 0) return Ino{0};
    trail_ += "make " + name + "\n";
    temp_.write(temp_.make_file(kRootIno, name), 0, fresh_text());
    return Ino{0};
  }
  Ino overwrite(const std::string& name) {
    const Ino ino = ino_of(name);
    if (raw(ino) == 0) return ino;
    trail_ += "overwrite " + name + "\n";
    AttrChange cut;
    cut.size = 0;
    EXPECT_TRUE(temp_.tree().setattr(ino, cut).ok());
    temp_.write(ino, 0, fresh_text());
    return ino;
  }
  Ino save_by_rename(const std::string& name, RenameMode mode) {
    trail_ += (mode == RenameMode::restore ? "restore over " : "save ") + name + "\n";
    temp_.write(temp_.make_file(kRootIno, ".goutputstream-1"), 0, fresh_text());
    moved(".goutputstream-1", name, mode);
    return Ino{0};
  }
  void moved(const std::string& from, const std::string& to, RenameMode mode) {
    const auto renamed = temp_.tree().rename(kRootIno, from, kRootIno, to, mode);
    ASSERT_TRUE(renamed.ok());
    if (*renamed && (*renamed)->orphan) { ASSERT_TRUE(temp_.tree().reap((*renamed)->ino).ok()); }
  }
  Ino rename(const std::string& from, const std::string& to) {
    if (raw(ino_of(from)) == 0) return Ino{0};
    trail_ += "rename " + from + " " + to + "\n";
    moved(from, to, RenameMode::replace);
    return Ino{0};
  }
  /// As programs that save so, and as log rotation does.
  Ino back_up(const std::string& name, const std::string& backup) {
    if (raw(ino_of(name)) == 0 || name == backup) return Ino{0};
    trail_ += "back up " + name + " as " + backup + "\n";
    moved(name, backup, RenameMode::replace);
    if (raw(ino_of(name)) != 0) return Ino{0};  // both were one file
    temp_.write(temp_.make_file(kRootIno, name), 0, fresh_text());
    return Ino{0};
  }
  Ino link(const std::string& name, const std::string& other) {
    const Ino ino = ino_of(name);
    if (raw(ino) == 0 || raw(ino_of(other)) != 0) return Ino{0};
    trail_ += "link " + name + " " + other + "\n";
    EXPECT_TRUE(temp_.tree().link(ino, kRootIno, other).ok());
    return Ino{0};
  }
  Ino remove(const std::string& name) {
    if (raw(ino_of(name)) == 0) return Ino{0};
    trail_ += "remove " + name + "\n";
    const auto gone = temp_.tree().unlink(kRootIno, name);
    EXPECT_TRUE(gone.ok());
    EXPECT_FALSE(gone->orphan);
    return Ino{0};
  }
  Ino restore_from_trash() {
    const Names now = names();
    if (now.trash.empty()) return Ino{0};
    const auto item = std::next(now.trash.begin(), static_cast<std::ptrdiff_t>(pick(now.trash.size())));
    const std::string name = any_name();
    if (raw(ino_of(name)) != 0) return Ino{0};
    trail_ += "restore " + item->second.dirent.name + " as " + name + "\n";
    EXPECT_TRUE(temp_.vault().trash().restore(item->second, kRootIno, name).ok());
    return Ino{0};
  }

  // --- what must be so after them ------------------------------------------------------------------

  static bool ends_with(const Log& log, const Log& end) {
    if (end.size() > log.size()) return false;
    for (size_t i = 0; i < end.size(); ++i)
      if (log[log.size() - end.size() + i].text != end[i].text) return false;
    return true;
  }

  /// A fresh file that was moved over another one is the next state of that, which may live on under another name.
  static bool took_over(const Log& was, const Log& is, const std::map<Ino, Log>& before) {
    if (was.size() != 1 || is.size() < 2 || is[0].text != was[0].text) return false;
    return std::any_of(before.begin(), before.end(), [&](const auto& other) {
      return other.second.size() + 1 == is.size() && ends_with(is, other.second);
    });
  }

  /// After everything but pruning: each log is as it was, with one more state on top of `written`'s.
  void changes(const std::map<Ino, Log>& before, Ino written) {
    const auto after = logs();
    for (const auto& [ino, log] : before) {
      const auto now = after.find(ino);
      if (now != after.end()) {
        if (took_over(log, now->second, before)) continue;
        EXPECT_TRUE(ends_with(now->second, log)) << "inode " << raw(ino) << "\nwas " << show(log) << "\nis  " << show(now->second);
        EXPECT_EQ(now->second.size(), log.size() + (ino == written ? 1 : 0)) << "inode " << raw(ino) << "\nwas " << show(log) << "\nis  " << show(now->second);
        continue;
      }
      // It has left the present without going into the trash: then it is what something else was before.
      const bool is_past = std::any_of(after.begin(), after.end(), [&, &was = log](const auto& item) { return ends_with(item.second, was); });
      EXPECT_TRUE(is_past) << "inode " << raw(ino) << " is lost: " << show(log);
    }
  }

  Janitor::Tidied tidy() {
    Janitor::Tidied out;
    const auto janitor = temp_.vault().make_janitor();
    for (bool end = false; !end;) {
      const auto step = janitor->step();
      EXPECT_TRUE(step.ok());
      if (!step.ok()) break;
      out.entries += step->entries;
      end = step->end;
    }
    EXPECT_TRUE(temp_.vault().sync().ok());
    return out;
  }

  void prune(const std::map<Ino, Log>& before) {
    trail_ += "prune\n";
    const RetentionPolicy policy{.states = {.all_s = 3600, .hourly_s = 40'000, .daily_s = 400'000, .monthly_s = pick(2) == 0 ? 0 : 900'000}, .trash_s = 500'000};
    ASSERT_TRUE(temp_.vault().set_retention(policy).ok());
    const Names was = names();
    tidy();
    const int64_t now_s = temp_.vault().trash().now_s();
    const auto after = logs();
    for (const auto& [ino, log] : before) {
      const auto now = after.find(ino);
      if (now == after.end()) {
        const auto trashed = was.trash.find(ino);
        ASSERT_TRUE(trashed != was.trash.end()) << "inode " << raw(ino) << " is lost: " << show(log);
        EXPECT_GT(now_s - seconds_of(log[0].ended), policy.trash_s) << show(log);
        continue;
      }
      std::vector<int64_t> ends;
      for (size_t i = 1; i < log.size(); ++i) ends.push_back(seconds_of(log[i].ended));
      const std::vector<bool> keep = kept_by(policy.states, ends, now_s);
      size_t next = 0;
      for (size_t i = 0; i < log.size(); ++i) {
        if (next < now->second.size() && now->second[next] == log[i]) ++next;
        else EXPECT_TRUE(i > 0 && !keep[i - 1]) << log[i].text << " of inode " << raw(ino) << "\nwas " << show(log) << "\nis  " << show(now->second);
      }
      EXPECT_EQ(next, now->second.size()) << "a state that was not\nwas " << show(log) << "\nis  " << show(now->second);
    }
  }

  void empty_trash(const std::map<Ino, Log>& before) {
    trail_ += "empty\n";
    const Names was = names();
    ASSERT_TRUE(temp_.vault().trash().empty(UINT64_MAX).ok());
    const auto after = logs();
    EXPECT_TRUE(names().trash.empty());
    for (const auto& [ino, log] : before) {
      if (was.trash.contains(ino)) continue;
      const auto now = after.find(ino);
      ASSERT_TRUE(now != after.end()) << raw(ino);
      EXPECT_EQ(now->second, log) << "inode " << raw(ino) << "\nwas " << show(log) << "\nis  " << show(now->second);
    }
  }

  void audit() {
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), std::vector<std::string>());
    temp_.reopen();
  }

  /// Nobody leads to anything any more: all of it goes.
  void leave_nothing() {
    pass();
    for (const auto& [name, ino] : names().present) remove(name);
    temp_.clock().advance_seconds(20);
    ASSERT_TRUE(temp_.vault().sync().ok());
    ASSERT_TRUE(temp_.vault().trash().empty(UINT64_MAX).ok());
    ASSERT_TRUE(temp_.vault().set_retention({.states = {.all_s = 0, .hourly_s = 0, .daily_s = 0, .monthly_s = 0}, .trash_s = 0}).ok());
    temp_.clock().advance_seconds(20);
    for (int i = 0; i < 3; ++i) tidy();
    EXPECT_EQ(temp_.vault().stats().retired_entries, 0u);
    EXPECT_EQ(temp_.vault().stats().entries, 0u);
    audit();
  }

  std::mt19937_64 random_;
  TempVault temp_{{.committer_thread = false, .history = true}};
  uint64_t texts_ = 0;
  std::string trail_;
};

class HistoryModelTest : public testing::TestWithParam<uint64_t> {};

TEST_P(HistoryModelTest, EveryLogShowsWhatItMust) {
  HistoryModel(GetParam()).run(test::is_long_run() ? 3000 : 250);
}

INSTANTIATE_TEST_SUITE_P(Seeds, HistoryModelTest, testing::Range(uint64_t{1}, uint64_t{test::is_long_run() ? 41u : 9u}));

}  // namespace
}  // namespace tain::store
