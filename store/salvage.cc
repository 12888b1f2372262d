// SPDX-License-Identifier: Apache-2.0
#include "store/salvage.h"

#include <algorithm>

#include "base/secret.h"
#include "store/carve.h"
#include "store/content.h"
#include "store/header_file.h"
#include "store/salvage_entries.h"
#include "store/salvage_place.h"
#include "store/salvage_writer.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::store {
namespace {

/// Whether the vault has content that this processor cannot read. It would be left out as if it were damaged.
Result<> check_suites(const Survey& survey) {
  if (suite_available(Suite::aes_256_gcm)) return {};
  for (const StoredValue& stored : survey.values(Table::blocks)) {
    auto head = survey.read({stored.extent.offset, std::min<uint64_t>(stored.extent.size, kBlockHeaderSize)});
    if (!head.ok() || head->size() < kBlockHeaderSize || Suite{(*head)[1]} != Suite::aes_256_gcm) continue;
    const auto value = survey.read(stored.extent);  // a flipped bit does not count
    if (!value.ok() || !checksum_matches(Table::blocks, encode_key(Table::blocks, stored.key), *value)) continue;
    return Error(Code::suite_missing,
                 "the vault has content sealed with aes-256-gcm, which this computer's processor lacks")
        .hint("salvage it on a computer whose processor has AES");
  }
  return {};
}

/// After carve(): what was lost by not knowing the newest roots.
void report_roots(const Survey& survey, SalvageReport& report) {
  if (survey.snapshot.has_value() && !survey.roots_are_earlier) {
    report.remarks.push_back(
        "the roots of the database's tables had to be searched for; nothing is newer than they are");
    return;
  }
  uint64_t newer = 0;
  for (const auto& values : survey.tables)
    newer += static_cast<uint64_t>(
        std::count_if(values.begin(), values.end(), [](const StoredValue& value) { return value.newer; }));
  std::string what = "the newest roots of the database's tables are lost";
  if (survey.snapshot.has_value())
    what += ": those found may be of an earlier commit; " + std::to_string(newer) +
            " newer records were found beside them; other changes of the last second before the vault was closed may "
            "be missing, and what they removed may be there again";
  report.damaged.push_back({.part = Part::database, .what = std::move(what)});
}

std::string report_text(const SalvageReport& report) {
  std::string out = "tain salvage\n\nentries found: " + std::to_string(report.entries) +
                    "\nentries lost: " + std::to_string(report.entries_lost) +
                    "\nfiles with damaged parts: " + std::to_string(report.files_incomplete) +
                    "\nformer versions found: " + std::to_string(report.versions) +
                    "\nformer versions lost: " + std::to_string(report.versions_lost) +
                    "\nformer versions with damaged parts: " + std::to_string(report.versions_incomplete) +
                    "\nentries found in the trash: " + std::to_string(report.trash) +
                    "\nentries lost from the trash: " + std::to_string(report.trash_lost) + "\n\n";
  for (const Finding& found : report.damaged) out += (found.path.empty() ? "" : found.path + ": ") + found.what + "\n";
  for (const std::string& remark : report.remarks) out += remark + "\n";
  if (report.damaged.empty() && report.remarks.empty()) out += "nothing was damaged\n";
  out += "\nDamaged parts of files read as zeros; the attribute " + std::string(kDamagedXattr) +
         " of such a file lists them. Parts listed as maybe-outdated read, but newer changes to them may be lost.\n";
  return out;
}

Result<> write_report(const std::string& directory, const MasterKey& master, const SalvageReport& report) {
  auto vault = TRY(Vault::open(directory, OpenOptions(), master));  // without history: the root's stays as it was
  std::string name = kSalvageReport;
  for (int i = 2; vault->tree().lookup(kRootIno, name).ok(); ++i) name = "SALVAGE-REPORT-" + std::to_string(i) + ".txt";
  const Attr root = TRY(vault->tree().getattr(kRootIno));
  const NewInode fresh{.mode = S_IFREG | 0600, .uid = root.uid, .gid = root.gid, .rdev = 0, .symlink = {}};
  const Attr file = TRY(vault->tree().make(kRootIno, name, fresh));
  TRY(vault->content().write(file.ino, 0, as_bytes(report_text(report))));
  return vault->close();
}

}  // namespace

Result<SalvageReport> salvage_vault(const std::string& from, const std::string& to, const Credential& credential,
                                    const Progress& progress) {
  const LockedVault vault = TRY(LockedVault::open(from, credential));
  return salvage_locked(vault, to, progress);
}

Result<SalvageReport> salvage_locked(const LockedVault& vault, const std::string& place, const Progress& progress) {
  SalvageReport report;
  const std::string& from = vault.directory;
  const LoadedHeader& loaded = vault.loaded;
  const Cipher& cipher = *vault.cipher;
  Workplace work = TRY(Workplace::make(place));
  const std::string& to = work.path();
  if (loaded.copies_differ) report.remarks.push_back(loaded.complaint);

  Survey survey = TRY(survey_database(from + "/data.mdb", cipher));
  TRY(check_suites(survey));
  const bool position_known = survey.state.has_value() && !survey.roots_searched;
  const std::vector<CarvedBlock> carved = TRY(carve(survey, cipher, progress));
  if (survey.roots_searched) report_roots(survey, report);
  Catalog catalog(survey, cipher);
  for (const CarvedBlock& block : carved) catalog.finder().add_carved(block.nonce, block.offset);
  TRY(catalog.read(progress));

  State state = survey.state.value_or(State{});
  if (!survey.state.has_value()) {
    state.journal_chain = random_array<32>();
    state.device = random_array<16>();
    state.retention = *retention_preset("all");
    report.remarks.push_back(
        "the state record is lost, and with it for how long the past is kept: the new vault keeps all of it");
  }
  state.sets = {};
  const InJournal in_journal =
      TRY(copy_journal(from + "/journal", to + "/journal", catalog, position_known, state, report));
  state.next_ino = std::max(state.next_ino, in_journal.next_ino);
  std::set<uint64_t> remade;  // by the journal alone, although the database had them
  {
    auto env = TRY(Env::open(to + "/data.mdb", {.map_size_bytes = 0, .create = true}));
    Database database(*env, cipher, uint64_t{1} << 20);
    SalvageWriter out(database, state);
    const Suite suite = suite_available(loaded.header.suite) ? loaded.header.suite : Suite::xchacha20_poly1305;
    SalvagedEntries entries(catalog, in_journal, suite, out, report);
    TRY(entries.copy(progress));
    // Where the last commit's numbers are not known, whatever was not copied may have had more than the journal knows.
    for (uint64_t ino : in_journal.inodes)
      if (!entries.copied().contains(ino) && (!position_known || ino < survey.state->next_ino)) remade.insert(ino);
  }
  TRY(save_first_header(to, loaded.bytes));
  TRY(replay_journal(to, vault.master, remade, report));
  TRY(write_report(to, vault.master, report));
  TRY(std::move(work).finish());
  return report;
}

}  // namespace tain::store
