// SPDX-License-Identifier: Apache-2.0
// What opens a vault, from the command line: a password, perhaps with a keyfile, recovery words, or a device.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/arguments.h"
#include "cli/world.h"
#include "store/key_slot.h"

namespace tain::cli {

/// --passfile, --passcmd, --pass-fd (cli/password.h), --keyfile, --recovery, and those of cli/device_key.h.
const std::vector<Option>& key_options();

/// What opens the vault `directory`. The keyfile is that of --keyfile, else of TAIN_KEYFILE, else the systemd credential
/// tain.keyfile; with one of the latter two a vault without such a slot opens with the password alone.
/// Errors: those of read_password(), store::hash_keyfile() and read_device_credential(), usage (two of these ways).
Result<store::Credential> read_credential(World& world, const Arguments& arguments, const std::string& directory);

/// That of a vault which is being made. A --keyfile that is not there is made, with random content.
Result<store::Credential> read_first_credential(World& world, const Arguments& arguments);

/// A new password for one more slot, with the keyfile of --new-keyfile if there is one; as read_first_credential().
Result<store::Credential> read_new_credential(World& world, const Arguments& arguments);

}  // namespace tain::cli
