// SPDX-License-Identifier: Apache-2.0
// How many times the kernel was told of each inode, and which of those inodes have lost their last name.
//
// The kernel counts every successful entry reply and gives the counts back with FORGET. An unlinked file must
// live until its count is zero: with no OPEN and RELEASE this is the only sign that nobody has it open. The
// count and the orphan mark change under one lock, so exactly one caller is told to reap.
//
// Threads: all methods, concurrently. Memory: 16 bytes a slot, at most 3/4 and at least 1/8 of them used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/ids.h"

namespace tain::fs {

class Lookups {
 public:
  /// The kernel is about to be told of `ino`.
  void add(Ino ino);
  /// The kernel gave back `count` lookups. True when none is left and `ino` is an orphan: reap it now.
  [[nodiscard]] bool forget(Ino ino, uint64_t count);
  /// `ino` lost its last name. True when the kernel does not know it: reap it now. Else forget() will tell.
  [[nodiscard]] bool mark_orphan(Ino ino);

  uint64_t count(Ino ino) const;
  /// Inodes with a count, in no order.
  std::vector<Ino> known() const;
  /// Inodes with a count.
  size_t size() const;

 private:
  struct Slot {
    uint64_t ino = 0;    // 0: free
    uint64_t state = 0;  // lookup count, and kOrphan
  };
  /// An open-addressed table with linear probing; its size is a power of two or zero.
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::vector<Slot> slots;
    size_t used = 0;

    /// The slot of `ino`, or null.
    Slot* find(uint64_t ino);
    void insert(Slot slot);
    void erase(Slot* slot);
    void resize(size_t size);
    size_t home(uint64_t ino) const;
  };
  static constexpr uint64_t kOrphan = uint64_t{1} << 63;
  static constexpr size_t kShards = 16;
  static constexpr size_t kSlotsMin = 16;

  Shard& shard(Ino ino) const { return shards_[raw(ino) % kShards]; }

  mutable std::array<Shard, kShards> shards_;
};

}  // namespace tain::fs
