// SPDX-License-Identifier: Apache-2.0
// The C library's headers would define some of these functions inline with this.
#undef _FORTIFY_SOURCE
#include "tests/crash/recorder.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/check.h"

namespace tain::crash {
namespace {

std::atomic<Recorder*> current{nullptr};

constexpr std::string_view kLmdbLock = "data.mdb-lock";

template <class... Args>
long real(long number, Args... args) {
  return ::syscall(number, args...);
}

}  // namespace

Recorder::Recorder(std::string folder, Disk base) : folder_(std::move(folder)) {
  recording_.file_names = {"parent directory", "vault directory"};
  names_ = base.names;
  for (const auto& [name, file] : names_) {
    if (recording_.file_names.size() <= file) recording_.file_names.resize(file + 1, "?");
    recording_.file_names[file] = name;
  }
  recording_.base = std::move(base);
  CHECK(current.exchange(this) == nullptr);
}

Recorder::~Recorder() {
  Recorder* self = this;  // unless stop() came before, and perhaps the next one
  current.compare_exchange_strong(self, nullptr);
}

void Recorder::begun(uint32_t lane, uint64_t operation) {
  std::lock_guard lock(mutex_);
  add({.kind = Event::Kind::begun, .lane = lane, .operation = operation});
}

void Recorder::durable(uint32_t lane, uint64_t operation) {
  std::lock_guard lock(mutex_);
  add({.kind = Event::Kind::durable, .lane = lane, .operation = operation});
}

void Recorder::during_next_flush(std::string name, std::function<void()> work) {
  std::lock_guard lock(mutex_);
  interrupted_ = std::move(name);
  interruption_ = std::move(work);
}

void Recorder::start_here() {
  std::lock_guard lock(mutex_);
  recording_.first_point = recording_.events.size();
}

Recording Recorder::stop() {
  current = nullptr;
  std::lock_guard lock(mutex_);
  return std::move(recording_);
}

std::string Recorder::name_in_folder(const std::string& path) const {
  if (!path.starts_with(folder_ + "/")) return {};
  std::string name = path.substr(folder_.size() + 1);
  if (name.find('/') != std::string::npos || name == "." || name == "..") return {};
  return name;
}

uint32_t Recorder::number_at(const std::string& name) const {
  auto it = names_.find(name);
  return it == names_.end() ? kNoFile : it->second;
}

int Recorder::open(const char* path, int flags, unsigned mode) {
  std::lock_guard lock(mutex_);
  const int fd = static_cast<int>(real(SYS_openat, AT_FDCWD, path, flags, mode));
  if (fd < 0) return fd;
  const std::string text = path;
  Descriptor descriptor{.file = kNoFile, .flushes = (flags & (O_DSYNC | O_SYNC)) != 0};
  const std::string name = name_in_folder(text);
  if (!name.empty()) {
    CHECK((flags & O_APPEND) == 0);  // where such a write goes would have to be asked of the system
    descriptor.file = number_at(name);
    if (descriptor.file == kNoFile) {
      descriptor.file = static_cast<uint32_t>(recording_.file_names.size());
      recording_.file_names.push_back(name);
      names_[name] = descriptor.file;
      add({.kind = Event::Kind::names, .file = kFolder, .names = {{kFolder, name, descriptor.file}}});
    } else if ((flags & O_TRUNC) != 0) {
      add({.kind = Event::Kind::resize, .file = descriptor.file, .size = 0});
    }
  } else if (text == folder_ || text == folder_ + "/" || text == folder_ + "/.") {
    descriptor.file = kFolder;
  } else if (text == folder_ + "/.." || text + "/" == folder_.substr(0, folder_.rfind('/') + 1)) {
    descriptor.file = kParent;
  }
  if (descriptor.file != kNoFile) descriptors_[fd] = descriptor;
  return fd;
}

int Recorder::close(int fd) {
  std::lock_guard lock(mutex_);
  descriptors_.erase(fd);
  return static_cast<int>(real(SYS_close, fd));
}

ssize_t Recorder::write(int fd, const char* data, size_t size, int64_t offset) {
  std::unique_lock lock(mutex_);
  auto it = descriptors_.find(fd);
  const int64_t start = offset >= 0 || it == descriptors_.end() ? offset : real(SYS_lseek, fd, 0L, SEEK_CUR);
  const ssize_t n = offset >= 0 ? real(SYS_pwrite64, fd, data, size, offset) : real(SYS_write, fd, data, size);
  if (n <= 0 || it == descriptors_.end()) return n;
  const auto begin = static_cast<uint64_t>(start);
  const auto count = static_cast<size_t>(n);
  const uint32_t file = it->second.file;
  add({.kind = Event::Kind::write, .file = file, .offset = begin, .data = std::string(data, count)});
  if (it->second.flushes)
    add({.kind = Event::Kind::flush, .file = file, .offset = begin, .size = count, .covers = recording_.events.size()});
  return n;
}

int Recorder::truncate(int fd, int64_t size) {
  std::lock_guard lock(mutex_);
  const int result = static_cast<int>(real(SYS_ftruncate, fd, size));
  auto it = descriptors_.find(fd);
  if (result == 0 && it != descriptors_.end())
    add({.kind = Event::Kind::resize, .file = it->second.file, .size = static_cast<uint64_t>(size)});
  return result;
}

int Recorder::hole(int fd, int mode, int64_t offset, int64_t size) {
  std::lock_guard lock(mutex_);
  auto it = descriptors_.find(fd);
  // Nothing of ours does anything else with it.
  CHECK(it == descriptors_.end() || mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE));
  const int result = static_cast<int>(real(SYS_fallocate, fd, mode, offset, size));
  if (result == 0 && it != descriptors_.end())
    add({.kind = Event::Kind::write,
         .file = it->second.file,
         .offset = static_cast<uint64_t>(offset),
         .data = std::string(static_cast<size_t>(size), '\0'),
         .is_hole = true});
  return result;
}

int Recorder::flush(int fd, bool data_only) {
  Descriptor descriptor;
  size_t covers = 0;
  std::function<void()> interruption;
  {
    std::lock_guard lock(mutex_);
    auto it = descriptors_.find(fd);
    if (it != descriptors_.end()) descriptor = it->second;
    covers = recording_.events.size();  // what is written while the flush is under way may miss it
    if (interruption_ && number_at(interrupted_) == descriptor.file) interruption = std::exchange(interruption_, {});
  }
  if (interruption) interruption();
  const int result = static_cast<int>(real(data_only ? SYS_fdatasync : SYS_fsync, fd));
  if (result != 0 || descriptor.file == kNoFile) return result;
  std::lock_guard lock(mutex_);
  add({.kind = Event::Kind::flush, .file = descriptor.file, .covers = covers});
  return result;
}

int Recorder::rename(const char* from, const char* to) {
  std::lock_guard lock(mutex_);
  const int result = static_cast<int>(real(SYS_rename, from, to));
  const std::string old_name = name_in_folder(from);
  const std::string new_name = name_in_folder(to);
  if (result != 0 || (old_name.empty() && new_name.empty())) return result;
  CHECK(!old_name.empty() && !new_name.empty());  // into or out of the folder: nothing of ours does that
  const uint32_t file = number_at(old_name);
  names_.erase(old_name);
  names_[new_name] = file;
  add({.kind = Event::Kind::names,
       .file = kFolder,
       .names = {{kFolder, old_name, kNoFile}, {kFolder, new_name, file}}});
  return result;
}

int Recorder::unlink(const char* path) {
  std::lock_guard lock(mutex_);
  const int result = static_cast<int>(real(SYS_unlink, path));
  const std::string name = name_in_folder(path);
  if (result != 0 || name.empty()) return result;
  names_.erase(name);
  add({.kind = Event::Kind::names, .file = kFolder, .names = {{kFolder, name, kNoFile}}});
  return result;
}

int Recorder::mkdir(const char* path, unsigned mode) {
  std::lock_guard lock(mutex_);
  const int result = static_cast<int>(real(SYS_mkdir, path, mode));
  if (result == 0 && path == folder_)
    add({.kind = Event::Kind::names, .file = kParent, .names = {{kParent, "vault directory", kFolder}}});
  return result;
}

std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ostringstream text;
    if (entry.path().filename() != kLmdbLock) text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    out[entry.path().filename()] = std::move(text).str();
  }
  return out;
}

std::map<std::string, std::string> files_of(const Recording& recording) {
  Timeline timeline(recording);
  timeline.advance(recording.events.size());
  const Disk disk = timeline.crash(timeline.all(true));
  std::map<std::string, std::string> out;
  for (const auto& [name, file] : disk.names) out[name] = name == kLmdbLock ? "" : disk.files.at(file).read();
  return out;
}

std::string writable_mappings(const std::string& folder) {
  std::ifstream maps("/proc/self/maps");
  std::string out;
  for (std::string line; std::getline(maps, line);)
    if (line.find(" rw-s ") != std::string::npos && line.find(folder + "/") != std::string::npos &&
        !line.ends_with(kLmdbLock))
      out += line + "\n";
  return out;
}

}  // namespace tain::crash

// These take the place of the C library's for the test program and every library in it.

using tain::crash::current;
using tain::crash::real;

extern "C" int open(const char* path, int flags, ...) {
  unsigned mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list args;
    va_start(args, flags);
    mode = va_arg(args, unsigned);
    va_end(args);
  }
  if (auto* recorder = current.load()) return recorder->open(path, flags, mode);
  return static_cast<int>(real(SYS_openat, AT_FDCWD, path, flags, mode));
}

extern "C" int close(int fd) {
  if (auto* recorder = current.load()) return recorder->close(fd);
  return static_cast<int>(real(SYS_close, fd));
}

extern "C" ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  if (auto* recorder = current.load()) return recorder->write(fd, static_cast<const char*>(data), size, offset);
  return real(SYS_pwrite64, fd, data, size, offset);
}

extern "C" ssize_t write(int fd, const void* data, size_t size) {
  if (auto* recorder = current.load()) return recorder->write(fd, static_cast<const char*>(data), size, -1);
  return real(SYS_write, fd, data, size);
}

extern "C" ssize_t writev(int fd, const iovec* parts, int count) {
  auto* recorder = current.load();
  if (recorder == nullptr) return real(SYS_writev, fd, parts, count);
  std::string data;  // one write, as for the system
  for (int i = 0; i < count; ++i) data.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  return recorder->write(fd, data.data(), data.size(), -1);
}

extern "C" int ftruncate(int fd, off_t size) noexcept {
  if (auto* recorder = current.load()) return recorder->truncate(fd, size);
  return static_cast<int>(real(SYS_ftruncate, fd, size));
}

extern "C" int fallocate(int fd, int mode, off_t offset, off_t size) {
  if (auto* recorder = current.load()) return recorder->hole(fd, mode, offset, size);
  return static_cast<int>(real(SYS_fallocate, fd, mode, offset, size));
}

extern "C" int fsync(int fd) {
  if (auto* recorder = current.load()) return recorder->flush(fd, false);
  return static_cast<int>(real(SYS_fsync, fd));
}

extern "C" int fdatasync(int fd) {
  if (auto* recorder = current.load()) return recorder->flush(fd, true);
  return static_cast<int>(real(SYS_fdatasync, fd));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (auto* recorder = current.load()) return recorder->rename(from, to);
  return static_cast<int>(real(SYS_rename, from, to));
}

extern "C" int unlink(const char* path) noexcept {
  if (auto* recorder = current.load()) return recorder->unlink(path);
  return static_cast<int>(real(SYS_unlink, path));
}

extern "C" int mkdir(const char* path, mode_t mode) noexcept {
  if (auto* recorder = current.load()) return recorder->mkdir(path, mode);
  return static_cast<int>(real(SYS_mkdir, path, mode));
}
