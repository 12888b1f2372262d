// SPDX-License-Identifier: Apache-2.0
// One committed block of a file, from the database or the cache.
#pragma once

#include <memory>

#include "store/database.h"

namespace tain::store {

/// The block's plaintext up to its valid length; null for a hole. `content` is a copy of the inode's
/// committed map. Takes no lock of the working set. Threads: any.
/// Errors: not_found (a commit replaced the block meanwhile: take a newer map), corrupt, io.
Result<std::shared_ptr<const Bytes>> load_block(Database& database, const ContentRecord& content, uint64_t index);

}  // namespace tain::store
