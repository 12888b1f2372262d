// SPDX-License-Identifier: Apache-2.0
#include "fs/mount_table.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>

namespace tain::fs {
namespace {

/// The kernel writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    auto digit = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      const int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      out.push_back(static_cast<char>(value));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

template <class T>
bool parse_number(std::string_view text, T& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool has_option(std::string_view options, std::string_view name) {
  for (std::string_view option : split(options, ',')) {
    if (option == name) return true;
  }
  return false;
}

// 36 35 0:53 / /mnt rw,nosuid - fuse.tain /vault rw,user_id=1000: before " - " any number of optional fields.
std::optional<MountEntry> parse_line(std::string_view line) {
  const std::vector<std::string_view> fields = split(line, ' ');
  size_t dash = 6;
  while (dash < fields.size() && fields[dash] != "-") ++dash;
  if (dash + 3 >= fields.size()) return std::nullopt;

  MountEntry entry;
  const std::vector<std::string_view> device = split(fields[2], ':');
  if (device.size() != 2 || !parse_number(fields[0], entry.id) || !parse_number(device[0], entry.device_major) ||
      !parse_number(device[1], entry.device_minor)) {
    return std::nullopt;
  }
  entry.mountpoint = unescape(fields[4]);
  entry.type = unescape(fields[dash + 1]);
  entry.source = unescape(fields[dash + 2]);
  entry.read_only = has_option(fields[5], "ro") || has_option(fields[dash + 3], "ro");
  for (std::string_view option : split(fields[dash + 3], ',')) {
    if (option.starts_with("user_id=") && !parse_number(option.substr(8), entry.owner)) return std::nullopt;
  }
  return entry;
}

}  // namespace

std::vector<MountEntry> parse_mount_table(std::string_view text) {
  std::vector<MountEntry> table;
  for (std::string_view line : split(text, '\n')) {
    if (auto entry = parse_line(line)) table.push_back(*std::move(entry));
  }
  return table;
}

Result<std::vector<MountEntry>> read_mount_table() {
  std::ifstream file("/proc/self/mountinfo");
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return Error(Code::io, "cannot read /proc/self/mountinfo").hint("mount /proc");
  return parse_mount_table(text.str());
}

std::optional<MountEntry> find_mount_at(const std::vector<MountEntry>& table, std::string_view mountpoint) {
  for (auto entry = table.rbegin(); entry != table.rend(); ++entry) {
    if (entry->mountpoint == mountpoint) return *entry;
  }
  return std::nullopt;
}

std::optional<MountEntry> find_mount_of(const std::vector<MountEntry>& table, std::string_view directory) {
  for (auto entry = table.rbegin(); entry != table.rend(); ++entry) {
    if (entry->is_vault() && entry->source == directory) return *entry;
  }
  return std::nullopt;
}

bool is_stale(const MountEntry& mount) {
  // Only a forced question reaches the process: the kernel goes on answering from attributes it has cached.
  struct statx stx {};
  return mount.is_fuse() &&
         ::statx(AT_FDCWD, mount.mountpoint.c_str(), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx) != 0 && errno == ENOTCONN;
}

bool is_within(std::string_view path, std::string_view directory) {
  if (!path.starts_with(directory)) return false;
  return path.size() == directory.size() || directory.ends_with('/') || path[directory.size()] == '/';
}

}  // namespace tain::fs
