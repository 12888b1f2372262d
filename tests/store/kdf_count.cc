// SPDX-License-Identifier: Apache-2.0
// The function takes the place of libsodium's in this test program; nothing of the store is changed for it.
#include "tests/store/kdf_count.h"

#include <dlfcn.h>

#include <atomic>

#include "base/check.h"

namespace {
std::atomic<size_t> runs{0};
}

extern "C" int crypto_pwhash_argon2id(unsigned char* out, unsigned long long out_size, const char* password,
                                      unsigned long long password_size, const unsigned char* salt,
                                      unsigned long long passes, size_t memory, int algorithm) {
  static const auto real =
      reinterpret_cast<decltype(&crypto_pwhash_argon2id)>(dlsym(RTLD_NEXT, "crypto_pwhash_argon2id"));
  CHECK(real != nullptr);
  ++runs;
  return real(out, out_size, password, password_size, salt, passes, memory, algorithm);
}

size_t tain::test::kdf_runs() { return runs; }
