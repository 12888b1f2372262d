// SPDX-License-Identifier: Apache-2.0
// Takes away of the past what the vault's policy does not keep, a little at a time; and more than that when the disk is full.
//
// Nothing is remembered of how far it is: what is due stays due until it is gone, and a crash brings back at most what the
// last second took away. A pass goes over all inodes and then over all past names, in steps of some hundred records.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "store/committer.h"
#include "store/trash.h"

namespace tain::store {

/// Threads: step() from one at a time; give_back() from any; start() and stop() from the owner.
class Janitor {
 public:
  struct Tidied {
    uint64_t states = 0;   // of entries
    uint64_t entries = 0;  // from the trash
    uint64_t names = 0;    // past ones
    bool end = false;      // of a pass: the next step begins the next one
  };

  Janitor(WorkingSet& set, Committer& committer) : set_(set), committer_(committer), trash_(set) {}
  ~Janitor() { stop(); }
  Janitor(const Janitor&) = delete;
  Janitor& operator=(const Janitor&) = delete;

  /// Looks at the next records and drops what is due; the next commit makes that durable. A damaged entry is left alone.
  Result<Tidied> step();
  /// For a full disk: gives up the oldest part of the past, trash and states alike, and commits that. False when nothing
  /// could be given up. Takes its time.
  bool give_back();

  /// Passes in the background, the first one some minutes from now.
  void start();
  void stop();

 private:
  /// What an inode with a past is to the janitor.
  enum class Role { entry, trash, former, none };
  Role role_of(Ino ino, int64_t& retired_s);
  Result<> tidy_inode(Ino ino, const RetentionPolicy& policy, int64_t now_s, Tidied& out);
  Result<bool> is_due(const PastName& name, const RetentionPolicy& policy, int64_t now_s);
  Result<Tidied> step_inodes(const RetentionPolicy& policy, int64_t now_s);
  Result<Tidied> step_names(const RetentionPolicy& policy, int64_t now_s);
  template <class Take>
  Result<> for_each_with_past(Take take);
  bool has_past();
  Result<std::optional<int64_t>> choose_cut(int64_t after_s);
  Result<bool> give_up_before(int64_t cut_s);
  void run();
  bool wait(std::chrono::milliseconds time);

  WorkingSet& set_;
  Committer& committer_;
  Trash trash_;
  Ino after_{};                                // the last inode looked at
  std::optional<Database::PastNameKey> names_from_;  // set while a pass is over names

  std::mutex give_back_mutex_;
  std::atomic<uint64_t> given_back_{0};  // times
  std::optional<std::chrono::steady_clock::time_point> gave_nothing_at_;  // guarded by give_back_mutex_
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace tain::store
