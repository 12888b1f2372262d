// SPDX-License-Identifier: Apache-2.0
// tain help: the table of commands, or one row of it.
#include "cli/commands.h"

namespace tain::cli {

Result<> cmd_help(World& world, const Arguments& arguments) {
  if (arguments.positional().empty()) {
    print_overview(world);
    return {};
  }
  const Spoken spoken = find_spoken(arguments.positional());
  if (spoken.command == nullptr) return unknown_command(spoken.name);
  print_help(world, *spoken.command);
  return {};
}

}  // namespace tain::cli
