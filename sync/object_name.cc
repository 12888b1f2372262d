// SPDX-License-Identifier: Apache-2.0
#include "sync/object_name.h"

namespace tain::sync {

namespace {

constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";

}  // namespace

std::string_view folder_name(ObjectFolder folder) {
  switch (folder) {
    case ObjectFolder::headers: return "k";
    case ObjectFolder::announcements: return "w";
    case ObjectFolder::objects: return "o";
  }
  return "";
}

std::string base32(const Id32& bytes) {
  std::string out;
  out.reserve(kObjectIdSize);
  uint32_t buffer = 0;
  int bits = 0;
  for (const uint8_t byte : bytes) {
    buffer = (buffer << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) out += kAlphabet[(buffer >> (bits - 5)) & 31];
    buffer &= (1u << bits) - 1;
  }
  out += kAlphabet[(buffer << (5 - bits)) & 31];
  return out;
}

std::optional<Id32> parse_base32(std::string_view text) {
  if (text.size() != kObjectIdSize) return std::nullopt;
  Id32 out{};
  size_t at = 0;
  uint32_t buffer = 0;
  int bits = 0;
  for (const char c : text) {
    const size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    buffer = (buffer << 5) | static_cast<uint32_t>(digit);
    bits += 5;
    if (bits >= 8) {
      out[at++] = static_cast<uint8_t>(buffer >> (bits - 8));
      bits -= 8;
      buffer &= (1u << bits) - 1;
    }
  }
  // One text for each value: the bits that are left say nothing.
  if (buffer != 0) return std::nullopt;
  return out;
}

std::string ObjectName::path() const {
  std::string out(folder_name(folder));
  const std::string text = base32(id);
  out += '/';
  if (folder == ObjectFolder::objects) out.append(text, 0, kShardSize) += '/';
  return out += text;
}

std::optional<ObjectName> ObjectName::parse(std::string_view path) {
  for (const ObjectFolder folder : kObjectFolders) {
    const std::string_view name = folder_name(folder);
    if (!path.starts_with(name) || path.substr(name.size(), 1) != "/") continue;
    std::string_view rest = path.substr(name.size() + 1);
    std::string_view shard;
    if (folder == ObjectFolder::objects) {
      if (rest.size() < 3 || rest[2] != '/') return std::nullopt;
      shard = rest.substr(0, 2);
      rest.remove_prefix(3);
    }
    const auto id = parse_base32(rest);
    if (!id.has_value() || !rest.starts_with(shard)) return std::nullopt;
    return ObjectName{folder, *id};
  }
  return std::nullopt;
}

}  // namespace tain::sync
