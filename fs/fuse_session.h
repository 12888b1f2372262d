// SPDX-License-Identifier: Apache-2.0
// libfuse's session: made, and mounted, with what libfuse says as the error message.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"
#include "fs/mount_options.h"

struct fuse_session;
struct fuse_lowlevel_ops;

namespace tain::fs {

struct DestroySession {
  void operator()(fuse_session* session) const;
};
/// Its end closes the descriptor; the mount stays as it is.
using FuseSession = std::unique_ptr<fuse_session, DestroySession>;

/// Always nosuid,nodev, with the kernel checking permissions (default_permissions). `ops` null: for mounting only.
/// Errors: fuse (it refuses an option), memory.
Result<FuseSession> new_fuse_session(const MountOptions& options, const fuse_lowlevel_ops* ops, void* context);

/// Mounts at options.mountpoint, by mount(2) for root and by fusermount3 else, and returns the descriptor that requests are
/// read from. The caller has the only copy. Errors: fuse.
Result<UniqueFd> mount_fuse(const MountOptions& options);

/// `value` with the characters escaped that have a meaning within `-o name=value,…`.
std::string escape_fuse_option(std::string_view value);

}  // namespace tain::fs
