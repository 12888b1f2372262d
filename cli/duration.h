// SPDX-License-Identifier: Apache-2.0
// Durations as people write them: 90s, 15m, 2h, 1d.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace tain::cli {

/// Whole seconds, at least one and at most ten years. Errors: usage.
Result<int64_t> parse_duration(std::string_view text);

}  // namespace tain::cli
