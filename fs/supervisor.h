// SPDX-License-Identifier: Apache-2.0
// A process without keys that outlives the one that serves a mount, to clean up after its death.
//
// LMDB can take its process down when the disk under it is damaged, the kernel kills for memory, and a mount whose
// process is dead answers every access with "Transport endpoint is not connected". The supervisor detaches
// such a mount, so that the protected bare directory is there again, and says in the system log what happened.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace tain::fs {

/// The serving process's end of the line to its supervisor. Without one (default), mounted() does nothing.
class SupervisorLink {
 public:
  SupervisorLink() = default;
  explicit SupervisorLink(UniqueFd socket) : socket_(std::move(socket)) {}
  /// Tells which mount (its device, "MAJ-MIN") is to be cleaned up, and returns when the supervisor knows. From then
  /// on both processes live without the command that made them. Errors: io (the supervisor is gone).
  Result<> mounted(const std::string& device);
  int fd() const { return socket_.get(); }

 private:
  UniqueFd socket_;
};

struct Supervision {
  std::string mountpoint;  // absolute, canonical
  pid_t command = 0;       // ends with us while nothing is mounted yet
  /// Wipes what this process inherited and only the worker may have.
  std::function<void()> forget_secrets;
};

/// Forks the worker, runs `work` in it and ends it with what that returns. Here, in the supervisor, closes every
/// descriptor, passes SIGINT, SIGTERM and SIGHUP on to the worker, and returns its exit status, 128 + N if signal N
/// killed it. Call it in a process of its own with one thread.
int supervise(const Supervision& supervision, const std::function<int(SupervisorLink)>& work);

}  // namespace tain::fs
