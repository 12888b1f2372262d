// SPDX-License-Identifier: Apache-2.0
#include "store/acl.h"

#include <algorithm>

#include "base/check.h"

namespace tain::store {
namespace {

constexpr uint32_t kVersion = 2;
constexpr size_t kEntrySize = 8;  // bytes
constexpr uint32_t kNoId = 0xffffffff;
constexpr uint16_t kAll = 7;

Error not_an_acl() {
  return Error(Code::invalid_argument, "not an access control list");
}

}  // namespace

Result<Acl> Acl::parse(ByteView value) {
  if (value.size() > kAclMax) return Error(Code::no_space, "an access control list has at most 511 entries");
  Reader r(value);
  const uint32_t version = r.u32();
  if (r.failed() || r.remaining() % kEntrySize != 0) return not_an_acl();
  if (version != kVersion) return Error(Code::unsupported, "unknown version of an access control list");
  Acl acl;
  while (r.remaining() > 0) {
    const uint16_t tag = r.u16();
    const uint16_t permissions = r.u16();
    acl.entries_.push_back({.tag = static_cast<Tag>(tag), .permissions = permissions, .id = r.u32()});
  }
  if (!is_valid(acl.entries_)) return not_an_acl();
  return acl;
}

/// Each class once, named users and groups between them, and a mask where anybody is named. As in Linux the named ones
/// may stand in any order.
bool Acl::is_valid(const std::vector<Entry>& entries) {
  const auto count = [&](Tag tag) {
    return std::count_if(entries.begin(), entries.end(), [tag](const Entry& entry) { return entry.tag == tag; });
  };
  const auto in_order = [](const Entry& a, const Entry& b) {
    const bool is_named = a.tag == Tag::user || a.tag == Tag::named_group;
    return a.tag < b.tag || (a.tag == b.tag && is_named);
  };
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].permissions > kAll) return false;
    if (i > 0 && !in_order(entries[i - 1], entries[i])) return false;
  }
  const auto named = count(Tag::user) + count(Tag::named_group);
  const auto classes = count(Tag::owner) + count(Tag::group) + count(Tag::others);
  const auto masks = count(Tag::mask);
  return classes == 3 && (named == 0 || masks == 1) && static_cast<size_t>(named + classes + masks) == entries.size();
}

Bytes Acl::encode() const {
  Bytes out;
  Writer w(out);
  w.u32(kVersion);
  for (const Entry& entry : entries_) {
    const bool is_named = entry.tag == Tag::user || entry.tag == Tag::named_group;
    w.u16(static_cast<uint16_t>(entry.tag)).u16(entry.permissions).u32(is_named ? entry.id : kNoId);
  }
  return out;
}

const Acl::Entry* Acl::find(Tag tag) const {
  for (const Entry& entry : entries_)
    if (entry.tag == tag) return &entry;
  return nullptr;
}

Acl::Entry* Acl::find(Tag tag) {
  return const_cast<Entry*>(std::as_const(*this).find(tag));
}

Acl::Entry& Acl::group_class() {
  Entry* mask = find(Tag::mask);
  return mask != nullptr ? *mask : *find(Tag::group);
}

uint32_t Acl::applied_to(uint32_t mode) const {
  const Entry* mask = find(Tag::mask);
  const Entry* group = mask != nullptr ? mask : find(Tag::group);
  return (mode & ~uint32_t{0777}) | static_cast<uint32_t>(find(Tag::owner)->permissions << 6) |
         static_cast<uint32_t>(group->permissions << 3) | find(Tag::others)->permissions;
}

void Acl::set_mode(uint32_t mode) {
  find(Tag::owner)->permissions = mode >> 6 & kAll;
  group_class().permissions = mode >> 3 & kAll;
  find(Tag::others)->permissions = mode & kAll;
}

void Acl::rename(const std::function<uint32_t(uint32_t)>& user, const std::function<uint32_t(uint32_t)>& group) {
  for (Entry& entry : entries_) {
    if (entry.tag == Tag::user) entry.id = user(entry.id);
    if (entry.tag == Tag::named_group) entry.id = group(entry.id);
  }
}

uint32_t Acl::inherit(uint32_t mode) {
  find(Tag::owner)->permissions &= static_cast<uint16_t>(mode >> 6);
  group_class().permissions &= static_cast<uint16_t>(mode >> 3);
  find(Tag::others)->permissions &= static_cast<uint16_t>(mode);
  return applied_to(mode);
}

}  // namespace tain::store
