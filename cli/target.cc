// SPDX-License-Identifier: Apache-2.0
#include "cli/target.h"

#include <sys/stat.h>
#include <unistd.h>

#include "fs/mountpoint.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

bool is_directory(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

}  // namespace

Result<Target> find_target(const std::string& argument) {
  auto path = fs::resolve_path(argument);
  if (!path.ok()) return Error(Code::not_a_vault, argument + " does not exist");
  const auto table = TRY(fs::read_mount_table());
  if (auto mount = fs::find_mount_at(table, *path); mount && mount->is_vault()) return Target{mount->source, mount};
  return Target{*path, fs::find_mount_of(table, *path)};
}

Result<> check_unmounted_vault(const Target& target) {
  if (target.mount) {
    return Error(Code::in_use, target.vault_directory + " is mounted at " + target.mount->mountpoint)
        .hint("unmount it first: tain unmount " + target.mount->mountpoint);
  }
  TRY(store::Vault::inspect(target.vault_directory));
  return {};
}

Result<std::vector<Target>> mounted_targets(const World& world) {
  std::vector<Target> targets;
  for (const fs::MountEntry& mount : TRY(fs::read_mount_table())) {
    if (mount.is_vault() && (world.uid == 0 || mount.owner == world.uid)) targets.push_back({mount.source, mount});
  }
  return targets;
}

fs::RuntimePaths runtime_paths(const World& world, uid_t owner) {
  fs::RuntimePaths paths;
  paths.owner = owner;
  if (owner == world.uid) paths.xdg_runtime_dir = world.env("XDG_RUNTIME_DIR");
  return paths;
}

Result<Location> find_location(const std::vector<std::string>& positional) {
  std::string vault = positional[0];
  std::string path = positional.size() > 1 ? positional[1] : "";
  if (positional.size() == 1 && !is_directory(vault)) {
    // The shortest prefix that is a directory: names in the vault may hold colons too.
    for (size_t colon = vault.find(':'); colon != std::string::npos; colon = vault.find(':', colon + 1)) {
      if (!is_directory(vault.substr(0, colon))) continue;
      path = vault.substr(colon + 1);
      vault.resize(colon);
      break;
    }
  }
  path.erase(0, path.find_first_not_of('/'));
  return Location{TRY(find_target(vault)), path};
}

}  // namespace tain::cli
