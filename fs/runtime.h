// SPDX-License-Identifier: Apache-2.0
// Where the control sockets of mounted vaults live: a directory that only their owner can enter.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace tain::fs {

/// The places to look at, best first. The roots are parameters so that tests can have their own.
struct RuntimePaths {
  uid_t owner = 0;
  std::string xdg_runtime_dir;  // empty: not set
  std::string run_user = "/run/user";
  std::string tmp = "/tmp";
};

/// Refuses a `path` that is not a directory (or a symlink), belongs to somebody else, or lets others in.
Result<> check_private_directory(const std::string& path, uid_t owner);

/// Makes and checks the directory for sockets: $XDG_RUNTIME_DIR/tain if that is private, else
/// /run/user/UID/tain if that exists, else /tmp/tain-UID. Errors: access_denied, io.
Result<std::string> make_runtime_directory(const RuntimePaths& paths);

/// Every place where a socket of `vault` may be, for clients: environments differ between logins.
/// Only private directories are listed, so nobody else can have put a socket there.
std::vector<std::string> control_socket_candidates(const RuntimePaths& paths, const VaultId& vault);

std::string control_socket_path(const std::string& directory, const VaultId& vault);

}  // namespace tain::fs
