// SPDX-License-Identifier: Apache-2.0
// Password to key: Argon2id with bounded, calibrated cost.
//
// The cost stands in the header, which anybody may have written: a low one would make guessing cheap
// for them, a high one would exhaust this machine. So bounds come before work (docs/format.md §3).
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace tain::store {

/// Cost of Argon2id (RFC 9106; one lane, as libsodium has it).
struct KdfCost {
  uint32_t passes = 0;
  uint64_t memory_bytes = 0;
  bool operator==(const KdfCost&) const = default;
};

inline constexpr KdfCost kKdfFloor{2, uint64_t{64} << 20};
inline constexpr KdfCost kKdfDefault{3, uint64_t{256} << 20};
inline constexpr uint64_t kKdfMemoryMax = uint64_t{4} << 30;            // bytes
inline constexpr uint64_t kKdfCalibratedMemoryMax = uint64_t{1} << 30;  // bytes
inline constexpr uint64_t kKdfWorkMax = 65536;                          // passes × MiB
inline constexpr size_t kPasswordMax = 1024;                            // bytes

/// Whether the format allows this cost, on any machine. Errors: invalid_argument.
Result<> check_kdf_bounds(const KdfCost& cost);
/// check_kdf_bounds, and that the memory is at most 75 % of `available_bytes`. Errors: invalid_argument, memory.
Result<> check_kdf_cost(const KdfCost& cost, uint64_t available_bytes);
/// The same with the memory that is available now.
Result<> check_kdf_cost(const KdfCost& cost);

/// Bytes that can be allocated without swapping (MemAvailable of /proc/meminfo); the largest number when unknown.
uint64_t available_memory_bytes();

/// A cost that takes about `seconds` on this machine, within the floor and 1 GiB; 0 gives the floor.
/// With a positive time the result is never below kKdfDefault, unless memory is too small for it.
/// Takes a fraction of a second to measure.
KdfCost calibrate_kdf(double seconds);
/// The choice that calibrate_kdf makes when Argon2id fills `bytes_per_second` (over all passes).
/// Memory is raised first, up to 1 GiB or half of what is available, then passes.
KdfCost choose_kdf_cost(double seconds, double bytes_per_second, uint64_t available_bytes);

/// 1…1024 bytes of valid UTF-8. Errors: empty_password, invalid_argument.
Result<> check_password(ByteView password);
inline constexpr size_t kKeyfileSizeMin = 32;                // bytes
inline constexpr size_t kKeyfileSizeMax = size_t{64} << 20;  // bytes
/// hash256 of the content of a regular file, which is in no ordinary memory meanwhile.
/// Errors: invalid_argument (no regular file, or too short), too_large, not_found, access_denied, io.
Result<Secret> hash_keyfile(const std::string& path);

/// 32 bytes. Errors: memory, invalid_argument (cost out of bounds).
Result<Secret> derive_password_key(ByteView password, ByteView salt16, const KdfCost& cost);

}  // namespace tain::store
