// SPDX-License-Identifier: Apache-2.0
// The vault header: identity, key slots, the wrapped master key (docs/format.md §3).
//
// Pure bytes in, values out; the files are handled by header_file.*. Pre-authentication fields are
// numbers and fixed-size byte strings only, and every bound is checked before the KDF runs.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "store/cipher.h"
#include "store/kdf.h"

namespace tain::store {

inline constexpr uint16_t kFormatMinor = 2;        // the latest that is known
inline constexpr uint16_t kFormatMinorOldest = 1;  // 0 was of development versions
inline constexpr uint16_t kFormatMinorRotated = 2;  // of vaults whose master key was changed; 1 of all others
inline constexpr size_t kHeaderSizeMax = 16384;  // bytes
inline constexpr size_t kSlotsMax = 8;
inline constexpr size_t kSlotExtraMax = 256;  // bytes
inline constexpr size_t kWrapSize = 32 + kSealOverhead;

enum class SlotType : uint8_t { password = 1, password_keyfile = 2, recovery = 3, fido2 = 4, tpm2 = 5, keyring = 6 };
enum class SlotKdf : uint8_t { argon2id = 1, none = 2 };

/// One wrapping of the master key. The enumerators' numbers are the format's.
struct KeySlot {
  SlotType type = SlotType::password;
  std::array<uint8_t, 8> id{};
  SlotKdf kdf = SlotKdf::argon2id;
  KdfCost cost;
  Id16 salt{};
  uint64_t created = 0;  // Unix seconds
  Bytes extra;
  std::array<uint8_t, kWrapSize> wrap{};
  std::array<uint8_t, kWrapSize> export_wrap{};
  bool operator==(const KeySlot&) const = default;
};

/// The master key before this one, sealed under this one, as long as there may be values of its epoch.
struct OlderMaster {
  uint32_t epoch = 0;
  std::array<uint8_t, kWrapSize> wrap{};
  bool operator==(const OlderMaster&) const = default;
};

struct Header {
  uint16_t minor = kFormatMinorOldest;
  VaultId vault;
  uint64_t sequence = 1;  // one more at each change
  uint32_t epoch = 1;     // of the master key
  Suite suite = Suite::aes_256_gcm;
  Id32 previous{};   // hash256 of the bytes of the header before this one
  Id32 key_check{};  // Cipher::key_check() of the master key
  std::vector<KeySlot> slots;
  std::optional<OlderMaster> older;  // while the master key is changed; from kFormatMinorRotated on
  Id16 author{};                        // zeros until there is a device registry
  std::array<uint8_t, 64> signature{};  // likewise
  bool operator==(const Header&) const = default;
};

/// What the two wraps of `slot` are bound to: the vault and the slot's public fields.
Bytes slot_associated_data(const Header& header, const KeySlot& slot);

/// The header's bytes, with MAC and hash. `cipher` is the one of the header's master key.
Bytes encode_header(const Header& header, const Cipher& cipher);

/// Structure and bounds only; authenticity comes with `verify_header`.
/// Errors: not_a_vault (no magic), format_too_new, format_too_old, header_damaged (length, hash or structure).
Result<Header> decode_header(ByteView bytes);

/// Whether the holder of `master` wrote these bytes, which `header` was decoded from: key_check and MAC.
/// Only then may anything in the header be acted on. Errors: header_damaged (altered after it was written).
Result<> verify_header(const Header& header, ByteView bytes, const MasterKey& master);

/// The same with the keys in hand.
Result<> verify_header(const Header& header, ByteView bytes, const Cipher& cipher);

/// `older`, of the epoch before, for a header with the master key `master`.
OlderMaster wrap_older(const Header& header, const MasterKey& master, const MasterKey& older, uint32_t epoch);
/// The keys of the vault whose verified header this is; with those before, while there are any.
/// Errors: header_damaged.
Result<std::unique_ptr<Cipher>> make_cipher(const Header& header, const MasterKey& master);

}  // namespace tain::store
