// SPDX-License-Identifier: Apache-2.0
#include "tests/model/picture.h"

#include <functional>
#include <string_view>

#include "store/content.h"
#include "store/past.h"
#include "store/tree.h"

namespace tain::test {
namespace {

constexpr size_t kShown = 16;  // bytes of content

std::string describe(uint32_t mode, uint32_t nlink, const std::string& first, std::string_view data,
                     std::string_view symlink, const std::map<std::string, std::string>& xattrs) {
  std::string out = std::to_string(mode) + " " + std::to_string(nlink) + " " + first + " " +
                    std::to_string(data.size()) + " " + std::to_string(std::hash<std::string_view>()(data)) + " ";
  for (char c : data.substr(0, kShown)) out += c >= ' ' && c <= '~' ? c : '.';
  if (S_ISLNK(mode)) out.append(" -> ").append(symlink);
  for (const auto& [name, value] : xattrs) out.append("\n").append(name).append("=").append(value);
  return out;
}

}  // namespace

Picture plain_picture_of(const Oracle& oracle) {
  Picture out;
  const std::function<void(uint64_t, const std::string&)> walk = [&](uint64_t number, const std::string& path) {
    const Oracle::Node& node = *oracle.find(number);
    out[path] = describe(node.mode, 0, "", *node.data, node.symlink, node.xattrs);
    for (const auto& [name, child] : node.children) walk(child, path + "/" + name);
  };
  walk(1, "");
  return out;
}

Result<Picture> picture_at(store::Vault& vault, uint64_t hlc) {
  Picture out;
  store::PastView past = vault.past();
  const std::function<Result<>(const store::PastState&, const std::string&)> walk =
      [&](const store::PastState& state, const std::string& path) -> Result<> {
    const store::Inode& inode = state.inode;
    std::string data(inode.is_regular() ? inode.content.size : 0, '\0');
    if (!data.empty()) data.resize(TRY(past.read(state, 0, {reinterpret_cast<uint8_t*>(data.data()), data.size()})));
    std::map<std::string, std::string> xattrs;
    for (const auto& [name, value] : TRY(past.xattrs(state))) xattrs[name] = as_text(value);
    if (!out.emplace(path, describe(inode.mode, 0, "", data, inode.symlink, xattrs)).second)
      return Error(Code::corrupt, path + " is there twice");
    if (!inode.is_directory()) return {};
    const std::vector<store::PastName> entries = TRY(past.list(inode.ino, hlc));
    for (const store::PastName& entry : entries) {
      const store::PastState child = TRY(past.state(entry, hlc));
      TRY(walk(child, path + "/" + entry.dirent.name));
    }
    return {};
  };
  const store::PastState root = TRY(past.state_of(kRootIno, hlc));
  TRY(walk(root, ""));
  return out;
}

Picture picture_of(const Oracle& oracle) {
  Picture out;
  std::map<uint64_t, std::string> first;
  const std::function<void(uint64_t, const std::string&)> walk = [&](uint64_t number, const std::string& path) {
    const Oracle::Node& node = *oracle.find(number);
    out[path] = describe(node.mode, node.nlink, first.emplace(number, path).first->second, *node.data, node.symlink,
                         node.xattrs);
    for (const auto& [name, child] : node.children) walk(child, path + "/" + name);
  };
  walk(1, "");
  return out;
}

Result<Picture> picture_of(store::Vault& vault, Ino root) {
  Picture out;
  std::map<uint64_t, std::string> first;
  const std::function<Result<>(Ino, const std::string&)> walk = [&](Ino ino, const std::string& path) -> Result<> {
    const store::Attr attr = TRY(vault.tree().getattr(ino));
    std::string data;
    if (S_ISREG(attr.mode)) {
      data.resize(attr.size);
      data.resize(TRY(vault.content().read(ino, 0, {reinterpret_cast<uint8_t*>(data.data()), data.size()})));
    }
    std::string symlink;
    if (S_ISLNK(attr.mode)) symlink = TRY(vault.tree().readlink(ino));
    std::map<std::string, std::string> xattrs;
    for (const auto& [name, value] : TRY(vault.tree().list_xattrs(ino))) xattrs[name] = as_text(value);
    out[path] = describe(attr.mode, attr.nlink, first.emplace(raw(ino), path).first->second, data, symlink, xattrs);
    if (!S_ISDIR(attr.mode)) return {};
    std::map<std::string, Ino> children;  // in the order of names: `first` depends on it
    TRY(vault.tree().list(ino, Cookie{0},
                          [&](const store::ListItem& item) { return children.emplace(item.name, item.ino).second; }));
    for (const auto& [name, child] : children) TRY(walk(child, path + "/" + name));
    return {};
  };
  TRY(walk(root, ""));
  return out;
}

std::string difference(const Picture& expected, const Picture& found) {
  std::string out;
  for (const auto& [path, text] : expected) {
    auto it = found.find(path);
    if (it == found.end())
      out += "missing " + path + "\n";
    else if (it->second != text)
      out += "different " + path + ": expected " + text + ", found " + it->second + "\n";
  }
  for (const auto& [path, text] : found)
    if (!expected.contains(path)) out += "too much " + path + "\n";
  return out;
}

}  // namespace tain::test
