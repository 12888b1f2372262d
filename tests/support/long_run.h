// SPDX-License-Identifier: Apache-2.0
// Whether TAIN_LONG asks for the long version of a test. contrib/check sets it to nothing for the default run.
#pragma once

#include <cstdlib>

namespace tain::test {

inline bool is_long_run() {
  const char* wanted = std::getenv("TAIN_LONG");
  return wanted != nullptr && *wanted != '\0';
}

}  // namespace tain::test
