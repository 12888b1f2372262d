// SPDX-License-Identifier: Apache-2.0
// tain key rotate: a new master key, under which everything is sealed anew (ADR 16).
//
// It begins with a vault that nobody has open. Then this command goes on with it, or the next mount does by itself; of a
// mounted vault the command only watches.
#include <poll.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/interrupt.h"
#include "cli/key_text.h"
#include "cli/progress.h"
#include "cli/seen_header.h"
#include "cli/target.h"
#include "fs/find_daemon.h"
#include "fs/status_report.h"
#include "store/rotation.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

using nlohmann::json;
using store::Rotation;
using store::RotationState;

constexpr int kAnswerMs = 10'000;
constexpr int kLookMs = 500;
constexpr uint64_t kSealStepBytes = uint64_t{4} << 20;

Error interrupted() {
  return Error(Code::interrupted, "interrupted; the vault is usable, and until the rest is done the old master key is kept")
      .hint("it goes on with the next mount, or with tain key rotate");
}

/// The slots that will open nothing any more, once that has been agreed to.
Result<std::vector<store::SlotInfo>> agree_to_voids(World& world, const Arguments& arguments, const store::VaultInfo& info,
                                                    const store::SlotInfo& kept) {
  std::vector<store::SlotInfo> voids;
  for (const store::SlotInfo& slot : info.slots)
    if (slot.id != kept.id) voids.push_back(slot);
  if (voids.empty()) return voids;
  const bool is_agreed = arguments.has("void-others");
  note(world, "kept: " + describe_slot(kept) + " " + to_hex(kept.id) + ", which was given");
  for (const store::SlotInfo& slot : voids)
    note(world, std::string(is_agreed ? "void from now on: " : "would be void: ") + describe_slot(slot) + " " + to_hex(slot.id));
  if (is_agreed) return voids;
  return Error(Code::not_permitted, "the new master key can only be given to the key that opened the vault; the " +
                                        std::to_string(voids.size()) + " other key slots would be void. Nothing was changed")
      .hint("--void-others agrees to that; tain key add makes new ones afterwards");
}

Result<> begin(World& world, const Arguments& arguments, const std::string& directory, const store::VaultInfo& info,
               const store::Credential& credential) {
  const store::SlotInfo kept = TRY(store::Vault::check_key(directory, credential));
  TRY(agree_to_voids(world, arguments, info, kept));
  auto started = store::Vault::start_rotation(directory, credential);
  if (started.ok() || started.is(Code::partial)) keep_header(world, directory, Keep::this_one);
  if (started.is(Code::partial))
    return std::move(started).error().with("the vault has a new master key, and goes on with it when it is mounted next");
  TRY(std::move(started));
  if (kept.is_below_default())
    warn(world, "the password keeps its cost (" + describe_cost(kept) + "), which is below today's default", "tain passwd sets it again at today's cost");
  note(world, "the vault has a new master key; copies of its header from before open nothing that is written from now on");
  return {};
}

Result<RotationState> seal_everything(World& world, const std::string& directory, const store::Credential& credential) {
  store::OpenOptions options;
  options.rotate_in_background = false;
  options.warn = [&world](const std::string& message) { warn(world, message); };
  const auto vault = TRY(store::Vault::open(directory, options, credential));
  RotationState state;
  {
    const InterruptWatch interrupt;
    ProgressLine line(world, "sealing anew");
    const auto rotation = vault->make_rotation();
    for (auto step = Rotation::Step::more; step == Rotation::Step::more;) {
      step = TRY(rotation->step(kSealStepBytes));
      state = rotation->state();
      line.show_part(state.part, state.resealed);
      if (step == Rotation::Step::more && interrupt.interrupted()) return interrupted();
    }
  }
  TRY(vault->close());
  return state;
}

/// What the serving process does by itself.
Result<RotationState> watch(World& world, const Target& target) {
  auto client = TRY(fs::connect_to_daemon(*target.mount, runtime_paths(world, target.mount->owner), kAnswerMs));
  const InterruptWatch interrupt;
  ProgressLine line(world, "sealing anew");
  for (;;) {
    const json live = TRY(client.request({{"op", "status"}}, kAnswerMs));
    const json rotation = live.value("rotation", json::object());
    RotationState state;
    state.running = rotation.value("running", false);
    state.epoch = rotation.value("epoch", uint32_t{0});
    state.resealed = rotation.value("resealed", uint64_t{0});
    state.left = rotation.value("left", uint64_t{0});
    if (const std::string error = rotation.value("error", std::string()); !error.empty())
      return Error(Code::io, "it stands still: " + error).hint("the mount tries again by itself");
    if (!state.running || state.left > 0) return state;
    line.show_part(rotation.value("part", 0.0), state.resealed);
    ::poll(nullptr, 0, kLookMs);
    if (interrupt.interrupted()) return interrupted();
  }
}

}  // namespace

Result<> cmd_key_rotate(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  const std::string& directory = target.vault_directory;
  const store::VaultInfo info = TRY(store::Vault::inspect(directory));
  RotationState state;
  if (target.mount) {
    if (info.older_epoch == 0)
      return Error(Code::in_use, "the vault is mounted, and a new master key can only be given to one that nobody has open")
          .hint("tain unmount, then tain key rotate; once it has begun, the vault can be mounted again");
    state = TRY(watch(world, target));
  } else {
    TRY(check_unmounted_vault(target));
    const store::Credential credential = TRY(read_credential(world, arguments, directory));
    if (info.older_epoch == 0)
      TRY(begin(world, arguments, directory, info, credential));
    else
      note(world, "goes on with the change to the master key of epoch " + std::to_string(info.epoch));
    state = TRY(seal_everything(world, directory, credential));
    keep_header(world, directory, Keep::later);
  }
  const uint32_t epoch = TRY(store::Vault::inspect(directory)).epoch;
  if (arguments.has("json"))
    print_json(world, {{"vault", directory},
                       {"key_epoch", epoch},
                       {"done", !state.running},
                       {"resealed", state.resealed},
                       {"left", state.left}});
  if (state.running)
    return Error(Code::partial, std::to_string(state.left) + " values could not be sealed anew, because they are damaged or belong to something that is; "
                                "until they are gone the old master key is kept")
        .hint("tain check says what is damaged, tain check --repair mends what can be mended; then tain key rotate");
  if (!arguments.has("json"))
    world.out << "everything is sealed under the master key of epoch " << epoch << "; the one before opens nothing of this vault any more\n";
  note(world, "free space inside the database may still hold what was sealed before: tain compact gives it back to the disk");
  note(world, "what somebody copied before stays readable with the old key");
  return {};
}

}  // namespace tain::cli
