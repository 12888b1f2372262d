// SPDX-License-Identifier: Apache-2.0
#include "store/droppings.h"

#include <algorithm>
#include <array>

namespace tain::store {
namespace {

/// A pattern is `PREFIX*SUFFIX`; without a star it is the whole name.
constexpr std::array<std::string_view, 15> kPatterns = {
    ".*.sw?",           // Vim's swap files: .swp, .swo, …
    ".*.un~",           // Vim's undo files
    "4913",             // Vim looks whether it may write into a folder
    "*~",               // backups of Emacs, Vim, gedit, nano
    ".#*",              // Emacs' locks
    "#*#",              // and its automatic saves
    ".goutputstream-*", // GIO: gedit and other programs of GNOME
    ".~lock.*#",        // LibreOffice
    "lu*.tmp",          // LibreOffice while it saves
    ".nfs*",            // removed, but in use elsewhere
    ".fuse_hidden*",    // the same
    ".sb-*",            // safe saves of macOS
    "*.kate-swp",       // Kate
    ".*.kate-swp",
    ".#*#",
};

bool matches_here(std::string_view pattern, std::string_view name) {
  return pattern.size() == name.size() && std::equal(pattern.begin(), pattern.end(), name.begin(), [](char p, char n) {
           return p == '?' || p == n;
         });
}

bool matches(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return matches_here(pattern, name);
  const std::string_view head = pattern.substr(0, star), tail = pattern.substr(star + 1);
  // More than the fixed parts: "~" or "##" alone are names that somebody chose.
  return name.size() > head.size() + tail.size() && matches_here(head, name.substr(0, head.size())) &&
         matches_here(tail, name.substr(name.size() - tail.size()));
}

/// sed -i: six letters and digits by chance. Six small letters would be a word that somebody wrote; one name of sed's in 180 is.
bool is_of_sed(std::string_view name) {
  const auto is_small = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto is_other = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); };
  const std::string_view random = name.substr(std::min<size_t>(name.size(), 3));
  return name.starts_with("sed") && random.size() == 6 && std::any_of(random.begin(), random.end(), is_other) &&
         std::all_of(random.begin(), random.end(), [&](char c) { return is_small(c) || is_other(c); });
}

}  // namespace

bool is_dropping(std::string_view name) {
  return is_of_sed(name) || std::any_of(kPatterns.begin(), kPatterns.end(), [&](std::string_view pattern) { return matches(pattern, name); });
}

}  // namespace tain::store
