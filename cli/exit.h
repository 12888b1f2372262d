// SPDX-License-Identifier: Apache-2.0
// Exit statuses of the program. They are ABI: scripts depend on them, so none ever changes its meaning.
#pragma once

#include "base/result.h"

namespace tain::cli {

enum Exit : int {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitPartial = 3,
  kExitNotAVault = 6,
  kExitMountpoint = 10,
  kExitInUse = 11,
  kExitWrongPassword = 12,
  kExitHeaderDamaged = 13,
  kExitFormatTooNew = 14,
  kExitRemoteUnreachable = 16,
  kExitRemoteRefused = 17,
  kExitRemoteForeign = 18,
  kExitFuse = 19,
  kExitEmptyPassword = 22,
  kExitDamage = 26,
  kExitRepaired = 27,
  kExitTimeLocked = 28,
  kExitInterrupted = 130,
};

/// The exit status that tells `code`; kExitFailed for everything without a status of its own.
Exit exit_status(Code code);

}  // namespace tain::cli
