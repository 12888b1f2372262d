// SPDX-License-Identifier: Apache-2.0
#include "cli/world.h"

#include <array>
#include <cerrno>
#include <cstdio>

namespace tain::cli {
namespace {

void say(World& world, Colour colour, std::string_view label, std::string_view message, std::string_view hint) {
  world.err << coloured(world, world.err_is_tty, colour, label) << message << '\n';
  if (!hint.empty()) world.err << "tain: hint: " << hint << '\n';
  world.err.flush();
}

}  // namespace

void warn(World& world, std::string_view message, std::string_view hint) {
  say(world, Colour::yellow, "tain: warning: ", message, hint);
}

void note(World& world, std::string_view message) { world.err << "tain: " << message << std::endl; }

void print_error(World& world, const Error& error) {
  if (!error.message().empty()) say(world, Colour::red, "tain: ", error.message(), error.hint());
}

void print_json(World& world, const nlohmann::json& value) {
  world.out << value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

Result<> flush_output(World& world) {
  if (world.out.good()) {  // else the write that failed has set errno
    errno = 0;
    world.out.flush();
  }
  if (world.out.good()) return {};
  return errno == EPIPE ? Error(Code::io, "") : errno_error(errno == 0 ? EIO : errno, "write to standard output");
}

std::string format_bytes(uint64_t bytes) {
  static constexpr std::array kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t unit = 0;
  double value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string coloured(const World& world, bool is_tty, Colour colour, std::string_view text) {
  if (!is_tty || !world.env("NO_COLOR").empty()) return std::string(text);
  return "\033[" + std::to_string(static_cast<int>(colour)) + "m" + std::string(text) + "\033[0m";
}

std::string printable(const World& world, std::string_view name) {
  std::string out(name);
  if (!world.out_is_tty) return out;
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

}  // namespace tain::cli
