// SPDX-License-Identifier: Apache-2.0
// Rates as people write them: 500K, 4M, 1G bytes a second, or off.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace tain::cli {

/// Bytes a second; 0 for "off". Units are powers of 1024. Errors: usage.
Result<uint64_t> parse_rate(std::string_view text);

}  // namespace tain::cli
