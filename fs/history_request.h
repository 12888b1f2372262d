// SPDX-License-Identifier: Apache-2.0
// tain log, restore, trash and prune as requests (docs/control-socket.md): over the control socket of a mount, or by the
// command itself on a vault that it has opened.
#pragma once

#include <functional>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "fs/control.h"
#include "store/vault.h"

namespace tain::fs {

/// Told of each name that was made or replaced, so that the kernel can be.
using NameChanged = std::function<void(Ino directory, const std::string& name)>;

bool is_history_request(const nlohmann::json& op);
/// The reply to a request whose `op` is_history_request(). Threads: any; a large restore takes its time.
nlohmann::json answer_history(store::Vault& vault, const nlohmann::json& request, const NameChanged& changed);

/// A path for a request: itself, or {"hex": …} where it is no UTF-8. And the way back; errors: usage.
nlohmann::json path_to_json(const std::string& path);
Result<std::string> path_from_json(const nlohmann::json& value);

}  // namespace tain::fs
