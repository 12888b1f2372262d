// SPDX-License-Identifier: Apache-2.0
// tain compact: gives what is free inside the database file back to the file system (ADR 12).
//
// LMDB keeps the pages that it frees and never makes its file shorter. Those that its next transaction could overwrite
// anyway become holes of the file here. A step takes the writer's turn, so no commit comes between the look at the free
// list and the last hole, and a crash at any point leaves what a crash of that transaction could have left.
#pragma once

#include "store/lmdb.h"
#include "store/vault.h"

namespace tain::store {

/// Makes holes of the spare pages from page `from` on, for `max_ns` or as long as it took to list them. What commits free
/// meanwhile is for the next run. Threads: one that has no transaction. Errors: unsupported (the file system makes no
/// holes), no_space, io, corrupt.
Result<CompactStep> compact_step(Env& env, uint64_t from, int64_t max_ns);

/// Cuts free pages off the end of a database file that nobody has open. The bytes by which it got shorter.
/// Errors: corrupt, io.
Result<uint64_t> cut_free_end(const std::string& path);

}  // namespace tain::store
