// SPDX-License-Identifier: Apache-2.0
// What is mounted, where and how: settled before the process that serves it exists.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tain::fs {

struct MountOptions {
  std::string mountpoint;  // absolute, canonical
  std::string source;      // shown as the device in /proc/mounts: the vault's directory, absolute and canonical
  bool read_only = false;
  bool allow_other = false;
  /// Further -o values for FUSE, already checked by the caller, and `acl` or `noacl`. Without those two POSIX ACLs are
  /// on if others may use the mount or some entry of the vault has, or had, an ACL.
  std::vector<std::string> fuse_options;
};

}  // namespace tain::fs
