// SPDX-License-Identifier: Apache-2.0
// What check and salvage found, for people and programs.
#pragma once

#include <nlohmann/json.hpp>

#include "cli/world.h"
#include "store/survey.h"

namespace tain::cli {

/// One line on out.
void print_finding(World& world, const store::Finding& finding);
nlohmann::json to_json(const store::Finding& finding);

}  // namespace tain::cli
