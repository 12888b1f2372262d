// SPDX-License-Identifier: Apache-2.0
#include "fs/unmount.h"

#include <dirent.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <fstream>

#include "base/clock.h"
#include "fs/control.h"
#include "fs/find_daemon.h"
#include "fs/subprocess.h"

namespace tain::fs {
namespace {

constexpr int kWaitMs = 60'000;
constexpr size_t kMessageMax = 4096;

std::string read_text(int fd) {
  std::string text(kMessageMax, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = ::read(fd, text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    size += static_cast<size_t>(n);
  }
  text.resize(size);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

Result<> detach_with_fusermount(const std::string& mountpoint, Detach how) {
  std::vector<std::string> arguments = {"fusermount3", "-u"};
  if (how == Detach::lazily) arguments.push_back("-z");
  arguments.insert(arguments.end(), {"--", mountpoint});
  auto program = spawn(arguments, Capture::standard_error);
  if (!program.ok()) {
    return Error(Code::fuse, program.error().message()).hint("install the package fuse3");
  }
  const std::string message = read_text(program->output.get());
  const int status = TRY(wait_for(program->pid));
  if (status == 0) return {};
  // fusermount3 tells causes apart by its text only; it is never translated.
  const bool busy = message.find("busy") != std::string::npos;
  Error failed(busy ? Code::busy : Code::fuse, message.empty() ? "fusermount3 failed" : message);
  if (message.find("/etc/mtab") == std::string::npos) return failed;
  return std::move(failed).hint("the system lacks its list of mounts; as root: ln -s /proc/self/mounts /etc/mtab");
}

std::string read_link(const std::string& path) {
  std::string target(4096, '\0');
  const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
  target.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return target;
}

std::vector<std::string> list_directory(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return names;  // another user's process, or gone meanwhile
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(directory);
  return names;
}

bool maps_something_of(const std::string& process, const MountEntry& mount) {
  char device[32];
  std::snprintf(device, sizeof device, " %02x:%02x ", mount.device_major, mount.device_minor);
  std::ifstream maps(process + "/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(device) != std::string::npos) return true;
  }
  return false;
}

bool uses(const std::string& process, const MountEntry& mount) {
  for (const char* link : {"/cwd", "/root", "/exe"}) {
    if (is_within(read_link(process + link), mount.mountpoint)) return true;
  }
  for (const std::string& fd : list_directory(process + "/fd")) {
    if (is_within(read_link(process + "/fd/" + fd), mount.mountpoint)) return true;
  }
  return maps_something_of(process, mount);
}

std::string process_name(const std::string& process) {
  std::string name;
  std::ifstream comm(process + "/comm");
  std::getline(comm, name);
  return name;
}

Error busy_error(const MountEntry& mount, const std::vector<MountUser>& users) {
  std::string message = mount.mountpoint + " is busy";
  if (users.empty()) {
    return Error(Code::busy, message).hint("a program of another user or a shell inside it may be using it; try: fuser -vm " + mount.mountpoint);
  }
  message += ": in use by ";
  for (size_t i = 0; i < users.size(); ++i) {
    message += (i == 0 ? "" : ", ") + users[i].name + " (" + std::to_string(users[i].pid) + ")";
  }
  return Error(Code::busy, message).hint("close these programs, or leave the folder, and try again");
}

/// Waits for the end of a process that need not be a child.
Result<> wait_until_gone(pid_t pid, int timeout_ms) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) {
    return errno == ESRCH ? Result<>() : errno_error(errno, "watch process " + std::to_string(pid));
  }
  pollfd poller{process.get(), POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&poller, 1, timeout_ms)) < 0 && errno == EINTR) {}
  if (ready > 0) return {};
  return Error(Code::io, "process " + std::to_string(pid) + " has not ended within " + std::to_string(timeout_ms / 1000) +
                             " seconds after the unmount")
      .hint("its last commit may be waiting for a slow disk; look again with: tain status");
}

/// The process that supervises the serving one; 0: none.
Result<pid_t> supervisor_of(ControlClient& daemon) {
  const auto status = TRY(daemon.request({{"op", "status"}}, kWaitMs));
  const auto pid = status.value("supervisor", nlohmann::json());
  return pid.is_number_integer() ? pid.get<pid_t>() : 0;
}

/// What the process says of its last commit, and its end and its supervisor's.
Result<> wait_closed(ControlClient& daemon, pid_t supervisor, const std::string& vault_directory) {
  Result<> closed;
  if (auto event = daemon.next_line(kWaitMs); event.ok()) {
    closed = error_in_reply(*event);
  } else {
    closed = Error(Code::io, "the process serving it ended without confirming its last commit")
                 .hint("everything up to the unmount is stored; run tain status " + vault_directory);
  }
  TRY(wait_until_gone(daemon.pid(), kWaitMs));
  if (supervisor > 0) TRY(wait_until_gone(supervisor, kWaitMs));
  if (!closed.ok()) return std::move(closed).error().with("the last commit failed");
  return {};
}

/// The end of an unmount where no process could be asked.
Error unconfirmed(const MountEntry& mount, pid_t pid) {
  std::string message = mount.mountpoint + " is unmounted, but ";
  if (pid == 0) {
    message += "the process serving it was not found, so it may still be storing the last changes";
  } else if (auto gone = wait_until_gone(pid, kWaitMs); !gone.ok()) {
    message += gone.error().message();
  } else {
    message += "process " + std::to_string(pid) + " ended without confirming its last commit";
  }
  return Error(Code::io, message).hint("the control socket was not found; the system log says how the last commit went");
}

}  // namespace

Result<> detach(const std::string& mountpoint, Detach how) {
  if (::geteuid() != 0) return detach_with_fusermount(mountpoint, how);
  const int flags = UMOUNT_NOFOLLOW | (how == Detach::lazily ? MNT_DETACH : 0);
  if (::umount2(mountpoint.c_str(), flags) != 0) return errno_error(errno, "unmount " + mountpoint);
  return {};
}

Result<> detach_dead(const MountEntry& mount) {
  auto detached = detach(mount.mountpoint, Detach::lazily);
  if (detached.ok()) return {};
  const auto there = find_mount_at(TRY(read_mount_table()), mount.mountpoint);
  return there && there->id == mount.id ? detached : Result<>();
}

std::vector<MountUser> mount_users(const MountEntry& mount) {
  std::vector<MountUser> users;
  for (const std::string& name : list_directory("/proc")) {
    pid_t pid = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size() || pid == ::getpid()) continue;
    const std::string process = "/proc/" + name;
    if (uses(process, mount)) users.push_back({pid, process_name(process)});
    if (users.size() == kMountUsersMax) break;
  }
  return users;
}

Result<std::vector<MountUser>> unmount_vault(const MountEntry& mount, const RuntimePaths& runtime, IfBusy if_busy) {
  std::vector<MountUser> cut_off;
  if (is_stale(mount)) {
    TRY(detach_dead(mount));
    return cut_off;
  }

  auto daemon = connect_to_daemon(mount, runtime, kWaitMs);
  const pid_t pid = daemon.ok() ? daemon->pid() : pid_in_lock(mount);
  pid_t supervisor = 0;
  if (daemon.ok()) {
    supervisor = TRY(supervisor_of(*daemon));
    // Before the point of no return: a vault that cannot be made durable stays mounted.
    auto synced = daemon->request({{"op", "sync"}}, kWaitMs);
    if (!synced.ok()) return std::move(synced).error().with(mount.mountpoint + " stays mounted: its changes could not be stored");
    TRY(daemon->request({{"op", "wait_closed"}}, kWaitMs));
  }

  if (auto detached = detach(mount.mountpoint, Detach::plainly); !detached.ok()) {
    if (detached.code() != Code::busy) return std::move(detached).error();
    std::vector<MountUser> users = mount_users(mount);
    // Its supervisor keeps the covered directory open, which has the same path.
    std::erase_if(users, [&](const MountUser& user) { return user.pid == pid || user.pid == supervisor; });
    if (if_busy == IfBusy::refuse) return busy_error(mount, users);
    cut_off = std::move(users);
    // It makes the kernel write dirty mapped pages first, and then detaches.
    if (daemon.ok()) TRY(daemon->request({{"op", "stop"}}, kWaitMs));
    else TRY(detach(mount.mountpoint, Detach::lazily));
  }

  if (!daemon.ok()) return unconfirmed(mount, pid);
  auto closed = wait_closed(*daemon, supervisor, mount.source);
  // A process whose supervisor was killed cannot take its mount away.
  if (const auto there = find_mount_at(TRY(read_mount_table()), mount.mountpoint); there && there->id == mount.id && is_stale(*there)) TRY(detach_dead(*there));
  TRY(std::move(closed));
  return cut_off;
}

Result<> stop_holder(const std::string& vault_directory, const store::Holder& holder, uid_t owner) {
  const Error in_use = Error(Code::in_use, vault_directory + " is not mounted, but process " + std::to_string(holder.pid) +
                                               " still has it open for programs that use its files")
                           .hint("close these programs, or end it: kill " + std::to_string(holder.pid));
  if (holder.control_socket.empty()) return in_use;
  auto daemon = ControlClient::connect(holder.control_socket, owner);
  if (!daemon.ok() || daemon->pid() != static_cast<pid_t>(holder.pid)) return in_use;
  const pid_t supervisor = TRY(supervisor_of(*daemon));
  TRY(daemon->request({{"op", "wait_closed"}}, kWaitMs));
  TRY(daemon->request({{"op", "stop"}}, kWaitMs));
  return wait_closed(*daemon, supervisor, vault_directory);
}

}  // namespace tain::fs
