// SPDX-License-Identifier: Apache-2.0
// Reads a closed vault's database from end to end and says what does not fit together.
#pragma once

#include <string>
#include <vector>

#include "base/secret.h"

namespace tain::test {

/// One line for each violation; none in a sound store. Checks every checksum, seal and set digest, that
/// every block belongs to exactly one file and every name to an inode, and all counts (links, entries,
/// allocated bytes, content bytes, orphans). Nobody may have the vault open: LMDB wants one environment.
std::vector<std::string> audit_store(const std::string& vault_directory, const Secret& password);

}  // namespace tain::test
