// SPDX-License-Identifier: Apache-2.0
// One FUSE mount of one open vault: start, serve, end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fs/mounter.h"
#include "fs/virtual_tree.h"
#include "store/vault.h"

namespace tain::fs {

/// A mounted vault. The vault and the mounter outlive the session. Source: libfuse's fuse_lowlevel.h.
class Session {
 public:
  /// Mounts. When it returns the kernel knows the mount; requests are answered once run() is called. `past`: of .tain/, or
  /// of a mount of the past. Errors: those of Mounter::mount.
  static Result<std::unique_ptr<Session>> start(store::Vault& vault, Mounter& mounter, const MountOptions& options,
                                                const VirtualTree::Options& past = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Serves requests with several threads until the file system is unmounted or stop() is called. Signals are the
  /// caller's business. Once.
  Result<> run();
  /// Asks run() to return; safe in a signal handler and from any thread.
  void stop();
  /// Unmounts if still mounted. Called by the destructor too.
  void unmount();
  /// MountEntry::device() of the mount; empty when the mount table could not be read.
  const std::string& device() const;
  /// Mounted::warning of the mount.
  const std::string& warning() const;
  /// Requests so far that say that somebody uses the mount: not those of the kernel on its own, nor statfs, which
  /// desktops repeat. Threads: any.
  uint64_t requests() const;
  /// Makes the kernel ask for the root's attributes when it is next used. Not from within a request.
  void forget_root_attributes();
  /// Somebody else than the kernel has made, removed or replaced `name`. Not from within a request.
  void changed(Ino directory, const std::string& name);
  /// The same of an inode that lost a name: it stays for as long as the kernel knows it. Threads: any.
  void unlinked(const store::Unlinked& unlinked);
  /// Makes the kernel drop the content and attributes of all that it knows, and mappings of it. Threads: any that answers
  /// no requests: pages that a program changed are written first.
  void forget_content();
  /// Ends run() although programs may have files open. First makes the kernel drop the content that it keeps of files,
  /// mapped pages included, which would live as long as a file is open. Returns when that is done, whoever began it.
  /// Threads: any, but not from within a request.
  void cut_off();
  /// Requests answered so far, by kind. Threads: any.
  std::vector<std::pair<std::string_view, uint64_t>> op_counts() const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tain::fs
