// SPDX-License-Identifier: Apache-2.0
#include "store/vault_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace tain::store {
namespace {

constexpr size_t kTextMax = 12288;  // a pid and two paths
constexpr int kAttempts = 5;
constexpr useconds_t kAttemptDelayUs = 10'000;

std::string lock_path(const std::string& directory) { return directory + "/lock"; }

Holder read_holder(int fd) {
  std::string text(kTextMax, '\0');
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  Holder holder;
  holder.pid = std::strtoll(text.c_str(), nullptr, 10);
  size_t line = text.find('\n');
  for (std::string* field : {&holder.mountpoint, &holder.control_socket}) {
    if (line == text.npos) break;
    const size_t end = text.find('\n', line + 1);
    if (end != text.npos) *field = text.substr(line + 1, end - line - 1);
    line = end;
  }
  return holder;
}

/// Opens or makes the lock file. One that root makes goes to the owner of the directory, who could not open the vault
/// with it otherwise; only a new one, for what is there may be a hard link to something else.
Result<UniqueFd> open_lock(const std::string& directory, const std::string& path) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  UniqueFd fd(::open(path.c_str(), kFlags | O_EXCL, 0600));
  if (fd.valid()) {
    struct stat owner {};
    if (::geteuid() == 0 && ::stat(directory.c_str(), &owner) == 0 && ::fchown(fd.get(), owner.st_uid, owner.st_gid) != 0) {
      return errno_error(errno, "give " + path + " to the owner of its directory");
    }
    return fd;
  }
  if (errno == EEXIST) fd = UniqueFd(::open(path.c_str(), kFlags, 0600));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  return fd;
}

/// Whether `directory` lies on a file system that nobody can write to.
bool on_read_only_file_system(const std::string& directory) {
  struct statvfs st {};
  return ::statvfs(directory.c_str(), &st) == 0 && (st.f_flag & ST_RDONLY) != 0;
}

/// There nobody can change the vault under a reader, and no pid can be written down: readers share the lock, on the
/// directory itself, for the file may not exist.
Result<UniqueFd> lock_for_reading(const std::string& directory) {
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + directory);
  if (::flock(fd.get(), LOCK_SH | LOCK_NB) != 0) return errno_error(errno, "lock " + directory);
  return fd;
}

}  // namespace

Result<VaultLock> VaultLock::take(const std::string& directory, const std::string& mountpoint) {
  const std::string path = lock_path(directory);
  if (on_read_only_file_system(directory)) {
    if (!mountpoint.empty())
      return Error(Code::read_only, directory + " lies on a read-only file system, where a mount cannot keep its lock")
          .hint("read it with tain ls and tain cat, or copy the vault to a disk that can be written to and mount it there");
    return VaultLock(TRY(lock_for_reading(directory)), 0);
  }
  UniqueFd fd = TRY(open_lock(directory, path));
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
  return VaultLock(std::move(fd), text.size());
}

Result<> VaultLock::set_control_socket(const std::string& path) {
  return write_exactly(fd_.get(), as_bytes(path + "\n"), text_size_);
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
