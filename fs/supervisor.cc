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

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>

#include "base/bytes.h"
#include "fs/mount_table.h"
#include "fs/unmount.h"

namespace tain::fs {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitBySignal = 128;

// A question is one byte. The answer: one byte, a Code or kDone; then fields, each ended by a zero byte: of an error its message
// and its hint; of a mount its device and its warning, and the descriptor beside them; of a lazy detach pid and name of each user.
constexpr char kMount = 'm', kFlush = 'f', kDetachPlainly = 'd', kDetachLazily = 'l', kTidy = 't', kStay = 's';
constexpr uint8_t kDone = 0xff;
constexpr int kAnswerLimitMs = 300'000;
constexpr int kLookMs = 250;
constexpr int kStoppedLooks = 4;  // in a row: a debugger or a shell may stop it for a moment
constexpr size_t kAnswerMax = 16 * 1024;  // kMountUsersMax users take less

/// Sends `text`, and with it `fd` unless it is -1 (unix(7), SCM_RIGHTS).
bool send_with(int socket, const std::string& text, int fd) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
}

/// Whether something came; its end is nothing.
bool receive_with(int socket, std::string& text, UniqueFd& fd) {
  text.resize(kAnswerMax);
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = 0;
  while ((size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {}
  if (size <= 0) return false;
  text.resize(static_cast<size_t>(size));
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int received = -1;
    std::memcpy(&received, CMSG_DATA(header), sizeof received);
    fd = UniqueFd(received);
  }
  return true;
}

/// Whether a signal or a debugger has stopped it (proc(5), stat: the state after the name).
bool is_stopped(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t state = text.rfind(") ");
  return state != std::string::npos && state + 2 < text.size() && (text[state + 2] == 'T' || text[state + 2] == 't');
}

std::string done(const std::vector<std::string>& fields = {}) {
  std::string text(1, static_cast<char>(kDone));
  for (const std::string& field : fields) text += field + '\0';
  return text;
}

std::string failed(const Error& error) {
  return std::string(1, static_cast<char>(error.code())) + error.message().substr(0, kAnswerMax / 4) + '\0' +
         error.hint().substr(0, kAnswerMax / 4) + '\0';
}

std::vector<std::string> fields_of(std::string_view text) {
  std::vector<std::string> out;
  for (size_t end; (end = text.find('\0')) != std::string_view::npos; text.remove_prefix(end + 1)) out.emplace_back(text.substr(0, end));
  return out;
}

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, signal);
  return set;
}

/// Gives up everything inherited but `socket`: the terminal, the caller's pipes, --pass-fd. The stream of errors stays until the mount is
/// there: fusermount3 says there what it refuses.
void leave_everything(int socket) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd : {STDIN_FILENO, STDOUT_FILENO}) {
    if (null < 0 || ::dup2(null, fd) < 0) ::close(fd);
  }
  ::close_range(STDERR_FILENO + 1, static_cast<unsigned>(socket) - 1, 0);
  ::close_range(static_cast<unsigned>(socket) + 1, ~0u, 0);
  if (::chdir("/") != 0) ::syslog(LOG_WARNING, "the supervisor cannot leave its working directory: %m");
}

/// The terminal's, or the caller's pipe, which must not stay open for as long as the mount lives.
void close_error_stream() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || ::dup2(null, STDERR_FILENO) < 0) ::close(STDERR_FILENO);
  if (null > STDERR_FILENO) ::close(null);
}

/// The dead mount, if it is still the one that we made.
bool is_there(const MountEntry& mount, const std::string& device) {
  return mount.device() == device && is_stale(mount);
}

/// Whether a dead mount was there, and is not any more.
bool detach_if_dead(const LocalMounter& mounter) {
  const std::string& mountpoint = mounter.options().mountpoint;
  if (mounter.device().empty()) return false;
  const auto table = read_mount_table();
  const auto mount = table.ok() ? find_mount_at(*table, mountpoint) : std::nullopt;
  if (!mount || !is_there(*mount, mounter.device())) return false;
  const auto detached = detach_dead(*mount);
  if (!detached.ok())
    ::syslog(LOG_ERR, "%s is dead and cannot be detached: %s", mountpoint.c_str(), detached.error().message().c_str());
  return detached.ok();
}

void clean_up(LocalMounter& mounter, int signal) {
  mounter.keep_mountpoint();
  const std::string& mountpoint = mounter.options().mountpoint;
  ::syslog(LOG_ERR, "the process that served %s was killed by signal %d (%s)", mountpoint.c_str(), signal,
           ::strsignal(signal));
  if (!detach_if_dead(mounter)) return;
  ::syslog(LOG_ERR, "%s has been unmounted; what was saved with fsync is in the vault, mount it again",
           mountpoint.c_str());
}

std::string detached(const Result<std::vector<MountUser>>& users) {
  if (!users.ok()) return failed(users.error());
  std::vector<std::string> fields;
  for (const MountUser& user : *users) fields.insert(fields.end(), {std::to_string(user.pid), user.name});
  return done(fields);
}

/// Does what the worker asks for, and answers. The descriptor of the mount is not kept: the mount must die with the worker.
bool serve_question(int socket, LocalMounter& mounter, const Supervision& supervision) {
  char question = 0;
  if (::recv(socket, &question, 1, 0) != 1) return false;
  switch (question) {
    case kMount: {
      auto mounted = mounter.mount();
      if (!mounted.ok()) return send_with(socket, failed(mounted.error()), -1);
      return send_with(socket, done({mounted->device, mounted->warning}), mounted->fuse.get());
    }
    case kFlush: {
      const auto flushed = mounter.flush();
      return send_with(socket, flushed.ok() ? done() : failed(flushed.error()), -1);
    }
    case kDetachPlainly: return send_with(socket, detached(mounter.detach(Detach::plainly)), -1);
    case kDetachLazily: return send_with(socket, detached(mounter.detach(Detach::lazily)), -1);
    case kTidy: mounter.tidy(); break;
    case kStay:
      ::prctl(PR_SET_PDEATHSIG, 0);  // from now on the end of the command is not ours
      if (supervision.command != 0) close_error_stream();
      break;
    default: return send_with(socket, failed(Error(Code::usage, "the supervisor does not know this question")), -1);
  }
  return send_with(socket, done(), -1);
}

/// The supervisor's loop: until the worker has ended. Returns what waitpid says of it.
int watch(pid_t worker, int socket, const sigset_t& signals, LocalMounter& mounter, const Supervision& supervision) {
  const UniqueFd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC));
  if (!signal_fd.valid()) ::kill(worker, SIGKILL);  // nobody would serve its questions
  pollfd polled[] = {{signal_fd.get(), POLLIN, 0}, {socket, POLLIN, 0}};
  for (;;) {
    int status = 0;
    if (const pid_t ended = ::waitpid(worker, &status, signal_fd.valid() ? WNOHANG : 0); ended == worker) return status;
    if (::poll(polled, 2, -1) < 0) continue;
    if (signalfd_siginfo info{}; polled[0].revents != 0 && ::read(signal_fd.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo != SIGCHLD) ::kill(worker, static_cast<int>(info.ssi_signo));
    }
    // The worker's end is closed: its death follows.
    if (polled[1].revents != 0 && !serve_question(socket, mounter, supervision)) polled[1].fd = -1;
  }
}

}  // namespace

struct SupervisorLink::Answer {
  std::vector<std::string> fields;
  UniqueFd fd;
};

/// A flush may take its time on a slow disk; a supervisor that is stopped does nothing at all.
Result<> SupervisorLink::wait_for_answer() const {
  pollfd answer = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
  int looks_stopped = 0;
  for (int waited_ms = 0; waited_ms < kAnswerLimitMs; waited_ms += kLookMs) {
    const int ready = ::poll(&answer, 1, kLookMs);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return errno_error(errno, "wait for the supervising process");
    looks_stopped = is_stopped(supervisor_) ? looks_stopped + 1 : 0;
    if (looks_stopped == kStoppedLooks) return Error(Code::io, "the supervising process is stopped");
  }
  return Error(Code::io, "the supervising process does not answer");
}

Result<SupervisorLink::Answer> SupervisorLink::ask(char request) {
  const Error gone(Code::io, "the supervising process has died");
  Answer answer;
  std::string text;
  {
    std::lock_guard lock(mutex_);
    if (given_up_ || ::send(socket_.get(), &request, 1, MSG_NOSIGNAL) != 1) return gone;
    if (auto waited = wait_for_answer(); !waited.ok()) {
      given_up_ = true;
      return std::move(waited).error();
    }
    if (!receive_with(socket_.get(), text, answer.fd)) return gone;
  }
  const auto code = static_cast<uint8_t>(text[0]);
  answer.fields = fields_of(std::string_view(text).substr(1));
  if (code == kDone) return answer;
  if (answer.fields.size() != 2) return gone;
  return Error(static_cast<Code>(code), answer.fields[0]).hint(answer.fields[1]);
}

Result<Mounter::Mounted> SupervisorLink::mount() {
  Answer answer = TRY(ask(kMount));
  if (answer.fields.size() != 2 || !answer.fd.valid()) return Error(Code::fuse, "the supervising process could not hand over the mount");
  return Mounted{.fuse = std::move(answer.fd), .device = answer.fields[0], .warning = answer.fields[1]};
}

Result<> SupervisorLink::flush() {
  TRY(ask(kFlush));
  return {};
}

Result<std::vector<MountUser>> SupervisorLink::detach(Detach how) {
  const Answer answer = TRY(ask(how == Detach::plainly ? kDetachPlainly : kDetachLazily));
  std::vector<MountUser> users;
  for (size_t i = 0; i + 1 < answer.fields.size(); i += 2) {
    MountUser user{.name = answer.fields[i + 1]};
    const std::string& pid = answer.fields[i];
    std::from_chars(pid.data(), pid.data() + pid.size(), user.pid);
    users.push_back(std::move(user));
  }
  return users;
}

void SupervisorLink::tidy() {
  (void)ask(kTidy).ok();
}

Result<> SupervisorLink::stay() {
  TRY(ask(kStay));
  return {};
}

int supervise(const Supervision& supervision, const std::function<int(SupervisorLink&)>& work) {
  const bool in_background = supervision.command != 0;
  if (in_background) ::setsid();
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
  if (in_background) ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  int ends[2];
  if ((in_background && ::getppid() != supervision.command) || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
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
    SupervisorLink link(std::move(theirs), supervisor);
    ::_exit(work(link));
  }
  supervision.forget_secrets();
  theirs.reset();
  if (in_background) leave_everything(ours.get());
  ::prctl(PR_SET_NAME, "tain-supervisor");
  ::openlog("tain", LOG_PID, LOG_DAEMON);

  LocalMounter mounter(supervision.mount);
  const int status = watch(worker, ours.get(), signals, mounter, supervision);
  if (!WIFSIGNALED(status)) {
    // It does not wait for a supervisor that was stopped: it wipes its keys and ends, and leaves the rest to this one.
    detach_if_dead(mounter);
    return WEXITSTATUS(status);
  }
  clean_up(mounter, WTERMSIG(status));
  return kExitBySignal + WTERMSIG(status);
}

}  // namespace tain::fs
