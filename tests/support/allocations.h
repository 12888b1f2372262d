// SPDX-License-Identifier: Apache-2.0
// What a test program takes from the heap: operator new is counted.
#pragma once

#include <cstddef>

namespace tain::test {

/// The largest piece that this thread took from the heap at once while this object lives. One at a time in a thread.
class LargestAllocation {
 public:
  LargestAllocation();
  ~LargestAllocation();
  LargestAllocation(const LargestAllocation&) = delete;
  LargestAllocation& operator=(const LargestAllocation&) = delete;
  size_t bytes() const;
};

}  // namespace tain::test
