// SPDX-License-Identifier: Apache-2.0
#include "store/vault_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace tain::store {
namespace {

constexpr size_t kTextMax = 8192;  // a pid and a path
constexpr int kAttempts = 5;
constexpr useconds_t kAttemptDelayUs = 10'000;

std::string lock_path(const std::string& directory) { return directory + "/lock"; }

Holder read_holder(int fd) {
  std::string text(kTextMax, '\0');
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  Holder holder;
  const size_t line = text.find('\n');
  holder.pid = std::strtoll(text.c_str(), nullptr, 10);
  if (line != text.npos) {
    const size_t end = text.find('\n', line + 1);
    if (end != text.npos) holder.mountpoint = text.substr(line + 1, end - line - 1);
  }
  return holder;
}

}  // namespace

Result<VaultLock> VaultLock::take(const std::string& directory, const std::string& mountpoint) {
  const std::string path = lock_path(directory);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  // holder() takes a shared lock for a moment: what is refused now may be free at once.
  int refused = ::flock(fd.get(), LOCK_EX | LOCK_NB);
  for (int attempt = 0; refused != 0 && errno == EWOULDBLOCK && attempt < kAttempts; ++attempt) {
    ::usleep(kAttemptDelayUs);
    refused = ::flock(fd.get(), LOCK_EX | LOCK_NB);
  }
  if (refused != 0) {
    if (errno != EWOULDBLOCK) return errno_error(errno, "lock " + path);
    const Holder holder = read_holder(fd.get());
    std::string message = directory + " is in use by process " + std::to_string(holder.pid);
    if (!holder.mountpoint.empty()) message += ", mounted at " + holder.mountpoint;
    return Error(Code::in_use, message)
        .hint(holder.mountpoint.empty() ? "wait until that process has ended"
                                        : "use it there, or lock it first: tain unmount " + holder.mountpoint);
  }
  const std::string text = std::to_string(::getpid()) + "\n" + mountpoint + "\n";
  if (::ftruncate(fd.get(), 0) != 0) return errno_error(errno, "write " + path);
  TRY(write_exactly(fd.get(), as_bytes(text), 0));
  return VaultLock(std::move(fd));
}

Result<std::optional<Holder>> VaultLock::holder(const std::string& directory) {
  const std::string path = lock_path(directory);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) {
    if (errno == ENOENT) return std::optional<Holder>();
    return errno_error(errno, "open " + path);
  }
  // A shared lock taken for a moment: only an exclusive holder refuses it.
  if (::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return std::optional<Holder>();
  if (errno != EWOULDBLOCK) return errno_error(errno, "lock " + path);
  return std::optional<Holder>(read_holder(fd.get()));
}

}  // namespace tain::store
