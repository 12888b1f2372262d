// SPDX-License-Identifier: Apache-2.0
// Where the control sockets of mounted vaults live: a directory that only their owner can enter.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tain::fs {

/// The places to look at, best first. The roots are parameters so that tests can have their own.
struct RuntimePaths {
  uid_t owner = 0;
  std::string xdg_runtime_dir;  // empty: not set
  std::string run_user = "/run/user";
  std::string tmp = "/tmp";
  std::string avoid;  // a mountpoint, canonical: its own sockets cannot be reached through it; may be empty
};

/// Refuses a `path` that is not a directory (or a symlink), belongs to somebody else, or lets others in.
Result<> check_private_directory(const std::string& path, uid_t owner);

/// A directory for sockets. One that was made for this process alone goes with it.
class RuntimeDirectory {
 public:
  /// The first that can be used of $XDG_RUNTIME_DIR/tain (if XDG_RUNTIME_DIR is private), /run/user/UID/tain (if
  /// /run/user/UID exists) and /tmp/tain-UID, else a new /tmp/tain-UID-XXXXXX. Call before mounting: it looks at
  /// paths. Errors: io, access_denied, …
  static Result<RuntimeDirectory> make(const RuntimePaths& paths);
  ~RuntimeDirectory();
  RuntimeDirectory(RuntimeDirectory&& other) noexcept;
  RuntimeDirectory& operator=(RuntimeDirectory&&) = delete;

  const std::string& path() const { return path_; }
  bool temporary() const { return temporary_; }

 private:
  RuntimeDirectory(std::string path, bool temporary) : path_(std::move(path)), temporary_(temporary) {}
  std::string path_;
  bool temporary_;
};

/// Every place where the socket of the mount with `device` (MountEntry::device()) may be, for clients: environments
/// differ between logins. Only private directories are listed, so nobody else can have put a socket there.
std::vector<std::string> control_socket_candidates(const RuntimePaths& paths, const std::string& device);

/// A mount's device number is its own for as long as any program uses it, unlike the vault's id: copies share that.
std::string control_socket_path(const std::string& directory, const std::string& device);

}  // namespace tain::fs
