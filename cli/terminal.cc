// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/file.h"

namespace tain::cli {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// A handler can reach nothing but a global.
volatile std::sig_atomic_t g_interrupted = 0;
void note_signal(int) { g_interrupted = 1; }

/// While it lives, signals that would kill or stop the program only end a ppoll() with `waiting()`.
class SignalGuard {
 public:
  SignalGuard() {
    g_interrupted = 0;
    sigset_t blocked;
    sigemptyset(&blocked);
    struct sigaction action {};
    action.sa_handler = note_signal;
    for (size_t i = 0; i < kSignals.size(); ++i) {
      sigaddset(&blocked, kSignals[i]);
      sigaction(kSignals[i], &action, &before_[i]);
    }
    sigaddset(&blocked, SIGTSTP);  // a stopped program would leave the echo off
    sigprocmask(SIG_BLOCK, &blocked, &mask_);
    waiting_ = mask_;
    sigaddset(&waiting_, SIGTSTP);
    for (int signal : kSignals) sigdelset(&waiting_, signal);
  }
  ~SignalGuard() {
    sigprocmask(SIG_SETMASK, &mask_, nullptr);
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  }
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  const sigset_t& waiting() const { return waiting_; }

 private:
  std::array<struct sigaction, kSignals.size()> before_{};
  sigset_t mask_{}, waiting_{};
};

class EchoOff {
 public:
  explicit EchoOff(int fd) : fd_(fd) {
    if (::tcgetattr(fd_, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    quiet.c_lflag |= ECHONL | ICANON | ISIG;
    changed_ = ::tcsetattr(fd_, TCSAFLUSH, &quiet) == 0;
  }
  ~EchoOff() {
    if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;
  bool active() const { return changed_; }

 private:
  int fd_;
  termios before_{};
  bool changed_ = false;
};

Result<> show(int fd, std::string_view text) {
  if (::write(fd, text.data(), text.size()) < 0) return errno_error(errno, "write to the terminal");
  return {};
}

Error give_up(int fd) {
  (void)show(fd, "\n").ok();
  return Error(Code::interrupted, "interrupted");
}

}  // namespace

Result<Secret> ControllingTerminal::ask_secret(std::string_view prompt, size_t size_max) {
  UniqueFd tty(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!tty.valid()) {
    return Error(Code::io, "no terminal to ask for the password").hint("use --passfile, --passcmd, --pass-fd or standard input");
  }
  Secret line(size_max + 1);  // and the newline
  size_t size = 0;
  {
    SignalGuard signals;
    EchoOff quiet(tty.get());
    if (!quiet.active()) return Error(Code::io, "cannot turn off the terminal's echo");
    TRY(show(tty.get(), prompt));
    while (size == 0 || line.view()[size - 1] != '\n') {
      if (size == line.size()) return Error(Code::too_large, "the password is longer than " + std::to_string(size_max) + " bytes");
      pollfd poller{tty.get(), POLLIN, 0};
      const int ready = ::ppoll(&poller, 1, nullptr, &signals.waiting());
      if (g_interrupted != 0) return give_up(tty.get());
      if (ready < 0) continue;
      const ssize_t n = ::read(tty.get(), line.span().data() + size, line.size() - size);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno_error(errno, "read from the terminal");
      if (n == 0) return give_up(tty.get());  // Ctrl-D
      size += static_cast<size_t>(n);
    }
  }
  if (size > 0 && line.view()[size - 1] == '\n') --size;
  line.shrink(size);
  return line;
}

}  // namespace tain::cli
