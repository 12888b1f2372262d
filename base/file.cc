// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace tain {

void UniqueFd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<Bytes> read_file(const std::string& path, size_t limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return errno_error(errno, "stat " + path);
  if (!S_ISREG(st.st_mode)) return Error(Code::invalid_argument, path + " is not a regular file");
  if (static_cast<uint64_t>(st.st_size) > limit) return Error(Code::too_large, path + " is larger than expected");
  Bytes out(static_cast<size_t>(st.st_size));
  if (auto read = read_exactly(fd.get(), out, 0); !read.ok()) return std::move(read).error().with(path);
  return out;
}

Result<> read_exactly(int fd, ByteSpan out, uint64_t offset) {
  while (!out.empty()) {
    ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read");
    if (n == 0) return Error(Code::io, "file is shorter than expected");
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<> write_exactly(int fd, ByteView data, uint64_t offset) {
  while (!data.empty()) {
    ssize_t n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "write");
    data = data.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<> fsync_directory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  if (::fsync(fd.get()) != 0) return errno_error(errno, "flush " + path);
  return {};
}

Result<> replace_file(const std::string& path, ByteView content) {
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return errno_error(errno, "create " + temporary);
  auto written = write_exactly(fd.get(), content, 0);
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  struct stat owner {};
  if (written.ok() && ::geteuid() == 0 &&
      (::stat(directory.c_str(), &owner) != 0 || ::fchown(fd.get(), owner.st_uid, owner.st_gid) != 0)) {
    written = errno_error(errno, "give it to the owner of its directory");
  }
  if (written.ok() && ::fsync(fd.get()) != 0) written = errno_error(errno, "flush");
  if (written.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) written = errno_error(errno, "rename to " + path);
  if (!written.ok()) {
    ::unlink(temporary.c_str());
    return std::move(written).error().with(temporary);
  }
  return fsync_directory(directory);
}

Result<std::string> canonical_path(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return errno_error(errno, path);
  std::string out(resolved);
  ::free(resolved);
  return out;
}

}  // namespace tain
