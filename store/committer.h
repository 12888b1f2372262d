// SPDX-License-Identifier: Apache-2.0
// Makes changes durable: small ones in the journal at fsync, all of them in the database soon after.
//
// One commit at a time, one frame at a time (group commit: whoever waits for the journal finds that the
// frame before covered it). A commit detaches the working set's changes, seals blocks in parallel
// without any lock, and writes everything in one LMDB transaction.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "store/journal.h"
#include "store/working_set.h"

namespace tain::store {

/// Threads: commit() and fsync() from any; start() and stop() from the owner.
class Committer {
 public:
  /// `failed` is told why a commit failed, once for each reason until one succeeds. May be empty. Called from any thread
  /// that commits, without the working set's mutex.
  Committer(WorkingSet& set, Journal& journal, Suite suite, const State& state,
            std::function<void(const Error&)> failed)
      : set_(set), journal_(journal), suite_(suite), failed_(std::move(failed)), state_(state) {}
  ~Committer() { stop(); }

  /// Commits in the background, about a second after a change and when much is pending.
  void start();
  /// Ends the thread; does not commit.
  void stop();

  /// Everything changed before the call is in the database afterwards. Errors: no_space, io, corrupt.
  /// Out of memory ends the process: a commit that was left in the middle would hold LMDB's lock for ever, and what was
  /// fsynced is in the journal.
  Result<> commit() noexcept;
  /// The inode's changes made before the call, and everything before them, are durable afterwards.
  Result<> fsync(Ino ino);
  /// What the last commit freed is of use to nobody before another one. Makes an empty one. Errors: no_space, io, corrupt.
  Result<> free_pages() noexcept;
  /// For when commit() fails: everything changed up to now is durable in the journal afterwards. False if it cannot be.
  bool keep_in_journal();

  /// Commits what `work` puts, and nothing else. For what changes no value's meaning: it does not show in the working set.
  /// Errors: those of `work`, no_space, io, corrupt.
  Result<> rewrite(const std::function<Result<>(Batch&)>& work) noexcept;
  /// Leaves nothing in the journal that was ever written to it. Everything is in the database afterwards.
  Result<> erase_journal() noexcept;

  /// From now on the vault keeps that; durable when it returns. Errors: no_space, io, corrupt.
  Result<> set_retention(const RetentionPolicy& policy) noexcept;
  /// From the next commit on it marks what it changes (store/notes.h), or not. Errors: those.
  Result<> set_marks_changes(bool wanted) noexcept;

  State state() const;
  uint64_t journal_frames() const { return frames_.load(std::memory_order_relaxed); }

 private:
  /// One block to seal.
  struct BlockJob {
    size_t file = 0;               // in Frozen::files
    uint64_t index = 0;
    const Cells* plain = nullptr;  // owned by the Frozen
    BlockId id;
    std::optional<BlockRef> base;  // what `plain` is a patch for; nothing: a whole block
    Bytes own;                     // the sealed value of a small block
    ByteSpan value;                // the sealed value: in `own`, or where the commit writes it from
    BlockRef ref;                  // of the sealed block
  };
  Result<std::vector<BlockJob>> plan_blocks(const Frozen& frozen);
  /// A commit of what `work` puts alone; `change` alters the state.
  Result<> write_empty(const std::function<Result<>(Batch&)>& work = {}, const std::function<void(State&)>& change = {});
  bool write_frame(Tick target);
  void report(const Result<>& committed);
  /// On a full disk the longest values come first: there are fewest rows of free pages for them (SpaceNeed::fits).
  enum class BlockOrder { as_written, longest_first };
  /// Gives each job its id, seals it and puts it.
  Result<> put_blocks(const Frozen& frozen, BlockOrder order, std::vector<BlockJob>& jobs, Batch& batch);
  Result<State> write(const Frozen& frozen, const JournalPosition& position, BlockOrder block_order,
                      std::vector<CommittedMap>& maps);
  /// What a file shares blocks with.
  struct Shared {
    std::optional<ContentRecord> newest;  // its newest version, if it has any
    bool unknown = false;                 // that is damaged: nobody knows what it has
  };
  Result<Shared> keep_past(const ReadTxn& committed, Batch& batch, const Frozen& frozen, const Frozen::File& file);
  void run();

  WorkingSet& set_;
  Journal& journal_;
  const Suite suite_;
  const std::function<void(const Error&)> failed_;
  std::string reported_;  // the last reason; guarded by commit_mutex_

  std::mutex commit_mutex_;   // first
  std::mutex journal_mutex_;  // second; then set_.mutex()
  mutable std::mutex state_mutex_;
  State state_;               // as last committed; guarded by state_mutex_
  uint64_t block_number_ = 0; // of this writer; guarded by commit_mutex_
  std::atomic<uint64_t> frames_{0};
  std::thread thread_;
  bool stop_ = false;  // guarded by set_.mutex()
};

}  // namespace tain::store
