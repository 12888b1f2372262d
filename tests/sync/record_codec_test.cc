// SPDX-License-Identifier: Apache-2.0
#include "sync/record_codec.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include "tests/sync/random_values.h"

namespace tain::sync {
namespace {

EntryRecord a_file() {
  RandomValues random(7);
  EntryRecord record{.entry = {random.id<16>()}, .type = DT_REG, .location = {}, .content = {}, .attributes = {}};
  record.location = random.version(Location{.links = {{kRootEntry, "diary.md"}}, .taken = {}, .seen = {}});
  record.content = random.version(Content(FileContent{.size = 3, .mtime = {1, 2}, .hash = random.id<32>(), .data = Bytes{1, 2, 3}}));
  record.attributes = random.version(random.attributes());
  return record;
}

void expect_refused(const EntryRecord& record) {
  EXPECT_TRUE(decode_record(encode_record(record)).is(Code::corrupt));
}

FileContent& file_of(EntryRecord& record) { return std::get<FileContent>(record.content->value); }

TEST(RecordCodecTest, EveryRecordIsReadBack) {
  RandomValues random(1);
  for (int i = 0; i < 500; ++i) {
    const EntryRecord record = random.record();

    const auto again = decode_record(encode_record(record));

    ASSERT_TRUE(again.ok()) << i << again.error().message();
    EXPECT_EQ(*again, record) << i;
  }
}

TEST(RecordCodecTest, ACutRecordIsRefusedAtEveryLength) {
  RandomValues random(2);
  for (int i = 0; i < 20; ++i) {
    const Bytes bytes = encode_record(random.record());
    for (size_t size = 0; size < std::min<size_t>(bytes.size(), 2000); ++size)
      ASSERT_TRUE(decode_record(ByteView(bytes).first(size)).is(Code::corrupt)) << i << " " << size;
  }
}

TEST(RecordCodecTest, SomethingBehindARecordIsRefused) {
  Bytes bytes = encode_record(a_file());
  bytes.push_back(0);
  EXPECT_TRUE(decode_record(bytes).is(Code::corrupt));
}

TEST(RecordCodecTest, WhatIsAcceptedHasOneEncoding) {
  RandomValues random(3);
  size_t accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = encode_record(random.chance(50) ? a_file() : random.record());
    for (uint64_t flips = 1 + random.below(3); flips > 0; --flips)
      bytes[random.below(std::min<size_t>(bytes.size(), 400))] ^= static_cast<uint8_t>(1u << random.below(8));

    const auto record = decode_record(bytes);

    if (!record.ok()) continue;
    ++accepted;
    ASSERT_EQ(encode_record(*record), bytes) << i;
  }
  EXPECT_GT(accepted, 1000u);
}

TEST(RecordCodecTest, NamesThatLeadElsewhereAreRefused) {
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("/"),
                                  std::string("../x"), std::string("a\0b", 3), std::string(256, 'x')}) {
    EntryRecord record = a_file();
    record.location->value.links[0].name = name;
    expect_refused(record);
  }
}

TEST(RecordCodecTest, ADirectoryHasOneName) {
  EntryRecord record = a_file();
  record.type = DT_DIR;
  record.content.reset();
  EXPECT_TRUE(decode_record(encode_record(record)).ok());
  record.location->value.links.push_back({kRootEntry, "other"});
  expect_refused(record);
}

TEST(RecordCodecTest, OnlyADirectoryThatWasMovedSaysWhereItWas) {
  EntryRecord record = a_file();
  record.location->value.taken = {{kRootEntry, "before"}};
  expect_refused(record);
  record.type = DT_DIR;
  record.content.reset();
  EXPECT_TRUE(decode_record(encode_record(record)).ok());
  record.location->value.taken.push_back({kRootEntry, "other"});
  expect_refused(record);
}

TEST(RecordCodecTest, TheRootIsADirectoryAndStaysWhereItIs) {
  EntryRecord record = a_file();
  record.entry = kRootEntry;
  expect_refused(record);
  record.type = DT_DIR;
  record.content.reset();
  expect_refused(record);
  record.location.reset();
  EXPECT_TRUE(decode_record(encode_record(record)).ok());
}

TEST(RecordCodecTest, WhatHasNoOrderIsRefused) {
  EntryRecord record = a_file();
  record.location->value.links = {{kRootEntry, "b"}, {kRootEntry, "a"}};
  expect_refused(record);
  record.location->value.links = {{kRootEntry, "a"}, {kRootEntry, "a"}};
  expect_refused(record);

  record = a_file();
  record.content->parents = {{2, 1}, {1, 1}};
  expect_refused(record);
}

TEST(RecordCodecTest, AVersionDoesNotReplaceItself) {
  EntryRecord record = a_file();
  record.content->parents = {record.content->dot};
  expect_refused(record);
}

TEST(RecordCodecTest, ContentIsAsLongAsItSays) {
  EntryRecord record = a_file();
  file_of(record).size = 4;
  expect_refused(record);

  // Chunks that end where the file does, or before: and none past it.
  record = a_file();
  Chunk chunk{.index = 1, .hash = {}, .pack = {}, .offset = 0, .length = 100};
  file_of(record).size = kChunkSize + 100;
  file_of(record).data = ChunkList{.height = 0, .chunks = {chunk}};
  EXPECT_TRUE(decode_record(encode_record(record)).ok());
  file_of(record).size = kChunkSize + 99;
  expect_refused(record);
  // What fits into the record stands in it: one form for each content.
  chunk.index = 0;
  file_of(record).size = kInlineMax;
  file_of(record).data = ChunkList{.height = 0, .chunks = {chunk}};
  expect_refused(record);
}

TEST(RecordCodecTest, AListOfListsBeginsWhereItsListsDo) {
  EntryRecord record = a_file();
  Chunk chunk{.index = 1024, .hash = {}, .pack = {}, .offset = 0, .length = 66};
  file_of(record).size = 1025 * kChunkSize;
  file_of(record).data = ChunkList{.height = 1, .chunks = {chunk}};
  EXPECT_TRUE(decode_record(encode_record(record)).ok());
  chunk.index = 1000;
  file_of(record).data = ChunkList{.height = 1, .chunks = {chunk}};
  expect_refused(record);
}

TEST(RecordCodecTest, ListsInPacksAreReadBackAndBounded) {
  std::vector<Chunk> chunks;
  for (uint64_t i = 0; i < kListMax; ++i) chunks.push_back({.index = i, .hash = {}, .pack = {}, .offset = 0, .length = 1});
  const auto again = decode_chunks(encode_chunks(chunks), 0);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, chunks);

  Bytes many = encode_chunks(chunks);
  many[0] = 0x01;
  many[1] = 0x04;  // 1025
  EXPECT_TRUE(decode_chunks(many, 0).is(Code::corrupt));
  EXPECT_TRUE(decode_chunks(encode_chunks(chunks), kListHeightMax + 1).is(Code::corrupt));
}

}  // namespace
}  // namespace tain::sync
