// SPDX-License-Identifier: Apache-2.0
// tain status: what a vault is doing, without its password.
#include <ctime>

#include "base/moment.h"
#include "cli/commands.h"
#include "cli/target.h"
#include "fs/damage_report.h"
#include "fs/find_daemon.h"
#include "fs/status_report.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

using nlohmann::json;

constexpr int kStatusTimeoutMs = 5'000;

/// What the header says, and what the serving process says if there is one.
Result<json> describe(const World& world, const Target& target) {
  const store::VaultInfo info = TRY(store::Vault::inspect(target.vault_directory));
  json out = fs::describe_header(info);
  out["vault"] = target.vault_directory;
  out["mounted"] = target.mount.has_value();
  auto holder = store::Vault::holder(target.vault_directory);
  if (holder.ok() && *holder) out["pid"] = (*holder)->pid;
  if (!target.mount) {
    if (const auto record = store::read_scrub_record(target.vault_directory, info.id))
      out["scrub"] = fs::describe_scrub({.running = record->started_s != 0, .record = *record, .damaged = record->damaged.size()});
    return out;
  }

  out["mountpoint"] = target.mount->mountpoint;
  out["read_only"] = target.mount->read_only;
  auto client = fs::connect_to_daemon(*target.mount, runtime_paths(world, target.mount->owner), kStatusTimeoutMs);
  auto live = client.ok() ? client->request({{"op", "status"}}, kStatusTimeoutMs) : Result<json>(client.error());
  out["stale"] = !live.ok() && fs::is_stale(*target.mount);  // not asked of the mount itself, which would be a use of it
  if (!live.ok()) {
    out["unreachable"] = live.error().message();
    return out;
  }
  fs::add_live_status(out, *live);
  return out;
}

std::string bytes_of(const json& status, const char* member) { return format_bytes(status.value(member, uint64_t{0})); }

std::string damage_of(World& world, const json& status) {
  const auto count = status["damaged"].get<uint64_t>();
  std::string text = status.value("damaged_complete", true) ? "" : "at least ";
  text += std::to_string(count) + (count == 1 ? " entry" : " entries");
  if (const json entries = status.value("damaged_entries", json::array()); !entries.empty()) {
    const json& first = entries[0];
    text += std::string(count == 1 ? ", " : ", first ") +
            (first.contains("path") ? printable(world, first["path"].get<std::string>())
                                    : "inode " + std::to_string(first.value("ino", uint64_t{0}))) +
            " (" + first.value("damage", std::string()) + ")";
  }
  return text + "; unmount and run tain check";
}

std::string date_of(int64_t time_s) {
  const auto time = static_cast<time_t>(time_s);
  tm local{};
  char text[32];
  if (::localtime_r(&time, &local) == nullptr || std::strftime(text, sizeof text, "%Y-%m-%d", &local) == 0) return "?";
  return text;
}

std::string scrub_of(const json& status) {
  const json& scrub = status["scrub"];
  std::string text;
  if (const json last = scrub.value("last", json()); last.is_object()) {
    const uint64_t damaged = last.value("damaged", uint64_t{0}), lost = last.value("lost", uint64_t{0});
    text = date_of(last.value("ended_at", int64_t{0}));
    if (damaged + lost == 0) text += ", all intact";
    if (damaged > 0) text += ", " + std::to_string(damaged) + (damaged == 1 ? " entry" : " entries") + " damaged";
    if (damaged == 0 && lost > 0) text += ", the database is damaged";
  }
  if (scrub.value("running", false)) {
    const int percent = static_cast<int>(scrub.value("part", 0.0) * 100);
    if (!text.empty()) text += "; ";
    text += !status["mounted"].get<bool>() ? std::string("a pass is interrupted and goes on with the next mount")
                                           : "running, " + std::to_string(percent) + " %";
  }
  if (const auto error = scrub.find("error"); error != scrub.end()) text += ", stands still: " + error->get<std::string>();
  return text.empty() ? "never" : text;
}

std::string rotation_of(const json& status) {
  const json& rotation = status["rotation"];
  const std::string epoch = "to epoch " + std::to_string(rotation.value("epoch", uint32_t{0}));
  if (!rotation.value("running", false)) return epoch + ", done";
  if (!rotation.contains("part")) return epoch + ", not done; it goes on with the next mount, or with tain key rotate";
  std::string text = epoch + ", running, " + std::to_string(static_cast<int>(rotation.value("part", 0.0) * 100)) + " %";
  if (const uint64_t left = rotation.value("left", uint64_t{0}); left > 0)
    text = epoch + ", stands still: " + std::to_string(left) + " values are damaged; unmount and run tain check";
  if (const auto error = rotation.find("error"); error != rotation.end()) text += ", stands still: " + error->get<std::string>();
  return text;
}

std::string confined_of(const json& confined) {
  const bool files = confined.value("files", false), calls = confined.value("system_calls", false);
  if (files && calls) return "to its own files and system calls";
  if (files || calls) return std::string("to its own ") + (files ? "files" : "system calls") + " only: this kernel has no " + (files ? "seccomp" : "Landlock");
  return "no: switched off, or this kernel cannot";
}

void print_status(World& world, const json& status) {
  const auto line = [&world](std::string label, const std::string& text) {
    label.resize(12, ' ');
    world.out << "  " << label << text << '\n';
  };
  world.out << printable(world, status["vault"].get<std::string>()) << '\n';
  if (!status["mounted"].get<bool>()) {
    line("state", status.contains("pid") ? "not mounted, but open in process " + std::to_string(status["pid"].get<int64_t>()) : "not mounted");
  } else {
    std::string where = "mounted at " + printable(world, status["mountpoint"].get<std::string>());
    if (status["read_only"].get<bool>()) where += ", read-only";
    if (status.contains("as_of")) where += ", as it was at " + moment_name(status["as_of"].get<int64_t>());
    if (status.contains("pid")) where += ", process " + std::to_string(status["pid"].get<int64_t>());
    if (status["stale"].get<bool>()) where += ", dead (tain unmount cleans it)";
    line("state", where);
    if (const int64_t idle = status.value("idle_timeout_s", int64_t{0}); idle > 0)
      line("locks", "after " + std::to_string(idle) + " seconds without use");
  }
  if (status.contains("entries")) {
    line("content", std::to_string(status["entries"].get<uint64_t>()) + " entries, " + bytes_of(status, "content_bytes"));
    if (status.contains("past_entries"))
      line("past", std::to_string(status["past_entries"].get<uint64_t>()) + " removed or replaced entries, " + bytes_of(status, "past_bytes") +
                       (status.value("history", true) ? "" : "; nothing new is kept"));
    line("store", bytes_of(status, "store_bytes"));
    line("pending", bytes_of(status, "pending_bytes"));
    line("secrets", status.value("secrets_locked", false) ? "locked in memory" : "may be swapped to disk: the memory lock limit is too low");
  }
  if (status.contains("confined")) line("confined", confined_of(status["confined"]));
  if (status.contains("damaged")) line("damaged", damage_of(world, status));
  if (status.contains("scrub")) line("scrubbed", scrub_of(status));
  if (status.contains("rotation")) line("master key", rotation_of(status));
  if (status.contains("unreachable")) line("more", "not known: " + status["unreachable"].get<std::string>());
  line("cipher", status["cipher"].get<std::string>() + ", key epoch " + std::to_string(status["key_epoch"].get<uint32_t>()));
  if (status["kdf"]["passes"].get<uint32_t>() != 0)
    line("password", "Argon2id, " + std::to_string(status["kdf"]["passes"].get<uint32_t>()) + " passes over " +
                         bytes_of(status["kdf"], "memory_bytes"));
  if (const json opened = status.value("opened_with", json()); opened.is_object())
    line("opened with", opened.value("type", std::string()) + ", key slot " + opened.value("id", std::string()));
  line("key slots", std::to_string(status["key_slots"].get<size_t>()));
  line("header", status["header"]["copy_used"].get<bool>() ? "first copy damaged, the second one serves; the next mount repairs it" : "intact");
}

}  // namespace

Result<> cmd_status(World& world, const Arguments& arguments) {
  const bool one = !arguments.positional().empty();
  std::vector<Target> targets;
  if (one) {
    targets.push_back(TRY(find_target(arguments.positional()[0])));
  } else {
    targets = TRY(mounted_targets(world));
  }
  json all = json::array();
  Result<> failure;
  for (const Target& target : targets) {
    auto status = describe(world, target);
    if (!status.ok()) {
      if (one) return std::move(status).error();
      failure = Error(Code::partial, target.vault_directory + ": " + status.error().message());
      print_error(world, failure.error());
      continue;
    }
    if (!arguments.has("json")) print_status(world, *status);
    all.push_back(*std::move(status));
  }
  if (arguments.has("json")) print_json(world, one ? all[0] : all);
  if (!one && targets.empty() && !arguments.has("json")) note(world, "no vault is mounted");
  return failure.ok() ? Result<>() : Error(Code::partial, "");
}

}  // namespace tain::cli
