// SPDX-License-Identifier: Apache-2.0
#include "tests/support/audit.h"

#include "store/check.h"

namespace tain::test {

std::vector<std::string> audit_store(const std::string& vault_directory, const Secret& password) {
  // A journal that is cut short is what a crash leaves; replay has tests of its own.
  auto report = store::check_vault(vault_directory, password, {.progress = {}, .ignore_journal = true});
  if (!report.ok()) return {report.error().message()};
  std::vector<std::string> complaints;
  for (const store::Finding& found : report->findings) {
    std::string text = raw(found.ino) != 0 ? "inode " + std::to_string(raw(found.ino)) + ": " : "";
    complaints.push_back(text + found.what + (found.path.empty() ? "" : " (" + found.path + ")"));
  }
  return complaints;
}

}  // namespace tain::test
