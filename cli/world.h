// SPDX-License-Identifier: Apache-2.0
// Everything a command touches outside the vault: terminal, streams, environment, user.
//
// main() builds the real one, tests their own, so that commands run inside a test without a process.
#pragma once

#include <sys/types.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/terminal.h"

namespace tain::cli {

struct World {
  Terminal& terminal;
  std::ostream& out;  // results
  std::ostream& err;  // everything else
  int stdin_fd = 0;
  int out_fd = -1;  // what `out` writes to, for secrets, which are to stay in no stream's buffer; -1: it is no file
  bool stdin_is_tty = false;
  bool out_is_tty = false;
  bool err_is_tty = false;
  uid_t uid = 0;
  int status = 0;  // exit status of a command that succeeded and has more to tell than that
  /// The value of an environment variable; empty when not set. Never of a secret.
  std::function<std::string(const char* name)> env = {};
};

/// "tain: warning: MESSAGE" on err, and the next step if there is one.
void warn(World& world, std::string_view message, std::string_view hint = {});
/// "tain: MESSAGE" on err.
void note(World& world, std::string_view message);
/// "tain: MESSAGE" and "tain: hint: …" on err. An empty message prints nothing.
void print_error(World& world, const Error& error);

/// One line of JSON on out. Bytes that are not UTF-8 become U+FFFD.
void print_json(World& world, const nlohmann::json& value);
/// Whether everything written to out has arrived. Errors: io; with an empty message when the reader has
/// closed the pipe, which is no news to anybody.
Result<> flush_output(World& world);

/// "1.5 MiB".
std::string format_bytes(uint64_t bytes);
enum class Colour { red = 31, green = 32, yellow = 33 };
/// `text` in `colour` if `is_tty` and NO_COLOR is not set.
std::string coloured(const World& world, bool is_tty, Colour colour, std::string_view text);
/// `name` without control characters, for a terminal that would obey them.
std::string printable(const World& world, std::string_view name);

}  // namespace tain::cli
