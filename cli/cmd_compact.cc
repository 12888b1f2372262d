// SPDX-License-Identifier: Apache-2.0
// tain compact: give space that is free inside a vault, mounted or not, back to the file system.
//
// Step by step (store/compact): of a mounted vault the serving process does one whenever this command asks for it, so
// that nothing goes on once this command is gone; of another this process does them.
#include <poll.h>
#include <sys/stat.h>

#include <functional>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "fs/compact_request.h"
#include "fs/find_daemon.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

using nlohmann::json;

constexpr int kTimeoutMs = 10'000;
constexpr int kStepTimeoutMs = 10 * 60'000;  // a step waits for the commit under way, which may be a long one
constexpr int64_t kPauseMax_ns = 200'000'000;

/// What the database takes of the disk.
Result<uint64_t> disk_bytes(const Target& target) {
  struct stat st {};
  if (::stat((target.vault_directory + "/data.mdb").c_str(), &st) != 0)
    return errno_error(errno, target.vault_directory + "/data.mdb");
  return static_cast<uint64_t>(st.st_blocks) * 512;
}

/// All steps; the bytes that they gave back. `pause`: for as long as a step took, so that commits get their turn.
Result<uint64_t> run_steps(World& world, bool pause, const std::function<Result<store::CompactStep>(uint64_t)>& step) {
  const InterruptWatch interrupt;
  ProgressLine line(world, "compacting");
  uint64_t returned = 0;
  for (uint64_t from = 0;;) {
    const int64_t begun_ns = system_clock().monotonic_ns();
    const store::CompactStep done = TRY(step(from));
    returned += done.returned_bytes;
    from = done.next;
    if (from == 0) return returned;
    if (interrupt.interrupted())
      return Error(Code::interrupted, "interrupted; what was given back so far stays so: " + format_bytes(returned))
          .hint("tain compact does the rest");
    line.show_part(static_cast<double>(from) / static_cast<double>(done.last_page + 1), returned);
    const int64_t took_ns = system_clock().monotonic_ns() - begun_ns;
    if (pause) ::poll(nullptr, 0, static_cast<int>(std::min(took_ns, kPauseMax_ns) / 1'000'000 + 1));
  }
}

Result<uint64_t> compact_mounted(World& world, const Target& target) {
  auto client = TRY(fs::connect_to_daemon(*target.mount, runtime_paths(world, target.mount->owner), kTimeoutMs));
  return run_steps(world, true, [&](uint64_t from) -> Result<store::CompactStep> {
    return fs::compact_step_in(TRY(client.request({{"op", "compact"}, {"from", from}}, kStepTimeoutMs)));
  });
}

Result<uint64_t> compact_closed(World& world, const Arguments& arguments, const Target& target) {
  TRY(store::Vault::inspect(target.vault_directory));  // before anybody types a password
  const store::Credential credential = TRY(read_credential(world, arguments, target.vault_directory));
  store::OpenOptions options;
  options.warn = [&world](const std::string& message) { warn(world, message); };
  auto vault = TRY(store::Vault::open(target.vault_directory, options, credential));
  const uint64_t returned = TRY(run_steps(world, false, [&](uint64_t from) { return vault->compact(from); }));
  TRY(vault->close());
  vault.reset();
  const auto cut = store::Vault::cut_free_end(target.vault_directory);
  // Somebody who mounts it in this very moment is no failure.
  if (!cut.ok() && !cut.is(Code::in_use)) return std::move(cut).error();
  return returned;
}

}  // namespace

Result<> cmd_compact(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  if (!target.mount) TRY(store::Vault::inspect(target.vault_directory));  // says what is no vault
  const uint64_t before = TRY(disk_bytes(target));
  const uint64_t returned = target.mount ? TRY(compact_mounted(world, target)) : TRY(compact_closed(world, arguments, target));
  const uint64_t after = TRY(disk_bytes(target));
  if (arguments.has("json")) {
    print_json(world, {{"vault", target.vault_directory},
                       {"mounted", target.mount.has_value()},
                       {"before_bytes", before},
                       {"after_bytes", after},
                       {"returned_bytes", returned}});
    return {};
  }
  world.out << (returned == 0 ? std::string("there was nothing to give back") : "gave back " + format_bytes(returned))
            << ": the database takes " << format_bytes(after) << " of the disk, before " << format_bytes(before) << '\n';
  return {};
}

}  // namespace tain::cli
