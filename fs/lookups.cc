// SPDX-License-Identifier: Apache-2.0
// The table of kernel lookup counts.
#include "fs/lookups.h"

#include <algorithm>

#include "base/check.h"

namespace tain::fs {

void Lookups::add(Ino ino) {
  Shard& table = shard(ino);
  std::lock_guard lock(table.mutex);
  if (Slot* slot = table.find(raw(ino))) {
    ++slot->state;
    return;
  }
  if ((table.used + 1) * 4 > table.slots.size() * 3) table.resize(std::max(kSlotsMin, table.slots.size() * 2));
  table.insert({.ino = raw(ino), .state = 1});
}

bool Lookups::forget(Ino ino, uint64_t count) {
  Shard& table = shard(ino);
  std::lock_guard lock(table.mutex);
  Slot* slot = table.find(raw(ino));
  if (slot == nullptr) return false;
  const uint64_t held = slot->state & ~kOrphan;
  const bool is_orphan = (slot->state & kOrphan) != 0;
  if (count < held) {
    slot->state -= count;
    return false;
  }
  table.erase(slot);
  if (table.slots.size() > kSlotsMin && table.used * 8 < table.slots.size()) table.resize(table.slots.size() / 2);
  return is_orphan;
}

bool Lookups::mark_orphan(Ino ino) {
  Shard& table = shard(ino);
  std::lock_guard lock(table.mutex);
  Slot* slot = table.find(raw(ino));
  if (slot == nullptr) return true;
  slot->state |= kOrphan;
  return false;
}

uint64_t Lookups::count(Ino ino) const {
  Shard& table = shard(ino);
  std::lock_guard lock(table.mutex);
  const Slot* slot = table.find(raw(ino));
  return slot == nullptr ? 0 : slot->state & ~kOrphan;
}

size_t Lookups::size() const {
  size_t total = 0;
  for (const Shard& table : shards_) {
    std::lock_guard lock(table.mutex);
    total += table.used;
  }
  return total;
}

size_t Lookups::Shard::home(uint64_t ino) const {
  // Inode numbers are sequential and the low bits chose the shard: multiply, and take the high bits.
  return ((ino * 0x9e3779b97f4a7c15ULL) >> 32) & (slots.size() - 1);
}

Lookups::Slot* Lookups::Shard::find(uint64_t ino) {
  if (slots.empty()) return nullptr;
  for (size_t i = home(ino); slots[i].ino != 0; i = (i + 1) & (slots.size() - 1)) {
    if (slots[i].ino == ino) return &slots[i];
  }
  return nullptr;
}

void Lookups::Shard::insert(Slot slot) {
  CHECK(slot.ino != 0 && used < slots.size());
  size_t i = home(slot.ino);
  while (slots[i].ino != 0) i = (i + 1) & (slots.size() - 1);
  slots[i] = slot;
  ++used;
}

void Lookups::Shard::erase(Slot* slot) {
  // Close the gap: move back each follower whose home is not between the gap and itself.
  const size_t mask = slots.size() - 1;
  size_t gap = static_cast<size_t>(slot - slots.data());
  for (size_t i = (gap + 1) & mask; slots[i].ino != 0; i = (i + 1) & mask) {
    if (((i - home(slots[i].ino)) & mask) >= ((i - gap) & mask)) {
      slots[gap] = slots[i];
      gap = i;
    }
  }
  slots[gap] = {};
  --used;
}

void Lookups::Shard::resize(size_t size) {
  std::vector<Slot> old(size);
  old.swap(slots);
  used = 0;
  for (const Slot& slot : old) {
    if (slot.ino != 0) insert(slot);
  }
}

std::vector<Ino> Lookups::known() const {
  std::vector<Ino> out;
  for (const Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (const Slot& slot : shard.slots)
      if (slot.ino != 0) out.push_back(Ino{slot.ino});
  }
  return out;
}

}  // namespace tain::fs
