// SPDX-License-Identifier: Apache-2.0
#include "fs/unmount.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "fs/subprocess.h"
#include "tests/support/temp_directory.h"

namespace tain::fs {
namespace {

/// A program that runs with `descriptor` open until it is told to end.
class Holder {
 public:
  explicit Holder(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY)) {  // inherited, so no O_CLOEXEC
    auto program = spawn({"sleep", "600"}, Capture::standard_output);
    if (program.ok()) pid_ = program->pid;
    fd_.reset();
  }
  ~Holder() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    (void)wait_for(pid_).ok();
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  pid_t pid() const { return pid_; }

 private:
  UniqueFd fd_;
  pid_t pid_ = 0;
};

bool names(const std::vector<MountUser>& users, pid_t pid) {
  return std::any_of(users.begin(), users.end(), [&](const MountUser& user) { return user.pid == pid; });
}

TEST(UnmountTest, FindsWhoHasAFileOpen) {
  test::TempDirectory directory;
  directory.directory("mnt");
  directory.directory("mnt2");
  Holder inside(directory.file("mnt/file", "x"));
  Holder beside(directory.file("mnt2/file", "x"));
  MountEntry mount;
  mount.mountpoint = directory.path("mnt");
  mount.device_major = 0xfff;  // no such device: only paths can match

  const std::vector<MountUser> users = mount_users(mount);

  EXPECT_TRUE(names(users, inside.pid()));
  EXPECT_FALSE(names(users, beside.pid()));
  EXPECT_FALSE(names(users, ::getpid()));
  EXPECT_EQ(users.front().name, "sleep");
}

TEST(SubprocessTest, CapturesOutputAndStatus) {
  auto program = spawn({"sh", "-c", "printf hello; exit 7"}, Capture::standard_output);
  ASSERT_TRUE(program.ok());
  char text[16] = {};

  EXPECT_EQ(::read(program->output.get(), text, sizeof text), 5);
  EXPECT_STREQ(text, "hello");
  EXPECT_EQ(wait_for(program->pid).value(), 7);
}

TEST(SubprocessTest, AMissingProgramIsAnError) {
  EXPECT_FALSE(spawn({"tain-no-such-program"}, Capture::standard_error).ok());
}

TEST(SubprocessTest, SignalsIgnoredHereAreNotIgnoredThere) {
  auto before = std::signal(SIGPIPE, SIG_IGN);
  auto program = spawn({"sh", "-c", "kill -PIPE $$; exit 0"}, Capture::standard_output);
  std::signal(SIGPIPE, before);
  ASSERT_TRUE(program.ok());

  EXPECT_EQ(wait_for(program->pid).value(), 128 + SIGPIPE);
}

}  // namespace
}  // namespace tain::fs
