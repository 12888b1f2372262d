// SPDX-License-Identifier: Apache-2.0
// What `tain status --json` and .tain/status.json say of a vault.
#pragma once

#include "fs/control.h"
#include "store/vault.h"

namespace tain::fs {

/// What the header says.
nlohmann::json describe_header(const store::VaultInfo& info);
/// Adds what the serving process answered to "status".
void add_live_status(nlohmann::json& status, const nlohmann::json& live);

}  // namespace tain::fs
