// SPDX-License-Identifier: Apache-2.0
#include "cli/pager.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/file.h"

namespace tain::cli {
namespace {

/// Quits by itself when everything fits, keeps colours, leaves the text there.
constexpr const char* kUsualPager = "if command -v less >/dev/null; then LESS=FRX exec less; else exec cat; fi";

/// While it lives, Ctrl-C is the pager's: less stops a search by it, and without tain it would be left on a terminal that
/// the shell believes to be its own again.
class LeaveInterruptsToThePager {
 public:
  LeaveInterruptsToThePager() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &ignore, &before_[i]);
  }
  ~LeaveInterruptsToThePager() { restore(); }
  LeaveInterruptsToThePager(const LeaveInterruptsToThePager&) = delete;
  LeaveInterruptsToThePager& operator=(const LeaveInterruptsToThePager&) = delete;
  void restore() const {
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  }

 private:
  static constexpr std::array kSignals = {SIGINT, SIGQUIT};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace

Result<> show_paged(World& world, const std::string& text) {
  const std::string chosen = world.env("PAGER");
  if (!world.out_is_tty || chosen == "cat") {
    world.out << text;
    return flush_output(world);
  }
  TRY(flush_output(world));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  const std::string command = chosen.empty() ? kUsualPager : chosen;
  const LeaveInterruptsToThePager interrupts;
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error(errno, "start the pager");
  if (pid == 0) {
    interrupts.restore();
    ::signal(SIGPIPE, SIG_DFL);
    ::setenv("LESSHISTFILE", "-", 1);  // what is searched for in a vault stays out of ~/.lesshst
    ::dup2(read_end.get(), STDIN_FILENO);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  read_end.reset();
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t n = ::write(write_end.get(), text.data() + sent, text.size() - sent);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // the reader has seen enough
    sent += static_cast<size_t>(n);
  }
  write_end.reset();
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) return Error(Code::interrupted, "interrupted");
  return {};
}

}  // namespace tain::cli
