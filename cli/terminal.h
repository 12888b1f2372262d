// SPDX-License-Identifier: Apache-2.0
// The controlling terminal: prompts without echo.
//
// Prompts go to /dev/tty and nowhere else, so a pipe on stdin, stdout or stderr neither answers nor
// records them. Whatever happens during a prompt, the echo is on again afterwards.
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace tain::cli {

class Terminal {
 public:
  virtual ~Terminal() = default;
  /// Asks for a line without echo, at most `size_max` bytes. Errors: interrupted (a signal; nothing was read), io
  /// (no terminal), too_large.
  virtual Result<Secret> ask_secret(std::string_view prompt, size_t size_max) = 0;
};

/// /dev/tty.
class ControllingTerminal final : public Terminal {
 public:
  Result<Secret> ask_secret(std::string_view prompt, size_t size_max) override;
};

}  // namespace tain::cli
