// SPDX-License-Identifier: Apache-2.0
#include "fs/runtime.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/file.h"
#include "fs/mount_table.h"

namespace tain::fs {
namespace {

constexpr size_t kSocketNameSize = 1 + 10 + 1 + 10 + 5;  // "/", two numbers and "-", ".sock"
constexpr size_t kDirectorySizeMax = sizeof(sockaddr_un::sun_path) - 1 - kSocketNameSize;

bool lies_in(const std::string& path, const std::string& directory) {
  if (directory.empty()) return false;
  auto canonical = canonical_path(path);
  return canonical.ok() && is_within(*canonical, directory);
}

std::vector<std::string> directories(const RuntimePaths& paths) {
  std::vector<std::string> out;
  for (const std::string& parent : {paths.xdg_runtime_dir, paths.run_user + "/" + std::to_string(paths.owner)}) {
    if (!parent.empty() && check_private_directory(parent, paths.owner).ok()) out.push_back(parent + "/tain");
  }
  out.push_back(paths.tmp + "/tain-" + std::to_string(paths.owner));
  std::erase_if(out, [&](const std::string& directory) {
    return directory.size() > kDirectorySizeMax || lies_in(directory.substr(0, directory.rfind('/')), paths.avoid);
  });
  return out;
}

}  // namespace

Result<> check_private_directory(const std::string& path, uid_t owner) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return errno_error(errno, path);
  if (!S_ISDIR(st.st_mode)) return Error(Code::access_denied, path + " is not a directory");
  if (st.st_uid != owner) return Error(Code::access_denied, path + " belongs to another user");
  if ((st.st_mode & 077) != 0) return Error(Code::access_denied, path + " is open to other users").hint("chmod 700 " + path);
  return {};
}

Result<RuntimeDirectory> RuntimeDirectory::make(const RuntimePaths& paths) {
  for (const std::string& directory : directories(paths)) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) continue;
    if (check_private_directory(directory, paths.owner).ok()) return RuntimeDirectory(directory, false);
  }
  // Whoever took /tmp/tain-UID first must not be able to keep this user from unmounting.
  std::string pattern = paths.tmp + "/tain-" + std::to_string(paths.owner) + "-XXXXXX";
  if (pattern.size() > kDirectorySizeMax || lies_in(paths.tmp, paths.avoid)) {
    return Error(Code::name_too_long, "no directory fit for the control socket");
  }
  if (::mkdtemp(pattern.data()) == nullptr) return errno_error(errno, "make " + pattern);
  return RuntimeDirectory(pattern, true);
}

RuntimeDirectory::RuntimeDirectory(RuntimeDirectory&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, false)) {}

RuntimeDirectory::~RuntimeDirectory() {
  if (temporary_) ::rmdir(path_.c_str());
}

std::vector<std::string> control_socket_candidates(const RuntimePaths& paths, const std::string& device) {
  std::vector<std::string> out;
  for (const std::string& directory : directories(paths)) {
    if (check_private_directory(directory, paths.owner).ok()) out.push_back(control_socket_path(directory, device));
  }
  return out;
}

std::string control_socket_path(const std::string& directory, const std::string& device) {
  return directory + "/" + device + ".sock";
}

}  // namespace tain::fs
