// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>

#include "fs/confinement.h"

namespace tain::fs::detail {
namespace {

// What serving needs, with what other versions of the C library call for it. Names that an architecture lacks are left out.
constexpr std::array kAllowed = {
    // files
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "_llseek", "open", "openat",
    "openat2", "creat", "close", "close_range", "stat", "stat64", "fstat", "fstat64", "lstat", "lstat64", "newfstatat", "fstatat64", "statx", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "statfs", "statfs64", "fstatfs", "fstatfs64", "fsync", "fdatasync", "sync_file_range",
    "syncfs", "fallocate", "truncate", "truncate64", "ftruncate", "ftruncate64", "flock", "fcntl", "fcntl64", "dup", "dup2", "dup3", "pipe", "pipe2", "splice", "vmsplice", "tee",
    "sendfile", "sendfile64", "copy_file_range", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "chmod", "fchmod", "fchmodat", "fchown", "fchown32", "utimensat", "futimesat", "umask", "getcwd", "chdir", "fchdir", "fadvise64", "fadvise64_64", "readahead",
    "fgetxattr", "fsetxattr", "flistxattr", "memfd_create",
    // memory; mmap and mprotect: below
    "munmap", "mremap", "madvise", "brk", "mlock", "mlock2", "munlock", "msync", "mincore", "membarrier", "get_mempolicy",
    // threads; clone: below
    "set_robust_list", "get_robust_list", "rseq", "futex", "futex_time64", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue", "exit", "exit_group", "gettid", "getpid",
    "getppid", "getpgrp", "getsid", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "sched_get_priority_max", "sched_get_priority_min", "getpriority", "ioprio_get", "prctl", "arch_prctl", "set_tid_address", "getcpu",
    // signals
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigsuspend", "rt_sigpending", "sigreturn", "sigaltstack", "signalfd", "signalfd4", "restart_syscall",
    "pause",
    // waiting and time
    "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2",
    "timerfd_create", "timerfd_settime", "timerfd_settime64", "timerfd_gettime", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "clock_gettime", "clock_gettime64", "clock_getres",
    "clock_getres_time64", "gettimeofday", "time", "times",
    // sockets that are there; socket and connect: below
    "bind", "listen", "accept", "accept4", "send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg", "getsockopt", "setsockopt", "getsockname", "getpeername", "shutdown",
    // who and where
    "getrandom", "getrusage", "sysinfo", "uname", "getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32", "getegid", "getegid32", "getresuid", "getresuid32", "getresgid", "getresgid32", "getgroups",
    "getgroups32", "getrlimit", "ugetrlimit", "capget"};

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

Result<> failed(const std::string& what, int error) { return errno_error(-error, "filter system calls: " + what); }

/// With conditions on arguments; all of them must hold.
template <size_t N>
Result<> add(const Filter& filter, uint32_t action, const char* name, const std::array<scmp_arg_cmp, N>& conditions) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR || number < 0) return {};  // not on this architecture
  const int error = seccomp_rule_add_array(filter.get(), action, number, N, conditions.data());
  return error == 0 ? Result<>() : failed(name, error);
}

}  // namespace

Result<bool> confine_system_calls(const Reach& reach) {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (filter == nullptr) return Error(Code::memory, "out of memory");
  if (const int error = seccomp_attr_set(filter.get(), SCMP_FLTATR_API_SYSRAWRC, 1); error != 0) return failed("ask for the kernel's errors", error).error();
  for (const char* name : kAllowed) TRY(add<0>(filter, SCMP_ACT_ALLOW, name, {}));
  // Memory is written or run, never both, and what runs is there already.
  for (const char* name : {"mmap", "mmap2", "mprotect"})
    TRY(add<1>(filter, SCMP_ACT_ALLOW, name, {scmp_arg_cmp{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}));
  // A thread, never a process. The flags of clone3 are in memory, where a filter cannot look.
  TRY(add<1>(filter, SCMP_ACT_ALLOW, "clone", {scmp_arg_cmp{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}}));
  TRY(add<0>(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", {}));
  // Sockets that others connect to. Landlock does not keep this process from those of other programs: the session's bus would run any program
  // for it. A datagram needs no connection.
  TRY(add<2>(filter, SCMP_ACT_ALLOW, "socket", {scmp_arg_cmp{0, SCMP_CMP_EQ, AF_UNIX, 0}, scmp_arg_cmp{1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM}}));
  if (reach.connects) TRY(add<0>(filter, SCMP_ACT_ALLOW, "connect", {}));
  // What could be done to other processes.
  TRY(add<1>(filter, SCMP_ACT_ALLOW, "tgkill", {scmp_arg_cmp{0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid()), 0}}));
  TRY(add<1>(filter, SCMP_ACT_ALLOW, "prlimit64", {scmp_arg_cmp{0, SCMP_CMP_EQ, 0, 0}}));
  constexpr scmp_datum_t kOfProcess = 1;  // IOPRIO_WHO_PROCESS
  TRY(add<2>(filter, SCMP_ACT_ALLOW, "setpriority", {scmp_arg_cmp{0, SCMP_CMP_EQ, PRIO_PROCESS, 0}, scmp_arg_cmp{1, SCMP_CMP_EQ, 0, 0}}));
  TRY(add<2>(filter, SCMP_ACT_ALLOW, "ioprio_set", {scmp_arg_cmp{0, SCMP_CMP_EQ, kOfProcess, 0}, scmp_arg_cmp{1, SCMP_CMP_EQ, 0, 0}}));
  const int error = seccomp_load(filter.get());
  if (error == -ENOSYS || error == -EINVAL) return false;  // a kernel without
  if (error != 0) return failed("load", error).error();
  return true;
}

}  // namespace tain::fs::detail
