// SPDX-License-Identifier: Apache-2.0
#include "cli/qr_code.h"

#ifdef TAIN_QRENCODE
#include <qrencode.h>

#include <memory>
#include <string>
#endif

namespace tain::cli {

#ifdef TAIN_QRENCODE

bool add_qr_code(ByteView text, Background background, const std::function<void(std::string_view line)>& add) {
  constexpr int kMargin = 2;  // squares
  const std::unique_ptr<QRcode, decltype(&QRcode_free)> code(
      QRcode_encodeData(static_cast<int>(text.size()), text.data(), 0, QR_ECLEVEL_M), &QRcode_free);
  if (code == nullptr) return false;
  const auto is_dark = [&](int row, int column) {
    if (row < 0 || column < 0 || row >= code->width || column >= code->width) return false;
    return (code->data[row * code->width + column] & 1) != 0;
  };
  add("\n");
  for (int row = -kMargin; row < code->width + kMargin; row += 2) {
    std::string line;
    for (int column = -kMargin; column < code->width + kMargin; ++column) {
      const bool printed_is_dark = background == Background::light;
      const bool upper = is_dark(row, column) == printed_is_dark, lower = is_dark(row + 1, column) == printed_is_dark;
      line += upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ";
    }
    add(line + "\n");
  }
  return true;
}

#else

bool add_qr_code(ByteView, Background, const std::function<void(std::string_view line)>&) { return false; }

#endif

}  // namespace tain::cli
