// SPDX-License-Identifier: Apache-2.0
// POSIX access control lists: what they do to a mode, and a mode to them.
//
// An ACL is kept as an extended attribute in Linux's form (version 2), which is what the kernel sends and asks for; the
// kernel checks permissions with it. A list that says no more than the mode is not kept. The group bits of the mode of
// a file with a list are its mask. Source: IEEE 1003.1e draft 17, acl(5).
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/types.h"

namespace tain::store {

inline constexpr std::string_view kAclAccess = "system.posix_acl_access";
inline constexpr std::string_view kAclDefault = "system.posix_acl_default";
inline constexpr size_t kAclMax = 4096;  // bytes: all that Linux reads of one

inline bool is_acl_name(std::string_view name) {
  return name == kAclAccess || name == kAclDefault;
}

class Acl {
 public:
  /// Errors: unsupported (another version), invalid_argument, no_space (longer than kAclMax).
  static Result<Acl> parse(ByteView value);
  Bytes encode() const;

  /// Whether it says no more than the nine permission bits do.
  bool is_minimal() const { return entries_.size() == 3; }
  /// `mode` with the permission bits that this list means.
  uint32_t applied_to(uint32_t mode) const;
  /// What chmod(2) does: owner, mask (or group where there is no mask) and others become those of `mode`.
  void set_mode(uint32_t mode);
  /// Makes a folder's default list the list of something that is made in it with `mode`: neither grants what the
  /// other does not. Yields the mode that results.
  uint32_t inherit(uint32_t mode);
  /// Puts others in the place of the users and groups that it names.
  void rename(const std::function<uint32_t(uint32_t)>& user, const std::function<uint32_t(uint32_t)>& group);

 private:
  enum class Tag : uint16_t { owner = 1, user = 2, group = 4, named_group = 8, mask = 16, others = 32 };
  struct Entry {
    Tag tag;
    uint16_t permissions;  // rwx
    uint32_t id;           // of a user or group
  };
  static bool is_valid(const std::vector<Entry>& entries);
  Entry* find(Tag tag);
  const Entry* find(Tag tag) const;
  /// The entry that the group bits of the mode stand for.
  Entry& group_class();

  std::vector<Entry> entries_;
};

}  // namespace tain::store
