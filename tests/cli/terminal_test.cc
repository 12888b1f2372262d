// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <string>

#include "base/file.h"

namespace tain::cli {
namespace {

enum ChildStatus { kGotPass = 0, kInterrupted = 3, kOther = 4 };

/// A process with a terminal of its own that asks once.
class Asking {
 public:
  Asking() {
    int master = -1;
    pid_ = ::forkpty(&master, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      ControllingTerminal terminal;
      auto secret = terminal.ask_secret("Password: ", 16);
      if (secret.ok()) ::_exit(as_text(secret->view()) == "pass" ? kGotPass : kOther);
      ::_exit(secret.is(Code::interrupted) ? kInterrupted : kOther);
    }
    master_ = UniqueFd(master);
    wait_for_text("Password: ");
  }
  ~Asking() {
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;

  void type(std::string_view keys) { EXPECT_EQ(::write(master_.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size())); }
  bool echoes() {
    termios state{};
    EXPECT_EQ(::tcgetattr(master_.get(), &state), 0);
    return (state.c_lflag & ECHO) != 0;
  }
  int exit_status() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  /// All that was shown.
  const std::string& shown() {
    while (read_some(100)) {}
    return shown_;
  }

 private:
  bool read_some(int timeout_ms) {
    pollfd poller{master_.get(), POLLIN, 0};
    char buffer[256];
    if (::poll(&poller, 1, timeout_ms) <= 0) return false;
    const ssize_t n = ::read(master_.get(), buffer, sizeof buffer);
    if (n <= 0) return false;
    shown_.append(buffer, static_cast<size_t>(n));
    return true;
  }
  void wait_for_text(std::string_view text) {
    while (shown_.find(text) == std::string::npos && read_some(30'000)) {}
  }

  pid_t pid_ = 0;
  UniqueFd master_;
  std::string shown_;
};

TEST(TerminalTest, ReadsALineWithoutEcho) {
  Asking asking;

  EXPECT_FALSE(asking.echoes());
  asking.type("pass\n");

  EXPECT_EQ(asking.exit_status(), kGotPass);
  EXPECT_EQ(asking.shown().find("pass"), std::string::npos);
}

TEST(TerminalTest, CtrlCInterruptsAndRestoresTheEcho) {
  Asking asking;

  asking.type("pas\x03");

  EXPECT_EQ(asking.exit_status(), kInterrupted);
  EXPECT_TRUE(asking.echoes());
}

TEST(TerminalTest, CtrlDAtThePromptInterrupts) {
  Asking asking;

  asking.type("\x04");

  EXPECT_EQ(asking.exit_status(), kInterrupted);
  EXPECT_TRUE(asking.echoes());
}

TEST(TerminalTest, ATooLongLineIsRefused) {
  Asking asking;

  asking.type(std::string(18, 'x') + "\n");

  EXPECT_EQ(asking.exit_status(), kOther);
  EXPECT_TRUE(asking.echoes());
}

}  // namespace
}  // namespace tain::cli
