// SPDX-License-Identifier: Apache-2.0
// A namespace that fits together, out of what a catalog has: what repair and salvage have in common.
#pragma once

#include <string>
#include <vector>

#include "store/catalog.h"

namespace tain::store {

inline constexpr char kLostAndFound[] = "lost+found";  // in the root: entries whose names are lost

struct Mended {
  std::vector<std::string> remarks;  // what was changed, one line each
  std::vector<Finding> lost;         // names without inodes
  std::vector<Dirent> new_names;     // in lost+found, and that of lost+found itself
  std::vector<Inode> new_inodes;     // lost+found; directories whose own records are lost
  uint64_t lost_and_found = 0;       // the number of that folder; 0: it is not needed
  uint64_t next_ino = 0;
};

/// Changes `catalog` until every name leads to an inode and every inode has a name: names without inodes go, entries
/// without names move to lost+found, and so do directories inside one another; of several names of a directory one
/// stays; lost directories that still have entries are made anew. `keep` are inodes that
/// will be there although they are not now.
Mended mend_names(Catalog& catalog, const std::set<uint64_t>& keep, Time now);

/// The folder lost+found, which is made now where mend_names() did not need it.
Ino lost_and_found(Catalog& catalog, Mended& mended, Time now);

/// Link count, number of entries and parent as the names have them. True when something had to be changed.
bool mend_counts(const Catalog& catalog, Inode& inode);

}  // namespace tain::store
