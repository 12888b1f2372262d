// SPDX-License-Identifier: Apache-2.0
#include "fs/self_unmount.h"

#include <thread>

#include "fs/mount_table.h"

namespace tain::fs {
namespace {

constexpr std::chrono::milliseconds kRetry{100};

Result<MountEntry> own_mount(const Session& session, const std::string& mountpoint) {
  auto mount = find_mount_at(TRY(read_mount_table()), mountpoint);
  if (!mount || mount->device() != session.device())
    return Error(Code::mountpoint, "another mount covers " + mountpoint + ", or it was moved");
  return *mount;
}

}  // namespace

Result<> unmount_if_unused(Session& session, const SelfUnmount& own) {
  TRY(own_mount(session, own.mountpoint));
  TRY(own.sync());
  return detach(own.mountpoint, Detach::plainly);
}

Result<std::vector<MountUser>> unmount_anyway(Session& session, const SelfUnmount& own,
                                              std::chrono::milliseconds grace) {
  const auto deadline = std::chrono::steady_clock::now() + grace;
  auto unmounted = unmount_if_unused(session, own);
  while (unmounted.is(Code::busy) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kRetry);
    unmounted = unmount_if_unused(session, own);
  }
  if (unmounted.ok()) {
    session.cut_off();  // another mount namespace may have a copy of the mount
    return std::vector<MountUser>();
  }
  if (!unmounted.is(Code::busy)) return std::move(unmounted).error();
  const MountEntry mount = TRY(own_mount(session, own.mountpoint));
  std::vector<MountUser> users = mount_users(mount);
  TRY(detach(own.mountpoint, Detach::lazily));
  session.cut_off();  // a lazy detach keeps serving those who have files open
  return users;
}

}  // namespace tain::fs
