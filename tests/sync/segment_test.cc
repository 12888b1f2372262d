// SPDX-License-Identifier: Apache-2.0
#include "sync/segment.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/sync/random_values.h"

namespace tain::sync {
namespace {

store::MasterKey counting_key(uint8_t first) {
  store::MasterKey key{Secret(32)};
  std::iota(key.secret.span().begin(), key.secret.span().end(), first);
  return key;
}

class SegmentTest : public testing::Test {
 protected:
  const store::RemoteCipher cipher_{counting_key(0), VaultId{{1}}, 1};
  const store::SigningKey key_{Bytes(32, 5)};
  RandomValues random_{11};

  Announcement an_announcement() {
    return {.writer = 77, .device = {3}, .key = key_.public_key(), .label = "Laptop", .before = {}, .hlc = 9};
  }
  ObjectName name_of(const Announcement& announcement) { return announcement_name(cipher_, announcement.writer); }
};

TEST_F(SegmentTest, EverySegmentIsReadBack) {
  for (int i = 0; i < 50; ++i) {
    const Segment segment = random_.segment(20);

    const Bytes object = seal_segment(cipher_, key_, segment);
    const auto again = open_segment(cipher_, key_.public_key(), segment.writer, segment.n, object);

    ASSERT_TRUE(again.ok()) << i << again.error().message();
    EXPECT_EQ(*again, segment);
    EXPECT_EQ(object.size(), store::padded_size(object.size()));
  }
}

TEST_F(SegmentTest, EveryBitOfASegmentCounts) {
  const Segment segment = random_.segment(2);
  const Bytes object = seal_segment(cipher_, key_, segment);
  const size_t step = std::max<size_t>(1, object.size() / 700);
  for (size_t i = 0; i < object.size(); i += step) {
    Bytes bad = object;
    bad[i] ^= static_cast<uint8_t>(1u << (i % 8));
    ASSERT_TRUE(open_segment(cipher_, key_.public_key(), segment.writer, segment.n, bad).is(Code::corrupt)) << i;
  }
  for (const size_t size : {size_t{0}, size_t{1}, size_t{83}, size_t{84}, object.size() / 2, object.size() - 1})
    ASSERT_TRUE(open_segment(cipher_, key_.public_key(), segment.writer, segment.n, ByteView(object).first(size)).is(Code::corrupt));
}

TEST_F(SegmentTest, UnderAnotherNameItDoesNotOpen) {
  const Segment segment = random_.segment(2);
  const Bytes object = seal_segment(cipher_, key_, segment);

  EXPECT_TRUE(open_segment(cipher_, key_.public_key(), segment.writer, segment.n + 1, object).is(Code::corrupt));
  EXPECT_TRUE(open_segment(cipher_, key_.public_key(), segment.writer + 1, segment.n, object).is(Code::corrupt));
  const store::RemoteCipher other_vault(counting_key(0), VaultId{{2}}, 1), other_epoch(counting_key(0), VaultId{{1}}, 2),
      other_key(counting_key(1), VaultId{{1}}, 1);
  for (const store::RemoteCipher* cipher : {&other_vault, &other_epoch, &other_key})
    EXPECT_TRUE(open_segment(*cipher, key_.public_key(), segment.writer, segment.n, object).is(Code::corrupt));
}

TEST_F(SegmentTest, AnotherDeviceCannotSignIt) {
  const Segment segment = random_.segment(2);
  const Bytes object = seal_segment(cipher_, key_, segment);
  const store::SigningKey other(Bytes(32, 6));

  EXPECT_TRUE(open_segment(cipher_, other.public_key(), segment.writer, segment.n, object).is(Code::not_permitted));
}

TEST_F(SegmentTest, TheSameSegmentIsNeverTheSameObject) {
  const Segment segment = random_.segment(2);
  EXPECT_NE(seal_segment(cipher_, key_, segment), seal_segment(cipher_, key_, segment));
}

TEST_F(SegmentTest, WhatTheFormatForbidsIsRefusedThoughItIsSealedAndSigned) {
  const auto is_refused = [&](const Segment& segment) {
    return open_segment(cipher_, key_.public_key(), segment.writer, segment.n, seal_segment(cipher_, key_, segment)).is(Code::corrupt);
  };
  const Segment good{.writer = 5, .n = 2, .chain_before = {}, .hlc = 1, .vector = {{7, 1, {}}}, .packs = {}, .records = {}};
  ASSERT_FALSE(is_refused(good));

  Segment bad = good;
  bad.vector = {{7, 1, {}}, {6, 1, {}}};
  EXPECT_TRUE(is_refused(bad)) << "vector without order";
  bad.vector = {{5, 1, {}}};
  EXPECT_TRUE(is_refused(bad)) << "itself in its vector";
  bad.vector = {{7, 0, {}}};
  EXPECT_TRUE(is_refused(bad)) << "nothing of a writer";
  bad = good;
  bad.n = 1;
  bad.chain_before = {1};
  EXPECT_TRUE(is_refused(bad)) << "something before the first";
  bad = good;
  bad.records = {random_.record(), random_.record()};
  bad.records[1].entry = bad.records[0].entry;
  EXPECT_TRUE(is_refused(bad)) << "two records of one entry";
}

TEST_F(SegmentTest, ALaterVersionIsToldFromDamage) {
  const Announcement announcement = an_announcement();
  Bytes body;
  Writer(body).u16(kProtocolVersion + 1).u64(1);
  const Bytes object = cipher_.seal_object(store::ObjectKind::announcement, name_of(announcement).id, body);

  EXPECT_TRUE(open_announcement(cipher_, name_of(announcement), object).is(Code::format_too_new));
}

TEST_F(SegmentTest, AnnouncementsAreReadBackByTheirNameAlone) {
  Announcement announcement = an_announcement();
  EXPECT_EQ(*open_announcement(cipher_, name_of(announcement), seal_announcement(cipher_, key_, announcement)), announcement);

  announcement.before = {.writer = 4, .n = 3, .chain = {9}};
  announcement.label = std::string(kLabelMax, 'x');
  const Bytes object = seal_announcement(cipher_, key_, announcement);
  EXPECT_EQ(*open_announcement(cipher_, name_of(announcement), object), announcement);
  EXPECT_LE(object.size(), kAnnouncementObjectMax);

  ObjectName other = name_of(announcement);
  other.id[0] ^= 1;
  EXPECT_TRUE(open_announcement(cipher_, other, object).is(Code::corrupt));
}

TEST_F(SegmentTest, AnAnnouncementIsSignedByTheKeyItNames) {
  Announcement announcement = an_announcement();
  announcement.key[0] ^= 1;
  EXPECT_TRUE(open_announcement(cipher_, name_of(announcement), seal_announcement(cipher_, key_, announcement)).is(Code::corrupt));
}

TEST_F(SegmentTest, AnAnnouncementDoesNotComeAfterItself) {
  Announcement announcement = an_announcement();
  announcement.before = {.writer = announcement.writer, .n = 3, .chain = {9}};
  EXPECT_TRUE(open_announcement(cipher_, name_of(announcement), seal_announcement(cipher_, key_, announcement)).is(Code::corrupt));
}

}  // namespace
}  // namespace tain::sync
