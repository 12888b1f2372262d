// SPDX-License-Identifier: Apache-2.0
// Versions of the libraries that the store runs with.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tain::store {
/// Name and version of each.
std::vector<std::pair<std::string, std::string>> library_versions();
}  // namespace tain::store
