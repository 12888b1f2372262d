// SPDX-License-Identifier: Apache-2.0
#include "tests/sync/remote_conformance.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>

namespace tain::sync {

namespace {

constexpr size_t kPagesMax = 10'000;  // of a listing, as the engine bounds it
constexpr size_t kMiB = size_t{1} << 20;
constexpr uint64_t kSizeMax = 64 * kMiB;  // of what the tests put

}  // namespace

ObjectName numbered_name(uint64_t number, ObjectFolder folder) {
  ObjectName name{folder, {}};
  // The shard is the first ten bits.
  name.id[0] = static_cast<uint8_t>(number >> 2);
  name.id[1] = static_cast<uint8_t>(number << 6);
  for (size_t i = 0; i < 8; ++i) name.id[8 + i] = static_cast<uint8_t>(number >> (8 * i));
  return name;
}

Bytes numbered_bytes(uint64_t number, size_t size) {
  Bytes out(size);
  uint64_t state = number;
  for (uint8_t& byte : out) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;  // Knuth's MMIX generator
    byte = static_cast<uint8_t>(state >> 56);
  }
  return out;
}

RemoteListing list_all(Remote& remote, ObjectFolder folder) {
  RemoteListing all;
  for (size_t page = 0; page < kPagesMax; ++page) {
    auto listed = remote.list(folder, all.next);
    if (!listed.ok()) {
      ADD_FAILURE() << listed.error().message();
      return all;
    }
    all.objects.insert(all.objects.end(), listed->objects.begin(), listed->objects.end());
    all.ignored += listed->ignored;
    if (listed->next.empty()) return all;
    EXPECT_NE(listed->next, all.next);
    all.next = listed->next;
  }
  ADD_FAILURE() << "a listing without an end";
  return all;
}

namespace {

std::string message_of(const Result<>& result) { return result.ok() ? "" : result.error().message(); }

void expect_put(Remote& remote, const ObjectName& name, ByteView bytes) {
  const Result<> put = remote.put(name, bytes);
  ASSERT_TRUE(put.ok()) << message_of(put);
}

void expect_object(Remote& remote, const ObjectName& name, const Bytes& bytes) {
  auto got = remote.get(name, kSizeMax);
  ASSERT_TRUE(got.ok()) << got.error().message();
  EXPECT_TRUE(*got == bytes) << "other bytes, " << got->size() << " instead of " << bytes.size();
}

/// Names and sizes of a listing; how often each was in it.
std::map<std::pair<ObjectName, uint64_t>, int> counted(const RemoteListing& listing) {
  std::map<std::pair<ObjectName, uint64_t>, int> out;
  for (const auto& object : listing.objects) ++out[{object.name, object.size}];
  return out;
}

TEST_P(RemoteConformance, WhatIsPutIsThereWithAllItsBytes) {
  uint64_t number = 0;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{511}, size_t{512}, size_t{4096}, size_t{65'537}, kMiB, 16 * kMiB}) {
    const ObjectName name = numbered_name(++number);
    const Bytes bytes = numbered_bytes(number, size);

    expect_put(remote(), name, bytes);

    expect_object(remote(), name, bytes);
    auto told = remote().stat(name);
    ASSERT_TRUE(told.ok()) << told.error().message();
    EXPECT_EQ(*told, std::optional<uint64_t>(size));
  }
}

TEST_P(RemoteConformance, ARangeIsThatPartOfIt) {
  const ObjectName name = numbered_name(1);
  const Bytes bytes = numbered_bytes(1, 100'000);
  expect_put(remote(), name, bytes);

  struct Case {
    uint64_t offset, length, first, last;  // [first, last) is what there is to get
  };
  for (const Case& c : {Case{0, 1, 0, 1}, Case{0, 100'000, 0, 100'000}, Case{0, 100'001, 0, 100'000}, Case{1, 99'999, 1, 100'000},
                        Case{99'999, 1, 99'999, 100'000}, Case{99'999, 500, 99'999, 100'000}, Case{5, 0, 0, 0}, Case{100'000, 1, 0, 0},
                        Case{100'001, 1, 0, 0}, Case{UINT64_MAX, UINT64_MAX, 0, 0}, Case{50, UINT64_MAX, 50, 100'000},
                        Case{uint64_t{1} << 63, 10, 0, 0}, Case{12'345, 54'321, 12'345, 66'666}}) {
    auto got = remote().get_range(name, c.offset, c.length);

    ASSERT_TRUE(got.ok()) << c.offset << ": " << got.error().message();
    EXPECT_TRUE(*got == Bytes(bytes.begin() + static_cast<ptrdiff_t>(c.first), bytes.begin() + static_cast<ptrdiff_t>(c.last)))
        << c.offset << " " << c.length << ": " << got->size() << " bytes";
  }
}

TEST_P(RemoteConformance, ARangeOfAnEmptyObjectIsEmpty) {
  expect_put(remote(), numbered_name(1), {});

  auto got = remote().get_range(numbered_name(1), 0, 10);

  ASSERT_TRUE(got.ok()) << got.error().message();
  EXPECT_TRUE(got->empty());
}

TEST_P(RemoteConformance, WhatIsNotThereIsNotFound) {
  for (const ObjectFolder folder : kObjectFolders) {
    const ObjectName name = numbered_name(7, folder);

    EXPECT_TRUE(remote().get(name, kSizeMax).is(Code::not_found));
    EXPECT_TRUE(remote().get_range(name, 0, 10).is(Code::not_found));
    auto told = remote().stat(name);
    ASSERT_TRUE(told.ok()) << told.error().message();
    EXPECT_EQ(*told, std::nullopt);
    EXPECT_TRUE(remote().remove(name).ok());
    const RemoteListing listing = list_all(remote(), folder);
    EXPECT_TRUE(listing.objects.empty());
    EXPECT_EQ(listing.ignored, 0u);
  }
}

TEST_P(RemoteConformance, ANeighbourInTheSameShardIsNotIt) {
  expect_put(remote(), numbered_name(5), numbered_bytes(5, 600));

  EXPECT_TRUE(remote().get(numbered_name(5 + 1024), kSizeMax).is(Code::not_found));
}

TEST_P(RemoteConformance, PutAgainDoesNothing) {
  const ObjectName name = numbered_name(1);
  const Bytes bytes = numbered_bytes(1, 70'000);
  for (int i = 0; i < 3; ++i) expect_put(remote(), name, bytes);

  expect_object(remote(), name, bytes);
  EXPECT_EQ(list_all(remote(), ObjectFolder::objects).objects.size(), 1u);
}

TEST_P(RemoteConformance, PutMendsWhatIsTorn) {
  const Bytes bytes = numbered_bytes(1, 70'000);
  Bytes flipped = bytes;
  flipped[69'999] ^= 1;
  const Bytes half(bytes.begin(), bytes.begin() + 35'000);
  Bytes longer = bytes;
  longer.push_back(0);
  uint64_t number = 0;
  for (const Bytes& left : {Bytes(), half, flipped, longer, Bytes(70'000, 0)}) {
    const ObjectName name = numbered_name(++number);
    subject().plant(name, left);
    expect_object(remote(), name, left);

    expect_put(remote(), name, bytes);

    expect_object(remote(), name, bytes);
  }
}

TEST_P(RemoteConformance, WhatIsRemovedIsGoneAndMayComeBack) {
  const ObjectName name = numbered_name(1);
  const Bytes bytes = numbered_bytes(1, 1000);
  expect_put(remote(), name, bytes);
  expect_put(remote(), numbered_name(2), bytes);

  EXPECT_TRUE(remote().remove(name).ok());
  EXPECT_TRUE(remote().remove(name).ok());

  EXPECT_TRUE(remote().get(name, kSizeMax).is(Code::not_found));
  EXPECT_EQ(list_all(remote(), ObjectFolder::objects).objects.size(), 1u);
  expect_put(remote(), name, bytes);
  expect_object(remote(), name, bytes);
}

TEST_P(RemoteConformance, WhatIsTooLargeIsRefused) {
  const ObjectName name = numbered_name(1);
  expect_put(remote(), name, numbered_bytes(1, 2 * kMiB));

  EXPECT_TRUE(remote().get(name, 2 * kMiB).ok());
  EXPECT_TRUE(remote().get(name, 2 * kMiB - 1).is(Code::too_large));
  EXPECT_TRUE(remote().get(name, 0).is(Code::too_large));
}

TEST_P(RemoteConformance, AFolderHasOnlyItsOwn) {
  for (size_t i = 0; i < kObjectFolders.size(); ++i) expect_put(remote(), numbered_name(9, kObjectFolders[i]), numbered_bytes(i, 600 + i));

  for (size_t i = 0; i < kObjectFolders.size(); ++i) {
    expect_object(remote(), numbered_name(9, kObjectFolders[i]), numbered_bytes(i, 600 + i));
    const RemoteListing listing = list_all(remote(), kObjectFolders[i]);
    ASSERT_EQ(listing.objects.size(), 1u);
    EXPECT_EQ(listing.objects[0].name, numbered_name(9, kObjectFolders[i]));
    EXPECT_EQ(listing.objects[0].size, 600 + i);
  }
}

TEST_P(RemoteConformance, ListingsHaveEverythingOnce) {
  std::map<std::pair<ObjectName, uint64_t>, int> expected;
  for (uint64_t i = 0; i < 3000; ++i) {
    expect_put(remote(), numbered_name(i), numbered_bytes(i, i % 700));
    expected[{numbered_name(i), i % 700}] = 1;
  }

  const RemoteListing listing = list_all(remote(), ObjectFolder::objects);

  EXPECT_TRUE(counted(listing) == expected) << listing.objects.size() << " objects";
  EXPECT_EQ(listing.ignored, 0u);
}

TEST_P(RemoteConformance, ListingsHaveEverythingOnceAlsoInOneShard) {
  for (const ObjectFolder folder : {ObjectFolder::announcements, ObjectFolder::objects}) {
    std::map<std::pair<ObjectName, uint64_t>, int> expected;
    for (uint64_t i = 0; i < 1100; ++i) {
      expect_put(remote(), numbered_name(i * 1024, folder), numbered_bytes(i, 3));
      expected[{numbered_name(i * 1024, folder), 3}] = 1;
    }

    EXPECT_TRUE(counted(list_all(remote(), folder)) == expected);
  }
}

TEST_P(RemoteConformance, RemovingWhileListingHidesNothing) {
  std::set<ObjectName> unseen;
  for (uint64_t i = 0; i < 2500; ++i) {
    expect_put(remote(), numbered_name(i * 7), numbered_bytes(i, 3));
    unseen.insert(numbered_name(i * 7));
  }

  std::string next;
  do {
    auto page = remote().list(ObjectFolder::objects, next);
    ASSERT_TRUE(page.ok()) << page.error().message();
    for (const auto& object : page->objects) {
      unseen.erase(object.name);
      ASSERT_TRUE(remote().remove(object.name).ok());
    }
    next = page->next;
  } while (!next.empty());

  EXPECT_TRUE(unseen.empty()) << unseen.size();
  EXPECT_TRUE(list_all(remote(), ObjectFolder::objects).objects.empty());
}

TEST_P(RemoteConformance, WhatIsNotOursIsIgnoredAndCounted) {
  for (const ObjectFolder folder : kObjectFolders) {
    expect_put(remote(), numbered_name(1, folder), numbered_bytes(1, 600));
    expect_put(remote(), numbered_name(2, folder), numbered_bytes(2, 600));

    const uint64_t foreign = subject().clutter(folder);

    EXPECT_GT(foreign, 0u);
    const RemoteListing listing = list_all(remote(), folder);
    EXPECT_EQ(listing.ignored, foreign);
    EXPECT_EQ(listing.objects.size(), 2u);
    expect_object(remote(), numbered_name(1, folder), numbered_bytes(1, 600));
    expect_put(remote(), numbered_name(3, folder), numbered_bytes(3, 600));
  }
}

TEST_P(RemoteConformance, APutThatDiesLeavesNothingOrIsMended) {
  const ObjectName name = numbered_name(1);
  const Bytes bytes = numbered_bytes(1, 4 * kMiB);

  subject().die_in_put(name, bytes);

  if (subject().is_atomic()) {
    EXPECT_TRUE(remote().get(name, kSizeMax).is(Code::not_found));
    EXPECT_TRUE(list_all(remote(), ObjectFolder::objects).objects.empty());
  }
  expect_put(remote(), name, bytes);
  expect_object(remote(), name, bytes);
}

TEST_P(RemoteConformance, APutThatDiesLeavesWhatWasThere) {
  const ObjectName name = numbered_name(1);
  const Bytes bytes = numbered_bytes(1, 4 * kMiB);
  expect_put(remote(), name, bytes);

  subject().die_in_put(name, bytes);

  if (subject().is_atomic()) expect_object(remote(), name, bytes);
}

TEST_P(RemoteConformance, EachErrorHasItsCode) {
  const ObjectName stored = numbered_name(1);
  const Bytes bytes = numbered_bytes(1, 1000);
  expect_put(remote(), stored, bytes);
  EXPECT_FALSE(subject().provocable().empty());

  for (const Code code : subject().provocable()) {
    SCOPED_TRACE(static_cast<int>(code));
    subject().provoke(code);

    const Result<> put = remote().put(numbered_name(2), bytes);
    EXPECT_TRUE(put.is(code)) << message_of(put);
    EXPECT_FALSE(put.ok() || put.error().hint().empty()) << "what can the user do?";
    if (code == Code::no_space) {
      expect_object(remote(), stored, bytes);
    } else {
      EXPECT_TRUE(remote().get(stored, kSizeMax).is(code));
      EXPECT_TRUE(remote().get_range(stored, 0, 1).is(code));
      EXPECT_TRUE(remote().stat(stored).is(code));
      EXPECT_TRUE(remote().list(ObjectFolder::objects, "").is(code));
      EXPECT_TRUE(remote().remove(stored).is(code));
    }

    subject().relent();
    expect_object(remote(), stored, bytes);
    EXPECT_TRUE(remote().get(numbered_name(2), kSizeMax).is(Code::not_found));
    expect_put(remote(), numbered_name(2), bytes);
    EXPECT_TRUE(remote().remove(numbered_name(2)).ok());
  }
}

TEST_P(RemoteConformance, ManyThreadsMayCallAtOnce) {
  constexpr uint64_t kThreads = 8;
  constexpr uint64_t kEach = 40;
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < kEach; ++i) {
        const uint64_t number = t * kEach + i;
        const Bytes bytes = numbered_bytes(number, 2000 + number);
        bool good = remote().put(numbered_name(number), bytes).ok();
        auto got = remote().get(numbered_name(number), kSizeMax);
        good = good && got.ok() && *got == bytes;
        good = good && remote().stat(numbered_name(number)).ok();
        if (i % 10 == 0) good = good && remote().list(ObjectFolder::objects, "").ok();
        if (i % 4 == 0) good = good && remote().remove(numbered_name(number)).ok();
        if (!good) ++failures;
      }
    });
  for (auto& thread : threads) thread.join();

  EXPECT_EQ(failures.load(), 0);
  EXPECT_EQ(list_all(remote(), ObjectFolder::objects).objects.size(), kThreads * kEach * 3 / 4);
}

TEST_P(RemoteConformance, ManyMayPutOneObjectAndReadersSeeItWhole) {
  const ObjectName name = numbered_name(1);
  const Bytes bytes = numbered_bytes(1, kMiB);
  std::atomic<int> failures{0};
  std::atomic<int> parts{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        if (t % 2 == 0) {
          if (!remote().put(name, bytes).ok()) ++failures;
          continue;
        }
        auto got = remote().get(name, kSizeMax);
        if (got.ok() ? *got != bytes : !got.is(Code::not_found)) ++parts;
      }
    });
  for (auto& thread : threads) thread.join();

  EXPECT_EQ(failures.load(), 0);
  EXPECT_TRUE(parts.load() == 0 || !subject().is_atomic()) << parts.load();
  expect_object(remote(), name, bytes);
}

}  // namespace
}  // namespace tain::sync
