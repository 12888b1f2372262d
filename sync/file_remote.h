// SPDX-License-Identifier: Apache-2.0
// A remote in a directory: a USB stick, an NFS or sshfs mount, a folder that another program syncs.
//
// An object is a file. It is written under a random name in `t/`, flushed, and renamed, so no part of it is ever seen under
// its name; links, locks and modes are not needed, as vfat and exFAT have none. The directory itself is somebody else's
// work: an empty mountpoint must not pass for an empty remote, so only create() makes the first folder in it, and a
// directory with none of them is "unreachable". It is opened for each request and not kept open, so that its disk can be
// unmounted and mounted again.
//
// Whoever can write there may put anything there: names come from ObjectName alone, symlinks are followed up to the
// directory and never below it, and what is no regular file is no object.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "sync/remote.h"
#include "sync/remote_files.h"

namespace tain::sync {

class FileRemote final : public Remote {
 public:
  /// Readies an existing directory to be a remote; that it is one already is fine. Durable when this returns.
  static Result<> create(const std::string& directory);
  explicit FileRemote(std::string directory) : directory_(std::move(directory)) {}

  /// Two flushes: the file and its folder; one more for a folder that this process meets for the first time. Puts could
  /// share the second, and with syncfs both, which is not worth it: ten thousand small entries are a handful of objects.
  Result<> put(const ObjectName& name, ByteView bytes) override;
  Result<Bytes> get(const ObjectName& name, uint64_t size_max) override;
  Result<Bytes> get_range(const ObjectName& name, uint64_t offset, uint64_t length) override;
  Result<std::optional<uint64_t>> stat(const ObjectName& name) override;
  /// In the order of the names, and a page goes on after a name: nothing depends on what the file system calls a position
  /// in a folder. Holds one page in memory.
  Result<RemoteListing> list(ObjectFolder folder, const std::string& from) override;
  Result<> remove(const ObjectName& name) override;

 private:
  struct Place;

  Result<UniqueFd> open_directory() const;
  Result<UniqueFd> find_folder(const std::vector<std::string>& folders) const;
  Result<UniqueFd> ready_folder(int root, const std::vector<std::string>& folders);
  bool is_durable(const std::pair<dev_t, ino_t>& folder);
  void note_durable(const std::pair<dev_t, ino_t>& folder);
  Result<OpenFile> open_object(const ObjectName& name) const;
  Result<> replace(int root, int folder, const Place& place, ByteView bytes);
  void sweep(int temporaries, int64_t now);

  const std::string directory_;

  std::mutex mutex_;
  // Guarded by mutex_:
  std::set<std::pair<dev_t, ino_t>> durable_folders_;  // whose names are flushed
  std::optional<int64_t> swept_at_;                    // Unix seconds by the remote's clock
};

}  // namespace tain::sync
