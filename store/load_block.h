// SPDX-License-Identifier: Apache-2.0
// Committed blocks of a file with their patches, from the database or the cache.
#pragma once

#include "store/cells.h"
#include "store/damage_log.h"
#include "store/database.h"

namespace tain::store {

/// Decrypts bytes [begin, begin + out.size()) of the block `ref` at `index`; what it does not hold is zeros.
/// `begin` is a multiple of kCellSize. Only the cells asked for are decrypted. Takes no lock of the working set.
/// Threads: any. Errors: not_found (a commit replaced the block meanwhile: take a newer map), corrupt, io.
Result<> read_block_cells(Database& database, const ReadTxn& txn, const ContentId& content, uint64_t index,
                          const BlockRef& ref, size_t begin, ByteSpan out);

/// Tries each cell of the block at `index` that touches [begin, end), and notes in `log` those that cannot be read. For
/// after a read that failed. Cells past `content.size` do not count. Threads: any.
void find_damage(Database& database, const ReadTxn& txn, Ino ino, const ContentRecord& content, uint64_t index,
                 size_t begin, size_t end, DamageLog& log);

/// Bytes of the block that its stored parts hold: up to here it may differ from zeros.
size_t block_length(const BlockRef& ref);

/// Some cells of the block `ref` at `index`. Threads and errors as above.
Result<Cells> load_cells(Database& database, const ReadTxn& txn, const ContentId& content, uint64_t index,
                         const BlockRef& ref, CellMask cells);

}  // namespace tain::store
