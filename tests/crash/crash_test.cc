// SPDX-License-Identifier: Apache-2.0
// What any crash leaves is a state that the promises allow (docs/crash-testing.md).
//
// TAIN_LONG=1 visits more than 20 000 states; TAIN_CRASH_SEED changes the seed, which a failure prints;
// TAIN_CRASH_KEEP=FOLDER keeps the disks of violations.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/crash/workloads.h"

namespace tain::crash {
namespace {

std::string report(const std::string& name, const Tally& tally) {
  std::string out = "TAIN_CRASH_SEED=" + std::to_string(seed_from_environment()) + ", " + name + ": " +
                    std::to_string(tally.states) + " states, " + std::to_string(tally.crashes) + " crashes at " +
                    std::to_string(tally.points) + " points, " + std::to_string(tally.recoveries) +
                    " openings crashed too, " + std::to_string(tally.violations) + " violations\n";
  for (const std::string& complaint : tally.complaints) out += complaint + "\n";
  return out;
}

class CrashTest : public testing::TestWithParam<NamedWorkload> {};

TEST_P(CrashTest, AnyCrashLeavesAStateThatThePromisesAllow) {
  const NamedWorkload& workload = GetParam();
  const uint64_t recordings = is_long_run() ? 3 : 1;
  const size_t states = is_long_run() ? workload.states_long : workload.states_short;
  const size_t recover_every = std::min<size_t>(states / 4, 30);
  Tally total;
  for (uint64_t i = 0; i < recordings && total.violations == 0; ++i) {
    const uint64_t seed = seed_from_environment() + i;
    const Work work = workload.record(seed);
    total += explore(work.recording, *work.judge, {.seed = seed, .states = states, .recover_every = recover_every});
  }

  std::printf("%s", report(workload.name, total).c_str());
  EXPECT_EQ(total.violations, 0u) << report(workload.name, total);
  EXPECT_GE(total.states, recordings * states / 4) << "the recordings give too few different disks to be a test";
}

INSTANTIATE_TEST_SUITE_P(All, CrashTest, testing::ValuesIn(all_workloads()), [](const auto& param) {
  std::string name;
  for (const char* c = param.param.name; *c != '\0'; ++c)
    if (*c >= 'a' && *c <= 'z') name += *c;
  return name;
});

TEST(GenerationsTest, LifeAfterACrashIsAsSafeAsBefore) {
  // Each life begins with what a crash left of the one before, with its torn frames and stale pages.
  const uint64_t seed = seed_from_environment();
  const size_t lives = is_long_run() ? 40 : 8;
  auto scene = std::make_unique<Scene>(Scene::Options{});
  scene->begin();
  Tally total;
  for (uint64_t life = 0; life < lives && total.violations == 0; ++life) {
    SCOPED_TRACE("life " + std::to_string(life));
    Lane& lane = scene->lane();
    lane.keep_oracles();
    const uint64_t before = lane.done();
    random_operations(lane, seed * 1000 + life, 60, 60);
    const Work work = scene->finish("life " + std::to_string(life));
    total += explore(work.recording, *work.judge,
                     {.seed = seed + life, .states = size_t{is_long_run() ? 60u : 10u}, .recover_every = 25});

    const CrashedDisk crashed = random_crash(work.recording, seed + life);
    const Workspace workspace;
    ASSERT_TRUE(crashed.disk.save(workspace.path("vault")));
    const Visible visible = work.judge->look(workspace.path("vault"), false);
    ASSERT_EQ(visible.complaint, "");
    ASSERT_FALSE(visible.fits[0].empty()) << visible.nearest;
    ASSERT_GE(visible.fits[0].back(), before) << "the crash was not in this life";
    const test::Oracle oracle = lane.oracle_after(visible.fits[0].back() - before);
    scene = std::make_unique<Scene>(crashed.disk, oracle);
  }
  std::printf("%s", report("generations", total).c_str());
  EXPECT_EQ(total.violations, 0u) << report("generations", total);
}

}  // namespace
}  // namespace tain::crash
