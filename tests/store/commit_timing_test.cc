// SPDX-License-Identifier: Apache-2.0
// The committer thread on its own: a change reaches the database although nobody asks for it.
#include <chrono>
#include <thread>

#include "tests/support/temp_vault.h"

namespace tain::test {
namespace {

TEST(CommitterThreadTest, CommitsASmallChangeByItself) {
  TempVault temp;
  const uint64_t before = temp.vault().stats().commits;

  temp.make_file(kRootIno, "left alone");

  // About a second by design; a minute only keeps a loaded machine from failing the test.
  for (int i = 0; i < 600 && temp.vault().stats().commits == before; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_GT(temp.vault().stats().commits, before);
  EXPECT_EQ(temp.vault().stats().pending_bytes, 0u);
}

TEST(CommitterThreadTest, GoesOnAfterEachCommit) {
  TempVault temp;
  for (int round = 0; round < 3; ++round) {
    const uint64_t before = temp.vault().stats().commits;
    temp.make_file(kRootIno, "file " + std::to_string(round));
    for (int i = 0; i < 600 && temp.vault().stats().commits == before; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ASSERT_GT(temp.vault().stats().commits, before) << "round " << round;
  }
}

}  // namespace
}  // namespace tain::test
