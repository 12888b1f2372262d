// SPDX-License-Identifier: Apache-2.0
#include "sync/pack.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sync/record_codec.h"
#include "tests/sync/random_values.h"

namespace tain::sync {
namespace {

class PackTest : public testing::Test {
 protected:
  /// Takes packs and keeps them by their id.
  Result<> take(Pack pack) {
    EXPECT_EQ(pack.object.size(), store::padded_size(pack.object.size()));
    EXPECT_EQ(pack.entry.hash, store::hash256(pack.object));
    packs_[pack.entry.id] = std::move(pack.object);
    return {};
  }
  ContentCutter cutter(WriterId writer = 7) {
    return {cipher_, writer, [this](Pack pack) { return take(std::move(pack)); }};
  }
  static ReadContent reader_of(const Bytes& file) {
    return [&file](uint64_t offset, size_t size) -> Result<Bytes> {
      const auto piece = ByteView(file).subspan(std::min<uint64_t>(offset, file.size()));
      const auto got = piece.first(std::min(size, piece.size()));
      return Bytes(got.begin(), got.end());
    };
  }
  Result<Bytes> fetch(const Chunk& chunk) {
    const auto pack = packs_.find(chunk.pack);
    if (pack == packs_.end()) return Error(Code::not_found, "no such pack");
    const uint64_t size = chunk.length + store::kChunkOverhead;
    if (chunk.offset + size > pack->second.size()) return Error(Code::corrupt, "pack is too short");
    return cipher_.open_chunk(chunk.hash, chunk.pack, chunk.offset, ByteView(pack->second).subspan(chunk.offset, size));
  }
  Result<Bytes> read_back(const FileContent& file) {
    Bytes out(file.size);
    TRY(read_content(
        cipher_, file, [this](const Chunk& chunk) { return fetch(chunk); },
        [&](uint64_t offset, ByteView bytes) -> Result<> {
          if (offset + bytes.size() > out.size()) return Error(Code::out_of_range, "past the end");
          std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<ptrdiff_t>(offset));
          return {};
        }));
    return out;
  }
  FileContent cut_one(const Bytes& file, const std::vector<Chunk>& before = {}) {
    ContentCutter one = cutter();
    EXPECT_TRUE(one.add(file.size(), {1, 2}, reader_of(file), before).ok());
    auto cut = one.finish();
    EXPECT_TRUE(cut.ok());
    return cut->contents.at(0);
  }
  static const std::vector<Chunk>& chunks_of(const FileContent& file) { return std::get<ChunkList>(file.data).chunks; }

  const store::RemoteCipher cipher_{{Secret(32)}, VaultId{{1}}, 1};
  RandomValues random_{5};
  std::map<PackId, Bytes> packs_;
};

TEST_F(PackTest, ContentsOfEverySizeAreReadBack) {
  ContentCutter all = cutter();
  std::vector<Bytes> files;
  for (const size_t size : {size_t{0}, size_t{1}, kInlineMax - 1, kInlineMax, kInlineMax + 1, 2 * kChunkSize, 2 * kChunkSize + 1, size_t{1'000'000}})
    files.push_back(random_.bytes(size));
  for (const Bytes& file : files) ASSERT_TRUE(all.add(file.size(), {1, 2}, reader_of(file)).ok());

  const auto cut = all.finish();

  ASSERT_TRUE(cut.ok());
  ASSERT_EQ(cut->contents.size(), files.size());
  EXPECT_EQ(cut->packs.size(), 1u);
  for (size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(std::holds_alternative<Bytes>(cut->contents[i].data), files[i].size() <= kInlineMax);
    const auto again = read_back(cut->contents[i]);
    ASSERT_TRUE(again.ok()) << i << again.error().message();
    EXPECT_EQ(*again, files[i]) << i;
    // As a record carries it.
    const auto decoded = decode_content(8, encode_value(Content(cut->contents[i])));
    ASSERT_TRUE(decoded.ok()) << i;
    EXPECT_EQ(*decoded, Content(cut->contents[i]));
  }
}

TEST_F(PackTest, ManyFilesAreFewPacks) {
  ContentCutter all = cutter();
  const Bytes file = random_.bytes(100'000);
  for (int i = 0; i < 500; ++i) {
    Bytes other = file;
    other[70'000] = static_cast<uint8_t>(i);
    other[1] = static_cast<uint8_t>(i >> 8);
    ASSERT_TRUE(all.add(other.size(), {}, reader_of(other)).ok());
  }

  const auto cut = all.finish();

  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut->packs.size(), 3u);  // 50 MB, not more than 16 MiB each
  EXPECT_EQ(packs_.size(), 3u);
}

TEST_F(PackTest, HolesStayHoles) {
  Bytes file(10 * kChunkSize + 5);
  file[3 * kChunkSize] = 1;

  const FileContent content = cut_one(file);

  ASSERT_EQ(chunks_of(content).size(), 1u);
  EXPECT_EQ(chunks_of(content)[0].index, 3u);
  EXPECT_EQ(*read_back(content), file);
  const FileContent empty = cut_one(Bytes(kChunkSize * 3));
  EXPECT_TRUE(chunks_of(empty).empty());
  EXPECT_EQ(*read_back(empty), Bytes(kChunkSize * 3));
}

TEST_F(PackTest, AChangeCostsWhatChanged) {
  Bytes file = random_.bytes(50 * kChunkSize);
  const FileContent first = cut_one(file);
  packs_.clear();
  file[7 * kChunkSize + 9] ^= 1;

  const FileContent second = cut_one(file, chunks_of(first));

  ASSERT_EQ(packs_.size(), 1u);
  EXPECT_LE(packs_.begin()->second.size(), store::padded_size(kChunkSize + 2 * store::kChunkOverhead));
  EXPECT_NE(first.hash, second.hash);
  for (size_t i = 0; i < 50; ++i) EXPECT_EQ(chunks_of(first)[i] == chunks_of(second)[i], i != 7) << i;
}

TEST_F(PackTest, TheSameContentHasTheSameHashInOtherPacks) {
  const Bytes file = random_.bytes(200'000), other = random_.bytes(200'000);
  const FileContent alone = cut_one(file);
  ContentCutter both = cutter(8);
  ASSERT_TRUE(both.add(other.size(), {}, reader_of(other)).ok());
  ASSERT_TRUE(both.add(file.size(), {}, reader_of(file)).ok());
  const auto cut = both.finish();

  EXPECT_EQ(cut->contents[1].hash, alone.hash);
  EXPECT_NE(cut->contents[1].data, alone.data);
  EXPECT_NE(cut->contents[0].hash, alone.hash);
}

TEST_F(PackTest, APackMadeAgainIsTheSame) {
  const Bytes file = random_.bytes(3 * kChunkSize);
  cut_one(file);
  const auto first = packs_;
  packs_.clear();
  cut_one(file);

  EXPECT_EQ(packs_, first);
}

TEST_F(PackTest, TheSameBytesTwiceAreNeverTheSameTwice) {
  const Bytes chunk = random_.bytes(kChunkSize);
  Bytes file = chunk;
  file.insert(file.end(), chunk.begin(), chunk.end());

  const FileContent content = cut_one(file);

  const Bytes& pack = packs_.at(chunks_of(content)[0].pack);
  EXPECT_NE(Bytes(pack.begin(), pack.begin() + kChunkSize), Bytes(pack.begin() + kChunkSize + 16, pack.begin() + 2 * kChunkSize + 16));
}

TEST_F(PackTest, AFileOfManyChunksIsListsOfLists) {
  // 2^21 chunks would be too many for a test: sparse, so that the lists are there and few bytes.
  const uint64_t chunks = 3000;
  const auto read = [](uint64_t offset, size_t size) -> Result<Bytes> {
    Bytes out(size);
    Bytes number;
    Writer(number).u64(offset + 1);
    std::copy_n(number.begin(), std::min(size, number.size()), out.begin());
    return out;
  };
  ContentCutter one = cutter();
  ASSERT_TRUE(one.add(chunks * kChunkSize - 10, {}, read).ok());
  const Bytes small = random_.bytes(70'000);
  ASSERT_TRUE(one.add(small.size(), {}, reader_of(small)).ok());
  const auto cut = one.finish();
  ASSERT_TRUE(cut.ok());

  const FileContent& file = cut->contents[0];
  const auto& list = std::get<ChunkList>(file.data);
  EXPECT_EQ(list.height, 1);
  EXPECT_EQ(list.chunks.size(), 3u);
  uint64_t seen = 0;
  const auto result = read_content(
      cipher_, file, [this](const Chunk& chunk) { return fetch(chunk); },
      [&](uint64_t offset, ByteView bytes) -> Result<> {
        EXPECT_EQ(offset, seen++ * kChunkSize);
        EXPECT_EQ(Reader(bytes).u64(), offset + 1);
        return {};
      });
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(seen, chunks);
  EXPECT_EQ(*read_back(cut->contents[1]), small);
}

TEST_F(PackTest, AFileThatBecomesShorterIsNotCut) {
  const Bytes file = random_.bytes(100'000);
  ContentCutter one = cutter();
  EXPECT_TRUE(one.add(file.size() + 1, {}, reader_of(file)).is(Code::stale));
  EXPECT_TRUE(one.add(10, {}, reader_of(Bytes(5))).is(Code::stale));
}

TEST_F(PackTest, DamageInAPackIsFound) {
  const Bytes file = random_.bytes(3 * kChunkSize);
  const FileContent content = cut_one(file);
  Bytes& pack = packs_.begin()->second;
  for (size_t at = 0; at < 3 * (kChunkSize + 16); at += 9973) {
    pack[at] ^= 0x40;
    EXPECT_TRUE(read_back(content).is(Code::corrupt)) << at;
    pack[at] ^= 0x40;
  }
  EXPECT_TRUE(read_back(content).ok());
  packs_.clear();
  EXPECT_TRUE(read_back(content).is(Code::not_found));
}

TEST_F(PackTest, AListThatWasMadeUpIsRefused) {
  const Bytes file = random_.bytes(3 * kChunkSize);
  FileContent content = cut_one(file);
  auto& chunks = std::get<ChunkList>(content.data).chunks;
  const auto good = chunks;
  std::swap(chunks[0].index, chunks[1].index);
  EXPECT_TRUE(read_back(content).is(Code::corrupt));
  chunks = good;
  chunks.pop_back();
  EXPECT_TRUE(read_back(content).is(Code::corrupt));
  chunks = good;
  chunks[2].index = 3;  // past the end
  EXPECT_TRUE(read_back(content).is(Code::corrupt));
  chunks = good;
  std::get<ChunkList>(content.data).height = 1;  // data read as a list
  EXPECT_TRUE(read_back(content).is(Code::corrupt));
}

}  // namespace
}  // namespace tain::sync
