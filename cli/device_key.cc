// SPDX-License-Identifier: Apache-2.0
#include "cli/device_key.h"

#include <array>

#include "base/check.h"
#include "cli/child.h"

namespace tain::cli {
namespace {

using store::Credential;
using store::SlotType;

constexpr std::array kDevices{SlotType::keyring, SlotType::tpm2, SlotType::fido2};

class MissingDevice final : public DeviceKey {
 public:
  MissingDevice(std::string library, std::string package) : library_(std::move(library)), package_(std::move(package)) {}
  Result<Made> make(World&, const Arguments&, const store::VaultInfo&, const store::SlotId&) override { return missing(); }
  Result<std::optional<Secret>> open(World&, const Arguments&, const store::VaultInfo&, const store::SlotInfo&) override { return missing(); }

 private:
  Error missing() const {
    return Error(Code::unsupported, "this program was built without " + library_).hint("install " + package_ + " and build again");
  }
  std::string library_, package_;
};

}  // namespace

Result<std::optional<Secret>> ask_in_child(const std::function<Result<std::optional<Secret>>()>& ask) {
  auto answer = in_child([&]() -> Result<Secret> {
    std::optional<Secret> found = TRY(ask());
    return found ? std::move(*found) : Secret();
  });
  Secret key = TRY(std::move(answer));
  if (key.empty()) return std::optional<Secret>();
  return std::optional<Secret>(std::move(key));
}

std::unique_ptr<DeviceKey> missing_device(std::string library, std::string package) {
  return std::make_unique<MissingDevice>(std::move(library), std::move(package));
}

std::unique_ptr<DeviceKey> device_key(SlotType type) {
  CHECK(store::is_device(type));
  if (type == SlotType::keyring) return keyring_key();
  return type == SlotType::tpm2 ? tpm2_key() : fido2_key();
}

const std::vector<Option>& device_options() {
  static const std::vector<Option> options{
      {"keyring", 0, "", "open with the key that is in the keyring of this login"},
      {"tpm2", 0, "", "open with the key that is sealed to this machine's TPM"},
      {"fido2", 0, "", "open with a FIDO2 token"},
  };
  return options;
}

Result<std::optional<SlotType>> device_asked_for(const Arguments& arguments) {
  std::optional<SlotType> out;
  for (const SlotType type : kDevices) {
    const std::string name(store::slot_type_name(type));
    if (!arguments.has(name)) continue;
    if (out) return Error(Code::usage, "--" + std::string(store::slot_type_name(*out)) + " and --" + name + " are two keys").hint("give one");
    out = type;
  }
  return out;
}

Result<Credential> read_device_credential(World& world, const Arguments& arguments, const std::string& directory, SlotType type) {
  const store::VaultInfo vault = TRY(store::Vault::inspect(directory));
  const std::string name(store::slot_type_name(type));
  bool has_slot = false;
  std::optional<Error> unusable;
  for (const store::SlotInfo& slot : vault.slots) {
    if (slot.type != type) continue;
    has_slot = true;
    auto asked = device_key(type)->open(world, arguments, vault, slot);
    if (asked.is(Code::header_damaged) || asked.is(Code::format_too_new)) {
      unusable = std::move(asked).error();
      continue;
    }
    const auto key = TRY(std::move(asked));
    if (key) return Credential::from_device(type, slot.id, *key);
  }
  if (unusable) return *std::move(unusable);
  if (!has_slot)
    return Error(Code::wrong_password, "the vault has no key slot for --" + name).hint("tain key add " + directory + " " + name + " makes one");
  const std::string what = type == SlotType::keyring ? "the keyring of this login does not have the vault's key, or is locked"
                                                     : "this is not the " + name + " that a key slot of the vault was made with";
  return Error(Code::wrong_password, what).hint("open it with a password or recovery words; tain key add makes a slot for this one");
}

Result<Credential> make_device_credential(World& world, const Arguments& arguments, const std::string& directory, SlotType type) {
  const store::VaultInfo vault = TRY(store::Vault::inspect(directory));
  const store::SlotId id = random_array<8>();
  DeviceKey::Made made = TRY(device_key(type)->make(world, arguments, vault, id));
  return Credential::from_device(type, id, made.key, std::move(made.extra));
}

}  // namespace tain::cli
