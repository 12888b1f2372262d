// SPDX-License-Identifier: Apache-2.0
// The change of the master key (ADR 16): seals everything that the one before it sealed anew, a little at a time, while
// the vault is used.
//
// Nothing is remembered of how far it is: every value says of which epoch it is, and what is done is passed over. A
// step is one short look at a committed state and at most one commit of its own, which changes no value's meaning. A
// pass goes over all tables; then it looks at every value once more, and only when nothing is left of the older epoch
// the header loses the older key, and reading refuses what it sealed.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "store/committer.h"
#include "store/working_set.h"

namespace tain::store {

/// How a change of the master key stands, for people.
struct RotationState {
  bool running = false;   // values of the older epoch are still accepted
  uint32_t epoch = 0;     // of the new master key
  double part = 0;        // of the pass under way, 0 to 1
  uint64_t resealed = 0;  // values, since the vault was opened
  uint64_t left = 0;      // values that the last whole pass could not seal anew: they are damaged, or nobody needs them
  std::string error;      // why the last step failed, if it did
};

/// Threads: step() from one at a time; state() from any; start() and stop() from the owner.
class Rotation {
 public:
  /// All of them outlive it. `directory`: the vault's.
  Rotation(WorkingSet& set, Committer& committer, Cipher& cipher, std::string directory);
  ~Rotation() { stop(); }
  Rotation(const Rotation&) = delete;
  Rotation& operator=(const Rotation&) = delete;

  bool running() const { return cipher_.older_epoch() != 0; }
  enum class Step {
    more,   // call it again
    stuck,  // a whole pass found nothing that could still be sealed anew, and something is left
    done,   // nothing is of the older epoch any more, and nothing of it is accepted
  };
  /// Seals about `budget` bytes anew, at most one block more. Damage is no error.
  /// Errors: no_space, suite_missing (this processor cannot read some of it), io, corrupt, those of save_header.
  Result<Step> step(uint64_t budget);
  RotationState state() const;

  /// Steps in the background until it is done, with low priority.
  void start();
  void stop();

 private:
  class Slice;
  enum class Stage { inodes, versions, xattrs, past_names, orphans, marks, notes, names, proof, finish };

  Result<> seal_anew(Slice& slice);
  Result<bool> walk(Slice& slice, const ContentRecord& content, const RefList& list, uint8_t level, uint64_t base);
  Result<Bytes> beginning_of(Slice& slice, const BlockId& id);
  void take_block(Slice& slice, const ContentRecord& content, const BlockRef& ref, Kind kind, uint8_t level,
                  uint64_t index);
  Result<> look(Slice& slice);
  Result<bool> look_at(Slice& slice, const Cursor::Item& item);
  bool is_left(const Cursor::Item& item) const;
  Result<Step> end_of_proof();
  Result<bool> finish();
  Table table() const;
  void go_to(Stage stage);
  void run();
  bool wait(std::chrono::milliseconds time);

  WorkingSet& set_;
  Database& database_;
  Committer& committer_;
  Cipher& cipher_;
  const std::string directory_;

  Stage stage_ = Stage::inodes;
  Table proven_ = Table::inodes;  // the table that the proof is at
  Bytes from_;                    // the next key of the table to look at
  uint64_t at_ = 0;               // the next block of the content of that record
  uint64_t looked_ = 0;           // at values in this pass, before the proof
  uint64_t resealed_in_pass_ = 0;
  uint64_t unreadable_ = 0;  // blocks of this pass that the device does not give
  uint64_t left_ = 0;        // found by the proof

  mutable std::mutex state_mutex_;
  RotationState state_;  // guarded by state_mutex_

  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace tain::store
