// SPDX-License-Identifier: Apache-2.0
#include "cli/exit.h"

#include <gtest/gtest.h>

namespace tain::cli {
namespace {

// Numbers and not names: the numbers are what scripts see.
TEST(ExitTest, StatusesAreTheDocumentedNumbers) {
  EXPECT_EQ(kExitOk, 0);
  EXPECT_EQ(exit_status(Code::usage), 2);
  EXPECT_EQ(exit_status(Code::partial), 3);
  EXPECT_EQ(exit_status(Code::not_a_vault), 6);
  EXPECT_EQ(exit_status(Code::mountpoint), 10);
  EXPECT_EQ(exit_status(Code::in_use), 11);
  EXPECT_EQ(exit_status(Code::wrong_password), 12);
  EXPECT_EQ(exit_status(Code::header_damaged), 13);
  EXPECT_EQ(exit_status(Code::format_too_new), 14);
  EXPECT_EQ(exit_status(Code::fuse), 19);
  EXPECT_EQ(exit_status(Code::empty_password), 22);
  EXPECT_EQ(exit_status(Code::corrupt), 26);
  EXPECT_EQ(exit_status(Code::time_locked), 28);
  EXPECT_EQ(exit_status(Code::interrupted), 130);
}

TEST(ExitTest, EverythingElseIsOne) {
  for (Code code : {Code::not_found, Code::busy, Code::io, Code::no_space, Code::not_empty, Code::suite_missing, Code::unsupported}) {
    EXPECT_EQ(exit_status(code), 1);
  }
}

}  // namespace
}  // namespace tain::cli
