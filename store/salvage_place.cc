// SPDX-License-Identifier: Apache-2.0
#include "store/salvage_place.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/file.h"

namespace tain::store {
namespace {

/// Said before hours of work: only an empty directory is replaced by a rename, and no mountpoint.
Result<> check_place(const std::string& place) {
  struct stat st {
  }, parent{};
  if (::lstat(place.c_str(), &st) != 0) return errno == ENOENT ? Result<>() : Result<>(errno_error(errno, place));
  std::error_code error;
  if (!S_ISDIR(st.st_mode) || !std::filesystem::is_empty(place, error) || error)
    return Error(Code::not_empty, place + " exists and is not an empty directory")
        .hint("name a new directory for what is salvaged");
  if (::stat((place + "/..").c_str(), &parent) == 0 && parent.st_dev != st.st_dev)
    return Error(Code::exists, place + " is a mountpoint").hint("name a new directory in it for what is salvaged");
  return {};
}

}  // namespace

Result<Workplace> Workplace::make(const std::string& to) {
  std::string place = to;
  while (place.size() > 1 && place.ends_with('/')) place.pop_back();
  TRY(check_place(place));
  const std::string path = place + ".unfinished";
  if (::mkdir(path.c_str(), 0700) == 0) return Workplace(std::move(place), path);
  if (errno != EEXIST) return errno_error(errno, "make directory " + path);
  return Error(Code::exists, path + " exists: another salvage is at work, or one was stopped")
      .hint("if none is at work, remove that directory and try again");
}

Workplace::~Workplace() {
  if (path_.empty()) return;
  std::error_code ignored;  // what stays is not called a vault
  std::filesystem::remove_all(path_, ignored);
}

Result<> Workplace::finish() && {
  TRY(fsync_directory(path_));
  if (::rename(path_.c_str(), place_.c_str()) != 0) return errno_error(errno, "rename " + path_ + " to " + place_);
  path_.clear();
  const std::string parent = std::filesystem::path(place_).parent_path();
  return fsync_directory(parent.empty() ? "." : parent);
}

}  // namespace tain::store
