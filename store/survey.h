// SPDX-License-Identifier: Apache-2.0
// What a vault's database file holds, as far as it can be read: every value with its place, without LMDB.
//
// A survey never stops at damage. It notes what is lost, with the range of keys that was there, and goes on.
// It decrypts nothing but the state record; store/catalog looks into the values.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "store/codec.h"
#include "store/snapshot.h"

namespace tain::store {

/// What a finding is about.
enum class Part { header, journal, database, record, content, name, count };

/// One thing that is wrong, for people and programs.
struct Finding {
  Part part = Part::database;
  Damage damage = Damage::none;  // of a stored value; none: what is wrong is not a value
  std::string what;              // one line, without the path
  Ino ino{};                     // of the entry it belongs to; 0: none or unknown
  std::string path;              // of that entry, as far as its names can be read
  uint64_t begin = 0, end = 0;   // content: bytes that cannot be read
  bool repairable = false;       // without losing anything that can be read
};

/// Where a value's bytes lie in the file: always in one piece.
struct Extent {
  uint64_t offset = 0;
  uint64_t size = 0;
};

/// A database key, whatever its table: one or two numbers.
struct RecordKey {
  uint64_t first = 0, second = 0;
  auto operator<=>(const RecordKey&) const = default;
};
/// The key's bytes in `table`, and back. Nothing for bytes that cannot be a key of that table.
Bytes encode_key(Table table, const RecordKey& key);
std::optional<RecordKey> decode_key(Table table, ByteView bytes);

struct StoredValue {
  RecordKey key;
  Extent extent;
  bool stale = false;  // carved from where nothing current is: perhaps an older version, perhaps deleted since
  bool newer = false;  // carved, and of a later commit than the roots that were found
};

/// A part of a tree that cannot be read.
struct LostRange {
  Table table{};
  KeyRange range;
  uint64_t page = 0;
};

/// Called now and then with the bytes looked at so far and in all.
using Progress = std::function<void(uint64_t done, uint64_t total)>;

struct Survey {
  UniqueFd fd;  // of the database file, read-only
  uint64_t file_size = 0;
  size_t page_size = 4096;  // bytes
  std::optional<Snapshot> snapshot;
  std::optional<State> state;
  bool roots_searched = false;     // the roots of the tables were lost: those found may be of an earlier commit
  bool roots_are_earlier = false;  // and something says that they are. Complete once carved
  // By inode number, once carved, where the roots were searched for: records in the trees that newer ones replaced.
  std::map<uint64_t, Extent> replaced_inodes;
  std::set<uint64_t> doubtful_xattrs;  // the same: inodes with several records of attributes, which have no stamp
  std::array<std::vector<StoredValue>, kTableCount + 1> tables;  // by table number, ascending by key
  std::vector<LostRange> lost;
  std::vector<Finding> findings;
  std::vector<bool> used;                           // by page: belongs to the tree of a table, or holds a value
  std::optional<std::vector<uint64_t>> free_pages;  // ascending; nothing when the list cannot be read

  std::vector<StoredValue>& values(Table table) { return tables[static_cast<size_t>(table)]; }
  const std::vector<StoredValue>& values(Table table) const { return tables[static_cast<size_t>(table)]; }
  /// By table number: the keys of `lost` as ranges that ascend and do not touch. For may_have_lost().
  std::array<std::vector<KeyRange>, kTableCount + 1> lost_keys;
  /// Fills `lost_keys` from `lost`.
  void index_lost();
  /// Whether a record that is not in `values` may have been lost. After index_lost().
  bool may_have_lost(Table table, const RecordKey& key) const;
  /// Errors: corrupt (past the end, or the sector cannot be read).
  Result<Bytes> read(const Extent& extent) const;
};

/// Errors: not_found, io (the file cannot be opened); whatever is damaged is a finding.
Result<Survey> survey_database(const std::string& path, const Cipher& cipher);

}  // namespace tain::store
