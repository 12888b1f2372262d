// SPDX-License-Identifier: Apache-2.0
#include "tests/support/allocations.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local bool is_watching = false;
thread_local size_t largest = 0;  // bytes

}  // namespace

// These take the place of the C++ library's. The other forms of new and delete go through them, but for those of
// sanitizers, which pair them by themselves: there nothing is watched.
#ifndef TAIN_SANITIZED_TESTS

void* operator new(size_t size) {
  if (is_watching) largest = std::max(largest, size);
  void* memory = std::malloc(std::max(size, size_t{1}));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

#endif

namespace tain::test {

LargestAllocation::LargestAllocation() {
  largest = 0;
  is_watching = true;
}

LargestAllocation::~LargestAllocation() { is_watching = false; }

size_t LargestAllocation::bytes() const { return largest; }

}  // namespace tain::test
