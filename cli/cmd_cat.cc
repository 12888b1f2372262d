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
  auto given = words.size() == 1 ? find_entry(words[0]) : Result<EntryArgument>(entry_at(TRY(find_location(words))));
  if (given.is(Code::usage)) given = entry_at(TRY(find_location(words)));
  const EntryArgument entry = TRY(std::move(given));
  if (entry.path.empty()) return Error(Code::usage, "no PATH in the vault is given").hint("usage: tain cat VAULT PATH");
  const auto print = [&world](ByteView bytes) -> Result<> {
    world.out.write(as_text(bytes).data(), static_cast<std::streamsize>(bytes.size()));
    return world.out.good() ? Result<>() : flush_output(world);
  };
  if (entry.version.empty()) return TRY(VaultFiles::open(world, arguments, entry.target))->read(entry.path, print);
  auto source = TRY(HistorySource::open(world, arguments, entry.target, /*writes=*/false));
  const auto versions = TRY(source->log(entry.path));
  const VersionInfo version = TRY(pick_version(versions, entry.version, system_clock().wall_ns() / 1'000'000));
  TRY(source->read(entry.path, version, print));
  return source->close();
}

}  // namespace tain::cli
