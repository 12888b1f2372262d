// SPDX-License-Identifier: Apache-2.0
// Key slots in words.
#pragma once

#include <string>

#include "cli/world.h"
#include "store/key_slot.h"

namespace tain::cli {

/// "password with keyfile".
std::string describe_slot(const store::SlotInfo& slot);
/// "Argon2id, 3 passes over 256.0 MiB".
std::string describe_cost(const store::SlotInfo& slot);
/// Says that a key that was taken away or changed still opens with an old copy of the header.
void note_old_headers(World& world);

}  // namespace tain::cli
