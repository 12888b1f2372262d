// SPDX-License-Identifier: Apache-2.0
#include "sync/pack.h"

#include <algorithm>

#include "base/check.h"
#include "sync/record_codec.h"

namespace tain::sync {

namespace {

void put_in_hash(Bytes& listing, const Chunk& chunk) { Writer(listing).u64(chunk.index).raw(chunk.hash).u32(chunk.length); }

bool is_zero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

/// Walks a list down to its data.
class ContentReader {
 public:
  ContentReader(const FileContent& file, const FetchChunk& fetch, const TakeContent& take) : file_(file), fetch_(fetch), take_(take) {}

  Result<> read(const std::vector<Chunk>& chunks, uint8_t height) {
    for (const Chunk& chunk : chunks) {
      // A list in a pack could lead back, or out of the file.
      if (chunk.index < next_ || chunk.index * kChunkSize >= file_.size) return bad();
      const Bytes bytes = TRY(fetch_(chunk));
      if (bytes.size() != chunk.length) return bad();
      if (height > 0) {
        const uint64_t end = chunk.index + chunks_covered(height);
        const uint8_t below = static_cast<uint8_t>(height - 1);
        const std::vector<Chunk> list = TRY(decode_chunks(bytes, below));
        TRY(read(list, below));
        if (next_ > end) return bad();
        continue;
      }
      if (chunk.index * kChunkSize + bytes.size() > file_.size) return bad();
      put_in_hash(listing_, chunk);
      TRY(take_(chunk.index * kChunkSize, bytes));
      next_ = chunk.index + 1;
    }
    return {};
  }
  const Bytes& listing() const { return listing_; }
  static Error bad() { return Error(Code::corrupt, "list of chunks is not what its content says"); }

 private:
  const FileContent& file_;
  const FetchChunk& fetch_;
  const TakeContent& take_;
  uint64_t next_ = 0;
  Bytes listing_;
};

}  // namespace

void PackBuilder::add(Bytes bytes, const Hash& hash) {
  CHECK(has_room(bytes.size()) && !bytes.empty());
  sealed_size_ += bytes.size() + store::kChunkOverhead;
  hashes_.push_back(hash);
  texts_.push_back(std::move(bytes));
}

Pack PackBuilder::finish() {
  CHECK(!empty());
  Pack pack;
  pack.entry.id = cipher_.pack_id(writer_, hashes_);
  pack.object.reserve(store::padded_size(sealed_size_ + store::kChunkOverhead));
  for (size_t i = 0; i < texts_.size(); ++i) {
    const Chunk chunk{.index = 0,
                      .hash = hashes_[i],
                      .pack = pack.entry.id,
                      .offset = static_cast<uint32_t>(pack.object.size()),
                      .length = static_cast<uint32_t>(texts_[i].size())};
    const Bytes sealed = cipher_.seal_chunk(chunk.hash, chunk.pack, chunk.offset, texts_[i]);
    pack.object.insert(pack.object.end(), sealed.begin(), sealed.end());
    pack.chunks.push_back(chunk);
  }
  const Bytes padding = cipher_.pack_padding(pack.entry.id, pack.object.size());
  pack.object.insert(pack.object.end(), padding.begin(), padding.end());
  pack.entry.size = pack.object.size();
  pack.entry.hash = store::hash256(pack.object);
  texts_.clear();
  hashes_.clear();
  sealed_size_ = 0;
  return pack;
}

Result<> ContentCutter::add(uint64_t size, store::Time mtime, const ReadContent& read, const std::vector<Chunk>& before) {
  if (size > store::kFileSizeMax) return Error(Code::too_large, "file is larger than any vault has");
  FileContent file{.size = size, .mtime = mtime, .hash = {}, .data = Bytes()};
  if (size <= kInlineMax) {
    Bytes bytes = TRY(read(0, size));
    if (bytes.size() != size) return Error(Code::stale, "file became shorter while it was read");
    file.hash = cipher_.content_hash(bytes);
    file.data = std::move(bytes);
    done_.contents.push_back(std::move(file));
    return {};
  }
  Bytes listing;
  std::vector<Chunk>& list = lists_.emplace_back();
  auto old = before.begin();
  for (uint64_t index = 0; index * kChunkSize < size; ++index) {
    const size_t wanted = std::min<uint64_t>(kChunkSize, size - index * kChunkSize);
    Bytes bytes = TRY(read(index * kChunkSize, wanted));
    if (bytes.size() != wanted) return Error(Code::stale, "file became shorter while it was read");
    if (is_zero(bytes)) continue;
    while (old != before.end() && old->index < index) ++old;
    const Hash hash = cipher_.content_hash(bytes);
    const bool is_same = old != before.end() && old->index == index && old->length == bytes.size() && old->hash == hash;
    if (is_same) {
      list.push_back(*old);
    } else {
      TRY(put(list, index, std::move(bytes), hash));
    }
    put_in_hash(listing, list.back());
  }
  file.hash = cipher_.content_hash(listing);
  if (list.size() > kListMax) {
    // The lists above hold what is below, so that has to have its packs.
    TRY(flush());
    file.data = TRY(shorten(std::move(list)));
    lists_.pop_back();
  } else {
    pending_.emplace_back(done_.contents.size(), lists_.size() - 1);
  }
  done_.contents.push_back(std::move(file));
  return {};
}

Result<ChunkList> ContentCutter::shorten(std::vector<Chunk> list) {
  for (uint8_t height = 0;; ++height) {
    if (list.size() <= kListMax) return ChunkList{.height = height, .chunks = std::move(list)};
    CHECK(height < kListHeightMax);
    const uint64_t step = chunks_covered(static_cast<uint8_t>(height + 1));
    std::vector<Chunk> above;
    for (auto first = list.begin(); first != list.end();) {
      const uint64_t index = first->index / step * step;
      const auto last = std::find_if(first, list.end(), [&](const Chunk& chunk) { return chunk.index >= index + step; });
      Bytes bytes = encode_chunks({first, last});
      const Hash hash = cipher_.content_hash(bytes);
      TRY(put(above, index, std::move(bytes), hash));
      first = last;
    }
    TRY(flush());
    list = std::move(above);
  }
}

Result<> ContentCutter::put(std::vector<Chunk>& list, uint64_t index, Bytes bytes, const Hash& hash) {
  if (!pack_.has_room(bytes.size())) TRY(flush());
  // Where in which pack it is, is known when that is finished.
  list.push_back({.index = index, .hash = hash, .pack = {}, .offset = 0, .length = static_cast<uint32_t>(bytes.size())});
  open_.push_back({.list = &list, .at = list.size() - 1});
  pack_.add(std::move(bytes), hash);
  return {};
}

Result<> ContentCutter::flush() {
  if (pack_.empty()) return {};
  Pack pack = pack_.finish();
  CHECK(pack.chunks.size() == open_.size());
  for (size_t i = 0; i < open_.size(); ++i) {
    Chunk& chunk = (*open_[i].list)[open_[i].at];
    const uint64_t index = chunk.index;
    chunk = pack.chunks[i];
    chunk.index = index;
  }
  open_.clear();
  done_.packs.push_back(pack.entry);
  return take_(std::move(pack));
}

Result<CutContents> ContentCutter::finish() {
  TRY(flush());
  for (const auto& [content, list] : pending_)
    done_.contents[content].data = ChunkList{.height = 0, .chunks = std::move(lists_[list])};
  pending_.clear();
  lists_.clear();
  return std::exchange(done_, {});
}

Result<> read_content(const store::RemoteCipher& cipher, const FileContent& file, const FetchChunk& fetch, const TakeContent& take) {
  if (const Bytes* bytes = std::get_if<Bytes>(&file.data)) {
    if (bytes->size() != file.size || cipher.content_hash(*bytes) != file.hash)
      return Error(Code::corrupt, "content is not what its hash says");
    return bytes->empty() ? Result<>() : take(0, *bytes);
  }
  const auto& list = std::get<ChunkList>(file.data);
  ContentReader reader(file, fetch, take);
  TRY(reader.read(list.chunks, list.height));
  if (cipher.content_hash(reader.listing()) != file.hash) return ContentReader::bad();
  return {};
}

}  // namespace tain::sync
