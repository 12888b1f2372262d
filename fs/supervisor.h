// SPDX-License-Identifier: Apache-2.0
// A process without keys that mounts for the one that serves the mount, and outlives it, to clean up after its death.
//
// The serving process is confined (fs/confinement) and may not mount or unmount. LMDB can take it down when the disk under
// it is damaged, the kernel kills for memory, and a mount whose process is dead answers every access with "Transport endpoint is
// not connected". The supervisor detaches such a mount, so that the protected bare directory is there again, and says
// in the system log what happened.
#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "fs/mounter.h"

namespace tain::fs {

/// The serving process's end of the line to its supervisor, which does what is asked one after the other. Errors of
/// all: io, if the supervisor is gone, stopped or stuck; then it is not asked again, so that nothing waits for it that has
/// keys to wipe. Threads: any.
class SupervisorLink : public Mounter {
 public:
  SupervisorLink(UniqueFd socket, pid_t supervisor) : socket_(std::move(socket)), supervisor_(supervisor) {}
  Result<Mounted> mount() override;
  Result<> flush() override;
  Result<std::vector<MountUser>> detach(Detach how) override;
  void tidy() override;
  /// From now on the supervisor lives without the command that made it, and says nothing on the terminal.
  Result<> stay();
  int fd() const { return socket_.get(); }

 private:
  struct Answer;
  Result<Answer> ask(char request);
  Result<> wait_for_answer() const;
  std::mutex mutex_;  // one question at a time; taken by nobody who answers requests of FUSE
  UniqueFd socket_;
  const pid_t supervisor_;
  bool given_up_ = false;  // guarded by mutex_. A late answer would be taken for that to the next question
};

struct Supervision {
  MountOptions mount;
  pid_t command = 0;  // ends with us while nothing is mounted yet; 0: we are the command, in the foreground
  /// Wipes what this process inherited, or has read, and only the worker may have.
  std::function<void()> forget_secrets;
};

/// Forks the worker, runs `work` in it and ends it with what that returns. Here, in the supervisor, closes every
/// descriptor (not in the foreground), mounts when asked, passes SIGINT, SIGTERM and SIGHUP on to the worker, and returns its exit status, 128 + N if signal N
/// killed it. Call it with one thread.
int supervise(const Supervision& supervision, const std::function<int(SupervisorLink&)>& work);

}  // namespace tain::fs
