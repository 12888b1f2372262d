// SPDX-License-Identifier: Apache-2.0
#include "tests/sync/system_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

namespace tain::test {

namespace {

struct Hooked {
  std::string directory;
  SystemCallHook::Hook hook;
};
std::atomic<const Hooked*> current{nullptr};
std::atomic<int> without_flushes{0};

/// What an open descriptor, or a name below one, is called from the directory on; nothing if it is not in there.
std::optional<std::string> path_below(const std::string& directory, int fd, const char* name) {
  std::error_code failed;
  std::string path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), failed).string();
  if (failed) return std::nullopt;
  if (*name != '\0') path += std::string("/") + name;
  if (path == directory) return ".";
  if (!path.starts_with(directory + "/")) return std::nullopt;
  return path.substr(directory.size() + 1);
}

/// The errno that the call is to fail with, or 0.
int ask(const char* call, int fd, const char* name, int other_fd = -1, const char* other_name = "") {
  const Hooked* hooked = current.load();
  if (hooked == nullptr) return 0;
  const auto path = path_below(hooked->directory, fd, name);
  if (!path.has_value()) return 0;
  std::string text = std::string(call) + " " + *path;
  if (other_fd >= 0) text += " " + path_below(hooked->directory, other_fd, other_name).value_or("outside");
  return hooked->hook(text);
}

int refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

SystemCallHook::SystemCallHook(std::string directory, Hook hook) {
  current = std::make_unique<Hooked>(Hooked{std::move(directory), std::move(hook)}).release();
}

SystemCallHook::~SystemCallHook() {
  const std::unique_ptr<const Hooked> ended(current.exchange(nullptr));
}

WithoutFlushes::WithoutFlushes() { ++without_flushes; }
WithoutFlushes::~WithoutFlushes() { --without_flushes; }

}  // namespace tain::test

// These take the place of the C library's for the test program and every library in it.

extern "C" int fsync(int fd) {
  if (const int error = tain::test::ask("fsync", fd, "")) return tain::test::refuse(error);
  if (tain::test::without_flushes != 0) return 0;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

extern "C" ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  if (const int error = tain::test::ask("pread", fd, "")) return tain::test::refuse(error);
  return ::syscall(SYS_pread64, fd, data, size, offset);
}

extern "C" ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  if (const int error = tain::test::ask("pwrite", fd, "")) return tain::test::refuse(error);
  return ::syscall(SYS_pwrite64, fd, data, size, offset);
}

extern "C" int renameat(int from, const char* from_name, int to, const char* to_name) noexcept {
  if (const int error = tain::test::ask("renameat", from, from_name, to, to_name)) return tain::test::refuse(error);
  return static_cast<int>(::syscall(SYS_renameat2, from, from_name, to, to_name, 0));
}

extern "C" int mkdirat(int folder, const char* name, mode_t mode) noexcept {
  if (const int error = tain::test::ask("mkdirat", folder, name)) return tain::test::refuse(error);
  return static_cast<int>(::syscall(SYS_mkdirat, folder, name, mode));
}

extern "C" int unlinkat(int folder, const char* name, int flags) noexcept {
  if (const int error = tain::test::ask("unlinkat", folder, name)) return tain::test::refuse(error);
  return static_cast<int>(::syscall(SYS_unlinkat, folder, name, flags));
}

extern "C" int fstatat(int folder, const char* name, struct stat* out, int flags) noexcept {
  if (const int error = tain::test::ask("fstatat", folder, name)) return tain::test::refuse(error);
  return static_cast<int>(::syscall(SYS_newfstatat, folder, name, out, flags));
}
