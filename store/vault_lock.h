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
  std::string mountpoint;  // empty when it is not mounted
};

/// Released when destroyed, and by the kernel when the process dies.
class VaultLock {
 public:
  /// Takes the lock and writes our pid and `mountpoint` into it. Errors: in_use (naming the holder), io.
  static Result<VaultLock> take(const std::string& directory, const std::string& mountpoint);
  /// The process that holds the lock; nothing when it is free. Takes nothing itself.
  static Result<std::optional<Holder>> holder(const std::string& directory);

 private:
  explicit VaultLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace tain::store
