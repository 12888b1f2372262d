// SPDX-License-Identifier: Apache-2.0
// Publishing and reading over a remote that does everything wrong: what arrives, in which order, and what is said of the rest.
#include <dirent.h>
#include <gtest/gtest.h>

#include <memory>

#include "sync/puller.h"
#include "sync/upload.h"
#include "tests/support/fake_clock.h"
#include "tests/support/long_run.h"
#include "tests/sync/memory_remote.h"
#include "tests/sync/random_values.h"

namespace tain::sync {
namespace {

using test::FakeClock;

/// A device that publishes segments with nothing but numbers in them, and keeps a log of what it applied.
struct Device {
  Device(MemoryBucket& bucket, const store::RemoteCipher& cipher, uint8_t number)
      : cipher_(cipher), number_(number), key(Bytes(32, number)), remote(bucket) {}

  /// A new incarnation. What the one before did not get through is published by this one.
  void start(WriterId id) {
    const Reached before = writer == 0 || known.find(writer)->applied.n == 0 ? Reached{} : known.find(writer)->applied;
    writer = id;
    announcement = {.writer = id, .device = {number_}, .key = key.public_key(), .label = "device", .before = before, .hlc = 1};
    ASSERT_TRUE(known.add(announcement).ok());
    announced = false;
    puller = std::make_unique<Puller>(remote, cipher_, known, writer);
  }

  /// Seals the next segment, which counts for this device at once; send() publishes it, as often as it takes.
  void write() {
    const Reached last = known.find(writer)->applied;
    EntryRecord record{.entry = {{number_}}, .type = DT_REG, .location = {}, .content = {}, .attributes = {}};
    record.attributes = {.dot = {writer, last.n + 1}, .hlc = 1, .parents = {}, .value = {}};
    const Segment segment{.writer = writer, .n = last.n + 1, .chain_before = last.chain, .hlc = 1, .vector = known.vector(writer), .packs = {}, .records = {record}};
    outbox.push_back({segment.n, seal_segment(cipher_, key, segment)});
    known.restore(known.after(segment, chain_value(outbox.back().second)));
    log.push_back({writer, segment.n});
  }

  Result<> send() {
    if (!announced) {
      TRY(upload(remote, announcement_name(cipher_, writer), seal_announcement(cipher_, key, announcement)));
      announced = true;
    }
    while (!outbox.empty()) {
      TRY(upload_segment(remote, cipher_, key.public_key(), writer, outbox.front().first, outbox.front().second));
      outbox.erase(outbox.begin());
    }
    return {};
  }

  Result<Pulled> pull() {
    return puller->pull(
        [this](const Segment& segment, const KnownWriter&) -> Result<bool> {
          for (const Reached& tip : segment.vector) EXPECT_TRUE(known.has_applied(tip.writer, tip.n));
          log.push_back(segment.records.at(0).attributes->dot);
          return true;
        },
        [](const KnownWriter&) { return Result<>(); });
  }

  const store::RemoteCipher& cipher_;
  const uint8_t number_;
  store::SigningKey key;
  MemoryRemote remote;
  KnownWriters known;
  WriterId writer = 0;
  Announcement announcement;
  bool announced = false;
  std::vector<std::pair<uint64_t, Bytes>> outbox;
  std::unique_ptr<Puller> puller;
  std::vector<Dot> log;
};

class TransportTest : public testing::Test {
 protected:
  TransportTest() {
    for (uint8_t number = 1; number <= 3; ++number) {
      devices_.push_back(std::make_unique<Device>(bucket_, cipher_, number));
      devices_.back()->start(number);
    }
  }
  Device& device(size_t i) { return *devices_[i]; }
  void publish(size_t i) {
    device(i).write();
    ASSERT_TRUE(device(i).send().ok());
  }
  ObjectName name_of(WriterId writer, uint64_t n) { return segment_name(cipher_, writer, n); }

  const store::RemoteCipher cipher_{{Secret(32)}, VaultId{{1}}, 1};
  FakeClock clock_;
  MemoryBucket bucket_{clock_, 1};
  std::vector<std::unique_ptr<Device>> devices_;
};

TEST_F(TransportTest, WhatIsPublishedIsRead) {
  publish(0);
  publish(0);
  auto pulled = device(1).pull();
  ASSERT_TRUE(pulled.ok());
  EXPECT_EQ(pulled->segments, 2u);
  EXPECT_EQ(pulled->found, std::vector<WriterId>{1});
  EXPECT_EQ(device(1).log, (std::vector<Dot>{{1, 1}, {1, 2}}));

  publish(1);
  pulled = device(2).pull();
  EXPECT_EQ(pulled->segments, 3u);
  EXPECT_TRUE(pulled->troubles.empty());
  EXPECT_EQ(device(2).pull()->segments, 0u);
}

TEST_F(TransportTest, OneSavedEntryIsOneObject) {
  publish(0);
  const RemoteRequests before = bucket_.requests();
  publish(0);
  EXPECT_EQ(bucket_.requests().puts - before.puts, 1u);
  EXPECT_LE(bucket_.requests().all() - before.all(), 4u);
}

TEST_F(TransportTest, NothingNewIsOneRequestForEachWriterAndOneListing) {
  publish(0);
  publish(1);
  ASSERT_TRUE(device(2).pull().ok());
  const RemoteRequests before = bucket_.requests();
  ASSERT_TRUE(device(2).pull().ok());
  EXPECT_EQ(bucket_.requests().gets - before.gets, 2u);
  EXPECT_EQ(bucket_.requests().all() - before.all(), 3u);
}

TEST_F(TransportTest, AWriterThatNoListingShowsIsFoundThroughOthers) {
  publish(0);
  ASSERT_TRUE(device(1).pull().ok());
  publish(1);
  // Device 3 is shown nothing of writer 1's announcement: it is put behind the listing's back.
  const Bytes announcement = *device(2).remote.get(announcement_name(cipher_, 1), 4096);
  bucket_.lose(announcement_name(cipher_, 1));
  auto pulled = device(2).pull();
  EXPECT_EQ(pulled->waiting, 1u);
  ASSERT_FALSE(pulled->troubles.empty());
  EXPECT_EQ(pulled->troubles[0].kind, Trouble::Kind::vanished);

  bucket_.plant(announcement_name(cipher_, 1), announcement);
  EXPECT_EQ(device(2).pull()->segments, 2u);
}

TEST_F(TransportTest, ADamagedSegmentWaitsAndOthersGoOn) {
  publish(0);
  publish(0);
  publish(1);
  bucket_.flip_bit(name_of(1, 1));
  const auto pulled = device(2).pull();
  EXPECT_EQ(pulled->segments, 1u);
  ASSERT_EQ(pulled->troubles.size(), 1u);
  EXPECT_EQ(pulled->troubles[0].kind, Trouble::Kind::damaged);
  EXPECT_EQ(pulled->troubles[0].n, 1u);
}

TEST_F(TransportTest, ASwappedOrReplayedObjectIsNotThere) {
  publish(0);
  publish(0);
  bucket_.swap(name_of(1, 1), name_of(1, 2));
  EXPECT_EQ(device(1).pull()->segments, 0u);
  bucket_.swap(name_of(1, 1), name_of(1, 2));
  EXPECT_EQ(device(1).pull()->segments, 2u);
}

TEST_F(TransportTest, AnEmptyRemoteTakesNothingAway) {
  publish(0);
  ASSERT_TRUE(device(1).pull().ok());
  bucket_.empty();
  const auto pulled = device(1).pull();
  ASSERT_TRUE(pulled.ok());
  EXPECT_EQ(pulled->segments, 0u);
  EXPECT_TRUE(device(1).known.has_applied(1, 1));
}

TEST_F(TransportTest, WhatAnotherVaultPutThereIsNotOurs) {
  const store::RemoteCipher other(store::MasterKey{Secret(32)}, VaultId{{9}}, 1);
  Device stranger(bucket_, other, 7);
  stranger.start(77);
  stranger.write();
  ASSERT_TRUE(stranger.send().ok());
  const auto pulled = device(0).pull();
  EXPECT_TRUE(pulled->found.empty());
  ASSERT_EQ(pulled->troubles.size(), 1u);
  EXPECT_EQ(pulled->troubles[0].kind, Trouble::Kind::damaged);
}

TEST_F(TransportTest, ACopyThatRunsAtTheSameTimeIsNoticedBeforeItHarms) {
  publish(0);
  // The same writer, with the same past, on another machine.
  Device copy(bucket_, cipher_, 1);
  copy.start(1);
  ASSERT_TRUE(copy.pull().ok());
  copy.known.restore(*device(0).known.find(1));
  copy.announced = true;
  publish(0);
  copy.write();
  EXPECT_TRUE(copy.send().is(Code::exists));
  EXPECT_EQ(device(1).pull()->segments, 2u);
}

TEST_F(TransportTest, AnInterruptedUploadIsRepeatedWithTheSameBytes) {
  device(0).write();
  device(0).remote.refuse(Code::remote_unreachable);
  EXPECT_TRUE(device(0).send().is(Code::remote_unreachable));
  device(0).remote.refuse({});
  EXPECT_TRUE(device(0).send().ok());
  // The answer was lost, so it is sent once more.
  device(0).outbox.push_back({1, *device(0).remote.get(name_of(1, 1), kSegmentObjectMax)});
  const uint64_t puts = bucket_.requests().puts;
  EXPECT_TRUE(device(0).send().ok());
  EXPECT_EQ(bucket_.requests().puts, puts);
  // It was torn on the way.
  const Bytes whole = *device(0).remote.get(name_of(1, 1), kSegmentObjectMax);
  bucket_.plant(name_of(1, 1), Bytes(whole.begin(), whole.begin() + 100));
  device(0).outbox.push_back({1, whole});
  EXPECT_TRUE(device(0).send().ok());
  EXPECT_EQ(device(1).pull()->segments, 1u);
}

TEST_F(TransportTest, WhoSignsWithAnotherKeyIsNotFollowed) {
  publish(0);
  Device other(bucket_, cipher_, 9);
  const Segment segment{.writer = 1, .n = 2, .chain_before = device(0).known.find(1)->applied.chain, .hlc = 1, .vector = {}, .packs = {}, .records = {}};
  bucket_.plant(name_of(1, 2), seal_segment(cipher_, other.key, segment));
  const auto pulled = device(1).pull();
  EXPECT_EQ(pulled->segments, 1u);
  ASSERT_EQ(pulled->troubles.size(), 1u);
  EXPECT_EQ(pulled->troubles[0].kind, Trouble::Kind::contradicts);
  EXPECT_FALSE(pulled->troubles[0].evidence.empty());
  EXPECT_FALSE(device(1).known.find(1)->followed);
}

// What a vector stands for is not known before the announcements of all in it are.
TEST_F(TransportTest, AnIncarnationThatIsNotKnownYetTakesNothingBack) {
  publish(0);
  ASSERT_TRUE(device(1).pull().ok());
  publish(1);
  ASSERT_TRUE(device(2).pull().ok());
  device(0).start(11);  // comes after writer 1
  publish(0);
  ASSERT_TRUE(device(1).pull().ok());
  publish(1);  // its vector has writer 11 in the place of writer 1
  const Bytes announcement = *device(2).remote.get(announcement_name(cipher_, 11), 4096);
  bucket_.lose(announcement_name(cipher_, 11));
  ASSERT_TRUE(device(2).pull().ok());
  EXPECT_TRUE(device(2).known.find(2)->followed);

  bucket_.plant(announcement_name(cipher_, 11), announcement);
  EXPECT_EQ(device(2).pull()->segments, 2u);
}

TEST_F(TransportTest, SaysWhenItIsNotNow) {
  publish(0);
  bool now = false;
  const auto pull = [&] {
    return device(1).puller->pull([&](const Segment&, const KnownWriter&) -> Result<bool> { return now; }, [](const KnownWriter&) { return Result<>(); });
  };
  EXPECT_EQ(pull()->segments, 0u);
  EXPECT_FALSE(device(1).known.has_applied(1, 1));
  now = true;
  EXPECT_EQ(pull()->segments, 1u);
}

// Everything that only delays: in the end every device has applied everything, in causal order.
TEST(TransportRandomTest, EverythingArrivesOverAFaultyRemote) {
  for (uint64_t seed = 1; seed <= (test::is_long_run() ? 5000u : 60u); ++seed) {
    RandomValues random(seed);
    FakeClock clock;
    MemoryBucket bucket(clock, seed);
    bucket.set_page_size(1 + random.below(4));
    const store::RemoteCipher cipher({Secret(32)}, VaultId{{1}}, 1);
    std::vector<std::unique_ptr<Device>> devices;
    WriterId last_writer = 0;
    for (uint8_t number = 1; number <= 2 + random.below(3); ++number) {
      devices.push_back(std::make_unique<Device>(bucket, cipher, number));
      devices.back()->start(++last_writer);
    }
    bucket.set_faults({.error_before = 60, .reply_lost = 60, .late_landing = 40, .delayed = 40, .duplicated = 40, .torn = 60, .stale_listing = 100, .cut_listing = 100, .flipped_reply = 40});

    size_t written = 0;
    for (int step = 0; step < 150; ++step) {
      Device& device = *devices[random.below(devices.size())];
      clock.advance_seconds(static_cast<int64_t>(random.below(5)));
      switch (random.below(4)) {
        case 0:
          device.write();
          ++written;
          break;
        case 1: static_cast<void>(device.send().ok()); break;
        case 2: static_cast<void>(device.pull().ok()); break;
        default:
          // A new start; what was not sent has to be first, as a store would see to.
          if (device.outbox.empty() && device.known.find(device.writer)->applied.n > 0 && random.chance(20)) device.start(++last_writer);
      }
    }
    bucket.set_faults({});
    clock.advance_seconds(3600);
    for (auto& device : devices) ASSERT_TRUE(device->send().ok()) << seed;
    for (auto& device : devices) {
      const auto pulled = device->pull();
      ASSERT_TRUE(pulled.ok()) << seed;
      EXPECT_EQ(pulled->waiting, 0u) << seed;
      EXPECT_TRUE(pulled->troubles.empty()) << seed << " " << (pulled->troubles.empty() ? "" : pulled->troubles[0].text);
      EXPECT_EQ(device->log.size(), written) << seed;
    }
  }
}

}  // namespace
}  // namespace tain::sync
