// SPDX-License-Identifier: Apache-2.0
// The life of a mount in the process that serves it: open, mount, serve, unmount, commit.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "fs/mounter.h"
#include "fs/runtime.h"
#include "store/key_slot.h"

namespace tain::fs {

struct DaemonOptions {
  MountOptions mount;  // mount.source: the vault; mount.mountpoint: as of resolve_path (fs/mountpoint.h)
  RuntimePaths runtime;
  std::string version;  // of the program, for "status"
  std::optional<int64_t> as_of_ms = {};  // the vault as it was then, Unix time; mount.read_only is set
  bool history = true;  // what is overwritten or removed is kept
  int64_t idle_s = 0;  // unmount after so many seconds without use; 0: never
  bool lock_on_suspend = false;  // unmount before the machine sleeps, whoever uses the mount
  bool lock_on_screen = false;   // unmount when the session is locked
  uint64_t scrub_rate_bytes_s = 0;  // of reading everything in the background; 0: only when somebody asks
  int64_t scrub_after_s = 0;        // the earliest begin of that
  bool confined = true;             // fs/confinement; false: for debuggers
  /// Told about things a person should know, one line each. Threads: any.
  std::function<void(const std::string&)> warn;
  pid_t supervisor = 0;  // for "status": the process that mounts for this one, and cleans up after it
  /// Called once with the mount's device ("MAJ-MIN") when it is there and about to be served; a failure ends it again.
  std::function<Result<>(const std::string& device)> ready;
};

/// Opens the vault, has `mounter` mount it, and serves it until it is unmounted or SIGINT, SIGTERM or SIGHUP arrives. The credential
/// is wiped as soon as the vault is open. Call it in a process with one thread: LMDB forbids a later fork.
/// Changes the process for good: confined, no core dumps, not traceable, signals blocked, umask 077, working directory /.
/// Errors: mountpoint, fuse, those of Vault::open, and what the last commit said.
Result<> run_daemon(const DaemonOptions& options, Mounter& mounter, store::Credential credential);

}  // namespace tain::fs
