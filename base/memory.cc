// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <malloc.h>

namespace tain {

void share_one_heap() {
#ifdef __GLIBC__
  constexpr int kMappedFrom = 32 << 20;  // bytes; the most that it takes
  constexpr int kKept = 128 << 20;
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, kMappedFrom);
  ::mallopt(M_TRIM_THRESHOLD, kKept);
#endif
}

void return_freed_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace tain
