// SPDX-License-Identifier: Apache-2.0
#include "sync/heads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/sync/dice.h"

namespace tain::sync {
namespace {

using test::Dice;

constexpr uint64_t kNow = uint64_t{1'795'000'000'000} << 16;                   // an HLC of 2026
constexpr uint64_t kYear = (uint64_t{365} * 24 * 3600 * 1000) << 16;           // as a difference of HLCs

Content text(std::string_view bytes) {
  const ByteView view = as_bytes(bytes);
  return FileContent{.size = view.size(), .data = Bytes(view.begin(), view.end())};
}

Version<Content> content(Dot dot, uint64_t hlc, std::vector<Dot> parents, std::string_view bytes) {
  return {.dot = dot, .hlc = hlc, .parents = std::move(parents), .value = text(bytes)};
}

Version<Location> location(Dot dot, uint64_t hlc, std::vector<Dot> parents, std::vector<std::string> names) {
  Version<Location> out{.dot = dot, .hlc = hlc, .parents = std::move(parents)};
  for (std::string& name : names) out.value.links.push_back({kRootEntry, std::move(name)});
  return out;
}

TEST(HeadsTest, ADescendantReplacesItsParentWhateverTheClocksSay) {
  Heads<Content> heads;
  heads.insert(content({1, 1}, kNow + 25 * kYear, {}, "old"));

  EXPECT_TRUE(heads.insert(content({2, 1}, kNow, {{1, 1}}, "new")));

  ASSERT_EQ(heads.all().size(), 1u);
  EXPECT_EQ(heads.winner().value, text("new"));
}

TEST(HeadsTest, InsertingTwiceChangesNothing) {
  Heads<Content> heads;
  heads.insert(content({1, 1}, kNow, {}, "a"));
  heads.insert(content({2, 1}, kNow, {{1, 1}}, "b"));
  const Heads<Content> before = heads;

  EXPECT_FALSE(heads.insert(content({2, 1}, kNow, {{1, 1}}, "b")));
  EXPECT_FALSE(heads.insert(content({1, 1}, kNow, {}, "a")));

  EXPECT_EQ(heads, before);
}

TEST(HeadsTest, AnEmptyNewFileNeverBeatsAText) {
  Heads<Content> heads;
  heads.insert(content({1, 1}, kNow, {}, "a whole day"));

  heads.insert(content({2, 1}, kNow + kYear, {}, ""));

  EXPECT_EQ(heads.winner().value, text("a whole day"));
  EXPECT_TRUE(heads.conflicts().empty());  // nobody needs to hear of nothing
}

TEST(HeadsTest, ATextThatSomebodyEmptiedIsAnEdit) {
  Heads<Content> heads;
  heads.insert(content({1, 2}, kNow + 1, {{1, 1}}, ""));
  heads.insert(content({2, 1}, kNow, {{1, 1}}, "more"));

  EXPECT_EQ(heads.winner().value, text(""));
  ASSERT_EQ(heads.conflicts().size(), 1u);
  EXPECT_EQ(heads.conflicts()[0]->value, text("more"));
}

TEST(HeadsTest, ARenameBeatsADeletionWhateverTheClocksSay) {
  Heads<Location> heads;
  heads.insert(location({1, 2}, kNow + kYear, {{1, 1}}, {}));
  heads.insert(location({2, 1}, kNow, {{1, 1}}, {"renamed"}));

  EXPECT_FALSE(heads.winner().value.is_removal());
  EXPECT_TRUE(heads.conflicts().empty());
}

TEST(HeadsTest, TheLaterOfTwoWinsAndThenTheGreaterDot) {
  Heads<Attributes> heads;
  heads.insert({.dot = {2, 1}, .hlc = 5, .value = {.mode = 0600}});
  heads.insert({.dot = {1, 1}, .hlc = 6, .value = {.mode = 0644}});
  heads.insert({.dot = {3, 1}, .hlc = 6, .value = {.mode = 0640}});

  EXPECT_EQ(heads.winner().value.mode, 0640u);
  EXPECT_EQ(heads.conflicts().size(), 2u);
}

TEST(HeadsTest, HeadsOfEqualValueAreOne) {
  Heads<Content> heads;
  heads.insert(content({1, 2}, 7, {{1, 1}}, "same"));
  Version<Content> other = content({2, 1}, 8, {{1, 1}}, "same");
  std::get<FileContent>(other.value).mtime.seconds = 99;  // saved at another time

  heads.insert(other);

  EXPECT_EQ(heads.all().size(), 2u);
  EXPECT_EQ(heads.values().size(), 1u);
  EXPECT_TRUE(heads.conflicts().empty());
  EXPECT_EQ(heads.basis(Replaces::winner)->parents, (std::vector<Dot>{{1, 2}, {2, 1}}));
}

TEST(HeadsTest, TheSameBytesInAnotherPackAreTheSame) {
  const Chunk chunk{.index = 0, .hash = {7}, .pack = {1}, .offset = 0, .length = 4096};
  Chunk elsewhere = chunk;
  elsewhere.pack = {2};
  elsewhere.offset = 512;
  Chunk other = chunk;
  other.hash = {8};
  const auto file = [](Chunk one) { return Content(FileContent{.size = 4096, .data = ChunkList{.chunks = {one}}}); };

  EXPECT_TRUE(is_same_value(file(chunk), file(elsewhere)));
  EXPECT_FALSE(is_same_value(file(chunk), file(other)));
  EXPECT_FALSE(is_same_value(file(chunk), Content(SymlinkContent{.target = "x"})));
}

TEST(HeadsTest, AnEditOfTheWinnerLeavesTheConflict) {
  Heads<Content> heads;
  heads.insert(content({1, 2}, kNow, {{1, 1}}, "mine"));
  heads.insert(content({2, 1}, kNow + 1, {{1, 1}}, "theirs"));

  const auto basis = heads.basis(Replaces::winner);
  heads.insert(content({1, 3}, basis->hlc_min, basis->parents, "theirs, edited"));

  EXPECT_EQ(heads.winner().value, text("theirs, edited"));
  ASSERT_EQ(heads.conflicts().size(), 1u);
  EXPECT_EQ(heads.conflicts()[0]->value, text("mine"));
}

// With the clock's time alone, a loser of a device whose clock is ahead would come back over the next edit of what won.
TEST(HeadsTest, WhatSomebodySawLoseDoesNotComeBackOverAnEditOfTheWinner) {
  Heads<Content> heads;
  heads.insert(content({1, 2}, kNow + kYear, {{1, 1}}, "loser"));
  heads.insert(content({2, 1}, kNow + 2 * kYear, {{1, 1}}, "winner"));

  const auto basis = heads.basis(Replaces::winner);
  heads.insert(content({3, 1}, std::max(kNow, basis->hlc_min), basis->parents, "winner, edited"));

  EXPECT_EQ(heads.winner().value, text("winner, edited"));
}

TEST(HeadsTest, TheGreatestClockOverflowsNothing) {
  Heads<Content> heads;
  heads.insert(content({1, 1}, UINT64_MAX, {}, "end of time"));

  EXPECT_EQ(heads.basis(Replaces::all)->hlc_min, UINT64_MAX);
}

TEST(HeadsTest, MoreHeadsThanAVersionCanNameAreFoldedFirst) {
  Heads<Location> heads;
  for (uint64_t writer = 1; writer <= 40; ++writer)
    heads.insert(location({writer, 1}, writer, {{100, 1}}, {"n" + std::to_string(writer)}));
  const auto winner = heads.winner();

  uint64_t counter = 2;
  while (!heads.basis(Replaces::all).has_value()) {
    const size_t before = heads.all().size();
    const Basis fold = heads.fold(Replaces::all);
    ASSERT_LE(fold.parents.size(), kParentsMax);
    heads.insert({.dot = {1, counter++}, .hlc = fold.hlc_min, .parents = fold.parents, .value = heads.winner().value});
    ASSERT_LT(heads.all().size(), before);
    ASSERT_EQ(heads.winner().value, winner.value);
  }
  const auto basis = heads.basis(Replaces::all);
  heads.insert(location({1, counter}, 0, basis->parents, {"edited"}));

  EXPECT_EQ(counter, 4u);  // 40 heads, 25, 10
  ASSERT_EQ(heads.all().size(), 1u);
  EXPECT_EQ(heads.winner().value.links[0].name, "edited");
}

TEST(HeadsTest, FoldingTheWinnersValueKeepsTheConflicts) {
  Heads<Content> heads;
  heads.insert(content({50, 1}, 1, {{100, 1}}, "loser"));
  for (uint64_t writer = 1; writer <= 20; ++writer) heads.insert(content({writer, 1}, 9, {{100, 1}}, "same"));

  const Basis fold = heads.fold(Replaces::winner);
  heads.insert(content({1, 2}, fold.hlc_min, fold.parents, "same"));

  EXPECT_EQ(heads.all().size(), 20u - kParentsMax + 1 + 1);
  EXPECT_EQ(heads.conflicts().size(), 1u);
  EXPECT_TRUE(heads.basis(Replaces::winner).has_value());
}

// ---- Any history of several devices, in any order that causality allows ----

/// What every device wrote, in an order in which it could have come to be.
template <class Value>
struct History {
  std::vector<Version<Value>> versions;
  std::vector<std::set<size_t>> known;  // of each version: what its device knew when it made it
};

Location value_of(Dice& dice, Location*) {
  if (dice.chance(25)) return {};
  return {.links = {{kRootEntry, std::string(1, static_cast<char>('a' + dice.below(4)))}}};
}
Content value_of(Dice& dice, Content*) {
  return text(std::string(dice.below(3), static_cast<char>('a' + dice.below(3))));
}
Attributes value_of(Dice& dice, Attributes*) { return {.mode = static_cast<uint32_t>(dice.below(4))}; }

template <class Value>
History<Value> some_history(Dice& dice, Replaces replaces) {
  struct Device {
    int64_t skew_years = 0;
    uint64_t counter = 0;
    std::set<size_t> known;
    Heads<Value> heads;
  };
  History<Value> history;
  std::vector<Device> devices(2 + dice.below(5));
  for (Device& device : devices) device.skew_years = static_cast<int64_t>(dice.below(51)) - 25;
  const size_t steps = 5 + dice.below(40);
  for (size_t step = 0; step < steps; ++step) {
    const size_t number = dice.below(devices.size());
    Device& device = devices[number];
    if (dice.chance(50)) {  // hears of one version and of all that came before it
      if (history.versions.empty()) continue;
      const size_t last = dice.below(history.versions.size());
      std::set<size_t> news = history.known[last];
      news.insert(last);
      for (const size_t one : news)  // ascending: in an order in which they came to be
        if (device.known.insert(one).second) device.heads.insert(history.versions[one]);
      continue;
    }
    const auto basis = device.heads.basis(replaces);
    if (!basis.has_value()) continue;
    if (dice.chance(20)) device.skew_years = static_cast<int64_t>(dice.below(51)) - 25;
    const uint64_t clock = kNow + step + static_cast<uint64_t>(device.skew_years) * kYear;
    Version<Value> version{.dot = {number + 1, ++device.counter},
                           .hlc = std::max(clock, basis->hlc_min),
                           .parents = basis->parents,
                           .value = value_of(dice, static_cast<Value*>(nullptr))};
    device.heads.insert(version);
    history.known.push_back(device.known);
    device.known.insert(history.versions.size());
    history.versions.push_back(std::move(version));
  }
  return history;
}

/// The versions that no other names, directly or by others, found in the whole history.
template <class Value>
std::set<Dot> maximal(const History<Value>& history) {
  std::set<Dot> out;
  for (const auto& version : history.versions) {
    out.insert(version.dot);
    for (const Dot& parent : version.parents) out.erase(parent);
  }
  return out;
}

template <class Value>
Heads<Value> deliver_in_some_order(const History<Value>& history, Dice& dice) {
  Heads<Value> heads;
  std::set<size_t> done;
  while (done.size() < history.versions.size()) {
    const size_t next = dice.below(history.versions.size());
    if (done.contains(next) || !std::ranges::includes(done, history.known[next])) continue;
    heads.insert(history.versions[next]);
    done.insert(next);
  }
  return heads;
}

template <class Value>
void check_histories(Replaces replaces) {
  size_t several = 0;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    const auto history = some_history<Value>(dice, replaces);
    if (history.versions.empty()) continue;
    const auto heads = deliver_in_some_order(history, dice);
    std::set<Dot> dots;
    for (const auto& head : heads.all()) dots.insert(head.dot);
    ASSERT_EQ(dots, maximal(history));
    for (int i = 0; i < 5; ++i) ASSERT_EQ(deliver_in_some_order(history, dice), heads);
    several += dots.size() > 1;
  }
  EXPECT_GT(several, 500u);  // or nothing was tried
}

TEST(HeadsTest, LocationsAreTheSameInEveryOrder) { check_histories<Location>(Replaces::all); }
TEST(HeadsTest, ContentsAreTheSameInEveryOrder) { check_histories<Content>(Replaces::winner); }
TEST(HeadsTest, AttributesAreTheSameInEveryOrder) { check_histories<Attributes>(Replaces::all); }

TEST(HeadsTest, WhoeverWritesWinsAmongWhatItKnew) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    const auto history = some_history<Content>(dice, Replaces::winner);
    for (size_t i = 0; i < history.versions.size(); ++i) {
      Heads<Content> heads;
      for (const size_t one : history.known[i]) heads.insert(history.versions[one]);
      heads.insert(history.versions[i]);
      // But for an empty file beside a text: it has no parents only if its device knew of no other version.
      ASSERT_EQ(heads.winner(), history.versions[i]);
    }
  }
}

}  // namespace
}  // namespace tain::sync
