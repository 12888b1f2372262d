// SPDX-License-Identifier: Apache-2.0
#include "sync/known_writers.h"

#include <gtest/gtest.h>

#include "tests/support/long_run.h"
#include "tests/sync/random_values.h"

namespace tain::sync {
namespace {

Id32 chain_of(WriterId writer, uint64_t n) {
  Id32 out{};
  out[0] = static_cast<uint8_t>(writer);
  out[1] = static_cast<uint8_t>(n);
  out[2] = 1;
  return out;
}

Reached reached(WriterId writer, uint64_t n) { return {.writer = writer, .n = n, .chain = chain_of(writer, n)}; }

Announcement announced(WriterId writer, uint8_t device, Reached before = {}) {
  return {.writer = writer, .device = {device}, .key = {device}, .label = "x", .before = before, .hlc = 1};
}

Segment segment(WriterId writer, uint64_t n, std::vector<Reached> vector = {}) {
  return {.writer = writer,
          .n = n,
          .chain_before = n == 1 ? Id32{} : chain_of(writer, n - 1),
          .hlc = n,
          .vector = std::move(vector),
          .packs = {},
          .records = {}};
}

class KnownWritersTest : public testing::Test {
 protected:
  void apply(const Segment& what) {
    ASSERT_TRUE(known_.check(what).ok());
    ASSERT_TRUE(known_.missing(what).empty());
    known_.restore(known_.after(what, chain_of(what.writer, what.n)));
  }
  Contradiction contradicts(const Segment& what) {
    Contradiction out{};
    EXPECT_TRUE(known_.check(what, &out).is(Code::not_permitted));
    return out;
  }
  KnownWriters known_;
};

TEST_F(KnownWritersTest, WritersAreReadOneSegmentAfterTheOther) {
  ASSERT_TRUE(*known_.add(announced(1, 1)));
  EXPECT_FALSE(*known_.add(announced(1, 1)));
  EXPECT_EQ(known_.wanted(), (std::vector<Reached>{{1, 1, {}}}));

  apply(segment(1, 1));
  apply(segment(1, 2));

  EXPECT_EQ(known_.wanted(), (std::vector<Reached>{{1, 3, chain_of(1, 2)}}));
  EXPECT_TRUE(known_.has_applied(1, 2));
  EXPECT_FALSE(known_.has_applied(1, 3));
  EXPECT_EQ(known_.vector(9), (std::vector<Reached>{reached(1, 2)}));
  EXPECT_TRUE(known_.vector(1).empty());
}

TEST_F(KnownWritersTest, ASegmentWaitsForWhatItComesAfter) {
  ASSERT_TRUE(*known_.add(announced(1, 1)));
  ASSERT_TRUE(*known_.add(announced(2, 2)));
  const Segment later = segment(2, 1, {reached(1, 2), reached(3, 1)});

  EXPECT_EQ(known_.missing(later), (std::vector<Reached>{reached(1, 2), reached(3, 1)}));
  apply(segment(1, 1));
  EXPECT_EQ(known_.missing(later).size(), 2u);
  apply(segment(1, 2));
  EXPECT_EQ(known_.missing(later), (std::vector<Reached>{reached(3, 1)}));
  ASSERT_TRUE(*known_.add(announced(3, 3)));
  apply(segment(3, 1));
  apply(later);
}

TEST_F(KnownWritersTest, AnIncarnationComesAfterTheOneBeforeIt) {
  ASSERT_TRUE(*known_.add(announced(2, 1, reached(1, 2))));
  EXPECT_EQ(known_.missing(segment(2, 1)), (std::vector<Reached>{reached(1, 2)}));
  ASSERT_TRUE(*known_.add(announced(1, 1)));
  apply(segment(1, 1));
  apply(segment(1, 2));
  apply(segment(2, 1));

  // It stands for both.
  EXPECT_EQ(known_.vector(9), (std::vector<Reached>{reached(2, 1)}));
  EXPECT_TRUE(known_.forks_of(2).empty());
}

TEST_F(KnownWritersTest, ADeviceThatWasSetBackIsAFork) {
  ASSERT_TRUE(*known_.add(announced(1, 1)));
  for (uint64_t n = 1; n <= 3; ++n) apply(segment(1, n));
  // It knew its own writer up to 2 only.
  ASSERT_TRUE(*known_.add(announced(2, 1, reached(1, 2))));
  apply(segment(2, 1));
  ASSERT_TRUE(*known_.add(announced(3, 1, reached(1, 3))));

  EXPECT_EQ(known_.forks_of(2), (std::vector<WriterId>{3}));
  // Writer 2 does not stand for segment 3 of writer 1, so both are in the vector.
  EXPECT_EQ(known_.vector(9), (std::vector<Reached>{reached(1, 3), reached(2, 1)}));
}

TEST_F(KnownWritersTest, AnotherKeyOfAKnownDeviceIsRefused) {
  ASSERT_TRUE(*known_.add(announced(1, 1)));
  Announcement other = announced(2, 1);
  other.key = {9};
  EXPECT_TRUE(known_.add(other).is(Code::not_permitted));
  EXPECT_EQ(known_.find(2), nullptr);
  other = announced(1, 1);
  other.label = "y";
  EXPECT_TRUE(known_.add(other).is(Code::corrupt));
}

TEST_F(KnownWritersTest, ThereAreSoManyDevices) {
  for (size_t i = 1; i <= kDevicesMax; ++i) ASSERT_TRUE(*known_.add(announced(i, static_cast<uint8_t>(i))));
  EXPECT_TRUE(known_.add(announced(1000, 200)).is(Code::too_big));
  EXPECT_TRUE(*known_.add(announced(1001, 1, reached(1, 1))));
}

TEST_F(KnownWritersTest, AChainThatDoesNotFitIsAContradiction) {
  ASSERT_TRUE(*known_.add(announced(1, 1)));
  apply(segment(1, 1));
  Segment other = segment(1, 2);
  other.chain_before[5] ^= 1;
  EXPECT_EQ(contradicts(other), Contradiction::broken_chain);
}

TEST_F(KnownWritersTest, AVectorNeverTakesBack) {
  for (const WriterId writer : {WriterId{1}, WriterId{2}, WriterId{3}}) ASSERT_TRUE(*known_.add(announced(writer, static_cast<uint8_t>(writer))));
  apply(segment(1, 1));
  apply(segment(1, 2));
  apply(segment(2, 1, {reached(1, 2)}));

  EXPECT_EQ(contradicts(segment(2, 2, {reached(1, 1)})), Contradiction::took_back);
  EXPECT_EQ(contradicts(segment(2, 2, {reached(3, 1)})), Contradiction::took_back);
  EXPECT_TRUE(known_.check(segment(2, 2, {reached(1, 2), reached(3, 1)})).ok());
  // A later incarnation of the same device stands for the earlier one.
  ASSERT_TRUE(*known_.add(announced(4, 1, reached(1, 2))));
  EXPECT_TRUE(known_.check(segment(2, 2, {reached(4, 1)})).ok());
  // But not one that knew less of it.
  ASSERT_TRUE(*known_.add(announced(5, 1, reached(1, 1))));
  EXPECT_EQ(contradicts(segment(2, 2, {reached(5, 1)})), Contradiction::took_back);
}

TEST_F(KnownWritersTest, WhoSawAnotherHistoryIsNotBelieved) {
  ASSERT_TRUE(*known_.add(announced(1, 1)));
  ASSERT_TRUE(*known_.add(announced(2, 2)));
  apply(segment(1, 1));
  apply(segment(1, 2));
  Reached other = reached(1, 1);
  other.chain[9] ^= 1;
  EXPECT_EQ(contradicts(segment(2, 1, {other})), Contradiction::other_history);

  ASSERT_TRUE(*known_.add(announced(3, 1, other)));
  EXPECT_EQ(contradicts(segment(3, 1)), Contradiction::other_history);

  known_.stop_following(3);
  for (const Reached& next : known_.wanted()) EXPECT_NE(next.writer, 3u);
}

TEST_F(KnownWritersTest, WhatIsLongAgoIsForgottenAndNotHeldAgainstAnybody) {
  ASSERT_TRUE(*known_.add(announced(1, 1)));
  ASSERT_TRUE(*known_.add(announced(2, 2)));
  for (uint64_t n = 1; n <= kChainsKept + 5; ++n) {
    Segment next = segment(1, n);
    next.chain_before = known_.find(1)->applied.chain;
    known_.restore(known_.after(next, chain_of(1, n)));
  }
  EXPECT_EQ(known_.find(1)->chains.size(), kChainsKept);
  Reached early = reached(1, 3);
  early.chain[9] ^= 1;
  EXPECT_TRUE(known_.check(segment(2, 1, {early})).ok());
  early = reached(1, 6);
  early.chain[9] ^= 1;
  EXPECT_EQ(contradicts(segment(2, 1, {early})), Contradiction::other_history);
}

TEST_F(KnownWritersTest, NotesAreReadBack) {
  ASSERT_TRUE(*known_.add(announced(1, 1)));
  ASSERT_TRUE(*known_.add(announced(2, 2, reached(7, 3))));
  apply(segment(1, 1));
  apply(segment(1, 2, {}));
  known_.stop_following(2);
  for (const auto& [id, writer] : known_.all()) {
    const Bytes bytes = KnownWriters::encode(writer);
    const auto again = KnownWriters::decode(bytes);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, writer);
    for (size_t size = 0; size < bytes.size(); ++size) EXPECT_TRUE(KnownWriters::decode(ByteView(bytes).first(size)).is(Code::corrupt));
  }
}

// Devices exchange segments over a bag that shows them in any order; each writes after what it has applied. Whatever the
// order, everybody applies everything, and each segment after all that its writer had applied.
TEST(KnownWritersRandomTest, EveryOrderOfArrivalIsAppliedCausally) {
  for (uint64_t seed = 0; seed < (test::is_long_run() ? 20'000u : 300u); ++seed) {
    RandomValues random(seed);
    const size_t devices = 2 + random.below(4);
    struct Device {
      KnownWriters known;
      WriterId writer = 0;
      std::vector<Dot> log;  // what it applied, in order
    };
    std::vector<Device> all(devices);
    std::vector<Announcement> announcements;
    std::map<std::pair<WriterId, uint64_t>, Segment> bag;
    std::map<std::pair<WriterId, uint64_t>, size_t> past_size;  // how much its writer had applied before
    WriterId last_writer = 0;
    const auto read = [&](Device& device, size_t most) {
      for (const Announcement& announcement : announcements) ASSERT_TRUE(device.known.add(announcement).ok());
      for (bool moved = true; moved && most > 0;) {
        moved = false;
        auto wanted = device.known.wanted();
        for (size_t i = wanted.size(); i > 1; --i) std::swap(wanted[i - 1], wanted[random.below(i)]);
        for (const Reached& next : wanted) {
          const auto found = bag.find({next.writer, next.n});
          if (most == 0 || found == bag.end() || !device.known.missing(found->second).empty()) continue;
          ASSERT_TRUE(device.known.check(found->second).ok()) << seed;
          device.known.restore(device.known.after(found->second, chain_of(next.writer, next.n)));
          device.log.push_back({next.writer, next.n});
          const size_t before = past_size.at(found->first);
          ASSERT_GE(device.log.size(), before + 1);
          moved = true;
          --most;
        }
      }
    };
    for (int step = 0; step < 60; ++step) {
      Device& device = all[random.below(devices)];
      if (random.chance(50)) read(device, random.below(6));
      if (device.writer == 0 || random.chance(10)) {
        const Reached before = device.writer == 0 ? Reached{} : device.known.find(device.writer)->applied;
        const auto number = static_cast<uint8_t>(&device - all.data() + 1);
        // An incarnation that never published leaves nothing behind.
        if (device.writer != 0 && before.n == 0) continue;
        device.writer = ++last_writer;
        announcements.push_back(announced(device.writer, number, before));
        ASSERT_TRUE(device.known.add(announcements.back()).ok());
      }
      const uint64_t n = device.known.find(device.writer)->applied.n + 1;
      const Segment next = segment(device.writer, n, device.known.vector(device.writer));
      ASSERT_TRUE(device.known.check(next).ok()) << seed;
      past_size[{device.writer, n}] = device.log.size();
      device.known.restore(device.known.after(next, chain_of(device.writer, n)));
      device.log.push_back({device.writer, n});
      bag[{device.writer, n}] = next;
    }
    for (Device& device : all) {
      read(device, 1000);
      EXPECT_EQ(device.log.size(), bag.size()) << seed;
    }
    for (const Device& device : all) EXPECT_LE(device.known.vector(0).size(), devices) << seed;
  }
}

}  // namespace
}  // namespace tain::sync
