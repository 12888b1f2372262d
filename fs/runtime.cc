// SPDX-License-Identifier: Apache-2.0
#include "fs/runtime.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "base/bytes.h"

namespace tain::fs {
namespace {

constexpr size_t kSocketNameSize = 1 + 32 + 5;  // "/", the vault id, ".sock"
constexpr size_t kDirectorySizeMax = sizeof(sockaddr_un::sun_path) - 1 - kSocketNameSize;

std::vector<std::string> directories(const RuntimePaths& paths) {
  std::vector<std::string> out;
  for (const std::string& parent : {paths.xdg_runtime_dir, paths.run_user + "/" + std::to_string(paths.owner)}) {
    if (!parent.empty() && check_private_directory(parent, paths.owner).ok()) out.push_back(parent + "/tain");
  }
  out.push_back(paths.tmp + "/tain-" + std::to_string(paths.owner));
  std::erase_if(out, [](const std::string& directory) { return directory.size() > kDirectorySizeMax; });
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

Result<std::string> make_runtime_directory(const RuntimePaths& paths) {
  const std::vector<std::string> candidates = directories(paths);
  if (candidates.empty()) return Error(Code::name_too_long, "no short enough directory for the control socket");
  const std::string& directory = candidates.front();
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return errno_error(errno, "make " + directory);
  TRY(check_private_directory(directory, paths.owner));
  return directory;
}

std::vector<std::string> control_socket_candidates(const RuntimePaths& paths, const VaultId& vault) {
  std::vector<std::string> out;
  for (const std::string& directory : directories(paths)) {
    if (check_private_directory(directory, paths.owner).ok()) out.push_back(control_socket_path(directory, vault));
  }
  return out;
}

std::string control_socket_path(const std::string& directory, const VaultId& vault) {
  return directory + "/" + to_hex(vault.bytes) + ".sock";
}

}  // namespace tain::fs
