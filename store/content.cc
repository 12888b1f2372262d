// SPDX-License-Identifier: Apache-2.0
#include "store/content.h"

#include <algorithm>

#include "base/counters.h"
#include "store/edit.h"
#include "store/load_block.h"
#include "store/time_lock.h"

namespace tain::store {
namespace {

constexpr int kReadAttemptsMax = 64;                    // of reading blocks that commits keep replacing
constexpr uint64_t kCopyChunk = uint64_t{1} << 20;  // bytes

/// The part of a range that lies in one block.
struct Slice {
  uint64_t index = 0;
  size_t begin = 0;  // within the block
  size_t end = 0;
  size_t size() const { return end - begin; }
};

Slice slice_at(uint64_t offset, uint64_t length) {
  const uint64_t index = offset / kBlockSize;
  const size_t begin = offset % kBlockSize;
  return {.index = index, .begin = begin, .end = static_cast<size_t>(std::min<uint64_t>(kBlockSize, begin + length))};
}

BlockChange change_of(const Slice& slice, BlockChange::Kind kind) {
  return {.kind = kind, .index = slice.index, .begin = slice.begin, .end = slice.end};
}

/// The changes of the first and the last block of a range; those between are covered whole.
std::vector<BlockChange> edge_changes(uint64_t offset, uint64_t length, BlockChange::Kind kind) {
  std::vector<BlockChange> out{change_of(slice_at(offset, length), kind)};
  const uint64_t last = (offset + length - 1) / kBlockSize * kBlockSize;
  if (last > offset) out.push_back(change_of(slice_at(last, offset + length - last), kind));
  return out;
}

Error still_missing(Ino ino) {
  return Error(Code::corrupt, "a block of inode " + std::to_string(raw(ino)) + " is missing from the database");
}

/// Copies bytes [slice) of a block that has `data` to `out`; past the data everything is zero.
void copy_or_zero(ByteView data, const Slice& slice, uint8_t* out) {
  const size_t have = data.size() > slice.begin ? std::min(data.size() - slice.begin, slice.size()) : 0;
  if (have > 0) std::memcpy(out, data.data() + slice.begin, have);
  count(Work::bytes_copied, have);
  if (have < slice.size()) std::memset(out + have, 0, slice.size() - have);
}

/// Reads part of one committed block into its place in the caller's buffer, decrypting the cells it touches.
Result<> read_committed(Database& database, const ReadTxn& txn, const ContentRecord& content, const Slice& slice,
                        uint8_t* out) {
  TxnNodeReader nodes(database, txn);
  auto ref = TRY(find_block(content, slice.index, nodes));
  if (!ref.has_value()) {
    std::memset(out, 0, slice.size());
    return {};
  }
  if (auto cached = ref->patches.empty() ? database.cache().data(ref->id) : nullptr) {
    copy_or_zero(*cached, slice, out);
    return {};
  }
  const size_t skip = slice.begin % kCellSize;
  if (skip == 0)
    return read_block_cells(database, txn, content.id, slice.index, *ref, slice.begin, {out, slice.size()});
  Bytes cells(skip + slice.size());
  TRY(read_block_cells(database, txn, content.id, slice.index, *ref, slice.begin - skip, cells));
  std::memcpy(out, cells.data() + skip, slice.size());
  count(Work::bytes_copied, slice.size());
  return {};
}

/// After a change that needed bytes which cannot be read. The caller has the lock.
void note_damage(WorkingSet& set, Ino ino, const std::vector<BlockChange>& edges) {
  const auto inode = set.find(ino);
  const auto txn = ReadTxn::begin(set.database().env());
  if (!inode.ok() || !txn.ok()) return;
  for (const BlockChange& edge : edges)
    if (WorkingSet::committed_visible(**inode, edge.index))
      find_damage(set.database(), *txn, ino, (*inode)->record.content, edge.index, 0, kBlockSize, set.damage());
}

void clear_privileges(Inode& record) {
  record.mode &= ~static_cast<uint32_t>(S_ISUID);
  if ((record.mode & S_IXGRP) != 0) record.mode &= ~static_cast<uint32_t>(S_ISGID);
}

}  // namespace

Result<size_t> read_content(Database& database, const ContentRecord& content, uint64_t offset, ByteSpan out) {
  if (offset >= content.size) return size_t{0};
  const auto count = static_cast<size_t>(std::min<uint64_t>(out.size(), content.size - offset));
  ReadTxn txn = TRY(ReadTxn::begin(database.env()));
  for (size_t done = 0; done < count;) {
    const Slice slice = slice_at(offset + done, count - done);
    TRY(read_committed(database, txn, content, slice, out.data() + done));
    done += slice.size();
  }
  return count;
}

Result<size_t> Content::read(Ino ino, uint64_t offset, ByteSpan out, Access access) {
  for (int attempt = 0; attempt < kReadAttemptsMax; ++attempt) {
    struct Job {
      Slice slice;
      size_t position;  // in `out`
    };
    std::vector<Job> jobs;
    ContentRecord content;
    size_t count = 0;
    {
      auto lock = set_.lock();
      CachedInode* inode = TRY(set_.find(ino));
      if (inode->record.is_directory()) return Error(Code::is_directory, "is a directory");
      TRY(check_unlocked(set_, inode->record));
      if (access == Access::noted) set_.note_access(*inode);
      const uint64_t size = inode->record.content.size;
      if (offset >= size) return size_t{0};
      count = static_cast<size_t>(std::min<uint64_t>(out.size(), size - offset));
      for (size_t done = 0; done < count;) {
        const Slice slice = slice_at(offset + done, count - done);
        auto pending = inode->blocks.find(slice.index);
        if (pending != inode->blocks.end() && pending->second.data != nullptr) {
          const CellMask rest = pending->second.data->read(slice.begin, out.subspan(done, slice.size()));
          const size_t stop = std::min(slice.end, pending->second.data->length());
          for_each_run(rest, slice.begin, stop, [&, start = done](size_t begin, size_t end) {
            jobs.push_back({{slice.index, begin, end}, start + begin - slice.begin});
          });
        } else if (pending == inode->blocks.end() && WorkingSet::committed_visible(*inode, slice.index) &&
                   !inode->record.content.root.empty()) {
          jobs.push_back({slice, done});
        } else {
          std::memset(out.data() + done, 0, slice.size());
        }
        done += slice.size();
      }
      if (jobs.empty()) return count;
      content = inode->record.content;
    }

    // Decrypt without the lock. A commit that replaces a block meanwhile removes it: look again then.
    ReadTxn txn = TRY(ReadTxn::begin(set_.database().env()));
    Result<> read;
    for (const Job& job : jobs) {
      read = read_committed(set_.database(), txn, content, job.slice, out.data() + job.position);
      if (!read.ok()) break;
    }
    if (read.ok()) return count;
    if (read.is(Code::corrupt)) {
      for (const Job& job : jobs)
        find_damage(set_.database(), txn, ino, content, job.slice.index, job.slice.begin, job.slice.end, set_.damage());
    }
    if (!read.is(Code::not_found)) return std::move(read).error();
    auto lock = set_.lock();
    set_.wait_for_commit(lock);
  }
  return still_missing(ino);
}

Result<> Content::write(Ino ino, uint64_t offset, ByteView data, Privileges privileges, uint32_t* mode_after,
                        WriteSource source) {
  if (offset > kFileSizeMax || data.size() > kFileSizeMax - offset)
    return Error(Code::too_large, "write past the largest file size");
  const uint64_t end = offset + data.size();
  auto lock = set_.lock();
  TRY(set_.wait_for_room(lock, Growth::of_content(data.size())));
  if (data.empty()) return {};
  if (source == WriteSource::program) TRY(check_unlocked(set_, ino));
  set_.before_change(lock, ino);

  Bases bases;
  const auto edges = edge_changes(offset, data.size(), BlockChange::Kind::write);
  auto loaded = load_bases(set_, lock, ino, edges, bases);
  if (loaded.is(Code::corrupt)) note_damage(set_, ino, edges);
  CachedInode* inode = TRY(std::move(loaded));

  set_.touch(*inode, true);
  inode->record.mtime = inode->record.ctime = set_.now();
  if (privileges == Privileges::clear) clear_privileges(inode->record);
  for (size_t done = 0; done < data.size();) {
    const Slice slice = slice_at(offset + done, data.size() - done);
    auto [block, size_before, length] = open_block(set_, *inode, change_of(slice, BlockChange::Kind::write), bases);
    block.data->write(slice.begin, data.subspan(done, slice.size()));
    // Growing past a gap makes zeros of the gap: they changed too.
    set_.block_changed(block, cells_touching(std::min(slice.begin, length), slice.end), size_before);
    done += slice.size();
  }
  inode->record.content.size = std::max(inode->record.content.size, end);
  if (mode_after != nullptr) *mode_after = inode->record.mode;
  set_.damage().overwritten(ino, offset, end);
  return {};
}

Result<> Content::zero(Ino ino, uint64_t offset, uint64_t length, bool extend) {
  if (offset > kFileSizeMax || length > kFileSizeMax - offset)
    return Error(Code::too_large, "range past the largest file size");
  if (length == 0) return Error(Code::invalid_argument, "an empty range");
  const uint64_t end = offset + length;
  const uint64_t first_whole = (offset + kBlockSize - 1) / kBlockSize;
  auto lock = set_.lock();
  set_.wait_to_retire(lock);
  TRY(check_unlocked(set_, ino));
  set_.before_change(lock, ino);

  for (int attempt = 0; attempt < kReadAttemptsMax; ++attempt) {
    // Which whole blocks exist below the range is asked of the committed map, without the lock.
    CachedInode* inode = TRY(set_.find(ino));
    const bool to_end = end >= inode->record.content.size;
    const uint64_t last_whole = end / kBlockSize;  // exclusive
    const uint64_t version = inode->map_version;
    std::vector<uint64_t> committed;
    if (!to_end && inode->record.is_regular()) {
      const ContentRecord content = inode->record.content;
      lock.unlock();
      Result<> walked = [&]() -> Result<> {
        ReadTxn txn = TRY(ReadTxn::begin(set_.database().env()));
        TxnNodeReader nodes(set_.database(), txn);
        for (uint64_t i = TRY(next_block(content, first_whole, nodes)); i < last_whole;
             i = TRY(next_block(content, i + 1, nodes)))
          committed.push_back(i);
        return {};
      }();
      lock.lock();
      if (!walked.ok() && !walked.is(Code::not_found)) return std::move(walked).error();
      if (!walked.ok()) {
        set_.wait_for_commit(lock);
        continue;
      }
    }

    std::vector<BlockChange> edges = edge_changes(offset, length, BlockChange::Kind::clear);
    std::erase_if(edges, [](const BlockChange& edge) { return edge.end - edge.begin == kBlockSize; });
    if (to_end && edges.empty() && first_whole != 0) edges.push_back(BlockChange::of_place(first_whole - 1));
    Bases bases;
    inode = TRY(load_bases(set_, lock, ino, edges, bases));
    if (!to_end && inode->map_version != version) continue;
    if (to_end && end < inode->record.content.size) continue;  // grown meanwhile: what lies behind the range stays

    set_.touch(*inode, true);
    inode->record.mtime = inode->record.ctime = set_.now();
    for (const BlockChange& edge : edges) {
      const size_t stop = std::min(edge.end, present_length(*inode, edge.index, bases));
      if (edge.begin >= stop) continue;
      auto [block, size_before, valid] = open_block(set_, *inode, edge, bases);
      block.data->clear(edge.begin, stop);
      set_.block_changed(block, cells_touching(edge.begin, stop), size_before);
    }
    if (to_end) {
      set_.drop_blocks_from(*inode, first_whole);
    } else {
      for (auto it = inode->blocks.lower_bound(first_whole); it != inode->blocks.end() && it->first < last_whole; ++it)
        set_.punch_block(*inode, it->first);
      for (uint64_t index : committed)
        if (WorkingSet::committed_visible(*inode, index)) set_.punch_block(*inode, index);
    }
    if (extend) inode->record.content.size = std::max(inode->record.content.size, end);
    set_.damage().overwritten(ino, offset, end);
    return {};
  }
  return still_missing(ino);
}

Result<> Content::allocate(Ino ino, uint64_t offset, uint64_t length, bool extend) {
  if (length == 0) return Error(Code::invalid_argument, "an empty range");
  if (offset > kFileSizeMax || length > kFileSizeMax - offset)
    return Error(Code::too_large, "range past the largest file size");
  auto lock = set_.lock();
  CachedInode* inode = TRY(set_.find(ino));
  if (!inode->record.is_regular()) return Error(Code::invalid_argument, "not a regular file");
  TRY(check_unlocked(set_, inode->record));
  if (!extend || offset + length <= inode->record.content.size) {
    inode->record.mtime = inode->record.ctime = set_.now();
    set_.touch(*inode);
    return {};
  }
  TRY(set_size(set_, lock, ino, offset + length));
  return {};
}

Result<uint64_t> Content::seek(Ino ino, uint64_t offset, Whence whence) {
  for (int attempt = 0; attempt < kReadAttemptsMax; ++attempt) {
    ContentRecord content;
    uint64_t floor = 0;
    std::map<uint64_t, bool> pending;  // index → has data
    {
      auto lock = set_.lock();
      CachedInode* inode = TRY(set_.find(ino));
      if (!inode->record.is_regular()) return Error(Code::invalid_argument, "not a regular file");
      content = inode->record.content;
      floor = std::min(inode->floor, inode->frozen_floor);
      for (auto it = inode->blocks.lower_bound(offset / kBlockSize); it != inode->blocks.end(); ++it)
        pending.emplace_hint(pending.end(), it->first, it->second.data != nullptr);
    }
    if (offset >= content.size) return Error(Code::no_such_offset, "past the end of the file");

    auto found = [&]() -> Result<uint64_t> {
      ReadTxn txn = TRY(ReadTxn::begin(set_.database().env()));
      TxnNodeReader nodes(set_.database(), txn);
      // Next block at or after `index` with (or without) data, by pending blocks first.
      for (uint64_t index = offset / kBlockSize; index * kBlockSize < content.size;) {
        const auto here = pending.lower_bound(index);
        uint64_t committed = TRY(next_block(content, index, nodes));
        if (committed >= floor) committed = kNoBlock;
        const bool has_data = here != pending.end() && here->first == index ? here->second : committed == index;
        if (has_data == (whence == Whence::data)) return std::max(offset, index * kBlockSize);
        if (whence == Whence::hole || (here != pending.end() && here->first == index)) {
          ++index;
        } else {
          const uint64_t next_pending = here != pending.end() ? here->first : kNoBlock;
          index = std::min(next_pending, committed);
          if (index == kNoBlock) break;
        }
      }
      if (whence == Whence::hole) return content.size;
      return Error(Code::no_such_offset, "no data from here on");
    }();
    if (!found.is(Code::not_found)) return found;
    auto lock = set_.lock();
    set_.wait_for_commit(lock);
  }
  return still_missing(ino);
}

Result<uint64_t> Content::copy(Ino from, uint64_t from_offset, Ino to, uint64_t to_offset, uint64_t length) {
  Bytes buffer(static_cast<size_t>(std::min(length, kCopyChunk)));
  uint64_t done = 0;
  while (done < length) {
    const auto want = static_cast<size_t>(std::min<uint64_t>(buffer.size(), length - done));
    const size_t got = TRY(read(from, from_offset + done, {buffer.data(), want}));
    if (got == 0) break;
    auto written = write(to, to_offset + done, {buffer.data(), got});
    if (!written.ok() && done > 0) break;  // as copy_file_range(2): what was copied counts
    TRY(std::move(written));
    done += got;
    if (got < want) break;
  }
  return done;
}

}  // namespace tain::store
