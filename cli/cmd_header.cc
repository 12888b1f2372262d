// SPDX-License-Identifier: Apache-2.0
// tain header backup, restore: for when both copies of the header are gone.
#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/seen_header.h"
#include "cli/target.h"
#include "store/vault.h"

namespace tain::cli {

Result<> cmd_header_backup(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  const std::string& file = arguments.positional()[1];
  auto written = store::Vault::backup_header(target.vault_directory, file);
  if (written.is(Code::exists)) return std::move(written).error().hint("give a new file");
  TRY(std::move(written));
  note(world, "the header of " + target.vault_directory + " is in " + file);
  note(world, "it opens with today's keys for ever, also after you change or remove them: keep it as carefully as the vault");
  return {};
}

Result<> cmd_header_restore(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  const std::string& directory = target.vault_directory;
  std::string file;
  if (arguments.positional().size() > 1) {
    file = arguments.positional()[1];
  } else if (const auto kept = kept_header(world, directory)) {
    file = *kept;
  } else {
    return Error(Code::not_found, "this machine keeps no copy of the header of " + directory).hint("name the file: tain header restore VAULT FILE");
  }
  if (target.mount)
    return Error(Code::in_use, directory + " is mounted at " + target.mount->mountpoint)
        .hint("while it is mounted, copy your files out of it; then: tain unmount " + target.mount->mountpoint);
  if (!arguments.has("force") && store::Vault::inspect(directory).ok())
    return Error(Code::exists, "the vault has an intact header")
        .hint("an older header brings back the passwords of its time; --force does so all the same");
  const store::Credential credential = TRY(read_credential(world, arguments, directory));
  auto restored = store::Vault::restore_header(directory, file, credential, arguments.has("force"));
  if (restored.ok() || restored.is(Code::partial)) keep_header(world, directory, Keep::this_one);
  if (restored.is(Code::partial)) return std::move(restored).error().with("the header is back, and it opens the vault");
  TRY(std::move(restored));
  note(world, "the header is back, and it opens the vault; what was in its place is kept as header.replaced-…");
  return {};
}

}  // namespace tain::cli
