// SPDX-License-Identifier: Apache-2.0
// A disk under a vault directory, as far as a crash is concerned: what happened to it, and what is left of it.
//
// The model gives no more than POSIX and the kernel do. A write, a change of size and a change of names are *pending*
// until a flush that was called after them has returned; a crash keeps any part of what is pending, in any order,
// in units of 512 bytes; a hole counts as a write of zeros. A file's flush covers its bytes and its size, not its name; a directory's flush covers the
// names in it. A write through an O_DSYNC descriptor is flushed alone. Only one order is kept, because it is the page
// cache's: a sector holds what it held after one of the writes to it, never an older write over a newer one.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tain::crash {

inline constexpr uint64_t kSectorSize = 512;  // bytes

/// Files are numbered in the order in which they appear; these are there from the start.
inline constexpr uint32_t kParent = 0;  // the directory that the vault directory is in
inline constexpr uint32_t kFolder = 1;  // the vault directory
inline constexpr uint32_t kNoFile = UINT32_MAX;

/// Names of files that mean nothing once the process that held them is gone.
inline bool is_lock_file(std::string_view name) {
  return name == "lock" || name == "data.mdb-lock";
}

/// The bytes of a file. Copies share their pages.
class FileImage {
 public:
  static constexpr uint64_t kPageSize = 4096;  // bytes

  uint64_t size() const { return size_; }
  /// Bytes past the new end are gone.
  void set_size(uint64_t size);
  /// Does not change the size: bytes past the end are not seen until it is raised.
  void write(uint64_t offset, std::string_view bytes);
  std::string read() const;
  /// Forgets bytes past the end, which no crash brings back.
  void trim();
  /// The same for equal files; hardly ever the same for others.
  uint64_t digest() const;
  /// Makes the file at `path`, with holes where there are only zeros. False on an error.
  bool save(const std::string& path) const;

 private:
  struct Page {
    std::array<char, kPageSize> bytes{};
    uint64_t hash = 0;
  };
  uint64_t size_ = 0;
  std::map<uint64_t, std::shared_ptr<const Page>> pages_;  // by index; a missing one is zeros
};

/// One vault directory and what is in it.
struct Disk {
  bool folder_exists = false;
  std::map<std::string, uint32_t> names;
  std::map<uint32_t, FileImage> files;

  /// Of all that matters after a crash, so without lock files; see FileImage::digest.
  uint64_t digest() const;
  /// Makes `folder`, which must not exist, hold exactly this. False on an error.
  bool save(const std::string& folder) const;
};

/// A name that now leads elsewhere.
struct NameChange {
  uint32_t directory = kFolder;
  std::string name;
  uint32_t file = kNoFile;  // none: the name is gone
};

/// One thing that happened, in the order of a recording.
struct Event {
  enum class Kind : uint8_t { write, resize, names, flush, begun, durable };
  Kind kind = Kind::write;
  uint32_t file = kNoFile;             // write, resize, flush; names: the directory
  uint64_t offset = 0;                 // write; flush of a range
  uint64_t size = 0;                   // resize: the new size; flush: length of the range, 0 = all of the file
  std::string data = {};               // write
  bool is_hole = false;                // write: of zeros, by a hole; never makes the file longer
  std::vector<NameChange> names = {};  // names: all of it happens or none
  size_t covers = 0;                   // flush: only events before this one
  uint32_t lane = 0;                   // begun, durable: which sequence of operations (see Scene)
  uint64_t operation = 0;              // begun, durable

  bool can_be_lost() const { return kind == Kind::write || kind == Kind::resize || kind == Kind::names; }
  uint64_t first_sector() const { return offset / kSectorSize; }
  size_t sector_count() const;  // of a write
};

struct Recording {
  Disk base;  // before the first event
  std::vector<Event> events;
  size_t first_point = 0;               // crashes before this event are of no interest
  std::vector<std::string> file_names;  // by number: the first name, for messages

  std::string describe(const Event& event) const;
};

/// What is left of one pending event.
struct Remains {
  std::vector<bool> sectors;  // of a write, by position in it
  bool rest = false;          // a write: the size that it grew the file to; others: all of it
};

/// Walks through a recording and knows at each point what is durable and what is pending.
class Timeline {
 public:
  explicit Timeline(const Recording& recording) : recording_(recording), durable_(recording.base) {}

  /// Goes on until all events before `point` have happened. Never back.
  void advance(size_t point);
  const std::vector<const Event*>& pending() const { return pending_; }
  /// The disk after a crash here that left `remains`, one for each pending event.
  Disk crash(std::vector<Remains> remains) const;
  /// Remains of everything that is pending, or of nothing.
  std::vector<Remains> all(bool kept) const;

  struct Bounds {
    uint64_t durable = 0;  // the last operation known to be durable
    uint64_t begun = 0;    // the last operation begun
  };
  const Bounds& bounds(uint32_t lane) const { return bounds_[lane]; }
  static constexpr size_t kLanesMax = 4;

 private:
  void flush(const Event& event);

  const Recording& recording_;
  Disk durable_;
  size_t next_ = 0;
  std::vector<const Event*> pending_;  // in order
  std::array<Bounds, kLanesMax> bounds_{};
};

}  // namespace tain::crash
