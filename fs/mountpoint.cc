// SPDX-License-Identifier: Apache-2.0
#include "fs/mountpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "fs/mount_table.h"
#include "fs/unmount.h"

namespace tain::fs {
namespace {

constexpr mode_t kWriteBits = 0222;

Error unusable(const std::string& message) { return Error(Code::mountpoint, message); }

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd.valid()) return fd;
  if (errno == ENOTDIR || errno == ELOOP) return unusable(path + " is not a directory");
  return unusable("cannot open " + errno_error(errno, path).message());
}

Result<bool> is_empty(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return unusable("cannot read " + errno_error(errno, path).message());
  size_t entries = 0;
  while (entries <= 2 && ::readdir(directory) != nullptr) ++entries;  // . and .. are always there
  ::closedir(directory);
  return entries <= 2;
}

/// The flags of FS_IOC_SETFLAGS. The ioctl is declared with long but reads and writes an int.
Result<int> get_flags(int fd) {
  int flags = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return Error(Code::unsupported, "its file system has no immutable attribute");
  return flags;
}

Result<> set_immutable(int fd, bool on) {
  int flags = TRY(get_flags(fd));
  const int wanted = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  if (wanted == flags) return {};
  if (::ioctl(fd, FS_IOC_SETFLAGS, &wanted) != 0) {
    if (errno == EPERM) return Error(Code::not_permitted, "changing the immutable attribute needs root (CAP_LINUX_IMMUTABLE)");
    return Error(Code::unsupported, "its file system has no immutable attribute");
  }
  return {};
}

/// The mount at `path`, and whether it is dead. The supervisor of a mount that has just died detaches it at any moment.
struct MountThere {
  std::optional<MountEntry> mount;
  bool stale = false;
};
Result<MountThere> mount_there(const std::string& path) {
  for (;;) {
    MountThere out{.mount = find_mount_at(TRY(read_mount_table()), path)};
    if (!out.mount) return out;
    out.stale = is_stale(*out.mount);
    const auto again = find_mount_at(TRY(read_mount_table()), path);
    if (again && again->id == out.mount->id) return out;
  }
}

bool is_immutable(int fd) {
  auto flags = get_flags(fd);
  return flags.ok() && (*flags & FS_IMMUTABLE_FL) != 0;
}

}  // namespace

Result<std::string> resolve_path(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.ends_with('/')) trimmed.pop_back();
  if (trimmed.empty()) return Error(Code::not_found, "an empty path names nothing");
  if (auto whole = canonical_path(trimmed); whole.ok()) return whole;

  const size_t slash = trimmed.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : trimmed.substr(0, slash);
  const std::string name = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  auto resolved = canonical_path(parent);
  if (!resolved.ok()) return Error(Code::not_found, path + ": its parent directory does not exist").hint("mkdir -p " + parent);
  return *resolved == "/" ? "/" + name : *resolved + "/" + name;
}

Result<> check_mountpoint(const std::string& path, const std::string& vault_directory) {
  if (is_within(path, vault_directory)) return unusable("mountpoint " + path + " lies inside the vault").hint("choose a directory elsewhere");
  if (is_within(vault_directory, path)) {
    return unusable("the vault lies inside the mountpoint " + path + " and would be covered by it").hint("choose a directory elsewhere");
  }
  const auto [mount, stale] = TRY(mount_there(path));
  if (mount) {
    if (stale) return {};
    if (mount->is_vault()) {
      const Code code = mount->source == vault_directory ? Code::in_use : Code::mountpoint;
      return Error(code, "vault " + mount->source + " is already mounted at " + path).hint("tain unmount " + path);
    }
    return unusable(path + " is already a mountpoint of " + mount->type).hint("choose another directory");
  }
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};  // prepare() makes it
    return unusable("cannot use mountpoint " + errno_error(errno, path).message());
  }
  if (!S_ISDIR(st.st_mode)) return unusable(path + " is not a directory").hint("give an empty or a new directory");
  // fusermount3 asks for both; prepare() repairs the mode of the user's own directory.
  if (::geteuid() != 0 && st.st_uid != ::geteuid() && ((st.st_mode & S_ISVTX) != 0 || ::access(path.c_str(), W_OK) != 0)) {
    return unusable("mountpoint " + path + " belongs to another user, and you cannot mount there").hint("give a directory of your own");
  }
  const bool empty = TRY(is_empty(path));
  if (!empty) return unusable("mountpoint " + path + " is not empty").hint("give an empty or a new directory");
  return {};
}

Result<> release_mountpoint(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return errno_error(errno, path);
  UniqueFd fd = TRY(open_directory(path));
  if (::fstat(fd.get(), &st) != 0) return errno_error(errno, path);
  const bool immutable = is_immutable(fd.get());
  if (!immutable && (st.st_mode & kWriteBits) != 0) {
    return Error(Code::mountpoint, path + " is not a protected mountpoint").hint("nothing has to be released");
  }
  if (immutable) {
    if (auto cleared = set_immutable(fd.get(), false); !cleared.ok()) return std::move(cleared).error().with(path);
  }
  if (::fchmod(fd.get(), (st.st_mode & 07777) | S_IWUSR) != 0) return errno_error(errno, "make " + path + " writable");
  return {};
}

bool has_immutable_attribute(const std::string& directory) {
  auto fd = open_directory(directory);
  return fd.ok() && get_flags(fd->get()).ok();
}

Result<Mountpoint> Mountpoint::prepare(const std::string& path, const std::string& vault_directory) {
  if (const auto [mount, stale] = TRY(mount_there(path)); stale) TRY(detach_dead(*mount));
  TRY(check_mountpoint(path, vault_directory));

  const bool created = ::mkdir(path.c_str(), 0700) == 0;
  if (!created && errno != EEXIST) return unusable("cannot make mountpoint " + errno_error(errno, path).message());
  Mountpoint mountpoint(path, TRY(open_directory(path)), created);
  struct stat st {};
  if (::fstat(mountpoint.fd_.get(), &st) != 0) return errno_error(errno, path);
  // fusermount3 wants the mountpoint writable by its user; protect() took that away after the last mount.
  if (::geteuid() != 0 && st.st_uid == ::geteuid() && (st.st_mode & S_IWUSR) == 0 &&
      ::fchmod(mountpoint.fd_.get(), (st.st_mode & 07777) | S_IRWXU) != 0) {
    return unusable("cannot make mountpoint writable: " + errno_error(errno, path).message());
  }
  return mountpoint;
}

Result<> Mountpoint::protect() {
  struct stat st {};
  if (::fstat(fd_.get(), &st) != 0) return errno_error(errno, path_);
  if (is_immutable(fd_.get())) return {};
  if ((st.st_mode & kWriteBits) != 0 && ::fchmod(fd_.get(), st.st_mode & 07777 & ~kWriteBits) != 0) {
    return errno_error(errno, "make the covered directory read-only");
  }
  return ::geteuid() == 0 ? set_immutable(fd_.get(), true) : Result<>();
}

void Mountpoint::tidy() {
  if (!fd_.valid() || !created_) return;
  if (is_immutable(fd_.get())) (void)set_immutable(fd_.get(), false).ok();
  // Only the very directory that was made, and rmdir(2) takes it only if it is empty.
  struct stat made {}, there {};
  if (::fstat(fd_.get(), &made) == 0 && ::lstat(path_.c_str(), &there) == 0 && made.st_dev == there.st_dev &&
      made.st_ino == there.st_ino) {
    ::rmdir(path_.c_str());
  }
  fd_.reset();
}

}  // namespace tain::fs
