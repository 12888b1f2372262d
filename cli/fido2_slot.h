// SPDX-License-Identifier: Apache-2.0
// What a key slot of a FIDO2 token remembers in the clear: its extra (docs/format.md §3, ADR 17).
#pragma once

#include <array>

#include "base/bytes.h"
#include "base/result.h"
#include "store/header.h"

namespace tain::cli {

struct Fido2Slot {
  bool asks_for_pin = false;       // the key is the one that the token yields with its PIN; without, it yields another
  std::array<uint8_t, 32> salt{};  // of hmac-secret (CTAP 2.1 §12.5)
  Bytes credential;                // its id, as the token made it
  bool operator==(const Fido2Slot&) const = default;
};

/// The longest credential id for which there is room, in bytes: the extra begins with version, flags and salt.
inline constexpr size_t kFido2CredentialMax = store::kSlotExtraMax - 34;

/// Errors: unsupported (a credential id that is longer, or empty).
Result<Bytes> encode(const Fido2Slot& slot);
/// Errors: header_damaged (malformed), format_too_new (another version, an unknown flag).
Result<Fido2Slot> parse_fido2_slot(ByteView extra);

}  // namespace tain::cli
