// SPDX-License-Identifier: Apache-2.0
// File descriptors and whole-file reads and atomic replacement.
#pragma once

#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace tain {

/// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) { reset(); fd_ = std::exchange(other.fd_, -1); }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

/// Reads a regular file of at most `limit` bytes. Errors: not_found, too_large, io, …
Result<Bytes> read_file(const std::string& path, size_t limit);
/// Replaces or makes `path` (mode 0600; made by root it gets its directory's owner): temporary file, fsync, rename, fsync of the directory. A crash
/// leaves the old or the new content.
Result<> replace_file(const std::string& path, ByteView content);
/// pread/pwrite until done. A short read is an error (io).
Result<> read_exactly(int fd, ByteSpan out, uint64_t offset);
Result<> write_exactly(int fd, ByteView data, uint64_t offset);
/// fsync of a directory. Errors: io, …
Result<> fsync_directory(const std::string& path);
/// The absolute, canonical form; the path must exist.
Result<std::string> canonical_path(const std::string& path);

}  // namespace tain
