// SPDX-License-Identifier: Apache-2.0
// tain scrub: reads all data of an open vault, a little at a time, to find damage before somebody needs what it hit.
//
// A pass walks the inodes in ascending order, and with each its attributes, names, map and blocks, those below patches
// included, so that what is damaged has an owner; it goes to the vault's DamageLog. A step is one short read
// transaction: LMDB reuses no page that an old one may see. It reads with pread (an unreadable sector is damage here
// and not the death of the process), past the block cache. Commits may come at any time between and within steps.
#pragma once

#include <deque>
#include <set>
#include <string>

#include "store/scrub_record.h"
#include "store/working_set.h"

namespace tain::store {

/// Where the passes of a vault stand, for people.
struct ScrubState {
  bool running = false;  // a pass is under way, perhaps of an earlier opening
  double part = 0;       // of it that is done, 0 to 1
  ScrubRecord record;
  uint64_t damaged = 0;  // entries found by the pass under way, else by the last one
};

/// Threads: one at a time.
class Scrubber {
 public:
  struct Options {
    bool keep = true;  // write the position and the result to the vault's file `scrub`
    /// Longest time in one step, so that old pages are not kept from being reused.
    int64_t step_max_ns = 50'000'000;
  };
  /// Goes on from the position in `directory`. `set` outlives the scrubber.
  Scrubber(WorkingSet& set, std::string directory, const VaultId& vault, const Options& options);

  /// Begins a pass, unless one is under way.
  void begin();
  bool running() const { return record_.started_s != 0; }
  /// Whether step() has something to do: a pass, or another look at what an earlier process found damaged.
  bool has_work() const { return running() || !again_.empty(); }
  /// Verifies about `budget` stored bytes, at most one block more. Returns how many it was.
  /// Damage is no error. Errors: those of a vault that cannot be read at all: corrupt, io, memory.
  Result<uint64_t> step(uint64_t budget);
  /// Writes the position, if it is to be kept. Errors: io, no_space, read_only.
  Result<> save() const;

  ScrubState state() const;

 private:
  class Slice;
  /// Part of a file, and what is wrong with it.
  struct Span {
    uint64_t begin = 0, end = 0;  // bytes
    Damage damage = Damage::none;
  };

  Result<> look_again(Slice& slice);
  Result<> go_on(Slice& slice);
  /// These are true when `place` is through, false when the slice is.
  Result<bool> scrub_rest(Slice& slice, ScrubPlace& place);
  Result<bool> scrub_names(Slice& slice, const Inode& inode, ScrubPlace& place);
  Result<bool> scrub_map(Slice& slice, const Inode& inode, const RefList& list, uint8_t level, uint64_t base,
                         ScrubPlace& place);
  void scrub_record(Slice& slice, Ino ino, ByteView value, ScrubPlace& place);
  Result<bool> scrub_versions(Slice& slice, const Inode& inode, ScrubPlace& place);
  Result<bool> scrub_past_names(Slice& slice, const Inode& inode, ScrubPlace& place);
  Result<Damage> scrub_stored(Slice& slice, const BlockRef& ref);
  void note_past(Ino ino, Damage damage);
  Damage scrub_xattrs(Slice& slice, const Inode& inode);
  /// Null when it cannot be read; then everything below it has been noted.
  Result<std::shared_ptr<const RefList>> scrub_node(Slice& slice, const Inode& inode, const BlockRef& ref,
                                                    uint8_t level, uint64_t index, bool is_new);
  Result<> scrub_block(Slice& slice, const Inode& inode, const BlockRef& ref, uint64_t index);
  /// Notes damage in `count` blocks from `first` on, unless they have changed since the slice's transaction began.
  void note_content(Slice& slice, const Inode& inode, uint64_t first, uint64_t count, const std::vector<Span>& spans);
  void count_damaged(Ino ino);
  void note_record(Ino ino, Damage damage);
  void note_names(Ino ino, Damage damage);
  void count_all(Slice& slice);
  void finish(Slice& slice);

  WorkingSet& set_;
  Database& database_;
  const std::string directory_;
  const Options options_;
  ScrubRecord record_;          // but for `damaged`, which stands in damaged_
  std::set<uint64_t> damaged_;  // inodes
  std::deque<uint64_t> again_;  // inodes that an earlier process found damaged, to be looked at first
  ScrubPlace again_place_;      // in the first of them
  uint64_t records_total_ = 0;  // in the vault, as of the last step
  uint64_t blocks_total_ = 0;
  int tries_ = 0;  // at the same place
  /// A version whose own blocks are being looked at.
  struct VersionUnderWay {
    Ino ino{};
    uint64_t key = 0;             // second half of its key
    std::vector<BlockRef> own;    // that the next newer state does not have
    size_t next = 0;
    ContentRecord content;
  };
  std::optional<VersionUnderWay> version_;
};

}  // namespace tain::store
