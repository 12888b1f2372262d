// SPDX-License-Identifier: Apache-2.0
// tain log, restore, trash, prune and retention as requests (docs/control-socket.md): over the control socket of a mount, or by the
// command itself on a vault that it has opened.
#pragma once

#include <functional>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "fs/control.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::fs {

/// Who serves the vault and has to know what a request did.
struct Server {
  /// A name was made or replaced: the kernel may know it as it was.
  std::function<void(Ino directory, const std::string& name)> changed;
  /// An inode lost a name. If it was the last one, it goes once no program has it open.
  std::function<void(const store::Unlinked&)> unlinked;
};

/// A name in a directory of the vault.
struct Place {
  Ino directory{};
  std::string name;
};
/// Where `path` is or would be. Symbolic links are not followed. Errors: not_found, usage (the root).
Result<Place> find_place(store::Tree& tree, const std::string& path);

bool is_history_request(const nlohmann::json& op);
/// The reply to a request whose `op` is_history_request(). Threads: any; a large restore takes its time.
nlohmann::json answer_history(store::Vault& vault, const nlohmann::json& request, const Server& server);

/// A path for a request: itself, or {"hex": …} where it is no UTF-8. And the way back; errors: usage.
nlohmann::json path_to_json(const std::string& path);
Result<std::string> path_from_json(const nlohmann::json& value);

}  // namespace tain::fs
