// SPDX-License-Identifier: Apache-2.0
#include "store/remote_cipher.h"

#include <sodium.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "store/seal.h"

namespace tain::store {

namespace {

constexpr std::array<uint8_t, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES> kZeroNonce{};
constexpr size_t kLengthSize = 4;  // before a sealed body

static_assert(kPublicKeySize == crypto_sign_ed25519_PUBLICKEYBYTES && kSignatureSize == crypto_sign_ed25519_BYTES);
static_assert(kChunkOverhead == crypto_aead_xchacha20poly1305_ietf_ABYTES);

std::string_view seal_label(ObjectKind kind) {
  CHECK(kind != ObjectKind::pack);
  return kind == ObjectKind::announcement ? label::kAnnouncement : label::kSegment;
}

std::array<uint8_t, 1> number(ObjectKind kind) { return {static_cast<uint8_t>(kind)}; }

Id32 object_ad(const VaultId& vault, uint32_t epoch, ObjectKind kind, const Id32& name) {
  return hash_parts({as_bytes("TOBJ"), vault.bytes, little_endian(epoch), number(kind), name});
}

/// Under a key that is derived from the message, so that it seals no other.
void seal_once(ByteView key, const VaultId& vault, ByteView bytes, ByteSpan out) {
  crypto_aead_xchacha20poly1305_ietf_encrypt(out.data(), nullptr, bytes.data(), bytes.size(), vault.bytes.data(),
                                             vault.bytes.size(), nullptr, kZeroNonce.data(), key.data());
}

Id32 signed_hash(ObjectKind kind, ByteView body) { return hash_parts({as_bytes("TSIG"), number(kind), hash256(body)}); }

}  // namespace

RemoteCipher::RemoteCipher(const MasterKey& master, const VaultId& vault, uint32_t epoch) : vault_(vault), epoch_(epoch) {
  const auto subkey = [&](std::string_view label) {
    return derive(master.secret.view(), label, vault.bytes, little_endian(epoch), kKeySize);
  };
  name_ = subkey(label::kRemoteName);
  head_ = subkey(label::kHead);
  blob_ = subkey(label::kRemoteBlob);
}

Id32 RemoteCipher::object_name(ObjectKind kind, const Id16& id) const {
  Id32 out;
  kdf(out, name_.view(), label::kObjectName, kZeroSalt, {number(kind), id});
  return out;
}

Bytes RemoteCipher::seal_object(ObjectKind kind, const Id32& name, ByteView body) const {
  CHECK(body.size() <= UINT32_MAX);
  Bytes out(padded_size(kSealOverhead + kLengthSize + body.size()));
  uint8_t* text = out.data() + kSealTextOffset;
  const auto length = little_endian(static_cast<uint32_t>(body.size()));
  std::copy(length.begin(), length.end(), text);
  std::copy(body.begin(), body.end(), text + kLengthSize);
  seal_in_place(head_.view(), seal_label(kind), object_ad(vault_, epoch_, kind, name), out);
  return out;
}

Result<Bytes> RemoteCipher::open_object(ObjectKind kind, const Id32& name, ByteView object) const {
  if (object.size() < kSealOverhead + kLengthSize) return Error(Code::corrupt, "object is too short");
  Bytes text(object.size() - kSealOverhead);
  if (!open_into(head_.view(), seal_label(kind), object_ad(vault_, epoch_, kind, name), object, text))
    return Error(Code::corrupt, "object does not open: it is another one, or damaged");
  Reader reader(text);
  const uint32_t length = reader.u32();
  // One encoding for each body: the padding is of zeros, and as long as it has to be.
  reader.raw(length);
  if (reader.failed() || object.size() != padded_size(kSealOverhead + kLengthSize + uint64_t{length}))
    return Error(Code::corrupt, "object has a wrong length inside");
  const ByteView zeros = reader.raw(reader.remaining());
  if (std::any_of(zeros.begin(), zeros.end(), [](uint8_t byte) { return byte != 0; }))
    return Error(Code::corrupt, "object has something behind its end");
  text.erase(text.begin(), text.begin() + kLengthSize);
  text.resize(length);
  return text;
}

Id32 RemoteCipher::content_hash(ByteView bytes) const {
  Id32 out;
  kdf(out, blob_.view(), label::kContentHash, kZeroSalt, {bytes});
  return out;
}

Id16 RemoteCipher::pack_id(uint64_t writer, std::span<const Id32> hashes) const {
  Id32 out;
  const ByteView all(reinterpret_cast<const uint8_t*>(hashes.data()), hashes.size_bytes());
  kdf(out, blob_.view(), label::kPackId, kZeroSalt, {little_endian(writer), all});
  Id16 id;
  std::copy_n(out.begin(), id.size(), id.begin());
  return id;
}

Bytes RemoteCipher::seal_chunk(const Id32& hash, const Id16& pack, uint32_t offset, ByteView bytes) const {
  MessageKey<kKeySize> key;
  kdf(key.bytes, blob_.view(), label::kChunk, kZeroSalt, {hash, pack, little_endian(offset)});
  Bytes out(bytes.size() + kChunkOverhead);
  seal_once(key.bytes, vault_, bytes, out);
  return out;
}

Result<Bytes> RemoteCipher::open_chunk(const Id32& hash, const Id16& pack, uint32_t offset, ByteView sealed) const {
  if (sealed.size() < kChunkOverhead) return Error(Code::corrupt, "chunk is too short");
  MessageKey<kKeySize> key;
  kdf(key.bytes, blob_.view(), label::kChunk, kZeroSalt, {hash, pack, little_endian(offset)});
  Bytes out(sealed.size() - kChunkOverhead);
  const bool opened = crypto_aead_xchacha20poly1305_ietf_decrypt(
                          out.data(), nullptr, nullptr, sealed.data(), sealed.size(), vault_.bytes.data(),
                          vault_.bytes.size(), kZeroNonce.data(), key.bytes.data()) == 0;
  // The tag alone commits to no key; the hash does.
  if (!opened || !equal_constant_time(content_hash(out), hash))
    return Error(Code::corrupt, "chunk does not open: it is another one, or damaged");
  return out;
}

Bytes RemoteCipher::pack_padding(const Id16& pack, uint64_t size) const {
  MessageKey<kKeySize> key;
  kdf(key.bytes, blob_.view(), label::kPackPadding, kZeroSalt, {pack});
  Bytes out(padded_size(size + kChunkOverhead) - size);
  seal_once(key.bytes, vault_, Bytes(out.size() - kChunkOverhead), out);
  return out;
}

uint64_t padded_size(uint64_t size) {
  if (size <= kObjectSizeMin) return kObjectSizeMin;
  // Padmé (docs/remote-protocol.md §2): as many low bits are zero as the size's exponent has no bits for.
  const unsigned exponent = static_cast<unsigned>(std::bit_width(size)) - 1;
  const unsigned bits_kept = static_cast<unsigned>(std::bit_width(exponent));
  const uint64_t mask = (uint64_t{1} << (exponent - bits_kept)) - 1;
  return (size + mask) & ~mask;
}

SigningKey::SigningKey(ByteView seed32) : secret_(crypto_sign_ed25519_SECRETKEYBYTES) {
  CHECK(seed32.size() == crypto_sign_ed25519_SEEDBYTES);
  CHECK(crypto_sign_ed25519_seed_keypair(public_.data(), secret_.span().data(), seed32.data()) == 0);
}

Signature SigningKey::sign(ObjectKind kind, ByteView body) const {
  const Id32 hash = signed_hash(kind, body);
  Signature out;
  CHECK(crypto_sign_ed25519_detached(out.data(), nullptr, hash.data(), hash.size(), secret_.view().data()) == 0);
  return out;
}

bool is_signed_by(const PublicKey& key, ObjectKind kind, ByteView body, const Signature& signature) {
  const Id32 hash = signed_hash(kind, body);
  return crypto_sign_ed25519_verify_detached(signature.data(), hash.data(), hash.size(), key.data()) == 0;
}

}  // namespace tain::store
