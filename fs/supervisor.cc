// SPDX-License-Identifier: Apache-2.0
#include "fs/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "fs/mount_table.h"
#include "fs/unmount.h"

namespace tain::fs {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitBySignal = 128;

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, signal);
  return set;
}

/// Gives up everything inherited but `socket`: the terminal, the caller's pipes, --pass-fd.
void leave_everything(int socket) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (null < 0 || ::dup2(null, fd) < 0) ::close(fd);
  }
  ::close_range(STDERR_FILENO + 1, static_cast<unsigned>(socket) - 1, 0);
  ::close_range(static_cast<unsigned>(socket) + 1, ~0u, 0);
  if (::chdir("/") != 0) ::syslog(LOG_WARNING, "the supervisor cannot leave its working directory: %m");
}

/// The dead mount, if it is still the one that the worker made.
bool is_there(const MountEntry& mount, const std::string& device) {
  return mount.device() == device && is_stale(mount);
}

void clean_up(const std::string& mountpoint, const std::string& device, int signal) {
  ::syslog(LOG_ERR, "the process that served %s was killed by signal %d (%s)", mountpoint.c_str(), signal,
           ::strsignal(signal));
  if (device.empty()) return;
  const auto table = read_mount_table();
  const auto mount = table.ok() ? find_mount_at(*table, mountpoint) : std::nullopt;
  if (!mount || !is_there(*mount, device)) return;
  if (auto detached = detach_dead(*mount); !detached.ok()) {
    ::syslog(LOG_ERR, "%s is dead and cannot be detached: %s", mountpoint.c_str(), detached.error().message().c_str());
    return;
  }
  ::syslog(LOG_ERR, "%s has been unmounted; what was saved with fsync is in the vault, mount it again",
           mountpoint.c_str());
}

/// The supervisor's loop: until the worker has ended. Returns what waitpid says of it.
int watch(pid_t worker, int socket, const sigset_t& signals, std::string& device) {
  const UniqueFd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC));
  pollfd polled[] = {{signal_fd.get(), POLLIN, 0}, {socket, POLLIN, 0}};
  for (;;) {
    int status = 0;
    if (const pid_t ended = ::waitpid(worker, &status, signal_fd.valid() ? WNOHANG : 0); ended == worker) return status;
    if (::poll(polled, 2, -1) < 0) continue;
    if (signalfd_siginfo info{}; polled[0].revents != 0 && ::read(signal_fd.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo != SIGCHLD) ::kill(worker, static_cast<int>(info.ssi_signo));
    }
    if (polled[1].revents != 0) {
      std::array<char, 64> text{};
      const ssize_t size = ::recv(socket, text.data(), text.size(), 0);
      if (size <= 0) {
        polled[1].fd = -1;  // the worker's end is closed; its death follows, or it goes on without us
        continue;
      }
      device.assign(text.data(), static_cast<size_t>(size));
      ::prctl(PR_SET_PDEATHSIG, 0);  // from now on the end of the command is not ours
      (void)::send(socket, "", 1, MSG_NOSIGNAL);
    }
  }
}

}  // namespace

Result<> SupervisorLink::mounted(const std::string& device) {
  if (!socket_.valid()) return {};
  char answer = 0;
  if (::send(socket_.get(), device.data(), device.size(), MSG_NOSIGNAL) < 0 ||
      ::recv(socket_.get(), &answer, 1, 0) != 1)
    return Error(Code::io, "the supervising process has died");
  return {};
}

int supervise(const Supervision& supervision, const std::function<int(SupervisorLink)>& work) {
  ::setsid();
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  int ends[2];
  if (::getppid() != supervision.command || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return kExitFailed;
  UniqueFd ours(ends[0]), theirs(ends[1]);

  const sigset_t signals = watched_signals();
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  const pid_t supervisor = ::getpid();
  const pid_t worker = ::fork();
  if (worker < 0) return kExitFailed;
  if (worker == 0) {
    ours.reset();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != supervisor) ::_exit(kExitFailed);
    ::_exit(work(SupervisorLink(std::move(theirs))));
  }
  supervision.forget_secrets();
  theirs.reset();
  leave_everything(ours.get());
  ::prctl(PR_SET_NAME, "tain-supervisor");
  ::openlog("tain", LOG_PID, LOG_DAEMON);

  std::string device;
  const int status = watch(worker, ours.get(), signals, device);
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  clean_up(supervision.mountpoint, device, WTERMSIG(status));
  return kExitBySignal + WTERMSIG(status);
}

}  // namespace tain::fs
