// SPDX-License-Identifier: Apache-2.0
// tain doctor: look for trouble before it is met.
#include "cli/checks.h"
#include "cli/commands.h"

namespace tain::cli {
namespace {

std::string_view level_name(Level level) {
  switch (level) {
    case Level::ok: return "ok";
    case Level::warn: return "warn";
    case Level::fail: return "fail";
  }
  return "";
}

void print_check(World& world, const Check& check) {
  const Colour colour = check.level == Level::ok ? Colour::green : check.level == Level::warn ? Colour::yellow : Colour::red;
  std::string label(level_name(check.level));
  label.resize(4, ' ');
  world.out << coloured(world, world.out_is_tty, colour, label) << "  " << check.name << ": " << check.finding << '\n';
  if (!check.next_step.empty()) world.out << "      next: " << check.next_step << '\n';
}

}  // namespace

Result<> cmd_doctor(World& world, const Arguments& arguments) {
  std::vector<Check> checks = check_machine(world);
  bool damaged = false;
  if (!arguments.positional().empty()) {
    const Target target = TRY(find_target(arguments.positional()[0]));
    const std::vector<Check> more = check_vault(target, damaged);
    checks.insert(checks.end(), more.begin(), more.end());
  }
  nlohmann::json all = nlohmann::json::array();
  bool failed = false;
  for (const Check& check : checks) {
    failed = failed || check.level == Level::fail;
    if (arguments.has("json")) {
      all.push_back({{"level", level_name(check.level)}, {"check", check.name}, {"finding", check.finding}, {"next_step", check.next_step}});
    } else {
      print_check(world, check);
    }
  }
  if (arguments.has("json")) print_json(world, all);
  if (damaged) return Error(Code::corrupt, "the vault's header is damaged");
  return failed ? Error(Code::unsupported, "something here would keep tain from working") : Result<>();
}

}  // namespace tain::cli
