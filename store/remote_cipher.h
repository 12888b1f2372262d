// SPDX-License-Identifier: Apache-2.0
// All sealing of what goes to a remote, and its names (docs/remote-protocol.md §2 and §3).
//
// A remote never sees anything but what this unit made, and the headers. Threads: all const methods may run concurrently.
#pragma once

#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/cipher.h"

namespace tain::store {

/// What an object is; part of its name and of its associated data. The numbers are the protocol's.
enum class ObjectKind : uint8_t { announcement = 1, segment = 2, pack = 3 };

inline constexpr size_t kChunkOverhead = 16;  // bytes: the tag
inline constexpr size_t kPublicKeySize = 32;
inline constexpr size_t kSignatureSize = 64;
using PublicKey = std::array<uint8_t, kPublicKeySize>;
using Signature = std::array<uint8_t, kSignatureSize>;

class RemoteCipher {
 public:
  /// Derives the subkeys. The master key itself stays with the caller.
  RemoteCipher(const MasterKey& master, const VaultId& vault, uint32_t epoch);

  /// The name of the object `id` of that kind, as 32 bytes.
  Id32 object_name(ObjectKind kind, const Id16& id) const;

  /// A whole object of that name: `body` sealed, and as long as the padding wants it. kind: announcement or segment.
  Bytes seal_object(ObjectKind kind, const Id32& name, ByteView body) const;
  /// The body. Errors: corrupt: it is not the object of that name, or not as it was written.
  Result<Bytes> open_object(ObjectKind kind, const Id32& name, ByteView object) const;

  /// The keyed hash that binds a content.
  Id32 content_hash(ByteView bytes) const;
  /// The id of the pack in which `writer` puts chunks with these hashes, in this order.
  Id16 pack_id(uint64_t writer, std::span<const Id32> hashes) const;
  /// A chunk for its place in a pack; `hash` is content_hash(bytes). The same arguments give the same bytes.
  Bytes seal_chunk(const Id32& hash, const Id16& pack, uint32_t offset, ByteView bytes) const;
  /// The chunk's bytes, whose hash is the one asked for. Errors: corrupt.
  Result<Bytes> open_chunk(const Id32& hash, const Id16& pack, uint32_t offset, ByteView sealed) const;
  /// What makes a pack of `size` bytes one of padded_size(size + kChunkOverhead).
  Bytes pack_padding(const Id16& pack, uint64_t size) const;

 private:
  VaultId vault_;
  uint32_t epoch_;
  Secret name_, head_, blob_;
};

/// The padded size of an object of `size` bytes: it tells little more than the order of magnitude.
uint64_t padded_size(uint64_t size);
inline constexpr uint64_t kObjectSizeMin = 512;  // bytes

/// A device's key pair for signatures (Ed25519, RFC 8032), from a seed of 32 bytes.
class SigningKey {
 public:
  explicit SigningKey(ByteView seed32);
  const PublicKey& public_key() const { return public_; }
  /// Over `"TSIG" ‖ kind ‖ H(body)`.
  Signature sign(ObjectKind kind, ByteView body) const;

 private:
  Secret secret_;  // libsodium's form: seed and public key
  PublicKey public_{};
};
bool is_signed_by(const PublicKey& key, ObjectKind kind, ByteView body, const Signature& signature);

}  // namespace tain::store
