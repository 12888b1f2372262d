// SPDX-License-Identifier: Apache-2.0
// Key slots: what opens one, and how one is made (docs/format.md §3, §4).
//
// A *credential* is what somebody presents: a password, perhaps with a keyfile, or recovery words. Each opens slots of
// its own type only. Passwords go through Argon2id; what is random already does not, so trying it costs nothing. What a
// device keeps (a FIDO2 token, a TPM, a keyring) is random, and opens the one slot that it was made for (ADR 17).
#pragma once

#include <optional>
#include <string_view>

#include "store/header.h"

namespace tain::store {

inline constexpr size_t kDeviceKeySize = 32;  // bytes
inline constexpr size_t kSlotsTriedMax = 3;  // KDF runs for one password, and so the most slots of such a type

using SlotId = std::array<uint8_t, 8>;

/// "password", "keyfile", "recovery", "fido2", "tpm2" or "keyring".
std::string_view slot_type_name(SlotType type);

struct Credential {
  Credential() = default;
  /// A password alone. Implicit: it is what nearly all vaults open with.
  Credential(const Secret& password);  // NOLINT(google-explicit-constructor)
  /// `keyfile_hash`: hash256 of the keyfile's content.
  static Credential with_keyfile(const Secret& password, const Secret& keyfile_hash);
  /// `words` as decode_recovery_words() yields them: kRecoverySecretSize bytes.
  static Credential from_recovery(const Secret& words);
  /// Of a fido2, tpm2 or keyring slot. `key` has kDeviceKeySize bytes. `extra`: what a new slot of it is to remember, at
  /// most kSlotExtraMax bytes that everybody may know.
  static Credential from_device(SlotType type, const SlotId& slot, const Secret& key, Bytes extra = {});

  SlotType type = SlotType::password;
  Secret secret;        // the password; else the random secret itself
  Secret keyfile_hash;  // of type password_keyfile only
  std::optional<SlotId> slot;  // of a device: the only one that it opens, and the id of the one that is made of it
  Bytes extra;                 // of the one that is made
  Credential clone() const;
};

/// Whether a slot can be made of it. Errors: empty_password, invalid_argument (not UTF-8, of a wrong size).
Result<> check_credential(const Credential& credential);

/// What anybody may know of a slot.
struct SlotInfo {
  SlotId id{};
  SlotType type = SlotType::password;
  SlotKdf kdf = SlotKdf::argon2id;
  KdfCost cost;          // zeros when kdf is none
  uint64_t created = 0;  // Unix seconds
  Bytes extra;           // of a device: what it needs besides itself to yield the key
  /// Guessing is cheaper than with a slot that would be made today.
  bool is_below_default() const;
  bool operator==(const SlotInfo&) const = default;
};
SlotInfo slot_info(const KeySlot& slot);
/// Opened by a device, which may break or be lost, rather than by what a person knows or keeps on paper.
bool is_device(SlotType type);

/// What unlocking yields.
struct Unlocked {
  MasterKey master;
  size_t slot = 0;  // index of the slot that opened
};

/// Tries the slots of the credential's type, then verify_header(). `but_not`: a slot that is not tried.
/// Takes one KDF run for each slot tried with a password, at most kSlotsTriedMax. A password that reads as recovery
/// words is tried as such first.
/// Errors: wrong_password (or the header was altered: they cannot be told apart; or no slot has this type),
/// header_damaged (altered after it was written), empty_password, invalid_argument, memory.
Result<Unlocked> unlock(const Header& header, ByteView bytes, const Credential& credential,
                        std::optional<SlotId> but_not = {});

/// A new slot wrapping `master`. Takes one KDF run for a password. `header` gives vault, epoch and suite; `cost` is
/// that of passwords. Errors: those of check_credential, invalid_argument (cost), memory.
Result<KeySlot> make_slot(const Header& header, const MasterKey& master, const Credential& credential,
                          const KdfCost& cost, uint64_t now_seconds);

struct NewHeader {
  Header header;
  MasterKey master;
};
/// A header with a new vault id and master key and one slot.
/// Errors: suite_missing (this CPU could not use the vault), and those of make_slot.
Result<NewHeader> make_header(const Credential& credential, Suite suite, const KdfCost& cost, uint64_t now_seconds);

}  // namespace tain::store
