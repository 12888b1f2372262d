// SPDX-License-Identifier: Apache-2.0
// Everything that a catalog has, written into the database of a new vault: inodes, names, attributes, content, and
// their past.
#pragma once

#include <set>
#include <string>

#include "store/salvage_content.h"
#include "store/salvage_past.h"

namespace tain::store {

class SalvagedEntries {
 public:
  /// `suite` seals what has to be sealed anew.
  SalvagedEntries(Catalog& catalog, const InJournal& in_journal, Suite suite, SalvageWriter& out, SalvageReport& report)
      : catalog_(catalog),
        in_journal_(in_journal),
        past_(catalog, in_journal, report),
        suite_(suite),
        out_(out),
        report_(report) {}

  /// Mends the catalog, and writes all that it then has. Errors: io, no_space.
  Result<> copy(const Progress& progress);
  /// Inodes of the old vault that the new one has.
  const std::set<uint64_t>& copied() const { return copied_; }

 private:
  Result<> copy_entry(uint64_t ino, const CatalogInode& entry);
  Result<> copy_states(Inode& inode, Xattrs& xattrs);
  Result<> copy_versions_of_journal();
  /// What reading a file found, and the next state of it needs.
  struct States;
  Result<> copy_version(const StoredValue& value, States& states);
  Result<> put_inode(Inode& inode, const Xattrs& xattrs);
  Result<> put_version(Version& version);
  void use_replaced_content(Inode& inode, FileReport& file, std::vector<FoundBlock>& blocks);
  void report_content(uint64_t ino, const FileReport& file, const std::string& of_what);
  void lose(uint64_t ino, Part part, std::string what);

  Catalog& catalog_;
  const InJournal& in_journal_;
  SalvagedPast past_;
  const Suite suite_;
  SalvageWriter& out_;
  SalvageReport& report_;
  uint64_t content_bytes_ = 0;
  uint64_t retired_inodes_ = 0;
  uint64_t retired_content_bytes_ = 0;
  std::set<uint64_t> copied_;
};

}  // namespace tain::store
