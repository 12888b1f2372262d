// SPDX-License-Identifier: Apache-2.0
// Ends a mount: everything made durable, the file system detached, the serving process gone.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "fs/mount_table.h"
#include "fs/runtime.h"
#include "store/vault_lock.h"

namespace tain::fs {

enum class Detach { plainly, lazily };

/// Takes the mount off `mountpoint`: umount2 for root, else fusermount3.
/// Errors: busy (in use; never with lazily), not_permitted, fuse.
Result<> detach(const std::string& mountpoint, Detach how);

/// Takes a dead mount away, unless that has been done meanwhile, by its supervisor for one. Errors: as detach.
Result<> detach_dead(const MountEntry& mount);

/// A process that keeps a mount busy.
struct MountUser {
  pid_t pid = 0;
  std::string name;  // of its program
};

/// Who has a working directory, root, program, open file or mapping on `mount`, as far as this user may see.
/// Looks at /proc only and never asks the mounted file system. At most kMountUsersMax.
std::vector<MountUser> mount_users(const MountEntry& mount);
inline constexpr size_t kMountUsersMax = 32;

enum class IfBusy { refuse, cut_off };

/// Asks the serving process to make everything durable, detaches the mount and waits until the process has
/// ended. `runtime` leads to its control socket. A dead mount is just detached. Returns who used the mount and was cut
/// off, as far as this user may see.
/// Errors: busy (the message names the holders), what the daemon's sync or its last commit said (a failed
/// sync leaves the mount as it is), io (the process did not end within a minute, or nobody could confirm the last
/// commit; the mount is gone all the same).
Result<std::vector<MountUser>> unmount_vault(const MountEntry& mount, const RuntimePaths& runtime, IfBusy if_busy);

/// Locks a vault that a process still has open though its mount is gone: after a lazy unmount programs may go on
/// using its files, and lose them now. `owner`: whose process it may be, besides root's.
/// Errors: in_use (the process cannot be asked), what its last commit said, io.
Result<> stop_holder(const std::string& vault_directory, const store::Holder& holder, uid_t owner);

}  // namespace tain::fs
