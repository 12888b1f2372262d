// SPDX-License-Identifier: Apache-2.0
// What turned out to be damaged while a vault is open, for status and for the files' own attribute.
//
// Reads that failed and the scrubber (store/scrub.h) write here. Who overwrites, truncates or removes what is damaged
// takes it off; so does the scrubber when it finds attributes or names intact.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "store/cipher.h"

namespace tain::store {

/// The attribute of a file that is damaged: while the vault is mounted what DamageLog says; after salvage the byte
/// ranges that read as zeros.
inline constexpr char kDamagedXattr[] = "user.tain.damaged";

/// Threads: any. Its mutex is a leaf.
class DamageLog {
 public:
  static constexpr size_t kEntriesMax = 1024;
  static constexpr size_t kRangesMax = 64;  // of one file; what does not fit makes the last one longer

  /// Bytes [begin, end) of a file.
  void add_content(Ino ino, Damage damage, uint64_t begin, uint64_t end);
  /// The attributes of an entry.
  void add_record(Ino ino, Damage damage);
  /// A former state of an entry, or a past name in a directory.
  void add_past(Ino ino, Damage damage);
  /// A name in a directory.
  void add_names(Ino directory, Damage damage);
  /// Bytes [begin, end) were written anew, or cut off.
  void overwritten(Ino ino, uint64_t begin, uint64_t end);
  void removed(Ino ino);
  /// The attributes of an entry, and its extended ones, can be read.
  void record_intact(Ino ino);
  /// The same of all of the past.
  void past_intact(Ino ino);
  /// All names in a directory can be read.
  void names_intact(Ino directory);

  bool full() const { return size_.load(std::memory_order_relaxed) >= kEntriesMax; }
  bool empty() const { return size_.load(std::memory_order_relaxed) == 0; }
  /// Kinds and places: "rot 65536-131071", "tampering record", "rot names 0-4095", "rot past". Nothing for what is intact.
  std::optional<std::string> describe(Ino ino) const;
  struct Item {
    Ino ino{};
    std::string text;
  };
  /// In the order of inodes. With kEntriesMax items there may be more.
  std::vector<Item> items() const;

 private:
  struct Range {
    uint64_t end = 0;
    Damage damage = Damage::none;
  };
  struct Entry {
    std::optional<Damage> record, names, past;
    std::map<uint64_t, Range> ranges;  // by first byte; they do not overlap
    bool empty() const { return !record && !names && !past && ranges.empty(); }
  };
  /// Null when there is no room.
  Entry* entry(Ino ino);
  void forget_if_empty(std::map<uint64_t, Entry>::iterator it);
  void erase_range(Entry& entry, uint64_t begin, uint64_t end);
  static std::string text(const Entry& entry);

  mutable std::mutex mutex_;
  std::map<uint64_t, Entry> entries_;  // by inode
  std::atomic<size_t> size_{0};        // of entries_, for who only wants to know whether there is anything
};

}  // namespace tain::store
