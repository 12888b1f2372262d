// SPDX-License-Identifier: Apache-2.0
// tain check --repair: mends what can be mended without losing anything that can be read.
#pragma once

#include "store/check.h"

namespace tain::store {

struct RepairReport {
  CheckReport before;
  std::vector<std::string> done;   // one line for each change
  std::vector<Finding> remaining;  // what a second check still found
  std::string kept;                // the database as it was, before anything was changed; empty: nothing was
};

/// Whether the database file as it was stays beside the repaired one.
enum class Keep { copy, nothing };

/// Checks, repairs, checks again. The database file is copied aside before the first change; changes that only the
/// journal has are applied before anything is repaired. Counts, links, digests and
/// damaged checksums over good seals are made right; entries without a name get one in lost+found; names whose inodes
/// are not there any more go, and so do blocks that belong to nothing. A database whose page structure is damaged is
/// left alone: that is for salvage. Errors: those of check_vault, no_space; those
/// of Vault::open when the journal cannot be applied.
Result<RepairReport> repair_vault(const std::string& directory, const Credential& credential, const Progress& progress);
/// The same with the vault in hand.
Result<RepairReport> repair_locked(LockedVault& vault, const Progress& progress, Keep keep);

}  // namespace tain::store
