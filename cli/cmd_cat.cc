// SPDX-License-Identifier: Apache-2.0
// tain cat: a file's bytes, as they are or as they were.
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/history_source.h"
#include "cli/vault_files.h"

namespace tain::cli {

Result<> cmd_cat(World& world, const Arguments& arguments) {
  const auto& words = arguments.positional();
  // VAULT PATH, and VAULT alone, are for find_location to understand.
  auto given = words.size() == 1 ? find_entry(words[0]) : Result<EntryArgument>(Error(Code::usage, ""));
  if (given.is(Code::usage)) {
    Location location = TRY(find_location(words));
    given = EntryArgument{std::move(location.target), std::move(location.path)};
  }
  const EntryArgument argument = TRY(std::move(given));
  if (argument.path.empty()) return Error(Code::usage, "no PATH in the vault is given").hint("usage: tain cat VAULT PATH");
  const auto print = [&world](ByteView bytes) -> Result<> {
    world.out.write(as_text(bytes).data(), static_cast<std::streamsize>(bytes.size()));
    return world.out.good() ? Result<>() : flush_output(world);
  };
  auto source = TRY(HistorySource::open(world, arguments, argument.target, /*writes=*/false));
  // The usual case needs no history, and follows symbolic links.
  if (readings(argument.path).size() == 1) {
    Result<> done = source->present().read(argument.path, print);
    if (!done.is(Code::not_found)) return done;
  }
  const int64_t now_ms = system_clock().wall_ns() / 1'000'000;
  const Entry entry = TRY(source->find(argument.path, now_ms));
  if (!entry.removed && entry.version.empty()) return source->present().read(entry.path, print);
  const VersionInfo version = TRY(entry.pick(entry.version, now_ms));
  if (entry.removed)
    note(world, printable(world, entry.path) + " is in the trash, since " + human_time(entry.removed->removed_ms) + "; this is how it was");
  TRY(source->read(entry, version, print));
  return source->close();
}

}  // namespace tain::cli
