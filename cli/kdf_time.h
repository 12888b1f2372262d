// SPDX-License-Identifier: Apache-2.0
// The option --kdf-time.
#pragma once

#include "base/result.h"
#include "cli/arguments.h"

namespace tain::cli {

inline constexpr double kKdfSecondsDefault = 1.0;
inline constexpr double kKdfSecondsMax = 60.0;

/// How many seconds --kdf-time asks for. Errors: usage.
Result<double> kdf_seconds(const Arguments& arguments);

}  // namespace tain::cli
