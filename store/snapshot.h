// SPDX-License-Identifier: Apache-2.0
// Where the tables of one committed state begin in the data file, and what LMDB may touch of it.
#pragma once

#include <array>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "store/cipher.h"
#include "store/pages.h"

namespace tain::store {

inline constexpr std::array<Table, kTableCount> kTables = {Table::state,  Table::inodes,  Table::dirents,
                                                           Table::xattrs, Table::blocks,  Table::orphans,
                                                           Table::versions, Table::past_names, Table::marks,  Table::notes};

/// Whether a vault of before sync may lack it; then it is empty.
constexpr bool may_be_missing(Table table) { return static_cast<size_t>(table) > kTableCountOldest; }

/// LMDB's name of a table.
const char* table_name(Table table);

/// One committed state of the database.
struct Snapshot {
  uint64_t transaction = 0;
  uint64_t last_page = 0;
  TreeRoot free_list;
  std::array<TreeRoot, kTableCount + 1> tables;  // by table number
  const TreeRoot& root(Table table) const { return tables[static_cast<size_t>(table)]; }
};

/// Errors: corrupt (also: a table is missing), io.
Result<Snapshot> read_snapshot(const PageSource& source, const MetaPage& meta);

/// Looks ahead of LMDB at the pages that a change of a key will make it read, because LMDB does not survive a
/// damaged one. A page is looked at once in a transaction: what LMDB copies from it is its own afterwards.
class PathGuard {
 public:
  PathGuard(PageSource source, const Snapshot& snapshot) : source_(source), snapshot_(snapshot) {}

  /// The way to `key`; with `removal` also the neighbours that pages may be merged with, and where branches may be merged
  /// the ends of what hangs below them: LMDB takes keys from there. Errors: corrupt, io.
  Result<> check(Table table, ByteView key, bool removal);

 private:
  Result<TreePage> look(uint64_t number, bool leaf, const KeyRange* range);
  Result<> look_at_ends(uint64_t branch, uint16_t level, uint16_t depth);
  const PageSource source_;
  const Snapshot& snapshot_;
  std::unordered_set<uint64_t> seen_;    // their nodes are in order
  std::unordered_set<uint64_t> placed_;  // and they are where their keys belong
  std::unordered_map<uint64_t, uint64_t> removals_;  // below each branch, so far
  std::unordered_set<uint64_t> ends_;                // branches that look_at_ends has done
};

}  // namespace tain::store
