// SPDX-License-Identifier: Apache-2.0
// tain mount: ask for the password here, then leave a process behind that serves the mount.
//
// The forks come before the vault is opened, because LMDB forbids them afterwards: the supervisor, then the serving
// process. A pipe tells this process how the mount went, in one line of JSON, so that it can say so and exit with the right status.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <optional>

#include "base/clock.h"
#include "base/moment.h"
#include "cli/checks.h"
#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/duration.h"
#include "cli/exit.h"
#include "cli/mount_options.h"
#include "cli/placement.h"
#include "cli/rate.h"
#include "cli/seen_header.h"
#include "cli/target.h"
#include "cli/version.h"
#include "fs/daemon.h"
#include "fs/mount_table.h"
#include "fs/mountpoint.h"
#include "fs/supervisor.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

using nlohmann::json;

constexpr size_t kReportMax = 64 * 1024;  // bytes
constexpr int kStopGraceMs = 10'000;      // for a last commit
constexpr int kStopPollMs = 20;

void report_mounted(World& world, const fs::DaemonOptions& options, pid_t pid, bool as_json) {
  if (as_json) {
    print_json(world, {{"vault", options.mount.source}, {"mountpoint", options.mount.mountpoint}, {"pid", pid}, {"read_only", options.mount.read_only}});
  } else {
    world.out << "mounted " << printable(world, options.mount.source) << " at " << printable(world, options.mount.mountpoint) << '\n';
  }
}

Result<> send_report(int fd, const json& report) {
  const std::string line = report.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  // A pipe takes this at once; EPIPE says that nobody waits any more.
  if (::write(fd, line.data(), line.size()) < 0) return errno_error(errno, "report to the waiting command");
  return {};
}

json report_of(const Result<>& outcome) {
  if (outcome.ok()) return {{"ok", true}};
  const Error& error = outcome.error();
  return {{"ok", false}, {"code", static_cast<int>(error.code())}, {"message", error.message()}, {"hint", error.hint()}};
}

/// From here on there is nobody to read what is printed.
Result<> leave_terminal() {
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return errno_error(errno, "open /dev/null");
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null.get(), fd) < 0) return errno_error(errno, "leave the terminal");
  }
  return {};
}

/// A caller's pipe must not stay open for as long as the mount lives, nor --pass-fd. `keep`: ascending.
void close_all_but(std::initializer_list<int> keep) {
  unsigned first = STDERR_FILENO + 1;
  for (int fd : keep) {
    const auto kept = static_cast<unsigned>(fd);
    if (kept > first) ::close_range(first, kept - 1, 0);
    first = kept + 1;
  }
  ::close_range(first, ~0u, 0);
}

/// The serving process, from fork to end.
int serve(World& world, fs::DaemonOptions options, store::Credential credential, UniqueFd report, fs::SupervisorLink& supervisor) {
  close_all_but({std::min(report.get(), supervisor.fd()), std::max(report.get(), supervisor.fd())});
  // Locks on memory are not inherited: make a locked copy and wipe the other one.
  store::Credential locked = credential.clone();
  credential = store::Credential();

  ::openlog("tain", LOG_PID | LOG_NDELAY, LOG_DAEMON);  // later it may not connect to anything
  bool reported = false;
  options.warn = [&](const std::string& message) {
    if (reported) ::syslog(LOG_WARNING, "%s", message.c_str());
    else warn(world, message);
  };
  options.supervisor = ::getppid();
  options.ready = [&](const std::string&) -> Result<> {
    ::prctl(PR_SET_PDEATHSIG, 0);
    TRY(supervisor.stay());
    TRY(leave_terminal());
    reported = true;
    json report_line = report_of({});
    report_line["pid"] = ::getpid();
    return send_report(UniqueFd(report.release()).get(), report_line);
  };
  auto outcome = fs::run_daemon(options, supervisor, std::move(locked));
  if (outcome.ok()) return kExitOk;
  if (reported) ::syslog(LOG_ERR, "%s: %s", options.mount.mountpoint.c_str(), outcome.error().message().c_str());
  else (void)send_report(report.get(), report_of(outcome)).ok();
  return exit_status(outcome.code());
}

/// Waits for the end of the supervisor, which follows the serving process, and returns its exit status. With `stop` it is told to end first: it has closed
/// the pipe without a word, and a mount that nobody could report must not stay.
int reap(pid_t pid, bool stop) {
  int status = 0;
  if (stop) {
    ::kill(pid, SIGTERM);
    for (int waited_ms = 0; waited_ms < kStopGraceMs; waited_ms += kStopPollMs) {
      if (::waitpid(pid, &status, WNOHANG) == pid) return status;
      ::usleep(kStopPollMs * 1000);
    }
    ::kill(pid, SIGKILL);
  }
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  return status;
}

/// The one line of the serving process, or no object: it died.
json read_line(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  while (text.size() < kReportMax && !text.ends_with('\n')) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

/// `exit`: the serving process's, 128 + N if signal N killed it. `hint`: where there is more to know.
Result<> outcome_of(const json& report, int exit, const std::string& hint) {
  if (report.is_object() && report.value("ok", false)) return {};
  if (report.is_object()) {
    return Error(static_cast<Code>(report.value("code", static_cast<int>(Code::io))), report.value("message", std::string()))
        .hint(report.value("hint", std::string()));
  }
  const std::string how = exit > 128 ? "was killed by signal " + std::to_string(exit - 128) : "ended early";
  return Error(Code::fuse, "the process that should serve the mount " + how).hint(hint);
}

/// Waits for the report of the serving process, and returns its pid. `supervisor`: our child.
Result<pid_t> read_report(int fd, pid_t supervisor) {
  const json report = read_line(fd);
  if (report.is_object() && report.value("ok", false)) return report.value("pid", supervisor);
  const int status = reap(supervisor, /*stop=*/!report.is_object());
  TRY(outcome_of(report, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), "tain mount -f shows what it says"));
  return supervisor;
}

Result<> mount_in_background(World& world, const fs::DaemonOptions& options, store::Credential credential, bool as_json) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  world.out.flush();
  world.err.flush();
  const pid_t parent = ::getpid();
  const pid_t supervisor = ::fork();
  if (supervisor < 0) return errno_error(errno, "fork");
  if (supervisor == 0) {
    read_end.reset();
    // If the command is interrupted before the mount is usable, the mount is not wanted any more.
    const fs::Supervision supervision{.mount = options.mount, .command = parent, .forget_secrets = [&] { credential = store::Credential(); }};
    // _exit: what the parent has registered for its end is not the child's business.
    ::_exit(fs::supervise(supervision, [&](fs::SupervisorLink& link) {
      return serve(world, options, std::move(credential), std::move(write_end), link);
    }));
  }
  write_end.reset();
  credential = store::Credential();
  const pid_t pid = TRY(read_report(read_end.get(), supervisor));
  keep_header(world, options.mount.source, Keep::later);

  struct stat st {};
  if (::stat(options.mount.mountpoint.c_str(), &st) != 0) {
    return Error(Code::fuse, "the mount does not answer: " + errno_error(errno, options.mount.mountpoint).message());
  }
  report_mounted(world, options, pid, as_json);
  return {};
}

/// This process becomes the supervisor. What went wrong in the serving process comes back through a pipe.
Result<> mount_in_foreground(World& world, fs::DaemonOptions options, store::Credential credential, bool as_json) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  options.warn = [&world](const std::string& message) { warn(world, message); };
  options.ready = [&](const std::string&) -> Result<> {
    report_mounted(world, options, ::getpid(), as_json);
    return flush_output(world);
  };
  world.out.flush();
  world.err.flush();
  const fs::Supervision supervision{.mount = options.mount, .command = 0, .forget_secrets = [&] { credential = store::Credential(); write_end.reset(); }};
  const int status = fs::supervise(supervision, [&](fs::SupervisorLink& link) {
    store::Credential locked = credential.clone();
    credential = store::Credential();
    options.supervisor = ::getppid();
    const auto outcome = fs::run_daemon(options, link, std::move(locked));
    (void)send_report(write_end.get(), report_of(outcome)).ok();
    return outcome.ok() ? kExitOk : exit_status(outcome.code());
  });
  write_end.reset();  // where there never was a worker
  return outcome_of(read_line(read_end.get()), status, "what was saved with fsync is in the vault; the system log may say more");
}

/// FUSE lets others in only if the administrator has said so; say which line of which file.
Result<> check_allow_other(const World& world, const MountFlags& flags) {
  const bool wanted = flags.allow_other || std::count(flags.fuse_options.begin(), flags.fuse_options.end(), "allow_root") != 0;
  if (!wanted || world.uid == 0) return {};
  std::ifstream config("/etc/fuse.conf");
  for (std::string line; std::getline(config, line);) {
    if (line.starts_with("user_allow_other")) return {};
  }
  return Error(Code::fuse, "allow_other and allow_root are for root only on this system")
      .hint("as root, add the line user_allow_other to /etc/fuse.conf");
}

Result<> check_not_in_use(const std::string& vault_directory) {
  const auto holder = TRY(store::Vault::holder(vault_directory));
  if (!holder) return {};
  const std::string process = "process " + std::to_string(holder->pid);
  if (!holder->mountpoint.empty() && !fs::find_mount_of(TRY(fs::read_mount_table()), vault_directory)) {
    return Error(Code::in_use, vault_directory + " is not mounted any more, but " + process + " still has it open for programs that use its files")
        .hint("close these programs, or lock it all the same: tain unmount " + vault_directory);
  }
  if (holder->mountpoint.empty()) return Error(Code::in_use, vault_directory + " is in use by " + process).hint("wait until it has finished");
  return Error(Code::in_use, vault_directory + " is already mounted at " + holder->mountpoint + " by " + process)
      .hint("tain unmount " + holder->mountpoint);
}

/// A moment that is over: what is to come has no past.
Result<int64_t> as_of(const std::string& text) {
  const int64_t now_ms = system_clock().wall_ns() / 1'000'000;
  auto moment = parse_moment(text, now_ms);
  if (!moment.ok()) return Error(Code::usage, moment.error().message()).hint(moment.error().hint());
  return std::min(moment->ms, now_ms);
}

}  // namespace

Result<> cmd_mount(World& world, const Arguments& arguments) {
  MountFlags flags;
  for (const std::string& list : arguments.values("options")) TRY(add_mount_options(list, flags));
  if (const auto at = arguments.value("at")) flags.at = *at;
  flags.read_only = flags.read_only || arguments.has("ro") || !flags.at.empty();
  flags.allow_other = flags.allow_other || arguments.has("allow-other");
  flags.lock_on_suspend |= arguments.has("lock-on-suspend");
  flags.lock_on_screen |= arguments.has("lock-on-screen");
  if (const auto idle = arguments.value("idle")) flags.idle_s = TRY(parse_duration(*idle));
  if (const auto rate = arguments.value("scrub-rate")) flags.scrub_rate_bytes_s = TRY(parse_rate(*rate));
  if (const auto after = arguments.value("scrub-after")) flags.scrub_after_s = TRY(parse_duration(*after));

  fs::DaemonOptions options;
  const std::string& vault = arguments.positional()[0];
  auto directory = canonical_path(vault);
  if (!directory.ok()) return Error(Code::not_a_vault, "no vault at " + directory.error().message()).hint("tain init makes one");
  options.mount.source = *directory;
  auto mountpoint = fs::resolve_path(arguments.positional()[1]);
  if (!mountpoint.ok()) return Error(Code::mountpoint, "mountpoint " + mountpoint.error().message()).hint(mountpoint.error().hint());
  options.mount.mountpoint = *mountpoint;
  options.runtime = runtime_paths(world, world.uid);
  options.version = kVersion;
  options.mount.read_only = flags.read_only;
  if (!flags.at.empty()) options.as_of_ms = TRY(as_of(flags.at));
  options.mount.allow_other = flags.allow_other;
  options.history = flags.history;
  options.idle_s = flags.idle_s;
  options.lock_on_suspend = flags.lock_on_suspend;
  options.lock_on_screen = flags.lock_on_screen;
  options.confined = flags.confined && !arguments.has("unconfined");
  options.scrub_rate_bytes_s = flags.scrub_rate_bytes_s;
  options.scrub_after_s = flags.scrub_after_s;
  options.mount.fuse_options = flags.fuse_options;

  // All that can be known is checked before anybody types a password; the serving process checks again.
  auto inspected = store::Vault::inspect(options.mount.source);
  if ((inspected.is(Code::header_damaged) || inspected.is(Code::not_a_vault)) && kept_header(world, options.mount.source))
    return std::move(inspected).error().hint("this machine keeps a copy of its header: tain header restore " + options.mount.source);
  TRY(std::move(inspected));
  auto usable = fs::check_mountpoint(options.mount.mountpoint, options.mount.source);
  if (!usable.ok() && !usable.is(Code::in_use)) return usable;
  TRY(check_not_in_use(options.mount.source));  // knows the process too
  TRY(std::move(usable));
  TRY(check_fuse_device());
  TRY(check_allow_other(world, flags));
  warn_about_placement(world, options.mount.source);

  store::Credential credential = TRY(read_credential(world, arguments, options.mount.source));
  const bool as_json = arguments.has("json");
  return arguments.has("foreground") ? mount_in_foreground(world, std::move(options), std::move(credential), as_json)
                                     : mount_in_background(world, options, std::move(credential), as_json);
}

}  // namespace tain::cli
