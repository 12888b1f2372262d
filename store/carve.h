// SPDX-License-Identifier: Apache-2.0
// Values found in the raw bytes of a database file, whatever its page tree says.
//
// A record lies beside its database key, and its checksum proves both; a block is found by its nonce. Pages that are in
// use hold what is current. Free pages hold older copies: they stand in only where the current one is lost. Where the
// roots of the tables had to be searched for, those found may be of an earlier commit, and pages that they do not lead
// to may hold what came later: the stamps in inodes and names tell.
#pragma once

#include "store/file_check.h"

namespace tain::store {

/// Adds to `survey` the records that its trees have lost, or that are newer than its trees, and finds its state if that
/// was lost.
/// `blocks` gets every block value seen. Errors: io.
struct CarvedBlock {
  std::array<uint8_t, 24> nonce{};
  uint64_t offset = 0;  // of the value in the file
};
Result<std::vector<CarvedBlock>> carve(Survey& survey, const Cipher& cipher, const Progress& progress);

}  // namespace tain::store
