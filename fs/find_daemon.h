// SPDX-License-Identifier: Apache-2.0
// From a mount, or a vault that is still open, to the process behind it.
#pragma once

#include <string>

#include "base/result.h"
#include "fs/control.h"
#include "fs/mount_table.h"
#include "fs/runtime.h"

namespace tain::fs {

/// The connection to the process that serves `mount`, and no other: it has confirmed the mount's device number.
/// Looks where the vault's lock file says and in every directory of `runtime`, so it works from a login with another
/// environment and for a vault whose directory has been moved. Errors: not_found.
Result<ControlClient> connect_to_daemon(const MountEntry& mount, const RuntimePaths& runtime, int timeout_ms);

/// The process that serves `mount`, as far as the vault's lock file tells; 0 when it does not.
pid_t pid_in_lock(const MountEntry& mount);

}  // namespace tain::fs
