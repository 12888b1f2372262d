// SPDX-License-Identifier: Apache-2.0
#include "store/damage_log.h"

#include <algorithm>
#include <array>

namespace tain::store {
namespace {

const char* name_of(Damage damage) {
  switch (damage) {
    case Damage::tampering: return "tampering";
    case Damage::checksum_only: return "checksum";
    case Damage::none:
    case Damage::rot: break;
  }
  return "rot";
}

}  // namespace

DamageLog::Entry* DamageLog::entry(Ino ino) {
  auto it = entries_.find(raw(ino));
  if (it != entries_.end()) return &it->second;
  if (entries_.size() >= kEntriesMax) return nullptr;
  Entry* added = &entries_[raw(ino)];
  size_.store(entries_.size(), std::memory_order_relaxed);
  return added;
}

void DamageLog::add_record(Ino ino, Damage damage) {
  std::lock_guard lock(mutex_);
  if (Entry* at = entry(ino)) at->record = damage;
}

void DamageLog::add_past(Ino ino, Damage damage) {
  std::lock_guard lock(mutex_);
  if (Entry* at = entry(ino)) at->past = damage;
}

void DamageLog::add_names(Ino directory, Damage damage) {
  std::lock_guard lock(mutex_);
  if (Entry* at = entry(directory)) at->names = damage;
}

void DamageLog::add_content(Ino ino, Damage damage, uint64_t begin, uint64_t end) {
  if (begin >= end) return;
  std::lock_guard lock(mutex_);
  Entry* at = entry(ino);
  if (at == nullptr) return;
  erase_range(*at, begin, end);
  auto& ranges = at->ranges;
  auto next = ranges.lower_bound(begin);
  if (next != ranges.end() && next->first == end && next->second.damage == damage) {
    end = next->second.end;
    next = ranges.erase(next);
  }
  if (next != ranges.begin()) {
    Range& before = std::prev(next)->second;
    if (before.end == begin && before.damage == damage) {
      before.end = end;
      return;
    }
  }
  ranges.emplace_hint(next, begin, Range{end, damage});
  if (ranges.size() > kRangesMax) {  // too scattered to tell apart
    auto last = std::prev(ranges.end());
    std::prev(last)->second.end = last->second.end;
    ranges.erase(last);
  }
}

void DamageLog::erase_range(Entry& entry, uint64_t begin, uint64_t end) {
  auto& ranges = entry.ranges;
  auto it = ranges.upper_bound(begin);
  if (it != ranges.begin()) --it;
  while (it != ranges.end() && it->first < end) {
    const uint64_t first = it->first;
    const Range range = it->second;
    if (range.end <= begin) {
      ++it;
      continue;
    }
    it = ranges.erase(it);
    if (first < begin) ranges.emplace(first, Range{begin, range.damage});
    if (range.end > end) it = ranges.emplace(end, range).first;
  }
}

void DamageLog::overwritten(Ino ino, uint64_t begin, uint64_t end) {
  if (empty()) return;
  std::lock_guard lock(mutex_);
  auto it = entries_.find(raw(ino));
  if (it == entries_.end()) return;
  erase_range(it->second, begin, end);
  forget_if_empty(it);
}

void DamageLog::record_intact(Ino ino) {
  if (empty()) return;
  std::lock_guard lock(mutex_);
  auto it = entries_.find(raw(ino));
  if (it == entries_.end()) return;
  it->second.record.reset();
  forget_if_empty(it);
}

void DamageLog::past_intact(Ino ino) {
  if (empty()) return;
  std::lock_guard lock(mutex_);
  auto it = entries_.find(raw(ino));
  if (it == entries_.end()) return;
  it->second.past.reset();
  forget_if_empty(it);
}

void DamageLog::names_intact(Ino directory) {
  if (empty()) return;
  std::lock_guard lock(mutex_);
  auto it = entries_.find(raw(directory));
  if (it == entries_.end()) return;
  it->second.names.reset();
  forget_if_empty(it);
}

void DamageLog::forget_if_empty(std::map<uint64_t, Entry>::iterator it) {
  if (it->second.empty()) entries_.erase(it);
  size_.store(entries_.size(), std::memory_order_relaxed);
}

void DamageLog::removed(Ino ino) {
  if (empty()) return;
  std::lock_guard lock(mutex_);
  entries_.erase(raw(ino));
  size_.store(entries_.size(), std::memory_order_relaxed);
}

std::string DamageLog::text(const Entry& entry) {
  std::string out;
  for (Damage damage : {Damage::rot, Damage::tampering, Damage::checksum_only}) {
    std::string places;
    if (entry.record == damage) places += " record";
    if (entry.names == damage) places += " names";
    if (entry.past == damage) places += " past";
    for (const auto& [begin, range] : entry.ranges)
      if (range.damage == damage) places += " " + std::to_string(begin) + "-" + std::to_string(range.end - 1);
    if (!places.empty()) out += (out.empty() ? "" : " ") + std::string(name_of(damage)) + places;
  }
  return out;
}

std::optional<std::string> DamageLog::describe(Ino ino) const {
  if (empty()) return std::nullopt;
  std::lock_guard lock(mutex_);
  auto it = entries_.find(raw(ino));
  if (it == entries_.end()) return std::nullopt;
  return text(it->second);
}

std::vector<DamageLog::Item> DamageLog::items() const {
  std::vector<Item> out;
  std::lock_guard lock(mutex_);
  for (const auto& [ino, entry] : entries_) out.push_back({Ino{ino}, text(entry)});
  return out;
}

}  // namespace tain::store
