// SPDX-License-Identifier: Apache-2.0
// The table of commands: the one place to add a command, and the source of every help text.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/arguments.h"
#include "cli/world.h"

namespace tain::cli {

struct Command {
  std::string_view name;  // one word, or two ("key list")
  std::vector<std::string_view> aliases;
  std::string_view synopsis;  // the positional arguments
  size_t positional_min = 0;
  size_t positional_max = 0;
  std::string_view summary;  // one line
  std::string_view details;  // whole sentences, printed by --help
  std::vector<Option> options;
  Result<> (*run)(World& world, const Arguments& arguments) = nullptr;
};

/// Every command, in the order of the help.
const std::vector<Command>& commands();
/// By name or alias; null if there is none.
const Command* find_command(std::string_view name);
/// The command that the first two or one of `words` name, and how many those are; null and what was meant to be a name
/// otherwise.
struct Spoken {
  const Command* command = nullptr;
  std::string name;
  size_t words = 1;
};
Spoken find_spoken(const std::vector<std::string>& words);
/// The commands of two words that begin with `first`.
std::vector<const Command*> command_group(std::string_view first);

/// What is wrong with it, and what was probably meant.
Error unknown_command(const std::string& name);

/// `tain help`: the overview.
void print_overview(World& world);
/// `tain COMMAND --help`.
void print_help(World& world, const Command& command);

/// Runs the command line `words` (without the program's name), prints what went wrong, and yields the exit status.
int run(World& world, const std::vector<std::string>& words);

// The commands, each in cmd_NAME.cc (those of two words in that of the first).
Result<> cmd_init(World& world, const Arguments& arguments);
Result<> cmd_mount(World& world, const Arguments& arguments);
Result<> cmd_unmount(World& world, const Arguments& arguments);
Result<> cmd_status(World& world, const Arguments& arguments);
Result<> cmd_list(World& world, const Arguments& arguments);
Result<> cmd_key_list(World& world, const Arguments& arguments);
Result<> cmd_key_add(World& world, const Arguments& arguments);
Result<> cmd_key_remove(World& world, const Arguments& arguments);
Result<> cmd_key_rotate(World& world, const Arguments& arguments);
Result<> cmd_header_backup(World& world, const Arguments& arguments);
Result<> cmd_header_restore(World& world, const Arguments& arguments);
Result<> cmd_passwd(World& world, const Arguments& arguments);
Result<> cmd_ls(World& world, const Arguments& arguments);
Result<> cmd_cat(World& world, const Arguments& arguments);
Result<> cmd_log(World& world, const Arguments& arguments);
Result<> cmd_diff(World& world, const Arguments& arguments);
Result<> cmd_restore(World& world, const Arguments& arguments);
Result<> cmd_trash_list(World& world, const Arguments& arguments);
Result<> cmd_trash_restore(World& world, const Arguments& arguments);
Result<> cmd_purge(World& world, const Arguments& arguments);
Result<> cmd_trash_empty(World& world, const Arguments& arguments);
Result<> cmd_prune(World& world, const Arguments& arguments);
Result<> cmd_retention(World& world, const Arguments& arguments);
Result<> cmd_timelock(World& world, const Arguments& arguments);
Result<> cmd_timelock_list(World& world, const Arguments& arguments);
Result<> cmd_check(World& world, const Arguments& arguments);
Result<> cmd_scrub(World& world, const Arguments& arguments);
Result<> cmd_compact(World& world, const Arguments& arguments);
Result<> cmd_salvage(World& world, const Arguments& arguments);
Result<> cmd_doctor(World& world, const Arguments& arguments);
Result<> cmd_version(World& world, const Arguments& arguments);
Result<> cmd_help(World& world, const Arguments& arguments);

}  // namespace tain::cli
