// SPDX-License-Identifier: Apache-2.0
// Whether a directory is a good place for a vault: sync clients and network file systems are not.
#pragma once

#include <string>
#include <string_view>

#include "cli/world.h"

namespace tain::cli {

/// The sync client whose folder holds `path` (absolute; need not exist), by names and marker files on the way up;
/// empty if none is recognised.
std::string sync_client_of(const std::string& path);

/// The network or FUSE file system that holds the nearest existing directory of `path`; empty if it is a local one.
std::string remote_file_system_of(const std::string& path);

/// Warns about both. A vault there works, until the client copies it half-written.
void warn_about_placement(World& world, const std::string& vault_directory);

}  // namespace tain::cli
