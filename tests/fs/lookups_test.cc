// SPDX-License-Identifier: Apache-2.0
// Lookup counts: when an orphan may go, and the table beneath.
#include "fs/lookups.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>
#include <vector>

namespace tain::fs {
namespace {

TEST(LookupsTest, CountsUpAndDown) {
  Lookups lookups;
  lookups.add(Ino{7});
  lookups.add(Ino{7});
  lookups.add(Ino{8});

  EXPECT_EQ(lookups.count(Ino{7}), 2u);
  EXPECT_EQ(lookups.size(), 2u);
  EXPECT_FALSE(lookups.forget(Ino{7}, 1));
  EXPECT_EQ(lookups.count(Ino{7}), 1u);
  EXPECT_FALSE(lookups.forget(Ino{7}, 1));
  EXPECT_EQ(lookups.count(Ino{7}), 0u);
  EXPECT_EQ(lookups.size(), 1u);
}

TEST(LookupsTest, OrphanThatTheKernelKnowsGoesWithItsLastLookup) {
  Lookups lookups;
  lookups.add(Ino{7});
  lookups.add(Ino{7});

  EXPECT_FALSE(lookups.mark_orphan(Ino{7}));
  EXPECT_EQ(lookups.count(Ino{7}), 2u) << "the mark is not part of the count";
  EXPECT_FALSE(lookups.forget(Ino{7}, 1));
  EXPECT_TRUE(lookups.forget(Ino{7}, 1));
  EXPECT_FALSE(lookups.forget(Ino{7}, 1)) << "told once only";
}

TEST(LookupsTest, OrphanThatTheKernelDoesNotKnowGoesAtOnce) {
  Lookups lookups;

  EXPECT_TRUE(lookups.mark_orphan(Ino{7}));
  EXPECT_EQ(lookups.size(), 0u);
}

TEST(LookupsTest, NamedInodeIsNeverReaped) {
  Lookups lookups;
  lookups.add(Ino{7});

  EXPECT_FALSE(lookups.forget(Ino{7}, 1));
}

TEST(LookupsTest, ForgettingTooMuchDoesNotWrapAround) {
  Lookups lookups;
  lookups.add(Ino{7});

  EXPECT_FALSE(lookups.forget(Ino{7}, 1000));
  EXPECT_EQ(lookups.count(Ino{7}), 0u);
  EXPECT_FALSE(lookups.forget(Ino{9}, 1));
}

TEST(LookupsTest, AgreesWithAMapOverManyInsertionsAndRemovals) {
  Lookups lookups;
  std::map<uint64_t, uint64_t> oracle;
  uint64_t state = 42;
  const auto next = [&state] { return (state = state * 6364136223846793005ULL + 1442695040888963407ULL) >> 33; };

  for (int round = 0; round < 200'000; ++round) {
    const uint64_t ino = 1 + next() % 3000 * (1 + next() % 3);
    if (next() % 2 == 0) {
      lookups.add(Ino{ino});
      ++oracle[ino];
    } else if (auto it = oracle.find(ino); it != oracle.end()) {
      const uint64_t count = 1 + next() % it->second;
      EXPECT_FALSE(lookups.forget(Ino{ino}, count));
      if ((it->second -= count) == 0) oracle.erase(it);
    }
  }

  EXPECT_EQ(lookups.size(), oracle.size());
  for (uint64_t ino = 1; ino < 10'000; ++ino) {
    const auto it = oracle.find(ino);
    ASSERT_EQ(lookups.count(Ino{ino}), it == oracle.end() ? 0 : it->second) << ino;
  }
}

TEST(LookupsTest, ThreadsAgreeOnWhoReaps) {
  constexpr uint64_t kInodes = 2000;
  constexpr int kThreads = 4;
  Lookups lookups;
  for (uint64_t ino = 1; ino <= kInodes; ++ino) {
    for (int i = 0; i < kThreads; ++i) lookups.add(Ino{ino});
  }
  std::atomic<uint64_t> reaped{0};

  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (uint64_t ino = 1; ino <= kInodes; ++ino) {
        if (i == 0 && lookups.mark_orphan(Ino{ino})) ++reaped;
        if (lookups.forget(Ino{ino}, 1)) ++reaped;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(reaped, kInodes);
  EXPECT_EQ(lookups.size(), 0u);
}

}  // namespace
}  // namespace tain::fs
