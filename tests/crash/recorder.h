// SPDX-License-Identifier: Apache-2.0
// Records what the store and LMDB do to the files of one vault directory: every write, change of size, name and flush.
//
// The functions of the C library that do so (open, write, pwrite, writev, ftruncate, fallocate, fsync, fdatasync, rename,
// unlink, mkdir) are defined in this test program and take the place of the library's, in liblmdb too. What goes through none
// of them would be missed; RecorderTest and every Scene compare the recording with the files byte by byte.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "tests/crash/disk.h"

namespace tain::crash {

/// Records while it lives; one at a time in a process. Threads: the recorded program may have any number.
class Recorder {
 public:
  /// `folder` is the canonical path of the vault directory, which holds `base`.
  Recorder(std::string folder, Disk base);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// Marks of the program: an operation begins; all up to one are known to be durable.
  void begun(uint32_t lane, uint64_t operation);
  void durable(uint32_t lane, uint64_t operation);
  /// Calls `work` once, in the middle of the next flush of the file `name`, on the thread that flushes.
  void during_next_flush(std::string name, std::function<void()> work);
  /// Crashes before now are of no interest.
  void start_here();
  /// Ends the recording and yields it.
  Recording stop();

  // What the functions of the C library call. Each does the real thing and yields its result; errors in errno.
  int open(const char* path, int flags, unsigned mode);
  int close(int fd);
  ssize_t write(int fd, const char* data, size_t size, int64_t offset);  // a negative offset: where the descriptor is
  int truncate(int fd, int64_t size);
  int hole(int fd, int mode, int64_t offset, int64_t size);
  int flush(int fd, bool data_only);
  int rename(const char* from, const char* to);
  int unlink(const char* path);
  int mkdir(const char* path, unsigned mode);

 private:
  struct Descriptor {
    uint32_t file = kNoFile;
    bool flushes = false;  // O_DSYNC or O_SYNC
  };

  /// The name of a file in the vault directory; empty for anything else.
  std::string name_in_folder(const std::string& path) const;
  uint32_t number_at(const std::string& name) const;
  void add(Event event) { recording_.events.push_back(std::move(event)); }

  const std::string folder_;
  std::mutex mutex_;  // held during writes, so that the order of the recording is the true one; not during flushes
  Recording recording_;
  std::map<std::string, uint32_t> names_;  // as they are now
  std::map<int, Descriptor> descriptors_;
  std::string interrupted_;  // the file whose next flush does interruption_
  std::function<void()> interruption_;
};

/// The files of `folder` as they are. Crashing after the last event with nothing lost must give the same; the content
/// of LMDB's lock file is left out, because it is written through a mapping and means nothing after a crash.
std::map<std::string, std::string> files_of(const std::string& folder);
std::map<std::string, std::string> files_of(const Recording& recording);
/// Mappings of this process through which files of `folder` can be written, but for LMDB's lock file: a recording
/// would miss those writes. One line each.
std::string writable_mappings(const std::string& folder);

}  // namespace tain::crash
