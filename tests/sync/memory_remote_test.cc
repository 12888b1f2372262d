// SPDX-License-Identifier: Apache-2.0
#include "tests/sync/memory_remote.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/sync/remote_conformance.h"

namespace tain::sync {
namespace {

constexpr uint64_t kAny = UINT64_MAX;  // of a size

class MemoryRemoteSubject final : public RemoteSubject {
 public:
  Remote& remote() override { return remote_; }
  void plant(const ObjectName& name, ByteView bytes) override { bucket_.plant(name, Bytes(bytes.begin(), bytes.end())); }
  uint64_t clutter(ObjectFolder folder) override {
    bucket_.add_clutter(folder, 3);
    return 3;
  }
  void die_in_put(const ObjectName& name, ByteView bytes) override {
    bucket_.set_faults({.error_before = 1000});
    EXPECT_FALSE(remote_.put(name, bytes).ok());
    bucket_.set_faults({});
  }
  std::vector<Code> provocable() const override {
    return {Code::remote_unreachable, Code::remote_refused, Code::no_space, Code::io, Code::interrupted};
  }
  void provoke(Code code) override {
    if (code == Code::no_space) bucket_.set_capacity(1500);
    else remote_.refuse(code);
  }
  void relent() override {
    bucket_.set_capacity(UINT64_MAX);
    remote_.refuse(std::nullopt);
  }

 private:
  test::FakeClock clock_;
  MemoryBucket bucket_{clock_, 1};
  MemoryRemote remote_{bucket_};
};

std::unique_ptr<RemoteSubject> make_memory_subject() { return std::make_unique<MemoryRemoteSubject>(); }
INSTANTIATE_TEST_SUITE_P(Memory, RemoteConformance, testing::Values(&make_memory_subject));

/// A bucket with ten objects, and two devices.
class MemoryRemoteTest : public testing::Test {
 protected:
  MemoryRemoteTest() {
    for (uint64_t i = 0; i < 10; ++i) EXPECT_TRUE(one_.put(numbered_name(i), bytes_of(i)).ok());
  }
  static Bytes bytes_of(uint64_t number) { return numbered_bytes(number, 1000 + number); }
  /// Numbers of the first `count` objects that are not as they were put, as this device gets them.
  std::vector<uint64_t> wrong(uint64_t count = 10) {
    std::vector<uint64_t> out;
    for (uint64_t i = 0; i < count; ++i)
      if (auto got = one_.get(numbered_name(i), kAny); !got.ok() || *got != bytes_of(i)) out.push_back(i);
    return out;
  }

  test::FakeClock clock_;
  MemoryBucket bucket_{clock_, 42};
  MemoryRemote one_{bucket_};
  MemoryRemote other_{bucket_};
};

TEST_F(MemoryRemoteTest, AnErrorBeforeTheEffectHasNone) {
  bucket_.set_faults({.error_before = 1000});
  EXPECT_TRUE(one_.put(numbered_name(10), bytes_of(10)).is(Code::remote_unreachable));
  EXPECT_TRUE(one_.remove(numbered_name(0)).is(Code::remote_unreachable));
  EXPECT_TRUE(one_.get(numbered_name(1), kAny).is(Code::remote_unreachable));
  EXPECT_TRUE(one_.stat(numbered_name(1)).is(Code::remote_unreachable));
  EXPECT_TRUE(one_.list(ObjectFolder::objects, "").is(Code::remote_unreachable));

  bucket_.set_faults({});
  clock_.advance_seconds(3600);
  EXPECT_TRUE(wrong().empty());
  EXPECT_TRUE(one_.get(numbered_name(10), kAny).is(Code::not_found));
}

TEST_F(MemoryRemoteTest, ALostReplyHidesAnEffect) {
  bucket_.set_faults({.reply_lost = 1000});
  EXPECT_TRUE(one_.put(numbered_name(10), bytes_of(10)).is(Code::remote_unreachable));
  EXPECT_TRUE(one_.remove(numbered_name(0)).is(Code::remote_unreachable));

  bucket_.set_faults({});
  EXPECT_EQ(wrong(11), std::vector<uint64_t>{0});
}

TEST_F(MemoryRemoteTest, AFailedPutMayLandLater) {
  bucket_.set_faults({.late_landing = 1000});
  EXPECT_TRUE(one_.put(numbered_name(10), bytes_of(10)).is(Code::remote_unreachable));

  bucket_.set_faults({});
  EXPECT_EQ(wrong(11), std::vector<uint64_t>{10});
  clock_.advance_seconds(61);
  EXPECT_TRUE(wrong(11).empty());
}

TEST_F(MemoryRemoteTest, WhatWasDueHappenedBeforeWhatCame) {
  bucket_.set_faults({.late_landing = 1000});
  EXPECT_FALSE(one_.put(numbered_name(10), bytes_of(10)).ok());
  bucket_.set_faults({});
  clock_.advance_seconds(61);

  bucket_.lose(numbered_name(10));

  EXPECT_EQ(wrong(11), std::vector<uint64_t>{10});
  clock_.advance_seconds(61);
  EXPECT_EQ(wrong(11), std::vector<uint64_t>{10});
}

TEST_F(MemoryRemoteTest, ADelayedPutSucceedsAndIsSeenLater) {
  bucket_.set_faults({.delayed = 1000});
  EXPECT_TRUE(one_.put(numbered_name(10), bytes_of(10)).ok());
  EXPECT_TRUE(one_.remove(numbered_name(0)).ok());

  bucket_.set_faults({});
  EXPECT_EQ(wrong(11), std::vector<uint64_t>{10});
  EXPECT_EQ(list_all(other_, ObjectFolder::objects).objects.size(), 10u);
  clock_.advance_seconds(61);
  EXPECT_EQ(wrong(11), std::vector<uint64_t>{0});
}

TEST_F(MemoryRemoteTest, ADuplicatedPutUndoesARemoval) {
  bucket_.set_faults({.duplicated = 1000});
  EXPECT_TRUE(one_.put(numbered_name(10), bytes_of(10)).ok());
  bucket_.set_faults({});
  EXPECT_TRUE(wrong(11).empty());

  EXPECT_TRUE(one_.remove(numbered_name(10)).ok());
  EXPECT_EQ(wrong(11), std::vector<uint64_t>{10});
  clock_.advance_seconds(61);
  EXPECT_TRUE(wrong(11).empty());
}

TEST_F(MemoryRemoteTest, ATornPutStoresItsBeginningAndMayCallThatSuccess) {
  bucket_.set_faults({.torn = 1000});
  uint64_t succeeded = 0;
  for (uint64_t i = 10; i < 60; ++i) succeeded += one_.put(numbered_name(i), bytes_of(i)).ok() ? 1u : 0u;

  EXPECT_GT(succeeded, 10u);
  EXPECT_LT(succeeded, 40u);
  for (uint64_t i = 10; i < 60; ++i) {
    const Bytes got = one_.get(numbered_name(i), kAny).value();
    const Bytes whole = bytes_of(i);
    EXPECT_LT(got.size(), whole.size());
    EXPECT_TRUE(std::equal(got.begin(), got.end(), whole.begin()));
  }
}

TEST_F(MemoryRemoteTest, AStaleListingIsOneOfThePast) {
  clock_.advance_seconds(3600);
  EXPECT_TRUE(one_.put(numbered_name(10), bytes_of(10)).ok());
  EXPECT_TRUE(one_.remove(numbered_name(0)).ok());
  bucket_.set_faults({.stale_listing = 1000});

  const RemoteListing stale = list_all(one_, ObjectFolder::objects);

  std::set<ObjectName> names;
  for (const auto& object : stale.objects) names.insert(object.name);
  EXPECT_EQ(names.size(), 10u);
  EXPECT_TRUE(names.contains(numbered_name(0)));
  EXPECT_TRUE(one_.get(numbered_name(10), kAny).ok());
  EXPECT_TRUE(one_.get(numbered_name(0), kAny).is(Code::not_found));
  clock_.advance_seconds(61);
  EXPECT_TRUE(std::ranges::any_of(list_all(one_, ObjectFolder::objects).objects, [](const auto& o) { return o.name == numbered_name(10); }));
}

TEST_F(MemoryRemoteTest, ACutListingClaimsToBeAll) {
  bucket_.set_page_size(4);
  EXPECT_EQ(list_all(one_, ObjectFolder::objects).objects.size(), 10u);
  bucket_.set_faults({.cut_listing = 1000});

  for (int i = 0; i < 20; ++i) {
    const RemoteListing cut = list_all(one_, ObjectFolder::objects);
    EXPECT_LE(cut.objects.size(), 4u);
    EXPECT_TRUE(cut.next.empty());
  }
}

TEST_F(MemoryRemoteTest, AFlippedReplyIsWrongThisTimeOnly) {
  bucket_.set_faults({.flipped_reply = 1000});
  EXPECT_EQ(wrong().size(), 10u);

  bucket_.set_faults({});
  EXPECT_TRUE(wrong().empty());
}

TEST_F(MemoryRemoteTest, AFlippedBitStays) {
  bucket_.flip_bit(numbered_name(3));

  EXPECT_EQ(wrong(), std::vector<uint64_t>{3});
  const Bytes got = one_.get(numbered_name(3), kAny).value();
  int bits = 0;
  for (size_t i = 0; i < got.size(); ++i) bits += std::popcount(static_cast<uint8_t>(got[i] ^ bytes_of(3)[i]));
  EXPECT_EQ(bits, 1);
}

TEST_F(MemoryRemoteTest, ALostObjectIsGoneUntilItIsPutAgain) {
  bucket_.lose(numbered_name(3));
  EXPECT_EQ(wrong(), std::vector<uint64_t>{3});
  EXPECT_TRUE(one_.get(numbered_name(3), kAny).is(Code::not_found));

  EXPECT_TRUE(one_.put(numbered_name(3), bytes_of(3)).ok());
  EXPECT_TRUE(wrong().empty());
}

TEST_F(MemoryRemoteTest, SwappedObjectsHaveOneAnothersBytes) {
  bucket_.swap(numbered_name(3), numbered_name(5));

  EXPECT_EQ(wrong(), (std::vector<uint64_t>{3, 5}));
  EXPECT_TRUE(*one_.get(numbered_name(3), kAny) == bytes_of(5));
  EXPECT_TRUE(*one_.get(numbered_name(5), kAny) == bytes_of(3));
}

TEST_F(MemoryRemoteTest, StoredObjectsDecay) {
  bucket_.set_faults({.lost = 100, .flipped = 100, .swapped = 100});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(one_.stat(numbered_name(1)).ok());

  bucket_.set_faults({});
  EXPECT_FALSE(wrong().empty());
  for (const char* fault : {"lost", "flipped", "swapped"}) EXPECT_GT(bucket_.faults()[fault], 0u) << fault;
}

TEST_F(MemoryRemoteTest, AWithheldSuffixIsWithheldFromOneDevice) {
  const int64_t then = clock_.monotonic_ns();
  clock_.advance_seconds(1);
  EXPECT_TRUE(one_.put(numbered_name(10), bytes_of(10)).ok());
  EXPECT_TRUE(one_.remove(numbered_name(0)).ok());

  other_.withhold_since(then);

  EXPECT_TRUE(other_.get(numbered_name(0), kAny).ok());
  EXPECT_TRUE(other_.get(numbered_name(10), kAny).is(Code::not_found));
  EXPECT_EQ(*other_.stat(numbered_name(10)), std::nullopt);
  EXPECT_EQ(list_all(other_, ObjectFolder::objects).objects.size(), 10u);
  EXPECT_TRUE(other_.put(numbered_name(11), bytes_of(11)).ok());
  EXPECT_TRUE(other_.get(numbered_name(11), kAny).is(Code::not_found));
  EXPECT_EQ(wrong(12), std::vector<uint64_t>{0});
  other_.withhold_since(std::nullopt);
  EXPECT_TRUE(other_.get(numbered_name(11), kAny).ok());
}

TEST_F(MemoryRemoteTest, AnEmptiedBucketIsEmptyAndWorks) {
  bucket_.set_faults({.duplicated = 1000});
  EXPECT_TRUE(one_.put(numbered_name(10), bytes_of(10)).ok());
  bucket_.set_faults({});

  bucket_.empty();

  clock_.advance_seconds(61);
  EXPECT_EQ(wrong(11).size(), 11u);
  EXPECT_TRUE(list_all(one_, ObjectFolder::objects).objects.empty());
  EXPECT_TRUE(bucket_.objects().empty());
  EXPECT_TRUE(one_.put(numbered_name(3), bytes_of(3)).ok());
  EXPECT_EQ(bucket_.objects().size(), 1u);
}

TEST_F(MemoryRemoteTest, AForeignBucketHasOtherObjects) {
  MemoryBucket foreign(clock_, 7);
  MemoryRemote owner(foreign);
  EXPECT_TRUE(owner.put(numbered_name(77), bytes_of(77)).ok());

  one_.lead_to(foreign);

  EXPECT_EQ(wrong().size(), 10u);
  EXPECT_TRUE(one_.get(numbered_name(77), kAny).ok());
  EXPECT_TRUE(other_.get(numbered_name(1), kAny).ok());
  one_.lead_to(bucket_);
  EXPECT_TRUE(wrong().empty());
}

TEST_F(MemoryRemoteTest, AReplayedObjectIsBack) {
  EXPECT_TRUE(one_.remove(numbered_name(4)).ok());
  EXPECT_EQ(wrong(), std::vector<uint64_t>{4});

  bucket_.replay(numbered_name(4));

  EXPECT_TRUE(wrong().empty());
}

TEST_F(MemoryRemoteTest, RequestsAreCounted) {
  const RemoteRequests before = bucket_.requests();
  EXPECT_EQ(before.puts, 10u);
  EXPECT_EQ(before.bytes_put, 10'045u);

  EXPECT_TRUE(one_.get(numbered_name(1), kAny).ok());
  EXPECT_TRUE(one_.get_range(numbered_name(1), 0, 10).ok());
  EXPECT_TRUE(other_.stat(numbered_name(1)).ok());
  EXPECT_TRUE(other_.list(ObjectFolder::objects, "").ok());
  EXPECT_TRUE(other_.remove(numbered_name(1)).ok());

  const RemoteRequests after = bucket_.requests();
  EXPECT_EQ(after.gets, 2u);
  EXPECT_EQ(after.bytes_got, 1011u);
  EXPECT_EQ(after.stats, 1u);
  EXPECT_EQ(after.lists, 1u);
  EXPECT_EQ(after.removes, 1u);
  EXPECT_EQ(after.all(), 15u);
}

/// What a run of many requests gave, as text.
std::string picture_of_a_run(uint64_t seed) {
  test::FakeClock clock;
  MemoryBucket bucket(clock, seed);
  MemoryRemote remote(bucket);
  bucket.set_faults({.error_before = 30, .reply_lost = 30, .late_landing = 30, .delayed = 30, .duplicated = 30, .torn = 30, .stale_listing = 50,
                     .cut_listing = 50, .flipped_reply = 30, .lost = 5, .flipped = 5, .swapped = 5});
  std::string out;
  for (uint64_t i = 0; i < 1000; ++i) {
    clock.advance_seconds(1);
    const ObjectName name = numbered_name(i * 7 % 50);
    out += remote.put(name, numbered_bytes(i % 50, 40)).ok() ? 'p' : '-';
    auto got = remote.get(numbered_name(i * 3 % 50), kAny);
    out += got.ok() ? to_hex(*got) : "-";
    auto listed = remote.list(ObjectFolder::objects, "");
    out += listed.ok() ? std::to_string(listed->objects.size()) : "-";
    if (i % 5 == 0) out += remote.remove(name).ok() ? 'r' : '-';
  }
  for (const auto& [fault, times] : bucket.faults()) out += " " + fault + " " + std::to_string(times);
  return out;
}

TEST(MemoryRemoteSeedTest, ASeedIsAStory) {
  const std::string story = picture_of_a_run(5);

  EXPECT_TRUE(picture_of_a_run(5) == story);
  EXPECT_FALSE(picture_of_a_run(6) == story);
  for (const char* fault : {"error_before", "reply_lost", "late_landing", "delayed", "duplicated", "torn", "stale_listing", "cut_listing",
                            "flipped_reply", "lost", "flipped", "swapped"})
    EXPECT_NE(story.find(std::string(" ") + fault + " "), std::string::npos) << fault;
}

}  // namespace
}  // namespace tain::sync
