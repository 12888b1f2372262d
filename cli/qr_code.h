// SPDX-License-Identifier: Apache-2.0
// A QR code in text, for terminals and paper. Needs libqrencode when building (TAIN_QRENCODE).
#pragma once

#include <functional>
#include <string_view>

#include "base/bytes.h"

namespace tain::cli {

/// What is not printed looks so: a terminal's background, or paper.
enum class Background { dark, light };

/// Hands the code of `text`, line by line with two rows of squares in each, to `add`. Without libqrencode, or when the
/// text is too long, there is none: returns false. The library's copies of the text are not wiped.
bool add_qr_code(ByteView text, Background background, const std::function<void(std::string_view line)>& add);

}  // namespace tain::cli
