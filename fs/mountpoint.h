// SPDX-License-Identifier: Apache-2.0
// The directory that a vault is mounted on: checked before, protected while covered, tidied up afterwards.
//
// A program that saves into the mountpoint while the vault is not mounted would leave clear text on the
// disk. So the covered directory is made read-only, through a descriptor opened before mounting: by its
// mode for ordinary users, by the immutable attribute where root mounts, which no mode stops. It stays so
// after the unmount and after a crash; mounting on it again works.
#pragma once

#include <string>

#include "base/file.h"
#include "base/result.h"

namespace tain::fs {

/// Absolute and canonical; the last component may be missing or a dead mount. Errors: not_found (the parent).
Result<std::string> resolve_path(const std::string& path);

/// Refuses a mountpoint (`path` as of resolve_path) that cannot be used, without touching anything: its parent is missing, it is not
/// a directory, not empty, already a mountpoint (a dead FUSE mount does not count), or it and the vault
/// contain each other. Errors: mountpoint; in_use (this very vault is mounted there).
Result<> check_mountpoint(const std::string& path, const std::string& vault_directory);

/// Makes the bare directory at `path`, which protect() has closed, writable again.
/// Errors: not_found, not_permitted, mountpoint (it is writable, or not a directory), …
Result<> release_mountpoint(const std::string& path);

/// Whether the file system that holds `directory` knows the immutable attribute.
bool has_immutable_attribute(const std::string& directory);

/// A mountpoint in use.
class Mountpoint {
 public:
  /// Checks again, detaches a dead mount, makes a missing directory (0700) and opens it. Errors: mountpoint.
  static Result<Mountpoint> prepare(const std::string& path, const std::string& vault_directory);
  ~Mountpoint() { tidy(); }
  Mountpoint(Mountpoint&&) noexcept = default;
  Mountpoint& operator=(Mountpoint&&) = delete;

  const std::string& path() const { return path_; }
  /// Call right after mounting: the covered directory refuses writes from now on.
  /// Errors (the mount is usable all the same): not_permitted, unsupported.
  Result<> protect();
  /// Call after the unmount: removes the directory if prepare() made it.
  void tidy();
  /// Leaves the directory as it is, protected: after a crash programs may go on writing there.
  void keep() { created_ = false; }

 private:
  Mountpoint(std::string path, UniqueFd fd, bool created) : path_(std::move(path)), fd_(std::move(fd)), created_(created) {}
  std::string path_;
  UniqueFd fd_;  // of the directory itself, also while it is covered
  bool created_ = false;
};

}  // namespace tain::fs
