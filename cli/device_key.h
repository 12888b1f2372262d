// SPDX-License-Identifier: Apache-2.0
// Keys that a device keeps: a FIDO2 token, the machine's TPM, the keyring of the login (ADR 17, docs/format.md §3).
//
// Each kind is one file, and the only one that includes its library; without the library it says so.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "cli/arguments.h"
#include "cli/world.h"
#include "store/key_slot.h"
#include "store/vault.h"

namespace tain::cli {

class DeviceKey {
 public:
  virtual ~DeviceKey() = default;
  struct Made {
    Secret key;   // kDeviceKeySize bytes
    Bytes extra;  // of the slot
  };
  /// Makes the device yield a new key for slot `id` of `vault`. May ask and wait for a person.
  /// Errors: unsupported (built without it), not_found (no device), not_permitted, wrong_password (a PIN), io.
  virtual Result<Made> make(World& world, const Arguments& arguments, const store::VaultInfo& vault, const store::SlotId& id) = 0;
  /// The key of `slot` again. Nothing: this device is not the one that keeps it.
  virtual Result<std::optional<Secret>> open(World& world, const Arguments& arguments, const store::VaultInfo& vault,
                                             const store::SlotInfo& slot) = 0;
  /// The slot is gone: lets the device forget its key, if that is something it can do.
  virtual Result<> forget(World&, const store::VaultInfo&, const store::SlotInfo&) { return {}; }
};

/// For DeviceKey::open: what `ask` finds in a process of its own (cli/child.h), or nothing. Errors: those of `ask`, io.
Result<std::optional<Secret>> ask_in_child(const std::function<Result<std::optional<Secret>>()>& ask);
/// Of a build without `library`: says so, and which package has it.
std::unique_ptr<DeviceKey> missing_device(std::string library, std::string package);

/// cli/keyring.cc, cli/tpm2.cc, cli/fido2.cc.
std::unique_ptr<DeviceKey> keyring_key();
std::unique_ptr<DeviceKey> tpm2_key();
std::unique_ptr<DeviceKey> fido2_key();

/// The one of that type. It must be a device.
std::unique_ptr<DeviceKey> device_key(store::SlotType type);
/// --keyring, --tpm2, --fido2.
const std::vector<Option>& device_options();
/// The type that one of the options names. Errors: usage (two of them).
Result<std::optional<store::SlotType>> device_asked_for(const Arguments& arguments);

/// What opens the vault `directory` with such a device: the first of its slots for which the device yields a key. A slot
/// that is damaged or of a later version hides none of the others.
/// Errors: those of DeviceKey::open, wrong_password (no slot of that type, or none of this device).
Result<store::Credential> read_device_credential(World& world, const Arguments& arguments, const std::string& directory,
                                                 store::SlotType type);
/// A new key of a device, for a slot to be.
Result<store::Credential> make_device_credential(World& world, const Arguments& arguments, const std::string& directory,
                                                 store::SlotType type);

}  // namespace tain::cli
