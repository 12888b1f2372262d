// SPDX-License-Identifier: Apache-2.0
// "Random" bytes that are known beforehand, for worked examples and known answers.
#pragma once

#include <sodium.h>

#include <cstdint>

namespace tain::test {

/// While one lives, "random" bytes are a0, a1, a2 … from its beginning. One at a time, and one thread.
class FixedRandom {
 public:
  FixedRandom() {
    next = 0xa0;
    static randombytes_implementation fixed = {
        .implementation_name = [] { return "fixed"; },
        .random = [] { return uint32_t{4}; },
        .stir = nullptr,
        .uniform = nullptr,
        .buf = [](void* const out, const size_t size) {
          for (size_t i = 0; i < size; ++i) static_cast<uint8_t*>(out)[i] = next++;
        },
        .close = nullptr,
    };
    randombytes_set_implementation(&fixed);
  }
  ~FixedRandom() { randombytes_set_implementation(&randombytes_sysrandom_implementation); }
  FixedRandom(const FixedRandom&) = delete;
  FixedRandom& operator=(const FixedRandom&) = delete;

 private:
  static inline uint8_t next = 0;
};

}  // namespace tain::test
