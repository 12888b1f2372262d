// SPDX-License-Identifier: Apache-2.0
#include "tests/store/faults.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <mutex>

namespace tain::test {
namespace {

std::atomic<const FlushHook::Hook*> current{nullptr};

struct Disk {
  std::string directory;
  FaultyDisk::Faults faults;
  std::mutex mutex;
  uint64_t calls = 0;
  std::string failed;

  /// Counts a call; whether it is to fail.
  bool fails(const char* what, const std::string& path) {
    std::lock_guard lock(mutex);
    if (!path.starts_with(directory)) return false;
    const uint64_t number = calls++;
    if (number < faults.first || number - faults.first >= faults.count) return false;
    failed = what + (" " + path.substr(directory.size()));
    return true;
  }
};
std::atomic<Disk*> disk{nullptr};

std::string path_of(int fd) {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), ignored).string();
}

/// 0, or the errno of a write of `size` bytes that fails; `half` writes the first bytes.
template <class Half>
int fault(const char* what, int fd, size_t size, const Half& half) {
  Disk* here = disk.load();
  if (here == nullptr || !here->fails(what, path_of(fd))) return 0;
  if (here->faults.torn) half(size / 2);
  return here->faults.error;
}
void nothing(size_t) {}

}  // namespace

FlushHook::FlushHook(Hook hook) {
  current = new Hook(std::move(hook));
}

FlushHook::~FlushHook() {
  delete current.exchange(nullptr);
}

FaultyDisk::FaultyDisk(std::string directory, const Faults& faults) {
  auto* made = new Disk();
  made->directory = std::move(directory);
  made->faults = faults;
  disk = made;
}

FaultyDisk::~FaultyDisk() {
  delete disk.exchange(nullptr);
}

uint64_t FaultyDisk::calls() const {
  std::lock_guard lock(disk.load()->mutex);
  return disk.load()->calls;
}

std::string FaultyDisk::failed() const {
  std::lock_guard lock(disk.load()->mutex);
  return disk.load()->failed;
}

}  // namespace tain::test

// These take the place of the C library's for the test program and every library in it.

extern "C" int fdatasync(int fd) {
  int error = 0;
  if (const auto* hook = tain::test::current.load()) error = (*hook)(tain::test::path_of(fd));
  if (error == 0) error = tain::test::fault("fdatasync", fd, 0, tain::test::nothing);
  if (error != 0) {
    errno = error;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

extern "C" int fsync(int fd) {
  if (const int error = tain::test::fault("fsync", fd, 0, tain::test::nothing); error != 0) {
    errno = error;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

extern "C" int fallocate(int fd, int mode, off_t offset, off_t size) {
  if (const int error = tain::test::fault("fallocate", fd, 0, tain::test::nothing); error != 0) {
    errno = error;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, size));
}

extern "C" ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  const auto half = [&](size_t part) { ::syscall(SYS_pwrite64, fd, data, part, offset); };
  if (const int error = tain::test::fault("pwrite", fd, size, half); error != 0) {
    errno = error;
    return -1;
  }
  return ::syscall(SYS_pwrite64, fd, data, size, offset);
}

extern "C" ssize_t writev(int fd, const iovec* parts, int count) {
  const auto half = [&](size_t) { ::syscall(SYS_writev, fd, parts, (count + 1) / 2); };
  if (const int error = tain::test::fault("writev", fd, 0, half); error != 0) {
    errno = error;
    return -1;
  }
  return ::syscall(SYS_writev, fd, parts, count);
}
