// SPDX-License-Identifier: Apache-2.0
// The part of a mount's status that says what has turned out to be damaged.
#pragma once

#include "fs/control.h"
#include "store/vault.h"

namespace tain::fs {

/// The members `damaged`, a count, `damaged_complete`, false when there may be more, and `damaged_entries`, the first
/// of them: objects with `ino`, `damage` as in the attribute user.tain.damaged, and `path` below the mountpoint, if a
/// name was found. Nothing when all is well. Looks for names only if there is damage, and not for long. Threads: any.
nlohmann::json describe_damage(store::Vault& vault);

}  // namespace tain::fs
