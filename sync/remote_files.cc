// SPDX-License-Identifier: Apache-2.0
#include "sync/remote_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace tain::sync {

namespace {

/// What root makes belongs to whom its folder belongs to, who could not read the own remote otherwise. A file system
/// without owners refuses, and needs none.
void give_to_owner_of(int folder, int made) {
  struct stat st {};
  if (::geteuid() != 0 || ::fstat(folder, &st) != 0 || st.st_uid == 0) return;
  [[maybe_unused]] const int ignored = ::fchown(made, st.st_uid, st.st_gid);
}

Result<> write_fully(int fd, ByteView bytes) {
  uint64_t offset = 0;
  while (offset < bytes.size()) {
    const ssize_t n = ::pwrite(fd, bytes.data() + offset, bytes.size() - offset, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return remote_error(n < 0 ? errno : EIO, "write the object");
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

}  // namespace

Error remote_error(int errno_value, const std::string& what) {
  const std::string message = errno_error(errno_value, what).message();
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT: return Error(Code::no_space, message).hint("make room on the remote's disk, or enlarge the quota");
    case EROFS:
    case EACCES:
    case EPERM: return Error(Code::remote_refused, message).hint("the remote's directory must be readable and writable for you");
    case EISDIR:
    case ENOTDIR:
    case ELOOP: return Error(Code::remote_refused, message).hint("something else is in the way: move it out of the remote's directory");
    case EXDEV: return Error(Code::remote_refused, message).hint("the remote's directory must lie on one file system");
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ENOMEDIUM:
    case ESTALE:
    case ENOTCONN:
    case ESHUTDOWN:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENOLINK:
    case ETIMEDOUT: return Error(Code::remote_unreachable, message).hint("is the disk or share of the remote mounted?");
    case EINTR: return Error(Code::interrupted, message);
    default: return Error(Code::io, message).hint("the remote's disk may be damaged or was pulled out; the system log knows more");
  }
}

bool is_absent(int errno_value) {
  return errno_value == ENOENT || errno_value == ENOTDIR || errno_value == ELOOP;
}

UniqueFd open_folder(int parent, const std::string& name) {
  return UniqueFd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

bool is_folder(int parent, const std::string& name) {
  struct stat st {};
  return ::fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

Result<> make_folder(int parent, const std::string& name) {
  if (::mkdirat(parent, name.c_str(), 0700) != 0) {
    if (errno == EEXIST) return {};
    return remote_error(errno, "make the folder " + name);
  }
  const UniqueFd made = open_folder(parent, name);
  if (made.valid()) give_to_owner_of(parent, made.get());
  return {};
}

Result<> flush_folder(int folder, const std::string& what) {
  // Some file systems cannot flush a folder, and say so; their word for a name is as good as they can give it.
  if (::fsync(folder) == 0 || errno == EINVAL || errno == EOPNOTSUPP) return {};
  return remote_error(errno, "flush " + what);
}

Result<> for_each_name(int folder, const std::string& what, const std::function<bool(const std::string&)>& visit) {
  UniqueFd fd = open_folder(folder, ".");  // a position of its own
  if (!fd.valid()) return remote_error(errno, "list " + what);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd.get()), [](DIR* opened) { return ::closedir(opened); });
  if (directory == nullptr) return remote_error(errno, "list " + what);
  fd.release();  // closedir() closes it
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());  // NOLINT(concurrency-mt-unsafe): our own DIR
    if (entry == nullptr && errno != 0) return remote_error(errno, "list " + what);
    if (entry == nullptr) return {};
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && !visit(name)) return {};
  }
}

Result<std::optional<uint64_t>> size_of_regular(int folder, const std::string& name, const std::string& path, bool* is_other) {
  struct stat st {};
  if (is_other != nullptr) *is_other = false;
  if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (is_absent(errno)) return std::optional<uint64_t>();
    return remote_error(errno, "look at " + path);
  }
  if (S_ISREG(st.st_mode)) return std::optional<uint64_t>(static_cast<uint64_t>(st.st_size));
  if (is_other != nullptr) *is_other = true;
  return std::optional<uint64_t>();
}

Result<std::optional<OpenFile>> open_regular(int folder, const std::string& name, const std::string& path) {
  // Looked at before it is opened: opening a device may do something.
  if (!TRY(size_of_regular(folder, name, path)).has_value()) return std::optional<OpenFile>();
  OpenFile file;
  // What is exchanged for a pipe in between must not make us wait.
  file.fd = UniqueFd(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.fd.valid() && is_absent(errno)) return std::optional<OpenFile>();
  struct stat st {};
  if (!file.fd.valid() || ::fstat(file.fd.get(), &st) != 0) return remote_error(errno, "open " + path);
  if (!S_ISREG(st.st_mode)) return std::optional<OpenFile>();
  file.size = static_cast<uint64_t>(st.st_size);
  return std::optional<OpenFile>(std::move(file));
}

Result<> read_fully(const OpenFile& file, ByteSpan out, uint64_t offset) {
  while (!out.empty()) {
    const ssize_t n = ::pread(file.fd.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return remote_error(errno, "read the object");
    if (n == 0) return Error(Code::io, "read the object: it became shorter meanwhile");
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<int64_t> write_new_file(int folder, const std::string& name, ByteView bytes) {
  const UniqueFd fd(::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return remote_error(errno, "make a file");
  give_to_owner_of(folder, fd.get());
  struct stat st {};
  Result<> written = write_fully(fd.get(), bytes);
  if (written.ok() && ::fsync(fd.get()) != 0) written = remote_error(errno, "flush the object");
  if (written.ok() && ::fstat(fd.get(), &st) != 0) written = remote_error(errno, "look at the object");
  if (written.ok()) return static_cast<int64_t>(st.st_mtim.tv_sec);
  ::unlinkat(folder, name.c_str(), 0);
  return std::move(written).error();
}

}  // namespace tain::sync
