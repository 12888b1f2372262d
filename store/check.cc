// SPDX-License-Identifier: Apache-2.0
#include "store/check.h"

#include <unistd.h>

#include <algorithm>

#include "store/journal.h"

namespace tain::store {
namespace {

void check_journal(const std::string& path, const Cipher& cipher, const State& state, CheckReport& report) {
  auto complain = [&](std::string what) {
    report.findings.push_back({.part = Part::journal, .what = std::move(what)});
  };
  if (::access(path.c_str(), F_OK) != 0)
    return complain("the journal is missing: changes of the last second before the vault was closed may be lost");
  auto journal = Journal::open(path, cipher);
  if (!journal.ok()) return complain(journal.error().message());
  auto replayed = (*journal)->replay({.sequence = state.journal_sequence, .chain = state.journal_chain},
                                     [](ByteView) -> Result<> { return {}; });
  if (!replayed.ok()) return complain("the journal cannot be read: " + replayed.error().message());
  report.journal_frames = replayed->frames;
  if (replayed->damaged)
    complain("the journal is damaged: changes of the last second before the vault was closed may be missing");
}

}  // namespace

Result<LockedVault> LockedVault::open(const std::string& directory, const Credential& credential) {
  LoadedHeader loaded = TRY(load_header(directory));
  VaultLock lock = TRY(VaultLock::take(directory, ""));
  Unlocked unlocked = TRY(unlock(loaded.header, loaded.bytes, credential));
  auto cipher = TRY(make_cipher(loaded.header, unlocked.master));
  return LockedVault{directory, std::move(loaded), std::move(lock), std::move(unlocked.master), std::move(cipher)};
}

Result<LockedVault> LockedVault::open(const std::string& directory, const MasterKey& master) {
  LoadedHeader loaded = TRY(load_header(directory));
  VaultLock lock = TRY(VaultLock::take(directory, ""));
  TRY(verify_header(loaded.header, loaded.bytes, master));
  auto cipher = TRY(make_cipher(loaded.header, master));
  return LockedVault{directory, std::move(loaded), std::move(lock), {master.secret.clone()}, std::move(cipher)};
}

Result<CheckReport> check_locked(const LockedVault& vault, const Survey& survey, Catalog& catalog,
                                 const CheckOptions& options) {
  CheckReport report;
  if (vault.loaded.copies_differ)
    report.findings.push_back({.part = Part::header, .what = vault.loaded.complaint, .repairable = true});
  report.findings.insert(report.findings.end(), survey.findings.begin(), survey.findings.end());
  report.structure_damaged = std::any_of(survey.findings.begin(), survey.findings.end(),
                                         [](const Finding& found) { return found.part == Part::database; });
  if (!survey.state.has_value() && !report.structure_damaged)
    report.findings.push_back({.part = Part::record, .what = "the state record is missing or damaged"});
  if (survey.state.has_value() && !options.ignore_journal)
    check_journal(vault.directory + "/journal", *vault.cipher, *survey.state, report);
  TRY(catalog.read(options.progress));
  catalog.check(options.progress);
  report.findings.insert(report.findings.end(), catalog.findings.begin(), catalog.findings.end());
  report.entries = catalog.inodes.size();
  report.blocks = survey.values(Table::blocks).size();
  for (const auto& [ino, inode] : catalog.inodes)
    if (inode.past.retired == 0) report.content_bytes += inode.size;
  return report;
}

Result<CheckReport> check_locked(const LockedVault& vault, const CheckOptions& options) {
  const Survey survey = TRY(survey_database(vault.directory + "/data.mdb", *vault.cipher));
  Catalog catalog(survey, *vault.cipher);
  return check_locked(vault, survey, catalog, options);
}

Result<CheckReport> check_vault(const std::string& directory, const Credential& credential, const CheckOptions& options) {
  const LockedVault vault = TRY(LockedVault::open(directory, credential));
  return check_locked(vault, options);
}

}  // namespace tain::store
