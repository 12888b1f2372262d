// SPDX-License-Identifier: Apache-2.0
// tain help: the table of commands, or one row of it.
#include "cli/commands.h"

namespace tain::cli {

Result<> cmd_help(World& world, const Arguments& arguments) {
  if (arguments.positional().empty()) {
    print_overview(world);
    return {};
  }
  const std::string& name = arguments.positional()[0];
  const Command* command = find_command(name);
  if (command == nullptr) return Error(Code::usage, "unknown command " + name).hint("tain help lists the commands");
  print_help(world, *command);
  return {};
}

}  // namespace tain::cli
