// SPDX-License-Identifier: Apache-2.0
// tain version: of the program, the format and the libraries.
#include "cli/commands.h"
#include "cli/version.h"
#include "fs/fuse_version.h"
#include "fs/logind.h"
#include "store/versions.h"

namespace tain::cli {

Result<> cmd_version(World& world, const Arguments& arguments) {
  auto libraries = store::library_versions();
  libraries.emplace_back("libfuse", fs::fuse_version());
  libraries.emplace_back("logind", fs::LogindWatch::is_built_in() ? "yes" : "no");
  if (arguments.has("json")) {
    nlohmann::json versions = nlohmann::json::object();
    for (const auto& [name, version] : libraries) versions[name] = version;
    print_json(world, {{"tain", kVersion}, {"format", kFormatVersion}, {"libraries", versions}});
    return {};
  }
  world.out << "tain " << kVersion << "\nvault format " << kFormatVersion << '\n';
  for (const auto& [name, version] : libraries) world.out << name << ' ' << version << '\n';
  return {};
}

}  // namespace tain::cli
