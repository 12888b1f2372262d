// SPDX-License-Identifier: Apache-2.0
#include "fs/mounter.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "fs/fuse_session.h"
#include "fs/mount_table.h"

namespace tain::fs {

Result<Mounter::Mounted> LocalMounter::mount() {
  mountpoint_.emplace(TRY(Mountpoint::prepare(options_.mountpoint, options_.source)));
  Mounted mounted;
  mounted.fuse = TRY(mount_fuse(options_));
  if (auto table = read_mount_table(); table.ok()) {
    if (auto mount = find_mount_at(*table, options_.mountpoint); mount && mount->is_vault()) device_ = mount->device();
  }
  mounted.device = device_;
  if (auto is_protected = mountpoint_->protect(); !is_protected.ok()) {
    mounted.warning = options_.mountpoint + " would accept clear text while it is not mounted: " + is_protected.error().message();
  }
  return mounted;
}

Result<> LocalMounter::flush() {
  const UniqueFd directory(::open(options_.mountpoint.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return {};
  struct statfs stats {};
  // Not ours any more: syncing the file system below could take minutes.
  if (::fstatfs(directory.get(), &stats) != 0 || stats.f_type != FUSE_SUPER_MAGIC) return {};
  if (::syncfs(directory.get()) != 0) return errno_error(errno, "write what the kernel keeps of " + options_.mountpoint);
  return {};
}

Result<MountEntry> LocalMounter::own_mount() const {
  auto mount = find_mount_at(TRY(read_mount_table()), options_.mountpoint);
  const bool is_ours = mount && (device_.empty() ? mount->is_vault() && mount->source == options_.source : mount->device() == device_);
  if (!is_ours)
    return Error(Code::mountpoint, "another mount covers " + options_.mountpoint + ", or it was moved");
  return *mount;
}

Result<std::vector<MountUser>> LocalMounter::detach(Detach how) {
  const MountEntry mount = TRY(own_mount());
  std::vector<MountUser> users;
  if (how == Detach::lazily) users = mount_users(mount);
  TRY(fs::detach(options_.mountpoint, how));
  return users;
}

void LocalMounter::tidy() {
  if (mountpoint_) mountpoint_->tidy();
}

}  // namespace tain::fs
