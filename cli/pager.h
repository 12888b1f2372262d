// SPDX-License-Identifier: Apache-2.0
// Long results on a terminal.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/world.h"

namespace tain::cli {

/// Shows `text` through $PAGER (less, if there is one) when out is a terminal, else prints it.
Result<> show_paged(World& world, const std::string& text);

}  // namespace tain::cli
