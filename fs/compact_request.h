// SPDX-License-Identifier: Apache-2.0
// A step of tain compact over the control socket (docs/control-socket.md).
#pragma once

#include "base/result.h"
#include "fs/control.h"
#include "store/vault.h"

namespace tain::fs {

/// Does the step that `request` asks for; the reply.
nlohmann::json answer_compact(store::Vault& vault, const nlohmann::json& request);
/// What such a reply says. Errors: io (it says something else).
Result<store::CompactStep> compact_step_in(const nlohmann::json& reply);

}  // namespace tain::fs
