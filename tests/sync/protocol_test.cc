// SPDX-License-Identifier: Apache-2.0
// The worked examples of docs/remote-protocol.md.
#include <dirent.h>
#include <gtest/gtest.h>

#include <numeric>

#include "sync/record_codec.h"
#include "sync/segment.h"
#include "tests/support/fixed_random.h"
#include "tests/support/format_page.h"

namespace tain::sync {
namespace {

template <size_t N>
std::array<uint8_t, N> counting(uint8_t first) {
  std::array<uint8_t, N> out;
  std::iota(out.begin(), out.end(), first);
  return out;
}

const test::FormatPage& page() {
  static const test::FormatPage examples(TAIN_SOURCE_DIR, "docs/remote-protocol.md");
  return examples;
}

const store::RemoteCipher& cipher() {
  static const store::RemoteCipher made({Secret::copy_of(counting<32>(0))}, VaultId{counting<16>(0x20)}, 1);
  return made;
}

const store::SigningKey& key() {
  static const store::SigningKey made(counting<32>(0x40));
  return made;
}

EntryRecord a_record() {
  const Bytes text{'D', 'e', 'a', 'r', ' ', 'd', 'i', 'a', 'r', 'y', '\n'};
  EntryRecord record{.entry = {counting<16>(0x60)}, .type = DT_REG, .location = {}, .content = {}, .attributes = {}};
  record.location = {.dot = {7, 1}, .hlc = 0x0190'0000'0001'0000, .parents = {}, .value = {.links = {{kRootEntry, "first.md"}}, .taken = {}, .seen = {}}};
  record.content = {.dot = {7, 2},
                    .hlc = 0x0190'0000'0002'0000,
                    .parents = {{6, 9}},
                    .value = FileContent{.size = text.size(), .mtime = {1'790'000'000, 5}, .hash = cipher().content_hash(text), .data = text}};
  record.attributes = {.dot = {7, 3},
                       .hlc = 0x0190'0000'0001'0000,
                       .parents = {},
                       .value = {.mode = 0644, .uid = 1000, .gid = 1000, .rdev = 0, .btime = {1'790'000'000, 5}, .time_lock = 0, .xattrs = {{"user.mood", {'o', 'k'}}}}};
  return record;
}

TEST(ProtocolTest, Records) {
  page().expect_example("record of a file", encode_record(a_record()));

  EntryRecord removal{.entry = {counting<16>(0x60)}, .type = DT_REG, .location = {}, .content = {}, .attributes = {}};
  removal.location = {.dot = {7, 4},
                      .hlc = 0x0190'0000'0003'0000,
                      .parents = {{7, 1}},
                      .value = {.links = {}, .taken = {{kRootEntry, "first.md"}}, .seen = {{7, 2}, {7, 3}}}};
  page().expect_example("record of a removal", encode_record(removal));

  EntryRecord large{.entry = {counting<16>(0x60)}, .type = DT_REG, .location = {}, .content = {}, .attributes = {}};
  large.content = {.dot = {7, 5},
                   .hlc = 0x0190'0000'0004'0000,
                   .parents = {{7, 2}},
                   .value = FileContent{.size = 70'000,
                                        .mtime = {1'790'000'000, 5},
                                        .hash = counting<32>(0x80),
                                        .data = ChunkList{.height = 0, .chunks = {{.index = 1, .hash = counting<32>(0xa0), .pack = counting<16>(0xc0), .offset = 0, .length = 4464}}}}};
  page().expect_example("record of a file of 70 000 bytes, the first 65 536 of them a hole", encode_record(large));
}

TEST(ProtocolTest, Names) {
  const std::string announcement = announcement_name(cipher(), 7).path(), segment = segment_name(cipher(), 7, 1).path(),
                    pack = pack_name(cipher(), counting<16>(0xc0)).path();
  page().expect_example("name of the announcement, in ASCII", as_bytes(announcement));
  page().expect_example("name of the segment, in ASCII", as_bytes(segment));
  page().expect_example("name of the pack, in ASCII", as_bytes(pack));
}

TEST(ProtocolTest, Objects) {
  {
    test::FixedRandom fixed;
    page().expect_example("announcement", seal_announcement(cipher(), key(), {.writer = 7, .device = counting<16>(0x50), .key = key().public_key(), .label = "Laptop", .before = {}, .hlc = 0x0190'0000'0000'0000}));
  }
  {
    test::FixedRandom fixed;
    const Segment segment{.writer = 7, .n = 1, .chain_before = {}, .hlc = 0x0190'0000'0002'0000, .vector = {{6, 3, counting<32>(0xe0)}}, .packs = {{.id = counting<16>(0xc0), .size = 4608, .hash = counting<32>(0x10)}}, .records = {a_record()}};
    page().expect_example("segment", seal_segment(cipher(), key(), segment));
  }
}

TEST(ProtocolTest, Packs) {
  const Bytes chunk(20, 'x');
  const Id32 hash = cipher().content_hash(chunk);
  const Id16 id = cipher().pack_id(7, {{hash}});
  Bytes pack = cipher().seal_chunk(hash, id, 0, chunk);
  const Bytes padding = cipher().pack_padding(id, pack.size());
  pack.insert(pack.end(), padding.begin(), padding.end());

  page().expect_example("hash of a chunk, 20 times x", hash);
  page().expect_example("id of the pack with that chunk", id);
  page().expect_example("that pack", pack);
}

}  // namespace
}  // namespace tain::sync
