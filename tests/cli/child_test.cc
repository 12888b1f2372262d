// SPDX-License-Identifier: Apache-2.0
#include "cli/child.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <stdexcept>

namespace tain::cli {
namespace {

TEST(ChildTest, ItsAnswerComesBackAndItsMemoryDoesNot) {
  int here = 0;
  const auto answer = in_child([&]() -> Result<Secret> {
    here = 1;
    return Secret::copy_of(Bytes(kChildAnswerMax, 7));
  });
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->equals(Secret::copy_of(Bytes(kChildAnswerMax, 7))));
  EXPECT_EQ(here, 0);
  const auto nothing = in_child([] { return Result<Secret>(Secret()); });
  ASSERT_TRUE(nothing.ok());
  EXPECT_TRUE(nothing->empty());
}

TEST(ChildTest, AnErrorComesBackWhole) {
  const auto answer = in_child([]() -> Result<Secret> { return Error(Code::wrong_password, "wrong PIN").hint("3 tries are left"); });
  ASSERT_TRUE(answer.is(Code::wrong_password));
  EXPECT_EQ(answer.error().message(), "wrong PIN");
  EXPECT_EQ(answer.error().hint(), "3 tries are left");
  const auto long_one = in_child([]() -> Result<Secret> { return Error(Code::io, std::string(100'000, 'x')); });
  EXPECT_TRUE(long_one.is(Code::io));
}

TEST(ChildTest, AChildThatDiesIsAnError) {
  EXPECT_TRUE(in_child([]() -> Result<Secret> { ::_exit(0); }).is(Code::io));
  EXPECT_TRUE(in_child([]() -> Result<Secret> { throw std::runtime_error("no memory"); }).is(Code::io));
  const auto killed = in_child([]() -> Result<Secret> {
    ::kill(::getpid(), SIGKILL);
    return Secret();
  });
  ASSERT_TRUE(killed.is(Code::io));
  EXPECT_NE(killed.error().message().find("signal 9"), std::string::npos);
}

}  // namespace
}  // namespace tain::cli
