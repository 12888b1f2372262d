// SPDX-License-Identifier: Apache-2.0
#include "cli/kdf_time.h"

#include <charconv>

namespace tain::cli {

Result<double> kdf_seconds(const Arguments& arguments) {
  const auto text = arguments.value("kdf-time");
  if (!text) return kKdfSecondsDefault;
  double seconds = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), seconds, std::chars_format::fixed);
  const bool whole = error == std::errc() && end == text->data() + text->size();
  if (!whole || !(seconds >= 0) || seconds > kKdfSecondsMax) {
    return Error(Code::usage, "--kdf-time " + *text + " is not a number of seconds from 0 to 60");
  }
  return seconds;
}

}  // namespace tain::cli
