// SPDX-License-Identifier: Apache-2.0
// tain trash list, restore and empty: what was removed, and what of that goes for good.
#include "base/clock.h"
#include "base/moment.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/history_source.h"
#include "cli/pager.h"
#include "fs/history_request.h"

namespace tain::cli {
namespace {

using nlohmann::json;

constexpr size_t kAnswerMax = 64;  // bytes

std::string path_of(const json& item) {
  auto path = fs::path_from_json(item.value("path", json()));
  return path.ok() ? *path : "?";
}

std::string trash_line(const World& world, const json& item) {
  const uint64_t entries = item.value("entries", uint64_t{1});
  std::string size = format_bytes(item.value("size", uint64_t{0}));
  size.insert(0, 11 - std::min<size_t>(size.size(), 11), ' ');
  std::string line = human_time(item.value("removed_ms", int64_t{0})) + "  " + size + "  " + printable(world, path_of(item));
  if (item.value("type", std::string()) == "directory") line += "/";
  if (entries > 1) line += "  (" + std::to_string(entries) + " entries)";
  return line + '\n';
}

/// What had this path and was removed last, or last until the time behind its '@'. Errors: not_found.
Result<json> find_in_trash(HistorySource& source, const std::string& path) {
  for (const Reading& reading : readings(path)) {
    int64_t until_ms = INT64_MAX;
    if (!reading.version.empty()) {
      const auto moment = parse_moment(reading.version, system_clock().wall_ns() / 1'000'000);
      if (!moment.ok()) continue;  // a number: versions are for tain restore
      until_ms = moment->ms;
    }
    if (reading.path.empty()) continue;
    const json items = TRY(source.collect({{"op", "removed"}, {"path", fs::path_to_json(reading.path)}}, "items"));
    for (const json& item : items)
      if (item.value("removed_ms", int64_t{0}) <= until_ms) return item;
  }
  return Error(Code::not_found, path + " is not in the trash").hint("tain trash list VAULT shows what is");
}

}  // namespace

Result<> cmd_trash_list(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  auto source = TRY(HistorySource::open(world, arguments, target, /*writes=*/false));
  const json items = TRY(source->collect({{"op", "trash_list"}}, "items"));
  TRY(source->close());
  if (arguments.has("json")) {
    print_json(world, items);
    return {};
  }
  std::string text;
  for (const json& item : items) text += trash_line(world, item);
  if (items.empty()) note(world, "the trash is empty");
  return show_paged(world, text);
}

Result<> cmd_trash_restore(World& world, const Arguments& arguments) {
  const EntryArgument entry = TRY(find_entry(arguments.positional()[0]));
  auto source = TRY(HistorySource::open(world, arguments, entry.target, /*writes=*/true));
  const json item = TRY(find_in_trash(*source, entry.path));
  json request = {{"op", "trash_restore"}, {"id", item["id"]}, {"rename", true}};
  if (const auto to = arguments.value("to")) request["to"] = fs::path_to_json(path_to(*to, entry.target));
  const json reply = TRY(source->request(request));
  TRY(source->close());
  return report_restored(world, arguments, path_of(item), reply);
}

Result<> cmd_purge(World& world, const Arguments& arguments) {
  const EntryArgument argument = TRY(find_entry(arguments.positional()[0]));
  auto source = TRY(HistorySource::open(world, arguments, argument.target, /*writes=*/true));
  const Entry entry = TRY(source->find(argument.path, system_clock().wall_ns() / 1'000'000));
  if (!entry.version.empty() && !entry.removed)
    return Error(Code::usage, "it goes with all of its versions, or not at all").hint("tain retention VAULT says how long versions are kept");
  if (!arguments.has("yes")) {
    const std::string what = printable(world, entry.path) + (entry.removed ? ", in the trash since " + human_time(entry.removed->removed_ms) + "," : "");
    auto answer = world.terminal.ask_secret(what + " goes for good, with all of its versions and all that is in it. Type yes: ", kAnswerMax);
    if (answer.is(Code::io)) return Error(Code::usage, "this cannot be undone").hint("--yes");
    const Secret typed = TRY(std::move(answer));
    if (as_text(typed.view()) != "yes") return Error(Code::interrupted, "nothing was removed");
  }
  const json reply = TRY(source->purge(entry));
  TRY(source->close());
  const uint64_t entries = reply.value("entries", uint64_t{0}), failed = reply.value("failed", uint64_t{0});
  if (arguments.has("json")) {
    print_json(world, {{"path", fs::path_to_json(entry.path)}, {"entries", entries}, {"failed", failed}});
  } else {
    world.out << "removed " << printable(world, entry.path) << " for good: " << entries << (entries == 1 ? " entry\n" : " entries\n");
    note(world, "copies and backups of the vault still have it, and its bytes, encrypted, are in the vault's file until they are written over");
  }
  if (failed == 0) return {};
  return Error(Code::partial, std::to_string(failed) + (failed == 1 ? " entry stays" : " entries stay")).hint("they are in use, time-locked or damaged; see tain trash list");
}

Result<> cmd_trash_empty(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  json request = {{"op", "trash_empty"}};
  if (const auto age = arguments.value("older-than"))
    request["before_ms"] = system_clock().wall_ns() / 1'000'000 - TRY(parse_duration(*age)) * 1000;
  auto source = TRY(HistorySource::open(world, arguments, target, /*writes=*/true));
  const json reply = TRY(source->request(request));
  TRY(source->close());
  const uint64_t entries = reply.value("entries", uint64_t{0}), failed = reply.value("failed", uint64_t{0});
  if (arguments.has("json")) {
    print_json(world, {{"entries", entries}, {"failed", failed}});
  } else {
    world.out << "removed " << entries << (entries == 1 ? " entry" : " entries") << " for good\n";
  }
  if (failed == 0) return {};
  return Error(Code::partial, "damaged ones stay in the trash: " + std::to_string(failed)).hint("tain check --repair mends what can be mended");
}

}  // namespace tain::cli
