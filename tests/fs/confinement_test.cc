// SPDX-License-Identifier: Apache-2.0
// What a confined process may still do, tried in a child: each attempt that should fail is one that would succeed without.
#include "fs/confinement.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "base/file.h"

namespace tain::fs {
namespace {

using std::filesystem::path;

class ConfinementTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "confined-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::filesystem::create_directory(folder_ / "vault");
    std::filesystem::create_directory(folder_ / "other");
    ASSERT_GE(UniqueFd(::open((folder_ / "other/secret").c_str(), O_CREAT | O_WRONLY, 0600)).get(), 0);
    const Confinement possible = run([&] { return 0; }).second;
    files_ = possible.landlock_abi > 0;
    calls_ = possible.system_calls;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// The errno of `attempt` in a confined child; 0: it succeeded. Negative: the child did not get so far.
  std::pair<int, Confinement> run(const std::function<int()>& attempt, bool confined = true) {
    int ends[2];
    if (::pipe(ends) != 0) return {-1, {}};
    const pid_t child = ::fork();
    if (child == 0) {
      Confinement done;
      if (confined) {
        const auto result = confine({.directories = {(folder_ / "vault").string()}, .empty_folders_in = {}});
        if (!result.ok()) ::_exit(1);
        done = *result;
      }
      struct {
        int error;
        Confinement done;
      } report{attempt(), done};
      ::_exit(::write(ends[1], &report, sizeof report) == sizeof report ? 0 : 2);
    }
    ::close(ends[1]);
    struct {
      int error;
      Confinement done;
    } report{-2, {}};
    if (::read(ends[0], &report, sizeof report) != sizeof report) report.error = -3;
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return {report.error, report.done};
  }
  /// Fails with `error` when confined, and does not when not.
  void refused(const char* what, int error, const std::function<int()>& attempt) {
    EXPECT_EQ(run(attempt).first, error) << what;
    EXPECT_EQ(run(attempt, /*confined=*/false).first, 0) << what << ", not confined";
  }
  void allowed(const char* what, const std::function<int()>& attempt) { EXPECT_EQ(run(attempt).first, 0) << what; }

  int try_open(const path& file, int flags) const {
    return UniqueFd(::open(file.c_str(), flags | O_CLOEXEC, 0600)).valid() ? 0 : errno;
  }
  static int error_of(long result) { return result < 0 ? errno : 0; }

  path folder_;
  bool files_ = false, calls_ = false;
};

TEST_F(ConfinementTest, TheVaultIsLeftAndNoOtherFile) {
  allowed("a file of the vault", [&] { return try_open(folder_ / "vault/data", O_RDWR | O_CREAT); });
  allowed("a rename in the vault", [&] {
    try_open(folder_ / "vault/data", O_RDWR | O_CREAT);
    return error_of(::rename((folder_ / "vault/data").c_str(), (folder_ / "vault/moved").c_str()));
  });
  if (!files_) GTEST_SKIP() << "this kernel has no Landlock";
  refused("reading elsewhere", EACCES, [&] { return try_open(folder_ / "other/secret", O_RDONLY); });
  refused("making elsewhere", EACCES, [&] { return try_open(folder_ / "other/new", O_WRONLY | O_CREAT); });
  refused("listing elsewhere", EACCES, [&] { return try_open(folder_ / "other", O_RDONLY | O_DIRECTORY); });
  refused("a link from elsewhere into the vault", EXDEV, [&] {
    ::unlink((folder_ / "vault/taken").c_str());
    return error_of(::link((folder_ / "other/secret").c_str(), (folder_ / "vault/taken").c_str()));
  });
  refused("a link that leads elsewhere", EACCES, [&] {
    ::unlink((folder_ / "vault/link").c_str());
    if (::symlink("../other/secret", (folder_ / "vault/link").c_str()) != 0) return errno;
    return try_open(folder_ / "vault/link", O_RDONLY);
  });
  refused("accounts", EACCES, [&] { return try_open("/etc/passwd", O_RDONLY); });
  allowed("who asks", [&] { return try_open("/proc/" + std::to_string(::getppid()) + "/status", O_RDONLY); });
  for (const char* part : {"/environ", "/maps", "/mem"}) {
    refused("other processes", EACCES, [&] { return try_open("/proc/" + std::to_string(::getppid()) + part, O_RDONLY); });
  }
  refused("all processes", EACCES, [&] { return try_open("/proc", O_RDONLY | O_DIRECTORY); });
}

TEST_F(ConfinementTest, WhatServingNeedsOfTheSystemIsLeft) {
  allowed("a thread", [] {
    int ran = 1;
    std::thread([&ran] { ran = 0; }).join();
    return ran;
  });
  allowed("its own memory's size", [&] { return try_open("/proc/self/statm", O_RDONLY); });
  allowed("its own mappings", [&] { return try_open("/proc/self/maps", O_RDONLY); });
  allowed("how much memory there is", [&] { return try_open("/proc/meminfo", O_RDONLY); });
  allowed("nowhere", [&] { return try_open("/dev/null", O_RDWR); });
  allowed("local time", [] {
    ::tzset();
    const time_t now = ::time(nullptr);
    tm parts{};
    return ::localtime_r(&now, &parts) != nullptr ? 0 : 1;
  });
  allowed("memory", [] {
    void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : error_of(::mlock(memory, 4096));
  });
  allowed("a socket in the vault's folder", [&] {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = (folder_ / "vault/s").string();
    if (name.size() >= sizeof address.sun_path) return ENAMETOOLONG;
    std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
    ::unlink(name.c_str());
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return errno;
    return error_of(::listen(socket.get(), 1));
  });
}

TEST_F(ConfinementTest, NoProgramNoProcessNoNetworkNoCode) {
  if (!calls_) GTEST_SKIP() << "not confined in this build, or on this kernel";
  refused("another program", EPERM, [] {
    // Would replace the child: a name that is not there gives another error.
    const char* arguments[] = {"/nowhere", nullptr};
    ::execve(arguments[0], const_cast<char**>(arguments), nullptr);
    return errno == ENOENT ? 0 : errno;
  });
  refused("another process", EPERM, [] {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    return child < 0 ? errno : 0;
  });
  refused("the network", EPERM, [] { return error_of(::socket(AF_INET, SOCK_STREAM, 0)); });
  refused("a datagram", EPERM, [] { return error_of(::socket(AF_UNIX, SOCK_DGRAM, 0)); });
  refused("another program's socket", EPERM, [&] {
    const UniqueFd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), ours(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = (folder_ / "vault/c").string();
    std::memcpy(address.sun_path, name.c_str(), std::min(name.size() + 1, sizeof address.sun_path - 1));
    ::unlink(name.c_str());
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    if (::bind(listening.get(), where, sizeof address) != 0 || ::listen(listening.get(), 1) != 0) return -1;
    return error_of(::connect(ours.get(), where, sizeof address));
  });
  refused("another process's limits", EPERM, [] {
    rlimit limit{};
    return error_of(::prlimit(::getppid(), RLIMIT_NOFILE, nullptr, &limit));
  });
  refused("all processes' priority", EPERM, [] { return error_of(::setpriority(PRIO_USER, 0, ::getpriority(PRIO_PROCESS, 0))); });
  refused("another process's priority", EPERM, [] { return error_of(::setpriority(PRIO_PROCESS, static_cast<id_t>(::getppid()), ::getpriority(PRIO_PROCESS, static_cast<id_t>(::getppid())))); });
  refused("netlink", EPERM, [] { return error_of(::socket(AF_NETLINK, SOCK_RAW, 0)); });
  refused("executable memory", EPERM, [] {
    return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
  });
  refused("memory made executable", EPERM, [] {
    void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return error_of(::mprotect(memory, 4096, PROT_READ | PROT_EXEC));
  });
  refused("tracing", EPERM, [] { return error_of(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); });
  refused("a signal to somebody", EPERM, [] { return error_of(::kill(::getppid(), 0)); });
}

TEST_F(ConfinementTest, ItIsForGoodAndSaysWhatHolds) {
  if (!calls_) GTEST_SKIP() << "not confined in this build, or on this kernel";
  const auto [error, done] = run([&] {
    const auto again = confine({.directories = {folder_.string()}, .empty_folders_in = {}});
    return again.ok() ? 1 : 0;
  });
  EXPECT_EQ(error, 0);
  EXPECT_TRUE(done.system_calls);
}

}  // namespace
}  // namespace tain::fs
