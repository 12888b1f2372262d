// SPDX-License-Identifier: Apache-2.0
// For fs/virtual_*.cc: an inode of the virtual tree, and a listing.
#pragma once

#include "fs/virtual_tree.h"

namespace tain::fs {

/// A name in a directory, and what it leads to: which of these, says the kind of directory.
struct VirtualTree::Name {
  std::string name;
  uint8_t type = 0;  // DT_*
  Ino child{};                             // history: of the present
  std::optional<store::PastName> past{};   // of a folder, of the trash
  uint64_t hlc = 0;                        // trash: all of it was there then
  std::shared_ptr<const store::PastState> state{};  // of an entry
  bool is_volatile = false;
};

struct VirtualTree::Listing {
  std::vector<Name> names;
  std::unordered_map<std::string, size_t> by_name;  // of an entry and the trash

  void add(Name name) {
    by_name.emplace(name.name, names.size());
    names.push_back(std::move(name));
  }
};

struct VirtualTree::Node : std::enable_shared_from_this<Node> {
  Key key;
  Ino ino{};
  Ino parent{};      // who it was reached from, for ..
  store::Attr attr;  // guarded by the tree's mutex where it is volatile
  std::string text;  // of status.json; of an entry the extension of its states' names
  store::Time ctime;  // of the inode as long as it still has this state; guarded
  std::shared_ptr<const store::PastState> state;  // guarded
  std::shared_ptr<const Listing> listing;         // of who is reading the directory; guarded

  bool is_directory() const;
};

}  // namespace tain::fs
