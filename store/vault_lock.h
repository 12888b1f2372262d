// SPDX-License-Identifier: Apache-2.0
// The `lock` file of a vault: who has it open, held with flock for the life of the process.
#pragma once

#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace tain::store {

/// Who has a vault open.
struct Holder {
  int64_t pid = 0;
  std::string mountpoint;      // empty when it is not mounted
  std::string control_socket;  // path of the serving process's socket; empty when it has none
};

/// Released when destroyed, and by the kernel when the process dies.
class VaultLock {
 public:
  /// Takes the lock and writes our pid and `mountpoint` into it. On a read-only file system, where nothing can be
  /// written, whoever does not mount shares a lock with other readers. Errors: in_use (naming the holder), read_only, io.
  static Result<VaultLock> take(const std::string& directory, const std::string& mountpoint);
  /// Writes the path of our control socket into the lock file. Errors: io, no_space.
  Result<> set_control_socket(const std::string& path);
  /// The process that holds the lock; nothing when it is free. Takes nothing itself.
  static Result<std::optional<Holder>> holder(const std::string& directory);

 private:
  VaultLock(UniqueFd fd, size_t text_size) : fd_(std::move(fd)), text_size_(text_size) {}
  UniqueFd fd_;
  size_t text_size_;  // of the first two lines, bytes
};

}  // namespace tain::store
