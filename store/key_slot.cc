// SPDX-License-Identifier: Apache-2.0
#include "store/key_slot.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "store/recovery_words.h"

namespace tain::store {
namespace {

constexpr size_t kSlotKeySize = 32;
static_assert(kDeviceKeySize == kSlotKeySize);

bool takes_password(SlotType type) { return type == SlotType::password || type == SlotType::password_keyfile; }

/// What people call it.
std::string described(SlotType type) {
  switch (type) {
    case SlotType::password: return "a password";
    case SlotType::password_keyfile: return "a password with a keyfile";
    case SlotType::recovery: return "recovery words";
    case SlotType::fido2: return "a FIDO2 token";
    case SlotType::tpm2: return "the TPM of its machine";
    case SlotType::keyring: return "the keyring of its user";
  }
  return "an unknown key";
}

/// "a password, recovery words".
std::string ways_in(const Header& header) {
  std::string out;
  for (uint8_t number = static_cast<uint8_t>(SlotType::password); number <= static_cast<uint8_t>(SlotType::keyring); ++number) {
    const SlotType type{number};
    const auto has = [&](const KeySlot& slot) { return slot.type == type; };
    if (std::none_of(header.slots.begin(), header.slots.end(), has)) continue;
    out += (out.empty() ? "" : ", ") + described(type);
  }
  return out;
}

/// KEK of docs/format.md §4.
Result<SlotKey> derive_slot_key(const Header& header, const KeySlot& slot, const Credential& credential) {
  Secret base;
  if (slot.kdf == SlotKdf::argon2id) {
    base = TRY(derive_password_key(credential.secret.view(), slot.salt, slot.cost));
  } else {
    CHECK(credential.secret.size() <= kSlotKeySize);
    base = Secret(kSlotKeySize);
    const ByteView secret = credential.secret.view();
    std::copy(secret.begin(), secret.end(), base.span().begin());
  }
  const Id32 nothing = hash256({});
  Secret info = Secret(slot.id.size() + nothing.size());
  const ByteView keyfile = credential.keyfile_hash.empty() ? ByteView(nothing) : credential.keyfile_hash.view();
  std::copy(slot.id.begin(), slot.id.end(), info.span().begin());
  std::copy(keyfile.begin(), keyfile.end(), info.span().begin() + static_cast<ptrdiff_t>(slot.id.size()));
  return SlotKey{derive(base.view(), label::kSlotKey, header.vault.bytes, info.view(), kSlotKeySize)};
}

std::array<uint8_t, kWrapSize> wrap(ByteView key, std::string_view label, ByteView ad, const Secret& secret) {
  const Bytes sealed = seal(key, label, ad, secret.view());
  std::array<uint8_t, kWrapSize> out;
  CHECK(sealed.size() == out.size());
  std::copy(sealed.begin(), sealed.end(), out.begin());
  return out;
}

/// The outcome of trying the slots of one type.
struct Attempt {
  std::optional<Unlocked> opened;
  std::optional<Error> unusable;  // a slot that this machine has too little memory for
  size_t tried = 0;
};

Attempt try_slots(const Header& header, const Credential& credential, std::optional<SlotId> but_not) {
  Attempt out;
  const size_t most = takes_password(credential.type) ? kSlotsTriedMax : kSlotsMax;
  for (size_t i = 0; i < header.slots.size() && out.tried < most; ++i) {
    const KeySlot& slot = header.slots[i];
    if (slot.type != credential.type || slot.id == but_not) continue;
    if (credential.slot && slot.id != *credential.slot) continue;
    ++out.tried;
    auto key = derive_slot_key(header, slot, credential);
    if (!key.ok()) {
      out.unusable = std::move(key).error();
      continue;
    }
    auto master = open_sealed(key->secret.view(), label::kWrap, slot_associated_data(header, slot), slot.wrap);
    if (!master.ok()) continue;
    out.opened = Unlocked{MasterKey{std::move(master).value()}, i};
    break;
  }
  return out;
}

Error wrong(const Header& header, SlotType type) {
  const auto has = [&](SlotType other) {
    return std::any_of(header.slots.begin(), header.slots.end(), [&](const KeySlot& slot) { return slot.type == other; });
  };
  if (type == SlotType::recovery)
    return Error(Code::wrong_password, "these recovery words are not of this vault, or the header was altered")
        .hint("recovery words open the vault that they were made for, as long as tain key list shows their slot");
  if (is_device(type))
    return Error(Code::wrong_password, described(type) + " yields another key than that of the slot, or the header was altered")
        .hint("open the vault with a password or recovery words; tain key add makes the slot anew");
  std::string hint = "check the keyboard layout and Caps Lock, and try again";
  if (type == SlotType::password_keyfile) hint += "; or it is another keyfile";
  if (type == SlotType::password && has(SlotType::password_keyfile)) hint += "; some passwords of this vault need --keyfile";
  if (has(SlotType::recovery)) hint += "; recovery words open it too: --recovery";
  return Error(Code::wrong_password, "wrong password, or the header was altered").hint(hint);
}

}  // namespace

std::string_view slot_type_name(SlotType type) {
  switch (type) {
    case SlotType::password: return "password";
    case SlotType::password_keyfile: return "keyfile";
    case SlotType::recovery: return "recovery";
    case SlotType::fido2: return "fido2";
    case SlotType::tpm2: return "tpm2";
    case SlotType::keyring: return "keyring";
  }
  return "unknown";
}

Credential::Credential(const Secret& password) : secret(password.clone()) {}

Credential Credential::with_keyfile(const Secret& password, const Secret& keyfile_hash) {
  Credential out(password);
  out.type = SlotType::password_keyfile;
  out.keyfile_hash = keyfile_hash.clone();
  return out;
}

Credential Credential::from_recovery(const Secret& words) {
  Credential out(words);
  out.type = SlotType::recovery;
  return out;
}

Credential Credential::from_device(SlotType type, const SlotId& slot, const Secret& key, Bytes extra) {
  CHECK(is_device(type));
  Credential out(key);
  out.type = type;
  out.slot = slot;
  out.extra = std::move(extra);
  return out;
}

Credential Credential::clone() const {
  Credential out(secret);
  out.type = type;
  out.slot = slot;
  out.extra = extra;
  out.keyfile_hash = keyfile_hash.clone();
  return out;
}

Result<> check_credential(const Credential& credential) {
  switch (credential.type) {
    case SlotType::password: return check_password(credential.secret.view());
    case SlotType::password_keyfile:
      if (credential.keyfile_hash.size() != kSlotKeySize) break;
      return check_password(credential.secret.view());
    case SlotType::recovery:
      if (credential.secret.size() != kRecoverySecretSize) break;
      return {};
    case SlotType::fido2:
    case SlotType::tpm2:
    case SlotType::keyring:
      if (credential.secret.size() != kDeviceKeySize || !credential.slot || credential.extra.size() > kSlotExtraMax) break;
      return {};
  }
  return Error(Code::invalid_argument, "a key of the wrong size for " + described(credential.type));
}

bool SlotInfo::is_below_default() const {
  if (kdf != SlotKdf::argon2id) return false;
  return cost.memory_bytes < kKdfDefault.memory_bytes || cost.passes < kKdfDefault.passes;
}

SlotInfo slot_info(const KeySlot& slot) {
  return {.id = slot.id, .type = slot.type, .kdf = slot.kdf, .cost = slot.cost, .created = slot.created, .extra = slot.extra};
}

bool is_device(SlotType type) { return type == SlotType::fido2 || type == SlotType::tpm2 || type == SlotType::keyring; }

Result<Unlocked> unlock(const Header& header, ByteView bytes, const Credential& credential,
                        std::optional<SlotId> but_not) {
  TRY(check_credential(credential));
  Attempt attempt;
  if (credential.type == SlotType::password) {
    auto words = decode_recovery_words(credential.secret.view());
    if (words.ok()) attempt = try_slots(header, Credential::from_recovery(*words), but_not);
  }
  if (!attempt.opened) attempt = try_slots(header, credential, but_not);
  if (attempt.opened) {
    TRY(verify_header(header, bytes, attempt.opened->master));
    return *std::move(attempt.opened);
  }
  if (attempt.unusable) return *std::move(attempt.unusable);
  if (attempt.tried == 0 && !but_not)
    return Error(Code::wrong_password, "this vault does not open with " + described(credential.type))
        .hint("it opens with: " + ways_in(header));
  return wrong(header, credential.type);
}

Result<KeySlot> make_slot(const Header& header, const MasterKey& master, const Credential& credential,
                          const KdfCost& cost, uint64_t now_seconds) {
  TRY(check_credential(credential));
  KeySlot slot;
  slot.type = credential.type;
  slot.id = credential.slot ? *credential.slot : random_array<8>();
  slot.extra = credential.extra;
  slot.created = now_seconds;
  slot.kdf = SlotKdf::none;
  if (takes_password(credential.type)) {
    slot.kdf = SlotKdf::argon2id;
    slot.cost = cost;
    slot.salt = random_array<16>();
  }
  const SlotKey key = TRY(derive_slot_key(header, slot, credential));
  const Bytes ad = slot_associated_data(header, slot);
  slot.wrap = wrap(key.secret.view(), label::kWrap, ad, master.secret);

  const ExportKey export_key{derive(key.secret.view(), label::kExportKey, header.vault.bytes, slot.id, kSlotKeySize)};
  const Cipher cipher(master, header.vault, header.epoch);
  slot.export_wrap = wrap(cipher.export_wrap_key(), label::kExportWrap, ad, export_key.secret);
  return slot;
}

Result<NewHeader> make_header(const Credential& credential, Suite suite, const KdfCost& cost, uint64_t now_seconds) {
  if (!suite_available(suite))
    return Error(Code::suite_missing, "this computer's processor cannot run " + std::string(suite_name(suite)))
        .hint("use " + std::string(suite_name(Suite::xchacha20_poly1305)));
  NewHeader out;
  out.header.vault.bytes = random_array<16>();
  out.header.suite = suite;
  out.master = {Secret::random(32)};
  out.header.key_check = Cipher(out.master, out.header.vault, out.header.epoch).key_check();
  out.header.slots.push_back(TRY(make_slot(out.header, out.master, credential, cost, now_seconds)));
  return out;
}

}  // namespace tain::store
