// SPDX-License-Identifier: Apache-2.0
// The past of a vault that is salvaged (ADR 13): which versions, former inodes and past names come into the new vault,
// and what stands in where the present of an entry is lost.
//
// It works on the catalog, as mend_names() does: prepare() before that, which may still find names for what has none;
// settle() after it, when it is known what is in the new vault.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "store/catalog.h"
#include "store/mend.h"
#include "store/salvage.h"
#include "store/salvage_journal.h"

namespace tain::store {

class SalvagedPast {
 public:
  SalvagedPast(Catalog& catalog, const InJournal& in_journal, SalvageReport& report)
      : catalog_(catalog), in_journal_(in_journal), report_(report) {}

  /// Brings the newest intact version of each entry back whose present inode is lost, makes the inodes of an entry a
  /// chain again, and forgets older copies of inodes that nothing leads to.
  void prepare();
  /// Decides which past names stay, and gives one in lost+found to what is in the trash without any.
  void settle(Mended& mended, Time now);

  /// The inode as it is to be in the new vault but for its content and counts. Errors: corrupt, not_found.
  Result<Inode> load_inode(uint64_t ino) const;
  /// That inode's attributes. Errors: corrupt.
  Result<Xattrs> load_xattrs(uint64_t ino) const;
  /// Its versions, oldest first, but for one that stands in for the inode.
  std::vector<const StoredValue*> versions(uint64_t ino) const;
  /// Whether it comes into the new vault: not what was removed, and only still in use.
  bool is_wanted(uint64_t ino) const;
  /// Once settled: what past names there are in the new vault.
  const std::vector<PastName>& names() const { return names_; }
  /// Once settled. Where it is, or was before it was removed or replaced; "?" for what is not known.
  std::string path(uint64_t ino) const;
  /// At least every time that what was found has.
  uint64_t newest_hlc() const;
  /// Once everything was written: versions of what is not `copied`.
  void report_lost_versions(const std::set<uint64_t>& copied);

 private:
  /// Former inodes that nothing leads to any more, by the entry that they were.
  using Heads = std::map<EntryId, std::vector<uint64_t>>;
  void index();
  void bring_back(uint64_t ino, const std::vector<const StoredValue*>& versions);
  void drop_stale_inodes();
  void mend_chains();
  void give_chain(uint64_t ino, CatalogInode& entry, const Heads& heads);
  bool is_there(uint64_t ino) const { return catalog_.inodes.contains(ino) || in_journal_.inodes.contains(ino); }
  /// Whether an inode that is not there was lost, and not removed.
  bool may_be_lost(uint64_t ino) const;
  bool is_trash(uint64_t ino) const;
  std::map<uint64_t, uint32_t> count_successors() const;
  void keep_names(Mended& mended, Time now);
  void report_damaged_names();
  void report_missing(Table table, const std::string& what);

  Catalog& catalog_;
  const InJournal& in_journal_;
  SalvageReport& report_;
  std::set<uint64_t> named_, once_named_;             // now; by older copies of names
  std::map<uint64_t, std::vector<Ino>> directories_;  // in which they have names
  std::map<uint64_t, const PastName*> removed_;       // the newest past name of each that was removed
  std::map<uint64_t, uint64_t> successors_;           // of former inodes, the one that took the entry over
  std::map<uint64_t, const StoredValue*> stand_ins_;  // versions, by inode
  std::map<uint64_t, Ino> new_parents_;               // of directories in the trash
  std::map<uint64_t, PastName> trash_names_;          // once settled: by inode, the newest one
  std::vector<PastName> names_;
};

}  // namespace tain::store
