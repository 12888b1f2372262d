// SPDX-License-Identifier: Apache-2.0
// tain unmount: lock a vault.
#include "cli/commands.h"
#include "cli/target.h"
#include "fs/mountpoint.h"
#include "fs/unmount.h"

namespace tain::cli {

Result<> cmd_unmount(World& world, const Arguments& arguments) {
  const std::string& argument = arguments.positional()[0];
  const Target target = TRY(find_target(argument));
  const std::string mountpoint = target.mount ? target.mount->mountpoint : target.vault_directory;
  if (target.mount) {
    TRY(fs::unmount_vault(*target.mount, runtime_paths(world, target.mount->owner)));
  } else if (!arguments.has("release")) {
    return Error(Code::mountpoint, argument + " is not mounted").hint("tain list shows what is");
  }
  if (!arguments.has("release")) return {};
  auto released = fs::release_mountpoint(mountpoint);
  // A mountpoint that the mount had made is gone with it.
  if (released.is(Code::not_found) && target.mount) return {};
  return released;
}

}  // namespace tain::cli
