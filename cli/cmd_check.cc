// SPDX-License-Identifier: Apache-2.0
// tain check: is everything in the vault intact?
#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/exit.h"
#include "cli/findings.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "store/repair.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

nlohmann::json list_of(const std::vector<store::Finding>& findings) {
  nlohmann::json out = nlohmann::json::array();
  for (const store::Finding& finding : findings) out.push_back(to_json(finding));
  return out;
}

void print_report(World& world, const Arguments& arguments, const std::string& vault,
                  const store::RepairReport& report) {
  const store::CheckReport& checked = report.before;
  const bool repair = arguments.has("repair");
  if (arguments.has("json")) {
    nlohmann::json out = {{"vault", vault},
                          {"entries", checked.entries},
                          {"content_bytes", checked.content_bytes},
                          {"blocks", checked.blocks},
                          {"structure_damaged", checked.structure_damaged},
                          {"findings", list_of(checked.findings)}};
    if (repair) {
      out["done"] = report.done;
      out["remaining"] = list_of(report.remaining);
      if (!report.kept.empty()) out["kept"] = report.kept;
    }
    return print_json(world, out);
  }
  for (const store::Finding& finding : checked.findings) print_finding(world, finding);
  world.out << "checked " << checked.entries << " entries with " << format_bytes(checked.content_bytes)
            << " of content: "
            << (checked.findings.empty() ? std::string("all is well")
                                         : std::to_string(checked.findings.size()) + " findings")
            << '\n';
  if (!repair || checked.findings.empty()) return;
  for (const std::string& line : report.done) world.out << "repair: " << printable(world, line) << '\n';
  if (!report.kept.empty()) world.out << "repair: the database as it was is kept as " << report.kept << '\n';
  for (const store::Finding& finding : report.remaining) {
    world.out << "remains: ";
    print_finding(world, finding);
  }
}

}  // namespace

Result<> cmd_check(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  TRY(check_unmounted_vault(target));
  const store::Credential credential = TRY(read_credential(world, arguments, target.vault_directory));
  store::RepairReport report;
  {
    ProgressLine line(world, "checking");
    const store::Progress progress = [&line](uint64_t done, uint64_t total) { line.show(done, total); };
    if (arguments.has("repair"))
      report = TRY(store::repair_vault(target.vault_directory, credential, progress));
    else {
      report.before = TRY(store::check_vault(target.vault_directory, credential, {.progress = progress}));
      report.remaining = report.before.findings;
    }
  }
  print_report(world, arguments, target.vault_directory, report);
  if (report.before.findings.empty()) return {};
  if (report.remaining.empty()) {
    world.status = kExitRepaired;
    return {};
  }
  return Error(Code::corrupt, "the vault is damaged")
      .hint(report.before.structure_damaged
                ? "keep its files; tain salvage takes what is intact into a new vault"
                : "keep its files; tain check --repair mends what can be mended, the rest must come from a backup");
}

}  // namespace tain::cli
