// SPDX-License-Identifier: Apache-2.0
// Reads marks and notes, which belong to no entry, for the scrubber.
#pragma once

#include <cstddef>
#include <functional>

#include "base/result.h"
#include "store/database.h"
#include "store/scrub_record.h"

namespace tain::store {

/// The table of `place` from its key on, until `spend`, asked before each value, says that it is enough. Counts what was
/// read, and what is damaged as lost: nobody knows whose it is. True at the end of the table. Errors: io.
Result<bool> scrub_notes(Database& database, const ReadTxn& txn, ScrubPlace& place, ScrubCounts& counts,
                         const std::function<bool(size_t bytes)>& spend);

}  // namespace tain::store
