// SPDX-License-Identifier: Apache-2.0
// CHECK(condition): an assertion that stays on in release builds.
#pragma once

namespace tain {
/// Prints where a programmer's assumption failed, and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace tain

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::tain::check_failed(#condition, __FILE__, __LINE__))
