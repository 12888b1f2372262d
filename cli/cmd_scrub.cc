// SPDX-License-Identifier: Apache-2.0
// tain scrub: read all data of a vault, mounted or not, and say what is damaged.
//
// In a mounted vault the serving process does the work and this command watches; else this process does it.
#include <poll.h>

#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "fs/damage_report.h"
#include "fs/find_daemon.h"
#include "store/scrub.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

using nlohmann::json;

constexpr int kTimeoutMs = 10'000;
constexpr int kPollMs = 200;
constexpr uint64_t kStepBytes = uint64_t{1} << 20;
constexpr int64_t kSaveEvery_ns = int64_t{60} * 1'000'000'000;

/// The last pass as `scrub` has it, and the damaged entries of `damage`.
json report_of(const Target& target, const json& scrub, const json& damage) {
  const json last = scrub.value("last", json::object());
  json out = {{"vault", target.vault_directory},
              {"mounted", target.mount.has_value()},
              {"started_at", last.value("started_at", int64_t{0})},
              {"ended_at", last.value("ended_at", int64_t{0})},
              {"bytes", last.value("bytes", uint64_t{0})},
              {"entries", last.value("entries", uint64_t{0})},
              {"lost", last.value("lost", uint64_t{0})},
              {"damaged", damage.value("damaged", uint64_t{0})},
              {"damaged_complete", damage.value("damaged_complete", true)},
              {"damaged_entries", damage.value("damaged_entries", json::array())}};
  return out;
}

std::string counted(uint64_t count, const char* one, const char* more) {
  return std::to_string(count) + " " + (count == 1 ? one : more);
}

void print_report(World& world, const json& report) {
  const auto damaged = report["damaged"].get<uint64_t>(), lost = report["lost"].get<uint64_t>();
  const json& listed = report["damaged_entries"];
  for (const json& entry : listed) {
    const std::string name = entry.contains("path") ? printable(world, entry["path"].get<std::string>())
                                                    : "inode " + std::to_string(entry.value("ino", uint64_t{0}));
    world.out << name << ": " << entry.value("damage", std::string()) << '\n';
  }
  if (damaged > listed.size()) world.out << "and " << damaged - listed.size() << " more\n";
  if (lost > 0) world.out << counted(lost, "damaged place", "damaged places") << " in the database without a known entry\n";
  world.out << "scrubbed " << counted(report["entries"].get<uint64_t>(), "entry", "entries") << ", "
            << format_bytes(report["bytes"].get<uint64_t>()) << " as stored: ";
  if (damaged + lost == 0)
    world.out << "all is well\n";
  else
    world.out << (report["damaged_complete"].get<bool>() ? "" : "at least ")
              << counted(damaged, "entry is damaged\n", "entries are damaged\n");
}

Result<> conclude(World& world, const Arguments& arguments, const json& report) {
  if (arguments.has("json"))
    print_json(world, report);
  else
    print_report(world, report);
  if (report["damaged"].get<uint64_t>() + report["lost"].get<uint64_t>() == 0) return {};
  const std::string unmount = report["mounted"].get<bool>() ? "copy what can be read, unmount, " : "";
  return Error(Code::corrupt, "the vault is damaged")
      .hint(unmount + "keep its files; tain check --repair mends what can be mended, tain salvage takes what is intact "
                      "into a new vault, the rest must come from a backup");
}

/// Asks the serving process. When that is gone, it was told to end: nobody waits for a scrub.
Result<json> ask(fs::ControlClient& client, const json& request) {
  auto reply = client.request(request, kTimeoutMs);
  if (reply.ok() || !reply.is(Code::io)) return reply;
  return Error(Code::io, "the mount ended or does not answer: " + reply.error().message())
      .hint("tain scrub goes on where it was");
}

Result<> scrub_mounted(World& world, const Arguments& arguments, const Target& target) {
  auto client = TRY(fs::connect_to_daemon(*target.mount, runtime_paths(world, target.mount->owner), kTimeoutMs));
  const InterruptWatch interrupt;
  const json asked = TRY(ask(client, {{"op", "scrub"}}));
  const uint64_t passes = asked["scrub"].value("passes", uint64_t{0});
  {
    ProgressLine line(world, "scrubbing");
    for (;;) {
      const json scrub = TRY(ask(client, {{"op", "scrub_state"}}))["scrub"];
      if (scrub.value("passes", uint64_t{0}) > passes) break;
      if (scrub.contains("error"))
        return Error(Code::io, "scrubbing stands still: " + scrub["error"].get<std::string>())
            .hint("unmount and run tain check");
      if (interrupt.interrupted()) {
        TRY(ask(client, {{"op", "scrub"}, {"hurry", false}}));
        return Error(Code::interrupted, scrub.value("background", false)
                                            ? "interrupted; the mount goes on with it slowly, in the background"
                                            : "interrupted; the position is kept")
            .hint(scrub.value("background", false) ? "tain status shows how far it is"
                                                   : "tain scrub goes on from there");
      }
      if (scrub.value("running", false)) line.show_part(scrub.value("part", 0.0), scrub.value("bytes", uint64_t{0}));
      ::poll(nullptr, 0, kPollMs);
    }
  }
  const json report = TRY(ask(client, {{"op", "scrub_state"}, {"list", true}}));
  return conclude(world, arguments, report_of(target, report["scrub"], report));
}

Result<> scrub_closed(World& world, const Arguments& arguments, const Target& target) {
  TRY(store::Vault::inspect(target.vault_directory));  // before anybody types a password
  const store::Credential credential = TRY(read_credential(world, arguments, target.vault_directory));
  store::OpenOptions options;
  options.read_only = true;
  options.warn = [&world](const std::string& message) { warn(world, message); };
  auto vault = TRY(store::Vault::open(target.vault_directory, options, credential));
  auto scrubber = vault->make_scrubber(/*keep_position=*/true);
  const auto save = [&]() -> bool {
    const auto saved = scrubber->save();
    if (!saved.ok()) warn(world, "the position cannot be kept: " + saved.error().message());
    return saved.ok();
  };
  const InterruptWatch interrupt;
  {
    ProgressLine line(world, "scrubbing");
    int64_t saved_at_ns = system_clock().monotonic_ns();
    scrubber->begin();
    while (scrubber->running()) {
      if (interrupt.interrupted()) {
        const bool kept = save();
        return Error(Code::interrupted, kept ? "interrupted; the position is kept" : "interrupted")
            .hint(kept ? "tain scrub goes on from there" : "");
      }
      auto stepped = scrubber->step(kStepBytes);
      if (!stepped.ok()) {
        static_cast<void>(save());
        return std::move(stepped).error();
      }
      const store::ScrubState state = scrubber->state();
      line.show_part(state.part, state.record.counts.bytes);
      if (system_clock().monotonic_ns() - saved_at_ns < kSaveEvery_ns) continue;
      static_cast<void>(save());
      saved_at_ns = system_clock().monotonic_ns();
    }
  }
  static_cast<void>(save());
  const json scrub = fs::describe_scrub(scrubber->state());
  return conclude(world, arguments, report_of(target, scrub, fs::describe_damage(*vault, fs::kListedInReport)));
}

}  // namespace

Result<> cmd_scrub(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  return target.mount ? scrub_mounted(world, arguments, target) : scrub_closed(world, arguments, target);
}

}  // namespace tain::cli
