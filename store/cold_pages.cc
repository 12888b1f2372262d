// SPDX-License-Identifier: Apache-2.0
#include "store/cold_pages.h"

#include <fcntl.h>

namespace tain::store {

void ColdPages::add(uint64_t page, uint64_t count) {
  // What is put together mostly lies together: one call for all of it.
  if (!ranges_.empty() && ranges_.back().end == page)
    ranges_.back().end += count;
  else
    ranges_.push_back({page, page + count});
}

void ColdPages::drop(int fd, size_t page_size) const {
  for (const Range& range : ranges_)
    ::posix_fadvise(fd, static_cast<off_t>(range.begin * page_size),
                    static_cast<off_t>((range.end - range.begin) * page_size), POSIX_FADV_DONTNEED);
}

}  // namespace tain::store
