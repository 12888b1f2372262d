// SPDX-License-Identifier: Apache-2.0
// Looking into a vault, mounted or not: through the mount, or with the password.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "cli/arguments.h"
#include "cli/target.h"
#include "cli/world.h"

namespace tain::store {
class Vault;
}

namespace tain::cli {

struct FileInfo {
  std::string name;
  uint32_t mode = 0;
  uint64_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t size = 0;
  int64_t mtime_s = 0;
  std::string symlink;     // where a symbolic link leads
  bool is_damaged = false;  // only the name and the type in `mode` could be read
};

struct Listing {
  std::vector<FileInfo> files;
  bool is_complete = true;  // false: names are damaged, and more files may be there
};

/// Paths are relative to the vault's root. Symbolic links are followed as long as they stay inside the vault.
class VaultFiles {
 public:
  using Sink = std::function<Result<>(ByteView)>;

  /// Reads through the mount if there is one, else opens the vault read-only with a password.
  static Result<std::unique_ptr<VaultFiles>> open(World& world, const Arguments& arguments, const Target& target);
  /// Of a vault that is open in this process, and stays so for as long.
  static std::unique_ptr<VaultFiles> inside(store::Vault& vault);
  virtual ~VaultFiles() = default;

  /// The entries of a directory by name, or the one file that `path` is. What is damaged does not keep the rest from
  /// being listed. Errors: not_found, not_permitted (leads out), corrupt (`path` itself), io.
  virtual Result<Listing> list(const std::string& path) = 0;
  /// Hands the content of a regular file to `sink` piece by piece.
  virtual Result<> read(const std::string& path, const Sink& sink) = 0;
};

}  // namespace tain::cli
