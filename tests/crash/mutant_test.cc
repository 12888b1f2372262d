// SPDX-License-Identifier: Apache-2.0
// Linked with one deliberately broken source (tests/CMakeLists.txt: tain_mutant): the explorer must notice.
#include <gtest/gtest.h>

#include "tests/crash/workloads.h"

namespace tain::crash {
namespace {

TEST(MutantTest, IsCaught) {
  const uint64_t seed = seed_from_environment();
  std::string clean;
  for (const NamedWorkload& workload : all_workloads()) {
    const Work work = workload.record(seed);
    const Tally tally =
        explore(work.recording, *work.judge,
                {.seed = seed, .states = workload.states_short, .recover_every = 30, .violations_max = 1});
    if (tally.violations != 0) {
      std::printf("caught by %s after %lu states:\n%s\n", workload.name, tally.states, tally.complaints[0].c_str());
      return;
    }
    clean += std::string(workload.name) + ", ";
  }
  FAIL() << "nothing wrong in: " << clean << "TAIN_CRASH_SEED=" << seed;
}

}  // namespace
}  // namespace tain::crash
