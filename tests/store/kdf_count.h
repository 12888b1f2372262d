// SPDX-License-Identifier: Apache-2.0
// How often Argon2id has run in this program: what a header may cost who tries to open it.
#pragma once

#include <cstddef>

namespace tain::test {

size_t kdf_runs();

}  // namespace tain::test
