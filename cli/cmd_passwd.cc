// SPDX-License-Identifier: Apache-2.0
// tain passwd: change the password.
#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/kdf_time.h"
#include "cli/key_text.h"
#include "cli/password.h"
#include "cli/seen_header.h"
#include "cli/target.h"
#include "store/vault.h"

namespace tain::cli {

Result<> cmd_passwd(World& world, const Arguments& arguments) {
  const double seconds = TRY(kdf_seconds(arguments));
  if (auto fd = arguments.value("pass-fd"); fd && fd == arguments.value("new-pass-fd")) {
    return Error(Code::usage, "--pass-fd and --new-pass-fd are the same descriptor").hint("give two");
  }
  const Target target = TRY(find_target(arguments.positional()[0]));
  TRY(store::Vault::inspect(target.vault_directory));  // before anybody types a password
  const store::Credential old_way = TRY(read_credential(world, arguments, target.vault_directory));
  const Secret new_password = TRY(read_new_password(world, arguments));
  auto changed = store::Vault::change_password(target.vault_directory, old_way, new_password, store::calibrate_kdf(seconds));
  if (changed.ok() || changed.is(Code::partial)) keep_header(world, target.vault_directory, Keep::this_one);
  if (changed.is(Code::partial)) return std::move(changed).error().with("the new password opens the vault");
  TRY(std::move(changed));
  note(world, "password changed");
  note_old_headers(world);
  return {};
}

}  // namespace tain::cli
