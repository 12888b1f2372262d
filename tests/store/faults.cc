// SPDX-License-Identifier: Apache-2.0
#include "tests/store/faults.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>

namespace tain::test {
namespace {

std::atomic<const FlushHook::Hook*> current{nullptr};

}  // namespace

FlushHook::FlushHook(Hook hook) { current = new Hook(std::move(hook)); }

FlushHook::~FlushHook() { delete current.exchange(nullptr); }

}  // namespace tain::test

/// Takes the place of the C library's for the test program and every library in it.
extern "C" int fdatasync(int fd) {
  if (const auto* hook = tain::test::current.load()) {
    std::error_code ignored;
    const int error = (*hook)(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), ignored).string());
    if (error != 0) {
      errno = error;
      return -1;
    }
  }
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
