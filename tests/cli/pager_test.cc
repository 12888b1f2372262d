// SPDX-License-Identifier: Apache-2.0
#include "cli/pager.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "tests/cli/fake_world.h"

namespace tain::cli {
namespace {

class PagerTest : public testing::Test {
 protected:
  void SetUp() override {
    fake_.world.out_is_tty = true;
    ::signal(SIGPIPE, SIG_IGN);  // as main() does
  }
  std::string seen() const {
    std::ostringstream out;
    out << std::ifstream(file_).rdbuf();
    return out.str();
  }
  FakeWorld fake_;
  const std::string file_ = fake_.directory.path("seen");
};

TEST_F(PagerTest, CtrlCIsForThePager) {
  // The shell that runs it is a child of this process, as it is of tain.
  fake_.environment["PAGER"] = "kill -INT $PPID; kill -QUIT $PPID; cat >" + file_;
  ASSERT_TRUE(show_paged(fake_.world, "a text\n").ok());
  EXPECT_EQ(seen(), "a text\n");

  struct sigaction after {};
  ::sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(after.sa_handler, SIG_DFL) << "as it was before";
}

TEST_F(PagerTest, APagerThatCtrlCEndsEndsTheCommand) {
  fake_.environment["PAGER"] = "kill -INT $$";
  EXPECT_TRUE(show_paged(fake_.world, std::string(1 << 20, 'x')).is(Code::interrupted));
}

TEST_F(PagerTest, LessRemembersNothing) {
  fake_.environment["PAGER"] = "printenv LESSHISTFILE >" + file_;
  ASSERT_TRUE(show_paged(fake_.world, "a text\n").ok());
  EXPECT_EQ(seen(), "-\n");
}

TEST_F(PagerTest, WithoutATerminalTheTextIsPrinted) {
  fake_.world.out_is_tty = false;
  fake_.environment["PAGER"] = "false";
  ASSERT_TRUE(show_paged(fake_.world, "a text\n").ok());
  EXPECT_EQ(fake_.out.str(), "a text\n");
}

}  // namespace
}  // namespace tain::cli
