// SPDX-License-Identifier: Apache-2.0
#include "store/seal.h"

#include <sodium.h>

#include <cstring>

#include "base/check.h"
#include "base/counters.h"

namespace tain::store {

namespace {

constexpr std::array<uint8_t, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES> kZeroNonce{};
// How far down libsodium's frames reach that may hold secrets (tests/e2e/secrets).
constexpr size_t kKdfStack = 1024;     // bytes
constexpr size_t kCipherStack = 2048;  // bytes

static_assert(kKeySize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(kTagSize == crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(kKdfSaltSize == crypto_generichash_blake2b_SALTBYTES &&
              kKdfSaltSize == crypto_generichash_blake2b_PERSONALBYTES);

void finish(ByteSpan out, crypto_generichash_blake2b_state& state, Parts parts) {
  for (ByteView part : parts) crypto_generichash_blake2b_update(&state, part.data(), part.size());
  CHECK(crypto_generichash_blake2b_final(&state, out.data(), out.size()) == 0);
  sodium_memzero(&state, sizeof state);
}

}  // namespace

/// `key` leaves traces in dead stack frames, where BLAKE2b had it in registers: they are overwritten.
void kdf(ByteSpan out, ByteView key, std::string_view label, ByteView salt, Parts info) {
  CHECK(key.size() == kKeySize && salt.size() == kKdfSaltSize && !label.empty() && label.size() <= kKdfSaltSize);
  std::array<uint8_t, kKdfSaltSize> personal{};
  std::memcpy(personal.data(), label.data(), label.size());
  crypto_generichash_blake2b_state state;
  CHECK(crypto_generichash_blake2b_init_salt_personal(&state, key.data(), key.size(), out.size(), salt.data(),
                                                      personal.data()) == 0);
  finish(out, state, info);
  sodium_stackzero(kKdfStack);
}

Id32 hash_parts(Parts parts) {
  Id32 out;
  crypto_generichash_blake2b_state state;
  CHECK(crypto_generichash_blake2b_init(&state, nullptr, 0, out.size()) == 0);
  finish(out, state, parts);
  return out;
}

Id32 hash256(ByteView bytes) {
  count(Work::bytes_hashed, bytes.size());
  return hash_parts({bytes});
}

Secret derive(ByteView key, std::string_view label, ByteView salt16, ByteView info, size_t size) {
  CHECK(size == 32 || size == 64);
  Secret out(size);
  kdf(out.span(), key, label, salt16, {info});
  return out;
}

Bytes seal(ByteView key, std::string_view label, ByteView associated_data, ByteView message) {
  Bytes out(message.size() + kSealOverhead);
  // Straight from where it is: the message may be a key, which has no business in memory that is not guarded.
  seal_into(key, label, hash256(associated_data), message, out);
  return out;
}

Result<Secret> open_sealed(ByteView key, std::string_view label, ByteView associated_data, ByteView sealed) {
  if (sealed.size() < kSealOverhead) return Error(Code::corrupt, "sealed value is too short");
  Secret out(sealed.size() - kSealOverhead);
  const bool is_open = open_into(key, label, hash256(associated_data), sealed, out.span());
  sodium_stackzero(kCipherStack);  // the cipher's copy of the last, incomplete block
  if (!is_open) return Error(Code::corrupt, "sealed value does not open");
  return out;
}

/// `sealed` has the plaintext at kSealTextOffset and room for the tag behind it.
void seal_in_place(ByteView key, std::string_view label, const Id32& ad, ByteSpan sealed) {
  seal_into(key, label, ad, ByteView(sealed).subspan(kSealTextOffset, sealed.size() - kSealOverhead), sealed);
}

void seal_into(ByteView key, std::string_view label, const Id32& ad, ByteView message, ByteSpan sealed) {
  CHECK(sealed.size() == message.size() + kSealOverhead);
  const ByteView salt = sealed.first(kSealSaltSize);
  fill_random(sealed.first(kSealSaltSize));
  MessageKey<64> keys;  // encryption key, commitment
  kdf(keys.bytes, key, label, kZeroSalt, {salt, ad});
  std::memcpy(sealed.data() + kSealSaltSize, keys.bytes.data() + kKeySize, kKeySize);
  uint8_t* text = sealed.data() + kSealTextOffset;
  const size_t size = message.size();
  count(Work::bytes_sealed, size);
  crypto_aead_xchacha20poly1305_ietf_encrypt_detached(text, text + size, nullptr, message.data(), size, ad.data(),
                                                      ad.size(), nullptr, kZeroNonce.data(), keys.bytes.data());
}

/// `out` has sealed.size() - kSealOverhead bytes; after a failure it holds nothing of the message.
bool open_into(ByteView key, std::string_view label, const Id32& ad, ByteView sealed, ByteSpan out) {
  count(Work::bytes_opened, out.size());
  MessageKey<64> keys;
  kdf(keys.bytes, key, label, kZeroSalt, {sealed.first(kSealSaltSize), ad});
  if (!equal_constant_time(sealed.subspan(kSealSaltSize, kKeySize), ByteView(keys.bytes).last(kKeySize))) return false;
  const ByteView text = sealed.subspan(kSealTextOffset, out.size());
  return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(out.data(), nullptr, text.data(), text.size(),
                                                             text.data() + text.size(), ad.data(), ad.size(),
                                                             kZeroNonce.data(), keys.bytes.data()) == 0;
}

}  // namespace tain::store
