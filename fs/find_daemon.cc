// SPDX-License-Identifier: Apache-2.0
#include "fs/find_daemon.h"

#include <optional>
#include <utility>
#include <vector>

#include "store/vault.h"

namespace tain::fs {
namespace {

/// Who holds the vault at the mount's source, unless another vault lies there by now.
std::optional<store::Holder> holder_of(const MountEntry& mount) {
  auto holder = store::Vault::holder(mount.source);
  if (!holder.ok() || !*holder || (*holder)->mountpoint != mount.mountpoint) return std::nullopt;
  return *std::move(holder).value();
}

}  // namespace

Result<ControlClient> connect_to_daemon(const MountEntry& mount, const RuntimePaths& runtime, int timeout_ms) {
  std::vector<std::string> paths = control_socket_candidates(runtime, mount.device());
  if (auto holder = holder_of(mount); holder && !holder->control_socket.empty()) {
    paths.insert(paths.begin(), holder->control_socket);
  }
  for (const std::string& path : paths) {
    auto client = ControlClient::connect(path, mount.owner);
    if (!client.ok()) continue;
    auto status = client->request({{"op", "status"}}, timeout_ms);
    if (status.ok() && status->value("device", nlohmann::json()) == mount.device()) return client;
  }
  return Error(Code::not_found, "the process that serves " + mount.mountpoint + " cannot be reached by its control socket");
}

pid_t pid_in_lock(const MountEntry& mount) {
  const auto holder = holder_of(mount);
  return holder ? static_cast<pid_t>(holder->pid) : 0;
}

}  // namespace tain::fs
