// SPDX-License-Identifier: Apache-2.0
// What is mounted where, from /proc/self/mountinfo (proc(5)).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tain::fs {

/// The file system type of every mounted vault, as the kernel shows it.
inline constexpr std::string_view kFileSystemType = "fuse.tain";

/// One line of the mount table.
struct MountEntry {
  uint64_t id = 0;
  unsigned device_major = 0;
  unsigned device_minor = 0;
  std::string mountpoint;
  std::string type;
  std::string source;  // of a vault: its directory
  bool read_only = false;
  uid_t owner = 0;  // who mounted it; FUSE only

  /// "MAJOR-MINOR": tells mounts apart, wherever they and their vaults have been moved to.
  std::string device() const { return std::to_string(device_major) + "-" + std::to_string(device_minor); }
  bool is_vault() const { return type == kFileSystemType; }
  bool is_fuse() const { return type == "fuse" || type.starts_with("fuse."); }
  bool operator==(const MountEntry&) const = default;
};

/// Parses the text of a mountinfo file; lines that do not parse are left out.
std::vector<MountEntry> parse_mount_table(std::string_view text);
Result<std::vector<MountEntry>> read_mount_table();

/// The mount on top at exactly `mountpoint` (absolute, canonical).
std::optional<MountEntry> find_mount_at(const std::vector<MountEntry>& table, std::string_view mountpoint);
/// The mount of the vault in `directory` (absolute, canonical).
std::optional<MountEntry> find_mount_of(const std::vector<MountEntry>& table, std::string_view directory);

/// Whether the process that served this FUSE mount has died: every access says ENOTCONN.
bool is_stale(const MountEntry& mount);

/// Whether `path` is `directory` or lies below it. Both absolute and canonical.
bool is_within(std::string_view path, std::string_view directory);

}  // namespace tain::fs
