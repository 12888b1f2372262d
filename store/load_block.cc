// SPDX-License-Identifier: Apache-2.0
#include "store/load_block.h"

#include <algorithm>
#include <bit>

namespace tain::store {
namespace {

/// Where cell `cell` of a block is stored: in its newest patch that has it, or in the block itself.
struct CellPlace {
  const Patch* patch = nullptr;
  size_t position = 0;  // cell number within the stored block
  size_t length = 0;    // bytes of plaintext; 0: nowhere, so zeros
};

CellPlace find_cell(const BlockRef& ref, size_t cell) {
  auto place = [](const Patch* patch, size_t position, size_t stored_length) -> CellPlace {
    const size_t start = position * kCellSize;
    return {patch, position, stored_length > start ? std::min(kCellSize, stored_length - start) : 0};
  };
  for (auto patch = ref.patches.rbegin(); patch != ref.patches.rend(); ++patch) {
    if ((patch->cells >> cell & 1) == 0) continue;
    const unsigned before = patch->cells & ((1u << cell) - 1);
    return place(&*patch, static_cast<size_t>(std::popcount(before)), patch->length);
  }
  return place(nullptr, cell, ref.length);
}

}  // namespace

Result<> read_block_cells(Database& database, const ReadTxn& txn, const ContentId& content, uint64_t index,
                          const BlockRef& ref, size_t begin, ByteSpan out) {
  std::array<uint8_t, kCellSize> scratch;
  for (size_t done = 0; done < out.size();) {
    const size_t cell = (begin + done) / kCellSize;
    const size_t room = std::min(kCellSize, out.size() - done);
    const CellPlace first = find_cell(ref, cell);
    const BlockRef stored = first.patch != nullptr ? stored_ref(*first.patch) : ref;
    const BlockPlace place{.content = content, .id = stored.id, .level = 0, .index = index};
    if (first.length > room) {  // the caller's range ends inside the cell
      const ByteSpan whole = ByteSpan(scratch).first(first.length);
      TRY(database.read_block(txn, place, stored, first.position, whole));
      std::memcpy(out.data() + done, whole.data(), room);
      done += room;
      continue;
    }
    if (first.length == 0) {
      std::memset(out.data() + done, 0, room);
      done += room;
      continue;
    }
    // Cells that follow each other in the same stored block are decrypted together.
    size_t size = first.length;
    size_t next = done + kCellSize;
    while (size % kCellSize == 0 && next < out.size()) {
      const CellPlace more = find_cell(ref, (begin + next) / kCellSize);
      const bool adjoins = more.patch == first.patch && more.position == first.position + size / kCellSize;
      if (!adjoins || more.length == 0 || more.length > out.size() - next) break;
      size += more.length;
      next += kCellSize;
    }
    TRY(database.read_block(txn, place, stored, first.position, out.subspan(done, size)));
    const size_t stop = std::min(next, out.size());
    std::memset(out.data() + done + size, 0, stop - done - size);
    done = stop;
  }
  return {};
}

void find_damage(Database& database, const ReadTxn& txn, Ino ino, const ContentRecord& content, uint64_t index,
                 size_t begin, size_t end, DamageLog& log) {
  const uint64_t start = index * kBlockSize;
  if (start >= content.size) return;
  end = static_cast<size_t>(std::min<uint64_t>(end, content.size - start));
  TxnNodeReader nodes(database, txn);
  auto ref = find_block(content, index, nodes);
  if (ref.is(Code::corrupt)) log.add_content(ino, Damage::rot, start + begin / kCellSize * kCellSize, start + end);
  if (!ref.ok() || !ref->has_value()) return;
  const BlockRef& block = **ref;
  if (block.patches.empty() && database.cache().data(block.id) != nullptr) return;
  std::array<uint8_t, kCellSize> scratch;
  for (size_t cell = begin / kCellSize; cell * kCellSize < end; ++cell) {
    const CellPlace found = find_cell(block, cell);
    if (found.length == 0) continue;
    const BlockRef stored = found.patch != nullptr ? stored_ref(*found.patch) : block;
    const BlockPlace place{.content = content.id, .id = stored.id, .level = 0, .index = index};
    Damage damage = Damage::none;
    const auto read =
        database.read_block(txn, place, stored, found.position, ByteSpan(scratch).first(found.length), &damage);
    if (!read.is(Code::corrupt)) continue;
    log.add_content(ino, damage == Damage::none ? Damage::rot : damage, start + cell * kCellSize,
                    start + std::min((cell + 1) * kCellSize, end));
  }
}

size_t block_length(const BlockRef& ref) {
  size_t length = ref.length;
  for (const Patch& patch : ref.patches) {
    const auto last = static_cast<size_t>(std::bit_width(patch.cells)) - 1;
    const size_t before = (static_cast<size_t>(std::popcount(patch.cells)) - 1) * kCellSize;
    length = std::max(length, last * kCellSize + (patch.length - before));
  }
  return length;
}

Result<Cells> load_cells(Database& database, const ReadTxn& txn, const ContentId& content, uint64_t index,
                         const BlockRef& ref, CellMask cells) {
  Cells out = Cells::none_of(block_length(ref));
  if (cells == 0) return out;
  const auto cached = ref.patches.empty() ? database.cache().data(ref.id) : nullptr;
  Bytes plain;
  Result<> read;
  for_each_run(cells, 0, out.length(), [&](size_t begin, size_t end) {
    if (!read.ok()) return;
    if (cached != nullptr) {
      out.write(begin, ByteView(*cached).subspan(begin, end - begin));
      return;
    }
    plain.resize(end - begin);
    read = read_block_cells(database, txn, content, index, ref, begin, plain);
    if (read.ok()) out.write(begin, plain);
  });
  TRY(std::move(read));
  return out;
}

}  // namespace tain::store
