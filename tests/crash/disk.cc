// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/file.h"

namespace tain::crash {
namespace {

constexpr uint64_t mix(uint64_t a, uint64_t b) {
  a = (a ^ b) * 0x9e3779b97f4a7c15;
  return (a ^ (a >> 29)) * 0xbf58476d1ce4e5b9;
}

uint64_t hash_of(std::string_view text) {
  return std::hash<std::string_view>()(text);
}

/// One past the last byte that a write touches.
uint64_t end_of(const Event& write) {
  return write.offset + write.data.size();
}

void grow(FileImage& file, const Event& write) {
  if (write.is_hole) return;
  if (file.size() < end_of(write)) file.set_size(end_of(write));
}

}  // namespace

void FileImage::set_size(uint64_t size) {
  const bool cuts = size < size_;
  size_ = size;
  if (cuts) trim();
}

void FileImage::trim() {
  const uint64_t kept_pages = (size_ + kPageSize - 1) / kPageSize;
  if (size_ % kPageSize != 0) write(size_, std::string(kept_pages * kPageSize - size_, '\0'));
  pages_.erase(pages_.lower_bound(kept_pages), pages_.end());
}

void FileImage::write(uint64_t offset, std::string_view bytes) {
  static constexpr std::array<char, kPageSize> kZeros{};
  while (!bytes.empty()) {
    const uint64_t index = offset / kPageSize;
    const uint64_t begin = offset % kPageSize;
    const size_t count = std::min<size_t>(bytes.size(), kPageSize - begin);
    auto page = std::make_shared<Page>();
    if (auto old = pages_.find(index); old != pages_.end()) *page = *old->second;
    std::memcpy(page->bytes.data() + begin, bytes.data(), count);
    if (page->bytes == kZeros) {
      pages_.erase(index);
    } else {
      page->hash = hash_of({page->bytes.data(), kPageSize});
      pages_[index] = std::move(page);
    }
    offset += count;
    bytes.remove_prefix(count);
  }
}

std::string FileImage::read() const {
  std::string out(size_, '\0');
  for (const auto& [index, page] : pages_)
    if (index * kPageSize < size_)
      std::memcpy(out.data() + index * kPageSize, page->bytes.data(), std::min(kPageSize, size_ - index * kPageSize));
  return out;
}

uint64_t FileImage::digest() const {
  uint64_t out = mix(size_, 1);
  for (const auto& [index, page] : pages_)
    if (index * kPageSize < size_) out = mix(out, mix(index, page->hash));
  return out;
}

bool FileImage::save(const std::string& path) const {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(size_)) != 0) return false;
  for (const auto& [index, page] : pages_) {
    const uint64_t offset = index * kPageSize;
    if (offset >= size_) break;
    const auto* bytes = reinterpret_cast<const uint8_t*>(page->bytes.data());
    if (!write_exactly(fd.get(), {bytes, std::min(kPageSize, size_ - offset)}, offset).ok()) return false;
  }
  return true;
}

uint64_t Disk::digest() const {
  uint64_t out = folder_exists ? 1 : 0;
  for (const auto& [name, file] : names)
    if (!is_lock_file(name)) out = mix(out, mix(hash_of(name), files.at(file).digest()));
  return out;
}

bool Disk::save(const std::string& folder) const {
  if (!folder_exists) return true;
  if (::mkdir(folder.c_str(), 0700) != 0) return false;
  return std::all_of(names.begin(), names.end(),
                     [&](const auto& item) { return files.at(item.second).save(folder + "/" + item.first); });
}

size_t Event::sector_count() const {
  if (kind != Kind::write || data.empty()) return 0;
  return static_cast<size_t>((offset + data.size() - 1) / kSectorSize - first_sector() + 1);
}

std::string Recording::describe(const Event& event) const {
  const std::string name = event.file < file_names.size() ? file_names[event.file] : "?";
  switch (event.kind) {
    case Event::Kind::write:
      return (event.is_hole ? "hole of " : "write of ") + std::to_string(event.data.size()) + " at " + std::to_string(event.offset) +
             (event.is_hole ? " in " : " to ") + name;
    case Event::Kind::resize: return "size " + std::to_string(event.size) + " of " + name;
    case Event::Kind::names: {
      std::string out = "names";
      for (const NameChange& change : event.names) out += (change.file == kNoFile ? " -" : " +") + change.name;
      return out;
    }
    case Event::Kind::flush: return "flush of " + name + (event.size != 0 ? " (one write)" : "");
    case Event::Kind::begun: return "begin of operation " + std::to_string(event.operation);
    case Event::Kind::durable: return "operation " + std::to_string(event.operation) + " is durable";
  }
  return "?";
}

std::vector<Remains> Timeline::all(bool kept) const {
  std::vector<Remains> out;
  out.reserve(pending_.size());
  for (const Event* event : pending_) out.push_back({std::vector<bool>(event->sector_count(), kept), kept});
  return out;
}

void Timeline::advance(size_t point) {
  for (; next_ < point; ++next_) {
    const Event& event = recording_.events[next_];
    if (event.can_be_lost()) {
      pending_.push_back(&event);
    } else if (event.kind == Event::Kind::flush) {
      flush(event);
    } else {
      Bounds& bounds = bounds_.at(event.lane);
      uint64_t& bound = event.kind == Event::Kind::begun ? bounds.begun : bounds.durable;
      bound = std::max(bound, event.operation);
    }
  }
}

void Timeline::flush(const Event& event) {
  const Event* const limit = recording_.events.data() + event.covers;
  std::vector<const Event*> rest;
  std::vector<Remains> remains;
  for (const Event* candidate : pending_) {
    bool covered = candidate < limit && candidate->file == event.file;
    if (covered && event.size != 0) {
      // Of a range, only whole writes: LMDB writes its meta page so, and nothing else near it meanwhile.
      covered = candidate->kind == Event::Kind::write && candidate->offset >= event.offset &&
                end_of(*candidate) <= event.offset + event.size;
      const bool apart = candidate->kind != Event::Kind::write || end_of(*candidate) <= event.offset ||
                         candidate->offset >= event.offset + event.size;
      CHECK(covered || apart);
    }
    remains.push_back({std::vector<bool>(candidate->sector_count(), covered), covered});
    if (!covered) rest.push_back(candidate);
  }
  durable_ = crash(std::move(remains));
  pending_ = std::move(rest);
}

Disk Timeline::crash(std::vector<Remains> remains) const {
  CHECK(remains.size() == pending_.size());
  // Whoever sees a later write of a sector sees the earlier ones below it.
  for (size_t later = pending_.size(); later-- > 0;) {
    const Event& write = *pending_[later];
    if (write.kind != Event::Kind::write) continue;
    for (size_t i = 0; i < later; ++i) {
      const Event& earlier = *pending_[i];
      if (earlier.kind != Event::Kind::write || earlier.file != write.file) continue;
      const uint64_t begin = std::max(earlier.first_sector(), write.first_sector());
      const uint64_t end =
          std::min(earlier.first_sector() + earlier.sector_count(), write.first_sector() + write.sector_count());
      for (uint64_t sector = begin; sector < end; ++sector)
        if (remains[later].sectors[sector - write.first_sector()])
          remains[i].sectors[sector - earlier.first_sector()] = true;
    }
  }

  Disk disk = durable_;
  for (size_t i = 0; i < pending_.size(); ++i) {
    const Event& event = *pending_[i];
    if (event.kind == Event::Kind::write) {
      FileImage& file = disk.files[event.file];
      const std::vector<bool>& sectors = remains[i].sectors;
      for (size_t begin = 0; begin < sectors.size();) {
        size_t end = begin;
        while (end < sectors.size() && sectors[end]) ++end;
        if (end > begin) {
          const uint64_t from = std::max((event.first_sector() + begin) * kSectorSize, event.offset);
          const uint64_t to = std::min((event.first_sector() + end) * kSectorSize, end_of(event));
          file.write(from, std::string_view(event.data).substr(from - event.offset, to - from));
        }
        begin = end + 1;
      }
      if (remains[i].rest) grow(file, event);
    } else if (!remains[i].rest) {
      continue;
    } else if (event.kind == Event::Kind::resize) {
      disk.files[event.file].set_size(event.size);
    } else {
      for (const NameChange& change : event.names) {
        if (change.directory == kParent) {
          disk.folder_exists = change.file != kNoFile;
        } else if (change.file == kNoFile) {
          disk.names.erase(change.name);
        } else {
          disk.names[change.name] = change.file;
          disk.files[change.file];  // nothing of its bytes need have come yet
        }
      }
    }
  }
  for (const Event* event : pending_)
    if (event->kind == Event::Kind::write) disk.files[event->file].trim();
  return disk;
}

}  // namespace tain::crash
