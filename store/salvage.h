// SPDX-License-Identifier: Apache-2.0
// tain salvage: everything that is intact in a damaged vault, written into a new one.
//
// The old vault is only read. The new one has the same header, so the same password; every record in it is sealed anew
// and every block was verified on the way.
#pragma once

#include <string>
#include <vector>

#include "base/secret.h"
#include "store/check.h"
#include "store/damage_log.h"
#include "store/mend.h"

namespace tain::store {

inline constexpr char kSalvageReport[] = "SALVAGE-REPORT.txt";  // in the new vault's root

struct SalvageReport {
  std::vector<Finding> damaged;      // what was lost or is incomplete, each with the entry's path
  std::vector<std::string> remarks;  // older copies that stand in, entries that were moved to lost+found
  uint64_t entries = 0;              // present in the new vault, without what salvage added
  uint64_t files_incomplete = 0;     // of those, and of what is in the trash
  uint64_t entries_lost = 0;         // names whose inodes are gone
  uint64_t versions = 0;             // former states in the new vault, however they were replaced
  uint64_t versions_incomplete = 0;  // of those
  uint64_t versions_lost = 0;        // of entries that are in the new vault, as far as is known
  uint64_t trash = 0;                // entries in the new vault's trash
  uint64_t trash_lost = 0;
};

/// Makes the vault `to`, which must not exist or be empty, from what is left of `from`. It is built beside as
/// `to`.unfinished and gets its name at the end: `to` is never half a vault, and after an error nothing is left.
/// Errors: not_a_vault, header_damaged, in_use, wrong_password, suite_missing, exists/not_empty, format_too_old, io, no_space.
Result<SalvageReport> salvage_vault(const std::string& from, const std::string& to, const Credential& credential,
                                    const Progress& progress);

/// The same with the vault in hand.
Result<SalvageReport> salvage_locked(const LockedVault& vault, const std::string& to, const Progress& progress);

}  // namespace tain::store
