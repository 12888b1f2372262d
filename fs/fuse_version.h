// SPDX-License-Identifier: Apache-2.0
// The version of libfuse that this program runs with.
#pragma once

namespace tain::fs {
const char* fuse_version();
}  // namespace tain::fs
