// SPDX-License-Identifier: Apache-2.0
#include "store/kdf.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <limits>
#include <string>

#include "base/check.h"
#include "base/file.h"

namespace tain::store {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr size_t kSaltSize = 16;
constexpr size_t kKdfKeySize = 32;
constexpr size_t kKeyfileBufferSize = 4096;  // bytes
constexpr size_t kStackWiped = 4096;  // bytes of dead stack frames overwritten after Argon2id and BLAKE2b
static_assert(kSaltSize == crypto_pwhash_argon2id_SALTBYTES);
static_assert(kKdfMemoryMax <= crypto_pwhash_argon2id_MEMLIMIT_MAX);

std::string mebibytes(uint64_t bytes) {
  return std::to_string(bytes / kMiB) + " MiB";
}

uint64_t three_quarters(uint64_t bytes) {
  return bytes - bytes / 4;
}

/// Length of the UTF-8 sequence that `text` starts with; 0 when it is none (RFC 3629: shortest form only, no
/// surrogates, nothing above U+10FFFF).
size_t utf8_length(ByteView text) {
  const uint8_t lead = text[0];
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((text[i] & 0xc0) != 0x80) return 0;
  const uint8_t second = text[1];
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool surrogate = lead == 0xed && second > 0x9f;
  const bool too_high = lead == 0xf4 && second > 0x8f;
  return overlong || surrogate || too_high ? 0 : length;
}

}  // namespace

Result<> check_kdf_bounds(const KdfCost& cost) {
  if (cost.passes < kKdfFloor.passes || cost.memory_bytes < kKdfFloor.memory_bytes)
    return Error(Code::invalid_argument, "the password cost is below 2 passes or 64 MiB: guessing would be cheap");
  // passes < 2^32 and memory ≤ 2^32, so the product fits.
  if (cost.memory_bytes > kKdfMemoryMax || cost.passes * cost.memory_bytes > kKdfWorkMax * kMiB)
    return Error(Code::invalid_argument, "the password cost is above 4 GiB, or above 65536 passes × MiB");
  return {};
}

Result<> check_kdf_cost(const KdfCost& cost, uint64_t available_bytes) {
  TRY(check_kdf_bounds(cost));
  if (cost.memory_bytes > three_quarters(available_bytes))
    return Error(Code::memory, "the password needs " + mebibytes(cost.memory_bytes) +
                                   " of memory for a moment, but only " + mebibytes(available_bytes) + " are available")
        .hint("close some programs and try again");
  return {};
}

Result<> check_kdf_cost(const KdfCost& cost) {
  return check_kdf_cost(cost, available_memory_bytes());
}

uint64_t available_memory_bytes() {
  constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();
  std::ifstream meminfo("/proc/meminfo");
  std::string name, unit;
  uint64_t kibibytes = 0;
  while (meminfo >> name >> kibibytes) {
    if (name == "MemAvailable:") return kibibytes > kUnknown / 1024 ? kUnknown : kibibytes * 1024;
    std::getline(meminfo, unit);
  }
  return kUnknown;
}

KdfCost choose_kdf_cost(double seconds, double bytes_per_second, uint64_t available_bytes) {
  if (!(seconds > 0)) return kKdfFloor;
  // Half, where opening allows three quarters: the vault must still open on a busier day.
  const uint64_t comfortable = std::min(kKdfCalibratedMemoryMax, available_bytes / 2);
  const uint64_t wanted_least = std::min(kKdfDefault.memory_bytes, three_quarters(available_bytes));
  const uint64_t most = std::max({comfortable, wanted_least, kKdfFloor.memory_bytes}) / kMiB * kMiB;
  const uint64_t least = std::min(kKdfDefault.memory_bytes, most);

  const double most_work = static_cast<double>(kKdfWorkMax * kMiB);
  const double work = std::clamp(seconds * bytes_per_second, 0.0, most_work);  // bytes filled, over all passes
  KdfCost cost;
  const uint64_t memory = static_cast<uint64_t>(work / kKdfDefault.passes) / kMiB * kMiB;
  cost.memory_bytes = std::clamp(memory, least, most);
  cost.passes = std::max(kKdfDefault.passes, static_cast<uint32_t>(work / static_cast<double>(cost.memory_bytes)));
  return cost;
}

KdfCost calibrate_kdf(double seconds) {
  if (!(seconds > 0)) return kKdfFloor;
  using Clock = std::chrono::steady_clock;
  const std::array<uint8_t, kSaltSize> salt{};
  const Clock::time_point start = Clock::now();
  auto key = derive_password_key(as_bytes("calibration"), salt, kKdfFloor);
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  if (!key.ok()) return kKdfFloor;  // not even that much memory: making the slot will say so
  const double work = static_cast<double>(kKdfFloor.passes * kKdfFloor.memory_bytes);
  return choose_kdf_cost(seconds, work / std::max(elapsed, 1e-6), available_memory_bytes());
}

Result<> check_password(ByteView password) {
  if (password.empty())
    return Error(Code::empty_password, "the password is empty").hint("an empty password would protect nothing");
  if (password.size() > kPasswordMax)
    return Error(Code::invalid_argument, "the password is longer than " + std::to_string(kPasswordMax) + " bytes");
  while (!password.empty()) {
    const size_t length = utf8_length(password);
    if (length == 0)
      return Error(Code::invalid_argument, "the password is not valid UTF-8")
          .hint("use a UTF-8 terminal; for random bytes use a text form such as base64");
    password = password.subspan(length);
  }
  return {};
}

Result<Secret> hash_keyfile(const std::string& path) {
  // O_NONBLOCK: a FIFO must not block.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return errno_error(errno, "open keyfile " + path);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return errno_error(errno, path);
  if (!S_ISREG(st.st_mode)) return Error(Code::invalid_argument, "keyfile " + path + " is not a regular file");

  static_assert(sizeof(crypto_generichash_state) % alignof(crypto_generichash_state) == 0, "Secret ends on a page");
  Secret state(sizeof(crypto_generichash_state));
  auto* hash = reinterpret_cast<crypto_generichash_state*>(state.span().data());
  crypto_generichash_init(hash, nullptr, 0, kKdfKeySize);
  Secret buffer(kKeyfileBufferSize);
  size_t total = 0;
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer.span().data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read keyfile " + path);
    if (n == 0) break;
    total += static_cast<size_t>(n);
    if (total > kKeyfileSizeMax) return Error(Code::too_large, "keyfile " + path + " is larger than 64 MiB");
    crypto_generichash_update(hash, buffer.view().data(), static_cast<size_t>(n));
  }
  if (total < kKeyfileSizeMin)
    return Error(Code::invalid_argument, "keyfile " + path + " is shorter than 32 bytes").hint("a keyfile must not be guessed");
  Secret out(kKdfKeySize);
  crypto_generichash_final(hash, out.span().data(), out.size());
  sodium_stackzero(kStackWiped);
  return out;
}

Result<Secret> derive_password_key(ByteView password, ByteView salt16, const KdfCost& cost) {
  CHECK(salt16.size() == kSaltSize);
  TRY(check_kdf_cost(cost));
  Secret key(kKdfKeySize);
  const int failed = crypto_pwhash_argon2id(
      key.span().data(), key.size(), reinterpret_cast<const char*>(password.data()), password.size(), salt16.data(),
      cost.passes, static_cast<size_t>(cost.memory_bytes), crypto_pwhash_ALG_ARGON2ID13);
  sodium_stackzero(kStackWiped);
  if (failed != 0)
    return Error(Code::memory, "the password needs " + mebibytes(cost.memory_bytes) +
                                   " of memory for a moment, and there is not enough")
        .hint("close some programs and try again");
  return key;
}

}  // namespace tain::store
