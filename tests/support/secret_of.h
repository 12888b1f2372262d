// SPDX-License-Identifier: Apache-2.0
// Secrets that are none.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"

namespace tain::test {

inline Secret secret_of(std::string_view text) { return Secret::copy_of(as_bytes(text)); }

}  // namespace tain::test
