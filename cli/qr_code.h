// SPDX-License-Identifier: Apache-2.0
// A QR code in text, for terminals and paper. Needs libqrencode when building (TAIN_QRENCODE).
#pragma once

#include <functional>
#include <string_view>

#include "base/bytes.h"

namespace tain::cli {

/// What is not printed looks so: a terminal's background, or paper.
enum class Background { dark, light };

/// Hands the code of `text`, two rows of squares in each line, piece by piece to `add`. Without libqrencode, or when the text is too
/// long, there is none: returns false. The calling process must have one thread (cli/child.h).
bool add_qr_code(ByteView text, Background background, const std::function<void(std::string_view piece)>& add);

}  // namespace tain::cli
