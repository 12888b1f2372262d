// SPDX-License-Identifier: Apache-2.0
// Where the bytes of a closed vault's database are.
#pragma once

#include <string>

namespace tain::test {

/// Rows of a Markdown table: what, how many values, bytes of the file. Nobody may have the vault open.
std::string table_sizes(const std::string& vault_directory);

}  // namespace tain::test
