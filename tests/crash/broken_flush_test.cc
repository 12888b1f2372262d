// SPDX-License-Identifier: Apache-2.0
// The explorer sees every flush that does not happen: one that only pretends to have flushed is caught.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/crash/workloads.h"

namespace tain::crash {
namespace {

/// Flushes of one kind.
struct Kind {
  const char* name;
  const char* file;  // Recording::file_names
  bool one_write;    // LMDB's meta page, through its O_DSYNC descriptor
};

std::vector<size_t> flushes_of(const Recording& recording, const Kind& kind) {
  std::vector<size_t> out;
  Timeline timeline(recording);
  for (size_t i = recording.first_point; i < recording.events.size(); ++i) {
    const Event& event = recording.events[i];
    if (event.kind != Event::Kind::flush || recording.file_names[event.file] != kind.file ||
        (event.size != 0) != kind.one_write)
      continue;
    timeline.advance(i);
    const auto& pending = timeline.pending();
    const bool matters =
        std::any_of(pending.begin(), pending.end(), [&](const Event* p) { return p->file == event.file; });
    if (matters) out.push_back(i);
  }
  return out;
}

/// The recording with the flushes at `indexes` pretended, up to the second real one of the same file behind the last of
/// them: from then on everything is on the disk again.
Recording with_pretended(const Recording& recording, const std::vector<size_t>& indexes) {
  Recording out = recording;
  const uint32_t file = out.events[indexes.back()].file;
  for (size_t index : indexes) out.events[index].file = kNoFile;
  size_t real = 0, end = indexes.back() + 1;
  for (; end < out.events.size() && real < 2; ++end)
    real += out.events[end].kind == Event::Kind::flush && out.events[end].file == file && out.events[end].size == 0;
  out.events.resize(end);
  out.first_point = indexes.front();
  return out;
}

Tally explore_pretended(const Work& work, const std::vector<size_t>& indexes) {
  const Plan plan{.seed = seed_from_environment(), .states = 120, .violations_max = 1};
  return explore(with_pretended(work.recording, indexes), *work.judge, plan);
}

/// Pretends some flushes of the kind, one at a time; all of them must be noticed.
void expect_each_caught(const Work& work, const Kind& kind, size_t most) {
  std::vector<size_t> flushes = flushes_of(work.recording, kind);
  const size_t there = flushes.size();
  ASSERT_GT(there, 0u) << kind.name;
  std::shuffle(flushes.begin(), flushes.end(), std::mt19937_64(seed_from_environment()));
  flushes.resize(std::min(flushes.size(), most));
  size_t caught = 0;
  for (size_t index : flushes) {
    const Tally tally = explore_pretended(work, {index});
    caught += tally.violations > 0;
    EXPECT_GT(tally.violations, 0u) << work.name << ": nobody noticed that the " << kind.name << " at event " << index
                                    << " did not happen; TAIN_CRASH_SEED=" << seed_from_environment();
  }
  std::printf("%s: %zu of %zu pretended flushes caught (%s; %zu in the recording)\n", work.name.c_str(), caught,
              flushes.size(), kind.name, there);
}

TEST(BrokenFlushTest, NoneOfTheStoreCanBeLeftOut) {
  const size_t most = is_long_run() ? 40 : 3;
  const Work work = editor_saves(seed_from_environment());
  expect_each_caught(work, {"flush of the journal", "journal", false}, most);
  expect_each_caught(work, {"flush of the database", "data.mdb", false}, most);
  expect_each_caught(work, {"flush of the database's meta page", "data.mdb", true}, most);
}

TEST(BrokenFlushTest, OneOfTheHeaderIsMadeGoodByTheSecondCopyButNotBoth) {
  const Work work = password_changes(seed_from_environment());
  const std::vector<size_t> first = flushes_of(work.recording, {"", "header.new", false});
  const std::vector<size_t> second = flushes_of(work.recording, {"", "header.bak.new", false});
  ASSERT_FALSE(first.empty());
  ASSERT_EQ(first.size(), second.size());

  const Tally one = explore_pretended(work, {first[0]});
  const Tally other = explore_pretended(work, {second[0]});
  const Tally both = explore_pretended(work, {first[0], second[0]});

  EXPECT_EQ(one.complaints, std::vector<std::string>());
  EXPECT_EQ(other.complaints, std::vector<std::string>());
  EXPECT_GT(both.violations, 0u) << "TAIN_CRASH_SEED=" << seed_from_environment();
}

}  // namespace
}  // namespace tain::crash
