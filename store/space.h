// SPDX-License-Identifier: Apache-2.0
// Whether what is pending will fit the disk: LMDB's pages, counted before they are needed.
//
// An acknowledged change must be one that a commit can write, so a full disk has to be noticed at the
// write, not at the commit. Two things make that more than a sum of bytes. A value that does not fit a
// tree page lies on pages in a row, and free pages need not lie so. And a commit changes copies of tree
// pages, so that even a deletion takes pages before it gives any back. Values that do not depend on
// memory or time; not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tain::store {

inline constexpr size_t kPageSize = 4096;  // bytes, of LMDB

/// Free pages in a row.
struct PageRun {
  uint64_t first = 0;
  uint64_t count = 0;
};

/// What the database file can take.
struct FreeSpace {
  std::vector<PageRun> runs;    // inside the file, in order
  uint64_t beyond = 0;          // pages that it can grow by
  uint64_t tree_pages = 0;      // in use by the tables: no commit copies more of them
  uint64_t limit = UINT64_MAX;  // of runs and beyond together, where the disk cannot pay for every hole of the file
};

/// Pages in a row that LMDB gives a value of `size` bytes; 0 when it lies within a tree page.
uint32_t pages_in_a_row(size_t size);

/// An upper bound of the pages that a commit takes.
class SpaceNeed {
 public:
  /// A value of `before` bytes is to be written with `after` bytes instead; 0: none.
  void change_value(size_t before, size_t after);
  /// `count` more (or fewer) records to write or remove, which may each lie in a tree page of its own, and `bytes` that
  /// they add.
  void change_records(int64_t count, int64_t bytes);
  /// One more record of `bytes` beside each of them.
  void double_records(int64_t bytes);
  /// What another one needs, too.
  void add(const SpaceNeed& other);
  /// `values` of the longest blocks and `records`, whatever they are.
  void add_any(uint32_t values, uint32_t records);

  /// Whether `space` has it all, with `reserve` pages to spare.
  bool fits(FreeSpace space, uint64_t reserve) const;
  /// Pages, of both kinds.
  uint64_t pages(uint64_t tree_pages) const;

 private:
  static constexpr size_t kLongestRun = 40;  // pages: one more than the attributes of one inode take
  uint64_t tree_pages(uint64_t in_use) const;

  std::array<int64_t, kLongestRun + 1> values_{};  // number of values by pages in a row
  int64_t records_ = 0;
  int64_t bytes_ = 0;  // of records, and of values within tree pages
};

}  // namespace tain::store
