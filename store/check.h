// SPDX-License-Identifier: Apache-2.0
// tain check: reads a vault that nobody has open from end to end, and says what is wrong with it.
//
// No part of it runs LMDB, so damage cannot end the process or make it loop; every page is visited once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/catalog.h"
#include "store/header_file.h"
#include "store/key_slot.h"
#include "store/vault_lock.h"

namespace tain::store {

struct CheckOptions {
  Progress progress;            // may be empty; bytes of file content
  bool ignore_journal = false;  // look at the database alone
};

struct CheckReport {
  std::vector<Finding> findings;
  uint64_t entries = 0;        // inodes that could be read
  uint64_t content_bytes = 0;  // sum of their sizes
  uint64_t blocks = 0;
  uint64_t journal_frames = 0;  // newer than the database: the next mount applies them
  bool structure_damaged =
      false;  // parts of the tables cannot be read: what they held is missing from all of the above
};

/// A vault that nobody else has open, and its keys, without anything else of it: its database may be damaged.
struct LockedVault {
  std::string directory;
  LoadedHeader loaded;
  std::optional<VaultLock> lock;  // nothing only while repair has the journal applied, which takes the lock itself
  MasterKey master;
  std::unique_ptr<Cipher> cipher;
  /// Errors: not_a_vault, header_damaged, in_use, wrong_password, format_too_new, format_too_old, io.
  static Result<LockedVault> open(const std::string& directory, const Credential& credential);
  static Result<LockedVault> open(const std::string& directory, const MasterKey& master);
};
/// check_vault with the vault in hand.
Result<CheckReport> check_locked(const LockedVault& vault, const CheckOptions& options);
/// The same; fills `catalog`, of `survey`.
Result<CheckReport> check_locked(const LockedVault& vault, const Survey& survey, Catalog& catalog,
                                 const CheckOptions& options);

/// Checks the header's copies, the pages of the database, every checksum and seal, counts and digests of the tables,
/// and all references; and the journal. Changes nothing. Holds the vault's lock meanwhile.
/// Errors: not_a_vault, header_damaged (no copy is intact), in_use, wrong_password, format_too_new, format_too_old, io.
Result<CheckReport> check_vault(const std::string& directory, const Credential& credential, const CheckOptions& options);

}  // namespace tain::store
