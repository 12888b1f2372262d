// SPDX-License-Identifier: Apache-2.0
// The function takes the place of libsodium's in test programs; nothing of the store is changed for it.
#include "tests/support/kdf_memo.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "base/check.h"

namespace {

constexpr size_t kSaltSize = 16;
constexpr size_t kRemembered = 256;

using Question = std::tuple<std::string, std::string, unsigned long long, size_t, unsigned long long>;
std::atomic<size_t> runs{0};
std::mutex mutex;
std::map<Question, std::vector<unsigned char>> answers;  // guarded by mutex

}  // namespace

extern "C" int crypto_pwhash_argon2id(unsigned char* out, unsigned long long out_size, const char* password,
                                      unsigned long long password_size, const unsigned char* salt,
                                      unsigned long long passes, size_t memory, int algorithm) {
  static const auto real =
      reinterpret_cast<decltype(&crypto_pwhash_argon2id)>(dlsym(RTLD_NEXT, "crypto_pwhash_argon2id"));
  CHECK(real != nullptr);
  ++runs;
  const Question question{std::string(password, password_size), std::string(reinterpret_cast<const char*>(salt), kSaltSize),
                          passes, memory, out_size};
  {
    std::lock_guard lock(mutex);
    if (const auto found = answers.find(question); found != answers.end()) {
      std::copy(found->second.begin(), found->second.end(), out);
      return 0;
    }
  }
  const int status = real(out, out_size, password, password_size, salt, passes, memory, algorithm);
  if (status != 0) return status;
  std::lock_guard lock(mutex);
  if (answers.size() >= kRemembered) answers.clear();
  answers.emplace(question, std::vector<unsigned char>(out, out + out_size));
  return 0;
}

size_t tain::test::kdf_runs() { return runs; }
