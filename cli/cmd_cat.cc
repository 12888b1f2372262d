// SPDX-License-Identifier: Apache-2.0
// tain cat: a file's bytes.
#include "cli/commands.h"
#include "cli/vault_files.h"

namespace tain::cli {

Result<> cmd_cat(World& world, const Arguments& arguments) {
  const Location location = TRY(find_location(arguments.positional()));
  if (location.path.empty()) return Error(Code::usage, "no PATH in the vault is given").hint("usage: tain cat VAULT PATH");
  auto files = TRY(VaultFiles::open(world, arguments, location.target));
  return files->read(location.path, [&world](ByteView bytes) -> Result<> {
    world.out.write(as_text(bytes).data(), static_cast<std::streamsize>(bytes.size()));
    return world.out.good() ? Result<>() : flush_output(world);
  });
}

}  // namespace tain::cli
