// SPDX-License-Identifier: Apache-2.0
// What store/tree.cc and store/tree_xattrs.cc share. The caller has the working set's mutex.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "store/working_set.h"

namespace tain::store {

inline void touch_inode(WorkingSet& set, CachedInode& inode, Time now) {
  inode.record.ctime = now;
  set.touch(inode);
}

/// Attributes of a clean inode are not kept: the cache of inodes is bounded by their number.
inline void release_xattrs(CachedInode& inode) {
  if (inode.lru) inode.xattrs.reset();
}

inline void put_xattr(WorkingSet& set, CachedInode& inode, Xattrs& xattrs, std::string_view name, Bytes value) {
  xattrs[std::string(name)] = std::move(value);
  inode.record.flags |= kInodeHasXattrs;
  set.touch_xattrs(inode);
}

}  // namespace tain::store
