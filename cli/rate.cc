// SPDX-License-Identifier: Apache-2.0
#include "cli/rate.h"

#include <charconv>
#include <string>

namespace tain::cli {
namespace {

constexpr uint64_t kRateMax = uint64_t{1} << 40;

/// Bytes in one unit; 0: no such unit.
uint64_t bytes_in(std::string_view unit) {
  if (unit.empty()) return 1;
  if (unit == "K" || unit == "k") return uint64_t{1} << 10;
  if (unit == "M") return uint64_t{1} << 20;
  if (unit == "G") return uint64_t{1} << 30;
  return 0;
}

}  // namespace

Result<uint64_t> parse_rate(std::string_view text) {
  if (text == "off") return uint64_t{0};
  uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const uint64_t unit = bytes_in(text.substr(static_cast<size_t>(end - text.data())));
  if (error != std::errc() || unit == 0 || count < 1 || count > kRateMax / unit)
    return Error(Code::usage, "'" + std::string(text) + "' is not a rate").hint("bytes a second, for example 500K, 4M or off");
  return count * unit;
}

}  // namespace tain::cli
