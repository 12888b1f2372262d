// SPDX-License-Identifier: Apache-2.0
// Removes an entry for good, with all that it ever was. What is in a folder goes with it.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "fs/history_request.h"
#include "store/past.h"
#include "store/vault.h"

namespace tain::fs {

struct Purged {
  uint64_t entries = 0;
  uint64_t failed = 0;  // in use, time-locked, or damaged: what could be removed of them is in the trash
};

/// Of what is there: it goes through the trash, so that after a crash it is whole, in the trash, or gone. A file that has
/// other names elsewhere only loses these. Threads: any.
Result<Purged> purge_present(store::Vault& vault, const Place& place, const Server& server);
/// Of what is in the trash; of a folder also what is in the trash out of it.
Result<Purged> purge_removed(store::Vault& vault, const store::PastName& name);

}  // namespace tain::fs
