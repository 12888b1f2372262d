// SPDX-License-Identifier: Apache-2.0
// What this machine must have, and should have, for vaults: the checks of `tain doctor`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/target.h"
#include "cli/world.h"

namespace tain::cli {

enum class Level { ok, warn, fail };

struct Check {
  Level level = Level::ok;
  std::string name;
  std::string finding;
  std::string next_step;  // empty when there is nothing to do
};

/// Whether this user can open /dev/fuse. Errors: fuse.
Result<> check_fuse_device();

/// Of the machine.
std::vector<Check> check_machine(const World& world);
/// Of one vault: where it lies, its header. `damaged` becomes true when a copy of the header is.
std::vector<Check> check_vault(const Target& target, bool& damaged);

/// Whether /proc/swaps (its text) names a device or file that is not known to be encrypted or in memory;
/// `dm_uuid` yields the content of /sys/block/NAME/dm/uuid. Yields its name.
std::optional<std::string> clear_swap(const std::string& swaps, const std::function<std::string(const std::string&)>& dm_uuid);

}  // namespace tain::cli
