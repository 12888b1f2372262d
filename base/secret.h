// SPDX-License-Identifier: Apache-2.0
// Memory for passwords and keys: locked, guarded, left out of core dumps, wiped on release.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/result.h"

namespace tain {

/// Readies the cryptographic library. Call once, before anything else of tain, in every process.
Result<> init_crypto();

/// A byte string in guarded memory (libsodium's sodium_malloc: guard pages, mlock, MADV_DONTDUMP,
/// zeroed on free). Move-only. Never converts to std::string and is never logged.
/// Where the lock limit is exhausted the memory works but may be swapped; `all_locked()` tells.
class Secret {
 public:
  Secret() = default;
  /// A zeroed secret of `size` bytes.
  explicit Secret(size_t size);
  static Secret copy_of(ByteView bytes);
  /// `size` bytes from the system's random number generator.
  static Secret random(size_t size);
  ~Secret();
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  ByteView view() const { return {data_, size_}; }
  ByteSpan span() { return {data_, size_}; }
  /// Shortens to the first `size` bytes; the rest is wiped.
  void shrink(size_t size);
  /// Equal length and bytes, in constant time for equal lengths.
  bool equals(const Secret& other) const;
  Secret clone() const { return copy_of(view()); }

  /// False once any secret of this process could not be locked into memory.
  static bool all_locked();

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

/// Overwrites `bytes` with zeros; the compiler cannot remove it.
void wipe(ByteSpan bytes);
/// Constant-time comparison of equally long byte strings.
bool equal_constant_time(ByteView a, ByteView b);
void fill_random(ByteSpan bytes);

template <size_t N>
std::array<uint8_t, N> random_array() {
  std::array<uint8_t, N> out;
  fill_random(out);
  return out;
}
inline uint64_t random_u64() {
  auto bytes = random_array<8>();
  return load_be64(bytes.data());
}

}  // namespace tain
