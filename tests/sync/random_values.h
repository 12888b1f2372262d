// SPDX-License-Identifier: Apache-2.0
// Values of the protocol made from a seed, for tests of everything that exchanges them.
#pragma once

#include <dirent.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sync/segment.h"

namespace tain::sync {

class RandomValues {
 public:
  explicit RandomValues(uint64_t seed) : engine_(seed) {}

  uint64_t below(uint64_t limit) { return engine_() % limit; }
  bool chance(uint64_t percent) { return below(100) < percent; }
  template <size_t N>
  std::array<uint8_t, N> id() {
    std::array<uint8_t, N> out;
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(engine_());
    return out;
  }
  Bytes bytes(size_t size) {
    Bytes out(size);
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(engine_());
    return out;
  }
  std::string name(size_t size_max) {
    std::string out(1 + below(size_max), 'x');
    for (char& c : out) c = static_cast<char>('a' + below(26));
    return out;
  }
  Dot dot() { return {.writer = engine_(), .counter = 1 + below(1000)}; }
  store::Time time() { return {.seconds = static_cast<int64_t>(engine_() >> 8), .nanoseconds = static_cast<uint32_t>(below(1'000'000'000))}; }
  std::vector<Dot> dots(size_t most) {
    std::set<Dot> out;
    for (size_t i = below(most + 1); i > 0; --i) out.insert(dot());
    return {out.begin(), out.end()};
  }
  std::vector<Link> links(size_t most) {
    std::set<Link> out;
    for (size_t i = below(most + 1); i > 0; --i) out.insert({.directory = {id<16>()}, .name = name(store::kNameMax)});
    return {out.begin(), out.end()};
  }

  Location location(uint8_t type) {
    Location out{.links = links(type == DT_DIR ? 1 : 3), .taken = {}, .seen = {}};
    if (out.is_removal()) {
      out.taken = links(type == DT_DIR ? 1 : 3);
      out.seen = dots(kSeenMax);
    } else if (type == DT_DIR) {
      out.taken = links(1);
    }
    return out;
  }
  FileContent file() {
    FileContent out{.size = 0, .mtime = time(), .hash = id<32>(), .data = {}};
    if (chance(70)) {
      out.data = bytes(chance(10) ? kInlineMax : below(3000));
      out.size = std::get<Bytes>(out.data).size();
      return out;
    }
    ChunkList list{.height = static_cast<uint8_t>(below(kListHeightMax + 1)), .chunks = {}};
    const uint64_t step = uint64_t{1} << (10 * list.height);
    uint64_t index = 0;
    // Of the greatest height there is one: what it covers is the largest file.
    for (size_t i = list.height == kListHeightMax ? 1 : 1 + below(20); i > 0; --i) {
      index += list.height == kListHeightMax ? 0 : step * below(3);
      list.chunks.push_back({.index = index,
                             .hash = id<32>(),
                             .pack = id<16>(),
                             .offset = static_cast<uint32_t>(below(16 << 20)),
                             .length = static_cast<uint32_t>(1 + below(kChunkSize))});
      index += step;
    }
    out.size = std::min(index * kChunkSize + kInlineMax + 1, store::kFileSizeMax);
    out.data = std::move(list);
    return out;
  }
  Content content(uint8_t type) {
    if (type == DT_REG) return file();
    return SymlinkContent{.mtime = time(), .target = name(store::kSymlinkMax)};
  }
  Attributes attributes() {
    Attributes out{.mode = static_cast<uint32_t>(below(010000)),
                   .uid = static_cast<uint32_t>(engine_()),
                   .gid = static_cast<uint32_t>(engine_()),
                   .rdev = engine_(),
                   .btime = time(),
                   .time_lock = static_cast<int64_t>(below(1'000'000)),
                   .xattrs = {}};
    for (size_t i = below(4); i > 0; --i) out.xattrs[name(store::kXattrNameMax)] = bytes(below(300));
    return out;
  }
  template <class Value>
  Version<Value> version(Value value) {
    return {.dot = dot(), .hlc = engine_(), .parents = dots(kParentsMax), .value = std::move(value)};
  }
  EntryRecord record() {
    constexpr std::array kTypes{DT_REG, DT_REG, DT_REG, DT_DIR, DT_LNK, DT_FIFO, DT_SOCK, DT_CHR, DT_BLK};
    EntryRecord out{.entry = {id<16>()}, .type = static_cast<uint8_t>(kTypes[below(kTypes.size())]), .location = {}, .content = {}, .attributes = {}};
    const bool has_content = out.type == DT_REG || out.type == DT_LNK;
    if (chance(50)) out.location = version(location(out.type));
    if (has_content && chance(50)) out.content = version(content(out.type));
    if (chance(30) || (!out.location && !out.content)) out.attributes = version(attributes());
    return out;
  }
  Segment segment(size_t records_max) {
    Segment out{.writer = engine_(), .n = 1 + below(3), .chain_before = {}, .hlc = engine_(), .vector = {}, .packs = {}, .records = {}};
    if (out.n > 1) out.chain_before = id<32>();
    std::set<uint64_t> writers;
    for (size_t i = below(5); i > 0; --i) writers.insert(engine_());
    writers.erase(out.writer);
    for (const uint64_t writer : writers) out.vector.push_back({.writer = writer, .n = 1 + below(100), .chain = id<32>()});
    for (size_t i = below(4); i > 0; --i) out.packs.push_back({.id = id<16>(), .size = below(16 << 20), .hash = id<32>()});
    for (size_t i = below(records_max + 1); i > 0; --i) out.records.push_back(record());
    std::sort(out.records.begin(), out.records.end(), [](const auto& a, const auto& b) { return a.entry < b.entry; });
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace tain::sync
