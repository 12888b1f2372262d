// SPDX-License-Identifier: Apache-2.0
// Makes the mount of a vault and takes it away again: what the confined process that serves it may not do itself (ADR 18).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "fs/mount_options.h"
#include "fs/mountpoint.h"
#include "fs/unmount.h"

namespace tain::fs {

class Mounter {
 public:
  struct Mounted {
    UniqueFd fuse;        // what requests are read from; closing it ends the mount, which then answers with errors
    std::string device;   // MountEntry::device(); empty if the mount table could not be read
    std::string warning;  // the mount works, but a person should know
  };
  virtual ~Mounter() = default;
  /// Mounts. Once. Errors: mountpoint, fuse.
  virtual Result<Mounted> mount() = 0;
  /// Makes the kernel write what it keeps of changed files and mapped pages. The requests must still be answered, by
  /// another thread. Nothing to do is no error. Errors: io.
  virtual Result<> flush() = 0;
  /// Takes the mount off its mountpoint; lazily returns who used it. Errors: busy (never lazily), mountpoint (another mount covers it, or it was moved
  /// or taken away already), those of fs::detach.
  virtual Result<std::vector<MountUser>> detach(Detach how) = 0;
  /// Call after the unmount: removes the mountpoint if mount() made it.
  virtual void tidy() = 0;
};

/// Does it in this process.
class LocalMounter : public Mounter {
 public:
  explicit LocalMounter(MountOptions options) : options_(std::move(options)) {}
  Result<Mounted> mount() override;
  Result<> flush() override;
  Result<std::vector<MountUser>> detach(Detach how) override;
  void tidy() override;

  /// The mountpoint stays where it is, protected, though mount() has made it.
  void keep_mountpoint() {
    if (mountpoint_) mountpoint_->keep();
  }
  /// Of the mount that mount() has made; empty before.
  const std::string& device() const { return device_; }
  const MountOptions& options() const { return options_; }

 private:
  Result<MountEntry> own_mount() const;
  MountOptions options_;
  std::optional<Mountpoint> mountpoint_;
  std::string device_;
};

}  // namespace tain::fs
