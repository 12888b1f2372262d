// SPDX-License-Identifier: Apache-2.0
// tain init: make a vault.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/kdf_time.h"
#include "cli/placement.h"
#include "cli/recovery_sheet.h"
#include "cli/seen_header.h"
#include "fs/mountpoint.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

Result<std::optional<store::Suite>> chosen_suite(const Arguments& arguments) {
  const auto name = arguments.value("cipher");
  if (!name) return std::optional<store::Suite>();
  for (store::Suite suite : {store::Suite::aes_256_gcm, store::Suite::xchacha20_poly1305}) {
    if (*name != store::suite_name(suite)) continue;
    if (!store::suite_available(suite)) {
      return Error(Code::suite_missing, "this processor lacks the instructions for " + *name)
          .hint("leave out --cipher, or give --cipher xchacha20-poly1305");
    }
    return std::optional(suite);
  }
  return Error(Code::usage, "unknown cipher " + *name).hint("aes-256-gcm or xchacha20-poly1305");
}

/// The directory must be new or empty: nothing of somebody else's gets mixed with a vault.
Result<> check_directory(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) {
    if (errno == ENOENT) return {};
    if (errno == ENOTDIR) return Error(Code::exists, path + " exists and is not a directory").hint("give a new directory");
    return errno_error(errno, path);
  }
  bool empty = true;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    empty = empty && (name == "." || name == "..");
  }
  ::closedir(directory);
  if (empty) return {};
  if (!store::Vault::inspect(path).is(Code::not_a_vault)) {
    return Error(Code::exists, path + " already holds a vault").hint("tain mount " + path + " MOUNTPOINT");
  }
  return Error(Code::not_empty, path + " is not empty").hint("give a new or an empty directory");
}

std::string reason_for(const store::VaultInfo& info, bool chosen) {
  if (chosen) return "as asked for";
  return info.suite == store::Suite::aes_256_gcm ? "this processor has instructions for it"
                                                 : "this processor lacks instructions for AES";
}

Result<> add_recovery_words(World& world, const Arguments& arguments, const std::string& directory, const store::Credential& password) {
  const store::Credential words = TRY(hand_out_recovery_words(world, arguments, directory));
  TRY(store::Vault::add_slot(directory, password, words, store::kKdfFloor));
  return {};
}

}  // namespace

Result<> cmd_init(World& world, const Arguments& arguments) {
  store::CreateOptions options;
  options.suite = TRY(chosen_suite(arguments));
  const double seconds = TRY(kdf_seconds(arguments));
  if (arguments.positional()[0].empty()) return Error(Code::usage, "the name of the vault is empty").hint("tain init VAULT");
  const std::string directory = TRY(fs::resolve_path(arguments.positional()[0]));
  TRY(check_directory(directory));
  const bool recovery = arguments.has("recovery");
  if (!recovery && arguments.has("sheet")) return Error(Code::usage, "--sheet is for --recovery");
  if (recovery) TRY(check_sheet(arguments));
  warn_about_placement(world, directory);

  const store::Credential credential = TRY(read_first_credential(world, arguments));
  options.kdf = store::calibrate_kdf(seconds);
  options.root_uid = ::getuid();
  options.root_gid = ::getgid();
  TRY(store::Vault::create(directory, options, credential));
  if (recovery) {
    auto added = add_recovery_words(world, arguments, directory, credential);
    if (added.is(Code::partial)) return std::move(added).error().with("the vault is made, and the recovery words open it");
    if (!added.ok())
      return std::move(added).error().with("the vault is made, but has no recovery words")
          .hint("tain key add " + directory + " recovery");
  }

  keep_header(world, directory, Keep::this_one);

  const store::VaultInfo info = TRY(store::Vault::inspect(directory));
  const std::string cipher(store::suite_name(info.suite));
  const std::string reason = reason_for(info, options.suite.has_value());
  if (arguments.has("json")) {
    print_json(world, {{"vault", directory},
                       {"vault_id", to_hex(info.id.bytes)},
                       {"cipher", cipher},
                       {"cipher_reason", reason},
                       {"recovery_words", recovery},
                       {"kdf", {{"name", "argon2id"}, {"passes", info.kdf.passes}, {"memory_bytes", info.kdf.memory_bytes}}}});
    return {};
  }
  world.out << "made vault " << directory << '\n'
            << "cipher: " << cipher << " (" << reason << ")\n"
            << "password check: Argon2id, " << info.kdf.passes << " passes over " << format_bytes(info.kdf.memory_bytes) << '\n';
  note(world, "hint: mount it with: tain mount " + directory + " MOUNTPOINT");
  return {};
}

}  // namespace tain::cli
