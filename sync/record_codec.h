// SPDX-License-Identifier: Apache-2.0
// Records of entries and their parts ⇄ bytes (docs/remote-protocol.md §3.4).
//
// One encoding for each value. What decode_…() accepts, encode_…() makes the same bytes of; everything else is refused,
// whatever it is: the bytes may come from anywhere.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "sync/entry.h"

namespace tain::sync {

Bytes encode_record(const EntryRecord& record);
/// Errors: corrupt.
Result<EntryRecord> decode_record(ByteView bytes);

// Values of registers: two are equal exactly if their bytes are.
Bytes encode_value(const Location& value);
Bytes encode_value(const Content& value);
Bytes encode_value(const Attributes& value);
Result<Location> decode_location(ByteView bytes);
/// `type` as DT_*.
Result<Content> decode_content(uint8_t type, ByteView bytes);
Result<Attributes> decode_attributes(ByteView bytes);

/// The bytes of a list of chunks, as they stand in a record and, of a list below, in a pack.
Bytes encode_chunks(const std::vector<Chunk>& chunks);
/// `height` of the list they are of. Errors: corrupt.
Result<std::vector<Chunk>> decode_chunks(ByteView bytes, uint8_t height);

}  // namespace tain::sync
