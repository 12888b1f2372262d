// SPDX-License-Identifier: Apache-2.0
// tain timelock: keep an entry from being read before a date (ADR 15).
#include <string_view>

#include "base/moment.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/history_source.h"
#include "fs/history_request.h"

namespace tain::cli {
namespace {

using nlohmann::json;

/// The beginning of the day, hour, minute or second that `text` names, Unix seconds. Errors: usage.
Result<int64_t> parse_unlock_time(const std::string& text) {
  constexpr std::string_view kComplete = "2027-01-01T00:00:00.000";
  constexpr size_t kWithoutTime = std::string_view("2027-01-01").size();
  std::string moment = text;
  const bool is_utc = moment.ends_with('Z') || moment.ends_with('z');
  if (is_utc) moment.pop_back();
  const bool is_unix = moment.starts_with('@') && !is_utc;
  if (!is_unix && moment.size() >= kWithoutTime && moment.size() < kComplete.size()) moment += kComplete.substr(moment.size());
  if (is_utc) moment += 'Z';
  const auto parsed = parse_moment(moment, 0);
  if (!parsed.ok() || parsed->is_relative || (!is_unix && moment.size() < kComplete.size()))
    return Error(Code::usage, "'" + text + "' is not a date").hint("for example 2027-01-01 or 2027-01-01T10:00; --for 30d is from now on");
  return parsed->ms / 1000;
}

/// "2027-01-01 00:00:00", local, of what a reply says; empty if it is not locked.
std::string until_text(const json& reply) {
  return reply.contains("until_s") ? human_time(reply.value("until_s", int64_t{0}) * 1000) : "";
}

std::string entries_text(const json& reply) {
  const auto entries = reply.value("entries", uint64_t{1});
  return entries > 1 ? ", " + std::to_string(entries) + " entries," : "";
}

Result<json> request_of(const Arguments& arguments, const EntryArgument& entry) {
  json out = {{"op", "timelock"}, {"path", fs::path_to_json(entry.path)}};
  const auto length = arguments.value("for"), date = arguments.value("until");
  if (int{length.has_value()} + int{date.has_value()} + int{arguments.has("override")} > 1)
    return Error(Code::usage, "--for, --until and --override exclude one another");
  if (arguments.has("yes") && !arguments.has("override")) return Error(Code::usage, "--yes belongs to --override");
  if (length) out["for_s"] = TRY(parse_duration(*length));
  if (date) out["until_s"] = TRY(parse_unlock_time(*date));
  return out;
}

}  // namespace

Result<> cmd_timelock(World& world, const Arguments& arguments) {
  const EntryArgument entry = TRY(find_entry(arguments.positional()[0]));
  json request = TRY(request_of(arguments, entry));
  const bool opens = arguments.has("override");
  const bool locks = request.size() > 2;
  auto source = TRY(HistorySource::open(world, arguments, entry.target, /*writes=*/opens || locks));
  auto asked = source->request(request);
  if (asked.is(Code::not_found) && readings(entry.path).size() > 1)
    return Error(Code::usage, "a lock is for all versions").hint("give PATH without @VERSION");
  json reply = TRY(std::move(asked));
  if (opens && !arguments.has("yes")) {
    const std::string until = until_text(reply);
    if (!until.empty())
      return Error(Code::time_locked, entry.path + " is time-locked until " + until)
          .hint("--override --yes opens it now, and its history will tell");
  }
  if (opens) {
    request["override"] = true;
    reply = TRY(source->request(request));
  }
  TRY(source->close());
  const uint64_t failed = reply.value("failed", uint64_t{0});
  if (arguments.has("json")) {
    reply.erase("ok");
    print_json(world, reply);
  } else if (opens) {
    world.out << "opened " << printable(world, entry.path) << entries_text(reply) << " before its time\n";
  } else if (const std::string until = until_text(reply); until.empty()) {
    world.out << printable(world, entry.path) << " is not time-locked\n";
  } else {
    world.out << printable(world, entry.path) << entries_text(reply) << " is time-locked until " << until << '\n';
  }
  if (locks) note(world, "tain will not show it before; whoever has the password can read it with another program");
  if (reply.contains("ahead_s") && (locks || reply.contains("until_s")))
    warn(world, "this vault has seen a later time than this computer's clock, by " +
                    std::to_string(reply.value("ahead_s", int64_t{0})) + " seconds: locks go by that");
  if (failed == 0) return {};
  return Error(Code::partial, std::to_string(failed) + " damaged entries or folders were left out");
}

Result<> cmd_timelock_list(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  auto source = TRY(HistorySource::open(world, arguments, target, /*writes=*/false));
  json request = {{"op", "timelock_list"}}, items = json::array();
  uint64_t damaged = 0;
  for (bool is_more = true; is_more;) {
    const json reply = TRY(source->request(request));
    const json rows = reply.value("items", json::array());
    items.insert(items.end(), rows.begin(), rows.end());
    damaged = reply.value("damaged", uint64_t{0});
    is_more = reply.contains("next");
    if (is_more) request["from"] = reply["next"];
  }
  TRY(source->close());
  if (arguments.has("json")) {
    print_json(world, items);
  } else {
    for (const json& item : items) {
      world.out << until_text(item) << "  " << printable(world, TRY(fs::path_from_json(item.value("path", json()))))
                << (item.value("type", std::string()) == "directory" ? "/" : "") << '\n';
    }
    if (items.empty()) note(world, "nothing is time-locked");
  }
  if (damaged == 0) return {};
  return Error(Code::partial, std::to_string(damaged) + " damaged entries or folders could not be looked at");
}

}  // namespace tain::cli
