// SPDX-License-Identifier: Apache-2.0
// Remembers results of the password hash: thousands of crash states have the same few passwords and salts, and even
// the cheapest hash that the format allows takes longer than all the rest of opening a state. The function takes the
// place of libsodium's in this test program; nothing of the store is changed for it.
#include <dlfcn.h>

#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "base/check.h"

extern "C" int crypto_pwhash_argon2id(unsigned char* out, unsigned long long out_size, const char* password,
                                      unsigned long long password_size, const unsigned char* salt,
                                      unsigned long long passes, size_t memory, int algorithm) {
  constexpr size_t kSaltSize = 16;
  static std::mutex mutex;
  static std::map<std::tuple<std::string, std::string, unsigned long long, size_t, unsigned long long>, std::string>
      memo;
  static const auto real =
      reinterpret_cast<decltype(&crypto_pwhash_argon2id)>(dlsym(RTLD_NEXT, "crypto_pwhash_argon2id"));
  CHECK(real != nullptr);

  std::lock_guard lock(mutex);
  std::string& known = memo[{{password, static_cast<size_t>(password_size)},
                             {reinterpret_cast<const char*>(salt), kSaltSize},
                             passes,
                             memory,
                             out_size}];
  if (known.empty()) {
    const int failed = real(out, out_size, password, password_size, salt, passes, memory, algorithm);
    if (failed == 0) known.assign(reinterpret_cast<const char*>(out), static_cast<size_t>(out_size));
    return failed;
  }
  std::memcpy(out, known.data(), known.size());
  return 0;
}
