// SPDX-License-Identifier: Apache-2.0
// tain list: the mounted vaults.
#include "cli/commands.h"
#include "cli/target.h"
#include "fs/find_daemon.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

constexpr int kAnswerTimeoutMs = 1'000;

/// A process that answers on its control socket lives; to ask the mount itself would be a use of it (--idle).
bool is_dead(const World& world, const fs::MountEntry& mount) {
  return !fs::connect_to_daemon(mount, runtime_paths(world, mount.owner), kAnswerTimeoutMs).ok() && fs::is_stale(mount);
}

}  // namespace

Result<> cmd_list(World& world, const Arguments& arguments) {
  nlohmann::json all = nlohmann::json::array();
  for (const Target& target : TRY(mounted_targets(world))) {
    const bool stale = is_dead(world, *target.mount);
    nlohmann::json row = {{"vault", target.vault_directory},
                          {"mountpoint", target.mount->mountpoint},
                          {"read_only", target.mount->read_only},
                          {"stale", stale}};
    auto holder = store::Vault::holder(target.vault_directory);
    if (holder.ok() && *holder) row["pid"] = (*holder)->pid;
    all.push_back(row);
    if (arguments.has("json")) continue;
    world.out << printable(world, target.vault_directory) << " at " << printable(world, target.mount->mountpoint)
              << (target.mount->read_only ? " (read-only)" : "") << (stale ? " (dead; tain unmount cleans it)" : "") << '\n';
  }
  if (arguments.has("json")) print_json(world, all);
  return {};
}

}  // namespace tain::cli
