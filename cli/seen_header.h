// SPDX-License-Identifier: Apache-2.0
// The last header of each vault that this machine has opened, kept outside the vault: a third copy, and a memory against older headers
// that are put back (ADR 21).
//
// In $XDG_STATE_HOME/tain/headers (~/.local/state): VAULT-ID, the header's bytes, and VAULT-ID.path, where the vault was. Nothing
// depends on them; what cannot be kept is not. TAIN_HEADER_COPIES=no switches all of it off.
#pragma once

#include <optional>
#include <string>

#include "cli/world.h"

namespace tain::cli {

enum class Keep {
  later,  // unless a later one is kept already
  this_one,  // whatever is kept: a key was changed, or a header put back, on purpose
};
/// Keeps the header that the vault has now. Only after a key has opened the vault.
void keep_header(World& world, const std::string& directory, Keep which);

/// Warns if the vault's header is an older one than this machine has seen, or another one of the same number. Reads only; before
/// anybody types a password.
void warn_of_older_header(World& world, const std::string& directory);

/// The file with the header of the vault that was last in `directory`.
std::optional<std::string> kept_header(const World& world, const std::string& directory);

}  // namespace tain::cli
