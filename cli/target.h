// SPDX-License-Identifier: Apache-2.0
// Which vault an argument means: its directory, or the mountpoint where it is mounted.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/world.h"
#include "fs/mount_table.h"
#include "fs/runtime.h"

namespace tain::cli {

struct Target {
  std::string vault_directory;  // absolute, canonical
  std::optional<fs::MountEntry> mount;
};

/// Finds the vault that `argument` names. The directory need not hold a vault; using it will tell.
Result<Target> find_target(const std::string& argument);
/// For what needs a vault that nobody uses, before anybody types a password. Errors: in_use, not_a_vault and what else
/// Vault::inspect() says.
Result<> check_unmounted_vault(const Target& target);
/// The vaults that this user has mounted; all of them for root.
Result<std::vector<Target>> mounted_targets(const World& world);

/// Where control sockets of `owner` are.
fs::RuntimePaths runtime_paths(const World& world, uid_t owner);

/// VAULT:PATH or VAULT PATH, for commands that look inside.
struct Location {
  Target target;
  std::string path;  // inside the vault, without a leading '/'; empty for its root
};
Result<Location> find_location(const std::vector<std::string>& positional);

}  // namespace tain::cli
