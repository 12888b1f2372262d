// SPDX-License-Identifier: Apache-2.0
// The -o options of a mount, and the command line of mount(8)'s helper mount.tain.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tain::cli {

struct MountFlags {
  bool read_only = false;
  std::string at;  // a time of the past; empty: the present
  bool allow_other = false;
  bool history = true;
  bool confined = true;
  int64_t idle_s = 0;  // 0: never
  bool lock_on_suspend = false;
  bool lock_on_screen = false;
  uint64_t scrub_rate_bytes_s = uint64_t{4} << 20;  // 0: off
  int64_t scrub_after_s = 300;
  std::vector<std::string> fuse_options;  // passed on as they are
};

/// Adds the options of a comma-separated list. What only means something to mount(8), systemd or desktops is
/// ignored, and so are nosuid and nodev, which are always on. Errors: usage (names the unknown option).
Result<> add_mount_options(std::string_view list, MountFlags& flags);

/// Turns `mount.tain SOURCE TARGET [-sfnv] [-N NS] [-t TYPE] [-o OPTIONS]` (without the program's name) into the words
/// after `tain mount`. The option passfile=FILE becomes --passfile. Nothing to do (-f, a dry run): no words.
/// Errors: usage.
Result<std::vector<std::string>> mount_helper_words(const std::vector<std::string>& words);

}  // namespace tain::cli
