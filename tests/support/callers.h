// SPDX-License-Identifier: Apache-2.0
// Who asks, in tests of the file system.
#pragma once

#include "fs/filesystem.h"

namespace tain::test {

inline const fs::Caller kRoot{.uid = 0, .gid = 0};
inline const fs::Caller kAnn{.uid = 1000, .gid = 100};

}  // namespace tain::test
