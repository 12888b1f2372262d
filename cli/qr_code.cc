// SPDX-License-Identifier: Apache-2.0
#include "cli/qr_code.h"

#ifdef TAIN_QRENCODE
#include <qrencode.h>

#include <cstdint>
#include <memory>

#include "base/secret.h"
#include "cli/child.h"
#endif

namespace tain::cli {

#ifdef TAIN_QRENCODE

namespace {

/// The code's width, a byte, then a byte for each square, 1 for a dark one; empty if there is none. It comes from a process of
/// its own, because the library keeps the text in buffers that it does not wipe.
Result<Secret> squares_of(ByteView text) {
  return in_child([text]() -> Result<Secret> {
    const std::unique_ptr<QRcode, decltype(&QRcode_free)> code(
        QRcode_encodeData(static_cast<int>(text.size()), text.data(), 0, QR_ECLEVEL_M), &QRcode_free);
    if (code == nullptr) return Secret();
    const auto width = static_cast<size_t>(code->width);
    if (width > UINT8_MAX || 1 + width * width > kChildAnswerMax) return Secret();
    Secret out(1 + width * width);
    out.span()[0] = static_cast<uint8_t>(width);
    for (size_t i = 0; i < width * width; ++i) out.span()[1 + i] = code->data[i] & 1;
    return out;
  });
}

}  // namespace

bool add_qr_code(ByteView text, Background background, const std::function<void(std::string_view line)>& add) {
  constexpr int kMargin = 2;  // squares
  const auto squares = squares_of(text);
  if (!squares.ok() || squares->empty()) return false;
  const int width = squares->view()[0];
  const auto is_dark = [&](int row, int column) {
    if (row < 0 || column < 0 || row >= width || column >= width) return false;
    return squares->view()[static_cast<size_t>(1 + row * width + column)] != 0;
  };
  const bool printed_is_dark = background == Background::light;
  add("\n");
  for (int row = -kMargin; row < width + kMargin; row += 2) {
    for (int column = -kMargin; column < width + kMargin; ++column) {
      const bool upper = is_dark(row, column) == printed_is_dark, lower = is_dark(row + 1, column) == printed_is_dark;
      add(upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ");
    }
    add("\n");
  }
  return true;
}

#else

bool add_qr_code(ByteView, Background, const std::function<void(std::string_view)>&) { return false; }

#endif

}  // namespace tain::cli
