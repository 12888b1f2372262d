// SPDX-License-Identifier: Apache-2.0
// A test that runs itself again in a process of its own: what a process asks once (the CPU) can be another there.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tain::test {

/// What the process must exit with: 0 would also be the status of one that found no test to run.
inline constexpr int kOwnProcessPassed = 42;

/// Runs the calling test with `variables` (NAME=VALUE …) in its environment, whatever part of the tests this process
/// was given. Its exit status; -1 if it did not exit.
inline int run_in_own_process(const std::string& variables) {
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  const std::string command = "env -u GTEST_TOTAL_SHARDS -u GTEST_SHARD_INDEX " + variables + " '" + program +
                              "' --gtest_filter=" + test.test_suite_name() + "." + test.name() + " > /dev/null 2>&1";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace tain::test
