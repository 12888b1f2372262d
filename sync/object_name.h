// SPDX-License-Identifier: Apache-2.0
// Names of objects on a remote: fixed in length, lower case, without meaning (docs/remote-protocol.md §2).
#pragma once

#include <array>
#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"

namespace tain::sync {

/// The folders of a remote: `k/` headers, `w/` announcements, `o/` everything else.
enum class ObjectFolder : uint8_t { headers, announcements, objects };
inline constexpr std::array kObjectFolders{ObjectFolder::headers, ObjectFolder::announcements, ObjectFolder::objects};

struct ObjectName {
  ObjectFolder folder = ObjectFolder::objects;
  Id32 id{};
  auto operator<=>(const ObjectName&) const = default;

  /// "o/ab/abcd…", relative to the remote's root. Only of lower-case letters, digits and slashes.
  std::string path() const;
  /// The inverse; nothing if `path` is none of ours. Any bytes may come in.
  static std::optional<ObjectName> parse(std::string_view path);
};

/// "k", "w" or "o".
std::string_view folder_name(ObjectFolder folder);

inline constexpr size_t kObjectIdSize = 52;  // characters of base32()
inline constexpr size_t kShardSize = 2;      // of them, that name the folder in `o/`

/// 32 bytes as 52 characters: the base32 of RFC 4648 in lower case, without padding.
std::string base32(const Id32& bytes);
/// Exactly what base32() makes, and nothing else.
std::optional<Id32> parse_base32(std::string_view text);

}  // namespace tain::sync
