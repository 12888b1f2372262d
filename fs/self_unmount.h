// SPDX-License-Identifier: Apache-2.0
// A mount that ends itself: the vault's own process locks it, without anybody's command.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fs/session.h"
#include "fs/unmount.h"

namespace tain::fs {

struct SelfUnmount {
  std::string mountpoint;
  /// Makes everything durable; after an error the mount stays.
  std::function<Result<>()> sync;
};

/// Takes this process's mount off its mountpoint, if nobody uses it. The session's run() returns soon after.
/// Errors: busy, mountpoint (another mount covers it, or it was moved), those of sync and detach.
Result<> unmount_if_unused(Session& session, const SelfUnmount& own);

/// The same, but whoever still uses the mount after `grace` is cut off: files that are open can no longer be read or
/// written. Returns those. Blocks for up to `grace`.
/// Errors: as above, without busy.
Result<std::vector<MountUser>> unmount_anyway(Session& session, const SelfUnmount& own,
                                              std::chrono::milliseconds grace);

}  // namespace tain::fs
