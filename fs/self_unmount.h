// SPDX-License-Identifier: Apache-2.0
// A mount that ends itself: the vault's own process locks it, without anybody's command.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fs/mounter.h"
#include "fs/session.h"

namespace tain::fs {

struct SelfUnmount {
  Mounter* mounter = nullptr;  // of the mount; outlives whoever uses this
  /// Makes everything durable; after an error the mount stays.
  std::function<Result<>()> sync;
};

/// Makes everything durable and takes the mount off its mountpoint, if nobody uses it. The session's run() returns soon after.
/// Errors: those of sync and of Mounter::detach.
Result<> unmount_if_unused(const SelfUnmount& own);

struct Locked {
  std::vector<MountUser> cut_off;
  std::string warning;  // the keys go, but the dead mount could not be taken away
};

/// The same, but whoever still uses the mount after `grace` is cut off: files that are open can no longer be read or
/// written. Blocks for up to `grace`. Errors: those of sync, and then the mount stays.
Result<Locked> unmount_anyway(Session& session, const SelfUnmount& own, std::chrono::milliseconds grace);

}  // namespace tain::fs
