// SPDX-License-Identifier: Apache-2.0
// tain timelock as requests (docs/control-socket.md): over the control socket of a mount, or by the command itself on a
// vault that it has opened.
#pragma once

#include <functional>

#include "base/result.h"
#include "fs/control.h"
#include "store/vault.h"

namespace tain::fs {

bool is_time_lock_request(const nlohmann::json& op);
/// The reply to a request whose `op` is_time_lock_request(). `changed` is called when locks were changed: what the kernel
/// has in its cache must go then. Threads: any; a large folder takes its time.
nlohmann::json answer_time_lock(store::Vault& vault, const nlohmann::json& request, const std::function<void()>& changed);

}  // namespace tain::fs
