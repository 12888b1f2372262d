// SPDX-License-Identifier: Apache-2.0
#include "cli/exit.h"

namespace tain::cli {

Exit exit_status(Code code) {
  switch (code) {
    case Code::usage: return kExitUsage;
    case Code::partial: return kExitPartial;
    case Code::not_a_vault: return kExitNotAVault;
    case Code::mountpoint: return kExitMountpoint;
    case Code::in_use: return kExitInUse;
    case Code::wrong_password: return kExitWrongPassword;
    case Code::header_damaged: return kExitHeaderDamaged;
    case Code::format_too_new: return kExitFormatTooNew;
    case Code::remote_unreachable: return kExitRemoteUnreachable;
    case Code::remote_refused: return kExitRemoteRefused;
    case Code::remote_foreign: return kExitRemoteForeign;
    case Code::fuse: return kExitFuse;
    case Code::empty_password: return kExitEmptyPassword;
    case Code::corrupt: return kExitDamage;
    case Code::time_locked: return kExitTimeLocked;
    case Code::interrupted: return kExitInterrupted;
    default: return kExitFailed;
  }
}

}  // namespace tain::cli
