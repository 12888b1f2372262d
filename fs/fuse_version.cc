// SPDX-License-Identifier: Apache-2.0
#include "fs/fuse_version.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

namespace tain::fs {
const char* fuse_version() { return ::fuse_pkgversion(); }
}  // namespace tain::fs
