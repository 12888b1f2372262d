// SPDX-License-Identifier: Apache-2.0
#include "cli/seen_header.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <memory>

#include "base/bytes.h"
#include "base/file.h"
#include "store/header_file.h"

namespace tain::cli {
namespace {

constexpr std::string_view kPathSuffix = ".path";

/// Empty: nothing is kept.
std::string folder(const World& world) {
  if (world.env("TAIN_HEADER_COPIES") == "no") return {};
  std::string state = world.env("XDG_STATE_HOME");
  const std::string home = world.env("HOME");
  if (!state.starts_with('/')) state = home.starts_with('/') ? home + "/.local/state" : "";
  return state.empty() ? "" : state + "/tain/headers";
}

/// With all above it.
Result<> make_folder(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return errno_error(errno, "make " + part);
    if (end == std::string::npos) return {};
  }
}

struct Kept {
  store::Header header;
  Bytes bytes;
  time_t since = 0;
};

std::optional<Kept> read_kept(const std::string& file) {
  struct stat st {};
  if (::stat(file.c_str(), &st) != 0) return std::nullopt;
  auto bytes = read_file(file, store::kHeaderSizeMax);
  if (!bytes.ok()) return std::nullopt;
  auto header = store::decode_header(*bytes);
  if (!header.ok()) return std::nullopt;
  return Kept{std::move(header).value(), std::move(bytes).value(), st.st_mtime};
}

bool is_later(const store::Header& one, const store::Header& other) { return one.sequence > other.sequence; }

std::string date_of(time_t when) {
  tm local{};
  char text[32] = "?";
  if (::localtime_r(&when, &local) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
  return text;
}

}  // namespace

void keep_header(World& world, const std::string& directory, Keep which) {
  const std::string headers = folder(world);
  const auto now = store::load_header(directory);
  if (headers.empty() || !now.ok()) return;
  const std::string file = headers + "/" + to_hex(now->header.vault.bytes);
  const auto kept = read_kept(file);
  const bool is_kept = kept && kept->bytes == now->bytes;
  const bool is_wanted = !kept || which == Keep::this_one || is_later(now->header, kept->header);
  Result<> done = make_folder(headers);
  if (done.ok() && !is_kept && is_wanted) done = replace_file(file, now->bytes);
  const std::string path_file = file + std::string(kPathSuffix);
  const auto path = read_file(path_file, PATH_MAX);
  if (done.ok() && (!path.ok() || as_text(*path) != directory)) done = replace_file(path_file, as_bytes(directory));
  // Without one nothing is lost; with an old one a key that was taken away still opens something.
  if (!done.ok() && kept && !is_kept && which == Keep::this_one)
    warn(world, "the header that is kept in " + file + " opens with the keys of before, and could not be replaced: " + done.error().message(), "remove it");
}

void warn_of_older_header(World& world, const std::string& directory) {
  const std::string headers = folder(world);
  const auto now = store::load_header(directory);
  if (headers.empty() || !now.ok()) return;
  const auto kept = read_kept(headers + "/" + to_hex(now->header.vault.bytes));
  if (!kept || kept->header.vault != now->header.vault || kept->bytes == now->bytes || is_later(now->header, kept->header)) return;
  const std::string numbers = kept->header.sequence == now->header.sequence
                                  ? "is another one of number " + std::to_string(now->header.sequence) + " than this machine has seen"
                                  : "is number " + std::to_string(now->header.sequence) + ", and this machine has seen number " +
                                        std::to_string(kept->header.sequence);
  warn(world, "the header of " + directory + " " + numbers + " on " + date_of(kept->since) +
                  ": somebody has put an older one back, and keys that were changed or removed since may open the vault again",
       "if it comes from a backup of yours, tain passwd ends this warning; else tain header restore --force " + directory +
           " puts the later one back");
}

std::optional<std::string> kept_header(const World& world, const std::string& directory) {
  const std::string headers = folder(world);
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(headers.empty() ? nullptr : ::opendir(headers.c_str()), ::closedir);
  std::optional<std::string> newest;
  time_t since = 0;
  while (const dirent* entry = listing ? ::readdir(listing.get()) : nullptr) {
    const std::string path_file = headers + "/" + entry->d_name;
    if (!path_file.ends_with(kPathSuffix)) continue;
    const auto path = read_file(path_file, PATH_MAX);
    if (!path.ok() || as_text(*path) != directory) continue;
    const std::string file = path_file.substr(0, path_file.size() - kPathSuffix.size());
    const auto kept = read_kept(file);
    if (!kept || (newest && kept->since < since)) continue;
    newest = file;
    since = kept->since;
  }
  return newest;
}

}  // namespace tain::cli
