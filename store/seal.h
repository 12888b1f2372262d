// SPDX-License-Identifier: Apache-2.0
// KDF, H and Seal of docs/format.md §1, for the units that seal: store/cipher and store/remote_cipher.
//
// Every key encrypts one message: it is derived from random bytes, or from the message itself, so there is no nonce
// state anywhere. Threads: all functions may run concurrently.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"

namespace tain::store {

inline constexpr size_t kKeySize = 32;
inline constexpr size_t kTagSize = 16;
inline constexpr size_t kKdfSaltSize = 16;  // the label has the same size
inline constexpr size_t kSealSaltSize = 32;
inline constexpr size_t kSealTextOffset = 64;  // salt and commitment
inline constexpr size_t kSealOverhead = kSealTextOffset + kTagSize;
inline constexpr std::array<uint8_t, kKdfSaltSize> kZeroSalt{};

/// The key of one message. On the stack, because guarded memory would cost more than the encryption.
template <size_t N>
struct MessageKey {
  std::array<uint8_t, N> bytes;
  MessageKey() = default;
  ~MessageKey() { wipe(bytes); }
  MessageKey(const MessageKey&) = delete;
  MessageKey& operator=(const MessageKey&) = delete;
};

/// What is hashed, one part after the other.
using Parts = std::initializer_list<ByteView>;

/// KDF(key, label, salt, info, out.size()). `key` is 32 bytes, the output 16 to 64.
void kdf(ByteSpan out, ByteView key, std::string_view label, ByteView salt16, Parts info);
/// The same of `size` bytes, 32 or 64, for keys that live: guarded memory costs several system calls.
Secret derive(ByteView key, std::string_view label, ByteView salt16, ByteView info, size_t size);
/// H of the parts, one after the other.
Id32 hash_parts(Parts parts);
/// H(x): unkeyed BLAKE2b-256.
Id32 hash256(ByteView bytes);

/// Seal and its inverse. Errors of open: corrupt.
Bytes seal(ByteView key, std::string_view label, ByteView associated_data, ByteView message);
Result<Secret> open_sealed(ByteView key, std::string_view label, ByteView associated_data, ByteView sealed);
/// The same in place: `sealed` has the message at kSealTextOffset and room for the tag behind it. `ad` is H(AD).
void seal_in_place(ByteView key, std::string_view label, const Id32& ad, ByteSpan sealed);
/// The same of a message that is elsewhere, or where seal_in_place() has it.
void seal_into(ByteView key, std::string_view label, const Id32& ad, ByteView message, ByteSpan sealed);
/// `out` has sealed.size() - kSealOverhead bytes; after a failure it holds nothing of the message.
bool open_into(ByteView key, std::string_view label, const Id32& ad, ByteView sealed, ByteSpan out);

template <class T>
std::array<uint8_t, sizeof(T)> little_endian(T v) {
  std::array<uint8_t, sizeof(T)> out;
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(v >> (8 * i));
  return out;
}

}  // namespace tain::store
