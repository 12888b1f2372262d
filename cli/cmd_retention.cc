// SPDX-License-Identifier: Apache-2.0
// tain retention and prune: what a vault keeps of its past, and what of it goes for good.
#include <array>

#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/history_source.h"
#include "cli/pager.h"
#include "fs/history_request.h"
#include "fs/retention_request.h"

namespace tain::cli {
namespace {

using nlohmann::json;
using store::Retention;
using store::RetentionPolicy;

/// A stage: its option, which is its word, too.
struct Stage {
  std::string_view name;
  int64_t RetentionPolicy::*trash = nullptr;
  int64_t Retention::*states = nullptr;
  int64_t& of(RetentionPolicy& policy) const { return trash != nullptr ? policy.*trash : policy.states.*states; }
};
constexpr std::array<Stage, 5> kStages = {{{"all", nullptr, &Retention::all_s},
                                           {"hourly", nullptr, &Retention::hourly_s},
                                           {"daily", nullptr, &Retention::daily_s},
                                           {"monthly", nullptr, &Retention::monthly_s},
                                           {"trash", &RetentionPolicy::trash_s, nullptr}}};

Result<int64_t> parse_age(const std::string& text) {
  if (text == "0") return 0;
  if (text == "forever") return Retention::kForEver;
  return parse_duration(text);
}

std::string age(int64_t seconds) {
  if (seconds == Retention::kForEver) return "for ever";
  if (seconds == 0) return "not kept";
  const auto in = [&](int64_t unit, const char* word) {
    return std::to_string(seconds / unit) + " " + word + (seconds / unit == 1 ? "" : "s");
  };
  if (seconds % 86'400 == 0) return in(86'400, "day");
  if (seconds % 3600 == 0) return in(3600, "hour");
  if (seconds % 60 == 0) return in(60, "minute");
  return in(1, "second");
}

std::string counted(uint64_t states, uint64_t entries) {
  return std::to_string(states) + (states == 1 ? " version and " : " versions and ") + std::to_string(entries) +
         (entries == 1 ? " entry" : " entries") + " of the trash";
}

/// What the vault has, changed as the command line says. Nothing if it says nothing.
Result<std::optional<RetentionPolicy>> wanted_policy(const Arguments& arguments, RetentionPolicy policy) {
  bool is_changed = false;
  if (arguments.positional().size() > 1) {
    const std::string& name = arguments.positional()[1];
    const auto preset = store::retention_preset(name);
    if (!preset) return Error(Code::usage, "there is no preset " + name).hint("default, all, week or day");
    policy = *preset;
    is_changed = true;
  }
  for (const Stage& stage : kStages) {
    const auto text = arguments.value(std::string(stage.name));
    if (!text) continue;
    stage.of(policy) = TRY(parse_age(*text));
    is_changed = true;
  }
  return is_changed ? std::optional(policy) : std::nullopt;
}

std::string due_line(const World& world, const json& item) {
  const auto path = fs::path_from_json(item.value("path", json()));
  std::string size = format_bytes(item.value("size", uint64_t{0}));
  size.insert(0, 11 - std::min<size_t>(size.size(), 11), ' ');
  return human_time(item.value("until_ms", int64_t{0})) + "  " + size + "  " + (item.value("trash", false) ? "trash    " : "version  ") +
         printable(world, !path.ok() ? "?" : path->empty() ? "/" : *path) + '\n';
}

}  // namespace

Result<> cmd_retention(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  // What is wrong with the command line is said before anybody types a password.
  const bool is_changed = TRY(wanted_policy(arguments, {})).has_value();
  const bool dry_run = arguments.has("dry-run");
  auto source = TRY(HistorySource::open(world, arguments, target, is_changed && !dry_run));
  json reply = TRY(source->request({{"op", "retention"}}));
  if (is_changed) {
    const RetentionPolicy present = TRY(fs::policy_from_json(reply.value("policy", json())));
    const auto wanted = TRY(wanted_policy(arguments, present));
    reply = TRY(source->request({{"op", "retention"}, {"policy", fs::policy_to_json(*wanted)}, {"dry_run", dry_run}}));
  }
  TRY(source->close());
  reply.erase("ok");
  if (arguments.has("json")) {
    print_json(world, reply);
    return {};
  }
  RetentionPolicy policy = TRY(fs::policy_from_json(reply.value("policy", json())));
  const auto line = [&](std::string name, const std::string& text) {
    name.resize(10, ' ');
    world.out << name << text << '\n';
  };
  line("preset", reply.value("preset", std::string("none")));
  for (const Stage& stage : kStages) line(std::string(stage.name), age(stage.of(policy)));
  line("due", counted(reply.value("states", uint64_t{0}), reply.value("entries", uint64_t{0})));
  return {};
}

Result<> cmd_prune(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  const bool dry_run = arguments.has("dry-run");
  auto source = TRY(HistorySource::open(world, arguments, target, !dry_run));
  json request = {{"op", "prune"}, {"dry_run", dry_run}};
  json reply = TRY(source->request(request));
  json items = reply.value("items", json::array());
  for (json page = reply; page.contains("next");) {
    request["from"] = page["next"];
    page = TRY(source->request(request));
    const json more = page.value("items", json::array());
    items.insert(items.end(), more.begin(), more.end());
  }
  TRY(source->close());
  const uint64_t states = reply.value("states", uint64_t{0}), entries = reply.value("entries", uint64_t{0});
  if (arguments.has("json")) {
    json out = {{"dry_run", dry_run}, {"states", states}, {"entries", entries}};
    if (dry_run) out["items"] = std::move(items);
    print_json(world, out);
    return {};
  }
  std::string text;
  for (const json& item : items) text += due_line(world, item);
  text += (dry_run ? "would drop " : "dropped ") + counted(states, entries) + '\n';
  return show_paged(world, text);
}

}  // namespace tain::cli
