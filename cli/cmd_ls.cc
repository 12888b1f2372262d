// SPDX-License-Identifier: Apache-2.0
// tain ls: a directory's entries.
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "cli/commands.h"
#include "cli/vault_files.h"

namespace tain::cli {
namespace {

char type_letter(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFIFO: return 'p';
    case S_IFSOCK: return 's';
    case S_IFCHR: return 'c';
    case S_IFBLK: return 'b';
    default: return '-';
  }
}

std::string_view type_name(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "file";
    case S_IFDIR: return "directory";
    case S_IFLNK: return "symlink";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    default: return "other";
  }
}

std::string long_line(const FileInfo& file) {
  if (file.is_damaged)
    return std::string(1, type_letter(file.mode)) + "?????????   ?      ?      ?            ? damaged          ";
  static constexpr std::string_view kBits = "rwxrwxrwx";
  std::string mode(1, type_letter(file.mode));
  for (unsigned bit = 0; bit < 9; ++bit) mode += (file.mode & (0400u >> bit)) != 0 ? kBits[bit] : '-';
  const time_t mtime = file.mtime_s;
  tm local{};
  char when[32] = "-";
  if (localtime_r(&mtime, &local) != nullptr) std::strftime(when, sizeof when, "%Y-%m-%d %H:%M", &local);
  char line[160];
  std::snprintf(line, sizeof line, "%s %3llu %6u %6u %12llu %s ", mode.c_str(),
                static_cast<unsigned long long>(file.nlink), file.uid, file.gid,
                static_cast<unsigned long long>(file.size), when);
  return line;
}

nlohmann::json to_json(const FileInfo& file) {
  if (file.is_damaged) return {{"name", file.name}, {"type", type_name(file.mode)}, {"damaged", true}};
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", file.mode & 07777);
  nlohmann::json out = {{"name", file.name}, {"type", type_name(file.mode)},
                        {"mode", mode},      {"nlink", file.nlink},
                        {"uid", file.uid},   {"gid", file.gid},
                        {"size", file.size}, {"mtime", file.mtime_s}};
  if (!file.symlink.empty()) out["target"] = file.symlink;
  return out;
}

}  // namespace

Result<> cmd_ls(World& world, const Arguments& arguments) {
  const Location location = TRY(find_location(arguments.positional()));
  auto source = TRY(VaultFiles::open(world, arguments, location.target));
  auto [files, is_complete] = TRY(source->list(location.path));
  std::sort(files.begin(), files.end(), [](const FileInfo& a, const FileInfo& b) { return a.name < b.name; });
  if (arguments.has("json")) {
    nlohmann::json all = nlohmann::json::array();
    for (const FileInfo& file : files) all.push_back(to_json(file));
    print_json(world, all);
  } else {
    for (const FileInfo& file : files) {
      if (arguments.has("long")) world.out << long_line(file);
      world.out << printable(world, file.name);
      if (arguments.has("long") && !file.symlink.empty()) world.out << " -> " << printable(world, file.symlink);
      world.out << '\n';
    }
  }
  const auto damaged = std::count_if(files.begin(), files.end(), [](const FileInfo& file) { return file.is_damaged; });
  if (damaged > 0) warn(world, std::to_string(damaged) + " of these entries are damaged: only their names can be read");
  if (!is_complete) warn(world, "names in this directory are damaged: more entries may be there");
  if (damaged == 0 && is_complete) return {};
  return Error(Code::partial, "not everything in the directory could be read")
      .hint("tain check " + location.target.vault_directory + " tells what is damaged and what to do about it");
}

}  // namespace tain::cli
