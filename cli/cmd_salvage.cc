// SPDX-License-Identifier: Apache-2.0
// tain salvage: what is intact in a damaged vault, into a new one.
#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/findings.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "store/salvage.h"
#include "store/vault.h"

namespace tain::cli {

Result<> cmd_salvage(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  const std::string& to = arguments.positional()[1];
  TRY(check_unmounted_vault(target));
  const store::Credential credential = TRY(read_credential(world, arguments, target.vault_directory));
  store::SalvageReport report;
  {
    ProgressLine line(world, "salvaging");
    report = TRY(store::salvage_vault(target.vault_directory, to, credential,
                                      [&line](uint64_t done, uint64_t total) { line.show(done, total); }));
  }

  if (arguments.has("json")) {
    nlohmann::json damaged = nlohmann::json::array();
    for (const store::Finding& finding : report.damaged) damaged.push_back(to_json(finding));
    print_json(world, {{"vault", to},
                       {"entries", report.entries},
                       {"entries_lost", report.entries_lost},
                       {"files_incomplete", report.files_incomplete},
                       {"versions", report.versions},
                       {"versions_incomplete", report.versions_incomplete},
                       {"versions_lost", report.versions_lost},
                       {"trash", report.trash},
                       {"trash_lost", report.trash_lost},
                       {"damaged", damaged},
                       {"remarks", report.remarks}});
  } else {
    for (const store::Finding& finding : report.damaged) print_finding(world, finding);
    for (const std::string& remark : report.remarks) world.out << printable(world, remark) << '\n';
    world.out << report.entries << " entries are in " << to << ", " << report.files_incomplete
              << " of them incomplete; " << report.entries_lost << " are lost\n";
    if (report.versions + report.versions_lost != 0)
      world.out << report.versions << " former versions are there, " << report.versions_incomplete
                << " of them incomplete; " << report.versions_lost << " are lost\n";
    if (report.trash + report.trash_lost != 0)
      world.out << report.trash << " entries are in the trash; " << report.trash_lost << " are lost from it\n";
  }
  note(world, "the new vault opens with the same password; " + std::string(store::kSalvageReport) +
                  " in it says the same as this");
  if (report.damaged.empty()) return {};
  return Error(Code::partial, "not everything could be salvaged")
      .hint("keep " + target.vault_directory + " until you have what you miss");
}

}  // namespace tain::cli
