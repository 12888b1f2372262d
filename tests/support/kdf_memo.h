// SPDX-License-Identifier: Apache-2.0
// Argon2id in test programs: each password and salt is worked out once, and how often it was asked for is counted. Hundreds
// of tests open a vault again and again, and would do little else than derive the same key.
#pragma once

#include <cstddef>

namespace tain::test {

/// How often Argon2id was asked for in this program: what a header may cost who tries to open it.
size_t kdf_runs();

}  // namespace tain::test
