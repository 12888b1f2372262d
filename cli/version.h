// SPDX-License-Identifier: Apache-2.0
// The version of the program; the build sets TAIN_VERSION.
#pragma once

#include <string_view>

namespace tain::cli {

inline constexpr std::string_view kVersion = TAIN_VERSION;
/// Of docs/format.md: what this program writes.
inline constexpr std::string_view kFormatVersion = "1.1";

}  // namespace tain::cli
