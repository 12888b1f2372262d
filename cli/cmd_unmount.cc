// SPDX-License-Identifier: Apache-2.0
// tain unmount: lock a vault.
#include <pwd.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/target.h"
#include "fs/mountpoint.h"
#include "fs/unmount.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

std::string user_name(uid_t uid) {
  const passwd* user = ::getpwuid(uid);
  return user != nullptr ? user->pw_name : std::to_string(uid);
}

Result<> unmount_mounted(World& world, const fs::MountEntry& mount, bool force) {
  if (world.uid != 0 && mount.owner != world.uid) {
    return Error(Code::not_permitted, mount.mountpoint + " is mounted by user " + user_name(mount.owner))
        .hint("only that user and root can unmount it");
  }
  const auto cut_off = TRY(fs::unmount_vault(mount, runtime_paths(world, mount.owner), force ? fs::IfBusy::cut_off : fs::IfBusy::refuse));
  for (const fs::MountUser& user : cut_off)
    warn(world, user.name + " (" + std::to_string(user.pid) + ") was using " + printable(world, mount.mountpoint) + " and has been cut off");
  return {};
}

/// There is no mount; a process may have the vault open all the same.
Result<> lock_unmounted(const World& world, const std::string& argument, const std::string& directory) {
  struct stat st {};
  if (::stat(directory.c_str(), &st) != 0) return Error(Code::mountpoint, argument + " does not exist").hint("tain list shows what is mounted");
  auto holder = store::Vault::holder(directory);
  if (holder.ok() && *holder && !(*holder)->mountpoint.empty()) {
    return fs::stop_holder(directory, **holder, world.uid == 0 ? st.st_uid : world.uid);
  }
  return Error(Code::mountpoint, argument + " is not mounted").hint("tain list shows what is");
}

}  // namespace

Result<> cmd_unmount(World& world, const Arguments& arguments) {
  const std::string& argument = arguments.positional()[0];
  const Target target = TRY(find_target(argument));
  if (target.mount) {
    TRY(unmount_mounted(world, *target.mount, arguments.has("force")));
  } else if (!arguments.has("release")) {
    return lock_unmounted(world, argument, target.vault_directory);
  }
  if (!arguments.has("release")) return {};
  auto released = fs::release_mountpoint(target.mount ? target.mount->mountpoint : target.vault_directory);
  // A mountpoint that the mount had made is gone with it, and one that could not be protected is writable.
  if (target.mount && (released.is(Code::not_found) || released.is(Code::mountpoint))) return {};
  return released;
}

}  // namespace tain::cli
