// SPDX-License-Identifier: Apache-2.0
#include "cli/credential.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "cli/device_key.h"
#include "cli/password.h"
#include "cli/seen_header.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

using store::Credential;

constexpr size_t kNewKeyfileSize = 64;  // bytes

/// The keyfile that the environment names, if it does.
std::string keyfile_of_environment(const World& world) {
  if (const std::string file = world.env("TAIN_KEYFILE"); !file.empty()) return file;
  const std::string credentials = world.env("CREDENTIALS_DIRECTORY");
  const std::string credential = credentials + "/tain.keyfile";
  return !credentials.empty() && ::access(credential.c_str(), F_OK) == 0 ? credential : "";
}

Result<bool> has_keyfile_slot(const std::string& directory) {
  const auto inspected = store::Vault::inspect(directory);
  if (inspected.is(Code::header_damaged) || inspected.is(Code::not_a_vault)) return true;  // tain header restore
  const store::VaultInfo info = TRY(inspected);
  return std::any_of(info.slots.begin(), info.slots.end(),
                     [](const store::SlotInfo& slot) { return slot.type == store::SlotType::password_keyfile; });
}

/// The hash of a keyfile for a new slot. What is not there is made.
Result<Secret> new_keyfile(World& world, const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid() && errno != EEXIST) return errno_error(errno, "make keyfile " + path);
  if (fd.valid()) {
    const Secret content = Secret::random(kNewKeyfileSize);
    TRY(write_exactly(fd.get(), content.view(), 0));
    if (::fsync(fd.get()) != 0) return errno_error(errno, "flush keyfile " + path);
    note(world, "made keyfile " + path + "; keep a copy elsewhere: without it the password does not open the vault");
  }
  return store::hash_keyfile(path);
}

Credential with_keyfile(const Secret& password, const std::optional<Secret>& keyfile) {
  return keyfile ? Credential::with_keyfile(password, *keyfile) : Credential(password);
}

}  // namespace

const std::vector<Option>& key_options() {
  static const std::vector<Option> options = [] {
    std::vector<Option> out = password_options();
    out.push_back({"keyfile", 0, "FILE", "the vault needs this file besides the password"});
    out.push_back({"recovery", 0, "", "open with recovery words in the place of the password"});
    out.insert(out.end(), device_options().begin(), device_options().end());
    return out;
  }();
  return options;
}

Result<Credential> read_credential(World& world, const Arguments& arguments, const std::string& directory) {
  warn_of_older_header(world, directory);
  std::string file = arguments.value("keyfile").value_or("");
  if (const auto device = TRY(device_asked_for(arguments))) {
    const std::string name(store::slot_type_name(*device));
    if (!file.empty() || arguments.has("recovery"))
      return Error(Code::usage, "--" + name + " opens the vault alone").hint("leave out --keyfile and --recovery, or --" + name);
    return read_device_credential(world, arguments, directory, *device);
  }
  if (arguments.has("recovery")) {
    if (!file.empty()) return Error(Code::usage, "recovery words need no keyfile").hint("leave out --keyfile or --recovery");
    return Credential::from_recovery(TRY(read_recovery_words(world, arguments)));
  }
  if (file.empty()) {
    file = keyfile_of_environment(world);
    if (!file.empty() && !TRY(has_keyfile_slot(directory))) file.clear();
  }
  // First, so that nobody types a password for nothing.
  std::optional<Secret> keyfile;
  if (!file.empty()) keyfile = TRY(store::hash_keyfile(file));
  return with_keyfile(TRY(read_password(world, arguments, "Password for " + directory + ": ")), keyfile);
}

Result<Credential> read_first_credential(World& world, const Arguments& arguments) {
  const Secret password = TRY(read_first_password(world, arguments));
  std::optional<Secret> keyfile;
  if (const auto file = arguments.value("keyfile")) keyfile = TRY(new_keyfile(world, *file));
  return with_keyfile(password, keyfile);
}

Result<Credential> read_new_credential(World& world, const Arguments& arguments) {
  const Secret password = TRY(read_new_password(world, arguments));
  std::optional<Secret> keyfile;
  if (const auto file = arguments.value("new-keyfile")) keyfile = TRY(new_keyfile(world, *file));
  return with_keyfile(password, keyfile);
}

}  // namespace tain::cli
