// SPDX-License-Identifier: Apache-2.0
// The oracle of the model test: a file system in a std::map, simple enough to be right by inspection.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/tree.h"
#include "store/types.h"

namespace tain::test {

/// Copying it takes a snapshot; file data is shared until written.
class Oracle {
 public:
  struct Node {
    uint32_t mode = 0;
    uint32_t nlink = 0;
    uint64_t parent = 0;  // directories
    std::string symlink;
    std::shared_ptr<const std::string> data = std::make_shared<std::string>();
    std::map<std::string, std::string> xattrs;
    std::map<std::string, uint64_t> children;
    bool is_directory() const { return S_ISDIR(mode); }
  };
  using Outcome = std::optional<Code>;  // nothing: success

  Oracle() { nodes_[1] = {.mode = S_IFDIR | 0700, .nlink = 2, .parent = 1, .symlink = {}, .xattrs = {}, .children = {}}; }

  const std::map<uint64_t, Node>& nodes() const { return nodes_; }
  const Node* find(uint64_t ino) const;

  Outcome can_make(uint64_t directory, const std::string& name) const;
  void make(uint64_t directory, const std::string& name, uint64_t ino, uint32_t mode, const std::string& symlink);
  Outcome link(uint64_t ino, uint64_t directory, const std::string& name);
  Outcome unlink(uint64_t directory, const std::string& name);
  Outcome rmdir(uint64_t directory, const std::string& name);
  Outcome rename(uint64_t from_directory, const std::string& from, uint64_t to_directory, const std::string& to,
                 store::RenameMode mode);
  /// After a rename that left a whiteout: `from` is free, and gets it.
  void make_whiteout(uint64_t directory, const std::string& from, uint64_t ino);
  Outcome write(uint64_t ino, uint64_t offset, const std::string& data);
  Outcome resize(uint64_t ino, uint64_t size);
  Outcome zero(uint64_t ino, uint64_t offset, uint64_t length, bool extend);
  void set_mode(uint64_t ino, uint32_t mode);
  /// An ACL with one named user, in which owner, mask and others have the permissions `bits`.
  void set_acl(uint64_t ino, store::AclKind kind, uint32_t bits);
  static std::string acl(uint32_t bits);
  Outcome set_xattr(uint64_t ino, const std::string& name, const std::string& value, store::XattrMode mode);
  Outcome remove_xattr(uint64_t ino, const std::string& name);
  void reap(uint64_t ino);
  /// What opening a store does: whatever has no name is gone.
  void reap_all();

 private:
  bool is_inside(uint64_t directory, uint64_t ancestor) const;
  void drop(uint64_t ino);
  std::map<uint64_t, Node> nodes_;
};

}  // namespace tain::test
