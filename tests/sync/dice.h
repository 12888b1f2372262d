// SPDX-License-Identifier: Apache-2.0
// Numbers that look random and are the same for the same seed, on every machine (SplitMix64, Steele et al. 2014).
#pragma once

#include <cstddef>
#include <cstdint>

namespace tain::test {

class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// 0 … limit − 1.
  size_t below(size_t limit) { return static_cast<size_t>(next() % limit); }
  bool chance(size_t percent) { return below(100) < percent; }
  /// One of `range`, which is not empty.
  template <class Range>
  auto& any(Range& range) {
    return range[below(range.size())];
  }

 private:
  uint64_t state_;
};

}  // namespace tain::test
