// SPDX-License-Identifier: Apache-2.0
// Asks the kernel for a feature that libfuse before 3.17 has no word for.
//
// Without FUSE_HANDLE_KILLPRIV_V2 the kernel sends a GETXATTR for security.capability before every single WRITE,
// which doubles the requests of a program that writes in small pieces. With it the kernel asks once until the
// attributes change. The promise that goes with it is kept anyway: store/content clears set-user-id and
// set-group-id when content changes.
#pragma once

#include "base/result.h"

struct fuse_session;

namespace tain::fs {

/// Answers the kernel's first request, INIT, with that feature added where the kernel offers it. Call it once between
/// fuse_session_mount() and the request loop. Errors: fuse.
Result<> answer_init(fuse_session* session);

}  // namespace tain::fs
