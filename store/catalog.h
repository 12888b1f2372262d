// SPDX-License-Identifier: Apache-2.0
// Every entry of a vault, read from a survey, and whether it all fits together.
//
// The catalog holds of each inode and name what the checks need: some 200 bytes an entry. It is filled once, by one
// thread, while nobody has the vault open.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/file_check.h"

namespace tain::store {

struct CatalogInode {
  uint32_t mode = 0;
  uint32_t nlink = 0;
  uint32_t flags = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t children = 0;
  uint64_t size = 0;  // bytes
  Ino parent{};
  EntryId entry;
  Past past;
  int64_t time_lock = 0;  // Unix seconds
  uint64_t hlc = 0;       // of its newest change
  Extent extent;     // of its record
  bool stale = false;
  bool newer = false;  // than the roots that were found (StoredValue)
  bool has_xattrs = false;
  bool is_orphan = false;
  bool damaged_content = false;
  bool wrong_allocated = false;
  uint32_t successors = 0;  // as found, once checked
  uint64_t allocated = 0;  // as found, once checked
  // What the names say.
  uint64_t names = 0;
  uint64_t entries = 0;
  uint64_t subdirectories = 0;
  size_t first_name = ~size_t{0};  // index into Catalog::names

  bool is_directory() const { return S_ISDIR(mode); }
};

struct CatalogName {
  Dirent dirent;
  Extent extent;
  bool stale = false;
  bool newer = false;
};

struct CatalogPastName {
  PastName name;
  bool stale = false;
};

class Catalog {
 public:
  /// `progress` counts bytes of content. With `data` false, file content is not read.
  Catalog(const Survey& survey, const Cipher& cipher) : survey_(survey), cipher_(cipher), finder_(survey, cipher) {}

  /// Opens every record. Damaged ones become findings. Errors: format_too_old (decode_inode).
  Result<> read(const Progress& progress);
  /// Reads all content, and compares counts, links and digests with what was found.
  void check(const Progress& progress);

  std::map<uint64_t, CatalogInode> inodes;
  std::vector<CatalogName> names;
  std::vector<CatalogPastName> past_names;
  std::set<uint64_t> with_xattrs, orphans;
  std::vector<Finding> findings;
  bool digests_match = true;
  std::array<SetDigest, kTableCount + 1> found_sets{};     // once checked: of what is there
  std::vector<std::pair<Table, RecordKey>> bad_checksums;  // over good seals
  std::vector<std::pair<Table, RecordKey>> unreadable_notes;  // and marks

  BlockFinder& finder() { return finder_; }
  const Survey& survey() const { return survey_; }
  const Cipher& cipher() const { return cipher_; }
  /// The whole inode, read again. Errors: corrupt.
  Result<Inode> load_inode(uint64_t ino) const;
  /// The same of the record that a newer one replaced (Survey::replaced_inodes). Errors: not_found, corrupt.
  Result<Inode> load_replaced_inode(uint64_t ino) const;
  Result<Xattrs> load_xattrs(uint64_t ino) const;
  /// Where the versions of each inode are, newest first.
  const std::map<uint64_t, std::vector<const StoredValue*>>& versions() const { return versions_; }
  /// One of them, which is what its key says. Errors: corrupt.
  Result<Version> load_version(const StoredValue& value) const;
  /// Path from the root, "/" for the root itself; "?" where a name is not known.
  std::string path(uint64_t ino) const;
  /// Counts names and entries anew, from `names`.
  void count_names();
  /// Directories that are inside themselves, one for each circle: no way from the root leads to them. Those without a
  /// name, or below what cannot be read, do not count. After count_names().
  std::vector<uint64_t> cut_off() const;

 private:
  struct OpenedRecord {
    Bytes body;
    Damage damage = Damage::none;
  };
  std::optional<OpenedRecord> open(Table table, const StoredValue& value, Kind kind, uint16_t schema);
  void read_table(Table table, const Progress& progress);
  Result<Inode> read_inode(uint64_t ino, const Extent& extent) const;
  void take_inode(const StoredValue& value, const Bytes& body);
  void take_name(const StoredValue& value, const Bytes& body);
  void check_files(const Progress& progress);
  void check_versions(uint64_t ino, const Inode* present);
  void check_inodes();
  void check_chains();
  void check_names();
  void check_digest(Table table);
  Finding& complain(Part part, uint64_t ino, std::string what, bool repairable = false);

  const Survey& survey_;
  const Cipher& cipher_;
  BlockFinder finder_;
  std::map<uint64_t, std::vector<const StoredValue*>> versions_;  // by inode, newest first
  std::set<Table> damaged_tables_;
  std::optional<Error> too_old_;
};

}  // namespace tain::store
