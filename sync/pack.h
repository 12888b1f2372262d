// SPDX-License-Identifier: Apache-2.0
// Content cut into chunks, and chunks into packs: what a file's bytes are on a remote (docs/remote-protocol.md §3.4, §3.5).
//
// A pack is a pure function of its writer and its chunks: made again after a crash it has the same name and the same bytes.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/remote_cipher.h"
#include "sync/entry.h"
#include "sync/segment.h"

namespace tain::sync {

inline constexpr size_t kPackTextMax = size_t{16} << 20;  // bytes of sealed chunks, before the padding

/// A finished pack, and where in it its chunks are, in the order in which they were added.
struct Pack {
  PackEntry entry;
  Bytes object;
  std::vector<Chunk> chunks;  // without an index
};

/// Gathers chunks. Not thread-safe.
class PackBuilder {
 public:
  PackBuilder(const store::RemoteCipher& cipher, WriterId writer) : cipher_(cipher), writer_(writer) {}

  bool empty() const { return hashes_.empty(); }
  /// Whether `size` more bytes of plaintext fit. Into an empty one fits any chunk.
  bool has_room(size_t size) const { return empty() || sealed_size_ + size + store::kChunkOverhead <= kPackTextMax; }
  /// One chunk more, for which there is room. `hash` is content_hash(bytes).
  void add(Bytes bytes, const Hash& hash);
  /// Seals what was added, and begins anew. There was something.
  Pack finish();

 private:
  const store::RemoteCipher& cipher_;
  const WriterId writer_;
  std::vector<Bytes> texts_;
  std::vector<Id32> hashes_;
  size_t sealed_size_ = 0;
};

/// Reads `size` bytes of a file from `offset` on, fewer at its end; zeros where it has a hole.
using ReadContent = std::function<Result<Bytes>(uint64_t offset, size_t size)>;
/// Takes a finished pack away, to a remote.
using TakePack = std::function<Result<>(Pack)>;

/// Contents and the packs that were made for them.
struct CutContents {
  std::vector<FileContent> contents;  // in the order of add()
  std::vector<PackEntry> packs;
};

/// Cuts the contents of files, one after the other, and fills packs with what is too long for a record. Not thread-safe.
class ContentCutter {
 public:
  ContentCutter(const store::RemoteCipher& cipher, WriterId writer, TakePack take)
      : cipher_(cipher), pack_(cipher, writer), take_(std::move(take)) {}

  /// A file of `size` bytes. Chunks of `before`, ascending, that have the same bytes at the same place are used again.
  /// Errors: those of `read` and of `take`; stale: the file is shorter than it was; too_large.
  Result<> add(uint64_t size, store::Time mtime, const ReadContent& read, const std::vector<Chunk>& before = {});
  /// Everything since the last time. Errors: those of `take`.
  Result<CutContents> finish();

 private:
  /// A chunk whose pack is not finished yet.
  struct Open {
    std::vector<Chunk>* list = nullptr;
    size_t at = 0;
  };
  Result<> put(std::vector<Chunk>& list, uint64_t index, Bytes bytes, const Hash& hash);
  Result<> flush();
  /// Puts the list into packs, by lists of the next height, until one is short enough for a record.
  Result<ChunkList> shorten(std::vector<Chunk> list);

  const store::RemoteCipher& cipher_;
  PackBuilder pack_;
  TakePack take_;
  std::vector<Open> open_;
  CutContents done_;
  std::deque<std::vector<Chunk>> lists_;            // of contents whose chunks may be open: they must not move
  std::vector<std::pair<size_t, size_t>> pending_;  // which content gets which of them
};

/// Finds a chunk's plaintext, by its pack. Errors: not_found (not there yet), corrupt, those of a remote.
using FetchChunk = std::function<Result<Bytes>(const Chunk&)>;
/// Takes a piece of a file's content at its offset.
using TakeContent = std::function<Result<>(uint64_t offset, ByteView bytes)>;

/// Everything of the file but its holes, in ascending order. Errors: those of the two; corrupt: a list is not what the
/// content's hash says. What was taken before an error is to be thrown away.
Result<> read_content(const store::RemoteCipher& cipher, const FileContent& file, const FetchChunk& fetch, const TakeContent& take);

}  // namespace tain::sync
