// SPDX-License-Identifier: Apache-2.0
#include "tests/model/oracle.h"

#include <algorithm>

namespace tain::test {

using store::RenameMode;
using store::XattrMode;

namespace {

const std::string kAccessAcl = "system.posix_acl_access";
const std::string kDefaultAcl = "system.posix_acl_default";

/// The permissions of owner, mask and others in a list that Oracle::acl made.
uint32_t bits_of(const std::string& list) {
  const auto at = [&](size_t entry) { return static_cast<uint32_t>(static_cast<uint8_t>(list[4 + 8 * entry + 2])); };
  return at(0) << 6 | at(3) << 3 | at(4);
}

}  // namespace

const Oracle::Node* Oracle::find(uint64_t ino) const {
  auto it = nodes_.find(ino);
  return it == nodes_.end() ? nullptr : &it->second;
}

Oracle::Outcome Oracle::can_make(uint64_t directory, const std::string& name) const {
  const Node* parent = find(directory);
  if (parent == nullptr) return Code::not_found;
  if (!parent->is_directory()) return Code::not_directory;
  if (parent->nlink == 0) return Code::not_found;
  if (parent->children.contains(name)) return Code::exists;
  return {};
}

void Oracle::make(uint64_t directory, const std::string& name, uint64_t ino, uint32_t mode, const std::string& symlink) {
  Node node;
  node.mode = mode;
  const auto& parent = nodes_[directory].xattrs;
  if (auto list = parent.find(kDefaultAcl); list != parent.end() && !S_ISLNK(mode)) {
    node.mode = (mode & ~uint32_t{0777}) | (mode & bits_of(list->second));
    node.xattrs[kAccessAcl] = acl(node.mode);
    if (S_ISDIR(mode)) node.xattrs[kDefaultAcl] = list->second;
  }
  node.symlink = symlink;
  node.nlink = S_ISDIR(mode) ? 2 : 1;
  node.parent = S_ISDIR(mode) ? directory : 0;
  nodes_[ino] = node;
  nodes_[directory].children[name] = ino;
  if (S_ISDIR(mode)) ++nodes_[directory].nlink;
}

Oracle::Outcome Oracle::link(uint64_t ino, uint64_t directory, const std::string& name) {
  const Node* parent = find(directory);
  if (parent == nullptr) return Code::not_found;
  if (!parent->is_directory()) return Code::not_directory;
  if (parent->nlink == 0) return Code::not_found;
  const Node* node = find(ino);
  if (node == nullptr) return Code::not_found;
  if (node->is_directory()) return Code::not_permitted;
  if (parent->children.contains(name)) return Code::exists;
  ++nodes_[ino].nlink;
  nodes_[directory].children[name] = ino;
  return {};
}

void Oracle::drop(uint64_t ino) {
  Node& node = nodes_[ino];
  node.nlink = node.is_directory() ? 0 : node.nlink - 1;
}

Oracle::Outcome Oracle::unlink(uint64_t directory, const std::string& name) {
  const Node* parent = find(directory);
  if (parent == nullptr) return Code::not_found;
  if (!parent->is_directory()) return Code::not_directory;
  auto it = parent->children.find(name);
  if (it == parent->children.end()) return Code::not_found;
  const uint64_t ino = it->second;
  if (nodes_[ino].is_directory()) return Code::is_directory;
  nodes_[directory].children.erase(name);
  drop(ino);
  return {};
}

Oracle::Outcome Oracle::rmdir(uint64_t directory, const std::string& name) {
  const Node* parent = find(directory);
  if (parent == nullptr) return Code::not_found;
  if (!parent->is_directory()) return Code::not_directory;
  auto it = parent->children.find(name);
  if (it == parent->children.end()) return Code::not_found;
  const uint64_t ino = it->second;
  if (!nodes_[ino].is_directory()) return Code::not_directory;
  if (!nodes_[ino].children.empty()) return Code::not_empty;
  nodes_[directory].children.erase(name);
  --nodes_[directory].nlink;
  drop(ino);
  return {};
}

bool Oracle::is_inside(uint64_t directory, uint64_t ancestor) const {
  for (;; directory = nodes_.at(directory).parent) {
    if (directory == ancestor) return true;
    if (directory == 1) return false;
  }
}

Oracle::Outcome Oracle::rename(uint64_t from_directory, const std::string& from, uint64_t to_directory,
                               const std::string& to, RenameMode mode) {
  const Node* source_parent = find(from_directory);
  const Node* target_parent = find(to_directory);
  if (source_parent == nullptr) return Code::not_found;
  if (!source_parent->is_directory()) return Code::not_directory;
  if (target_parent == nullptr) return Code::not_found;
  if (!target_parent->is_directory()) return Code::not_directory;
  if (target_parent->nlink == 0) return Code::not_found;
  auto source = source_parent->children.find(from);
  if (source == source_parent->children.end()) return Code::not_found;
  const uint64_t moved = source->second;
  auto target = target_parent->children.find(to);
  const bool taken = target != target_parent->children.end();
  const uint64_t replaced = taken ? target->second : 0;
  if (mode == RenameMode::no_replace && taken) return Code::exists;
  if (mode == RenameMode::exchange && !taken) return Code::not_found;
  const bool moves_directory = nodes_[moved].is_directory();
  if (moves_directory && is_inside(to_directory, moved)) return Code::invalid_argument;

  if (mode == RenameMode::exchange) {
    const bool other_directory = nodes_[replaced].is_directory();
    if (other_directory && is_inside(from_directory, replaced)) return Code::invalid_argument;
    nodes_[from_directory].children[from] = replaced;
    nodes_[to_directory].children[to] = moved;
    if (moves_directory) {
      --nodes_[from_directory].nlink;
      ++nodes_[to_directory].nlink;
      nodes_[moved].parent = to_directory;
    }
    if (other_directory) {
      ++nodes_[from_directory].nlink;
      --nodes_[to_directory].nlink;
      nodes_[replaced].parent = from_directory;
    }
    return {};
  }
  if (taken && replaced == moved) return {};
  if (taken) {
    if (moves_directory && !nodes_[replaced].is_directory()) return Code::not_directory;
    if (!moves_directory && nodes_[replaced].is_directory()) return Code::is_directory;
    if (!nodes_[replaced].children.empty()) return Code::not_empty;
    if (nodes_[replaced].is_directory()) --nodes_[to_directory].nlink;
    drop(replaced);
  }
  nodes_[from_directory].children.erase(from);
  nodes_[to_directory].children[to] = moved;
  if (moves_directory) {
    --nodes_[from_directory].nlink;
    ++nodes_[to_directory].nlink;
    nodes_[moved].parent = to_directory;
  }
  return {};
}

Oracle::Outcome Oracle::write(uint64_t ino, uint64_t offset, const std::string& data) {
  std::string bytes = *nodes_.at(ino).data;
  if (bytes.size() < offset + data.size()) bytes.resize(offset + data.size(), '\0');
  bytes.replace(offset, data.size(), data);
  nodes_[ino].data = std::make_shared<const std::string>(std::move(bytes));
  return {};
}

Oracle::Outcome Oracle::resize(uint64_t ino, uint64_t size) {
  std::string bytes = *nodes_.at(ino).data;
  bytes.resize(size, '\0');
  nodes_[ino].data = std::make_shared<const std::string>(std::move(bytes));
  return {};
}

Oracle::Outcome Oracle::zero(uint64_t ino, uint64_t offset, uint64_t length, bool extend) {
  std::string bytes = *nodes_.at(ino).data;
  if (extend && bytes.size() < offset + length) bytes.resize(offset + length, '\0');
  for (uint64_t i = offset; i < std::min<uint64_t>(bytes.size(), offset + length); ++i) bytes[i] = '\0';
  nodes_[ino].data = std::make_shared<const std::string>(std::move(bytes));
  return {};
}

void Oracle::set_mode(uint64_t ino, uint32_t mode) {
  Node& node = nodes_[ino];
  node.mode = (node.mode & S_IFMT) | mode;
  if (node.xattrs.contains(kAccessAcl)) node.xattrs[kAccessAcl] = acl(mode);
}

std::string Oracle::acl(uint32_t bits) {
  const uint32_t entries[][3] = {
      {1, bits >> 6 & 7, 0xffffffff}, {2, 6, 7}, {4, 5, 0xffffffff}, {16, bits >> 3 & 7, 0xffffffff}, {32, bits & 7, 0xffffffff}};
  Bytes out;
  Writer w(out);
  w.u32(2);
  for (const auto& [tag, permissions, id] : entries)
    w.u16(static_cast<uint16_t>(tag)).u16(static_cast<uint16_t>(permissions)).u32(id);
  return std::string(as_text(out));
}

void Oracle::set_acl(uint64_t ino, store::AclKind kind, uint32_t bits) {
  Node& node = nodes_[ino];
  node.xattrs[kind == store::AclKind::access ? kAccessAcl : kDefaultAcl] = acl(bits);
  if (kind == store::AclKind::access) node.mode = (node.mode & ~uint32_t{0777}) | (bits & 0777);
}

void Oracle::make_whiteout(uint64_t directory, const std::string& from, uint64_t ino) {
  make(directory, from, ino, S_IFCHR, "");
  // Its mode and list are those of a plain new record: overlayfs looks at the type only.
  nodes_[ino].mode = S_IFCHR;
  nodes_[ino].xattrs.clear();
}

Oracle::Outcome Oracle::set_xattr(uint64_t ino, const std::string& name, const std::string& value, XattrMode mode) {
  auto& xattrs = nodes_.at(ino).xattrs;
  if (mode == XattrMode::create && xattrs.contains(name)) return Code::exists;
  if (mode == XattrMode::replace && !xattrs.contains(name)) return Code::no_attribute;
  xattrs[name] = value;
  return {};
}

Oracle::Outcome Oracle::remove_xattr(uint64_t ino, const std::string& name) {
  return nodes_.at(ino).xattrs.erase(name) == 0 ? Outcome(Code::no_attribute) : Outcome();
}

void Oracle::reap(uint64_t ino) {
  const Node* node = find(ino);
  if (node != nullptr && node->nlink == 0) nodes_.erase(ino);
}

void Oracle::reap_all() {
  std::erase_if(nodes_, [](const auto& item) { return item.second.nlink == 0; });
}

}  // namespace tain::test
