// SPDX-License-Identifier: Apache-2.0
// The part of a mount's status that says what has turned out to be damaged.
#pragma once

#include "fs/control.h"
#include "fs/scrub_watch.h"
#include "store/vault.h"

namespace tain::fs {

inline constexpr size_t kListedInStatus = 16;  // entries
inline constexpr size_t kListedInReport = 64;

/// The members `damaged`, a count, `damaged_complete`, false when there may be more, and `damaged_entries`, the first
/// of them: objects with `ino`, `damage` as in the attribute user.tain.damaged, and `path` below the mountpoint, if a
/// name was found. Nothing when all is well. Looks for names only if there is damage, and not for long. Threads: any.
nlohmann::json describe_damage(store::Vault& vault, size_t listed_max = kListedInStatus);

/// The passes over all data: `running`, `part` from 0 to 1, `bytes`, `entries` and `started_at` of the one under way, and
/// `last`, when there was one, with `started_at`, `ended_at`, `bytes`, `entries`, `damaged` and `lost` (damaged places
/// whose entries are not known). Times are Unix seconds.
nlohmann::json describe_scrub(const store::ScrubState& state);
/// The same of a mount, with `hurried`, `background`, `passes` since the mount, and `error` if it stands still.
nlohmann::json describe_scrub(const ScrubWatch::State& state);

}  // namespace tain::fs
