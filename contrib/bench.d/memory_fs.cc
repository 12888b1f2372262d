// SPDX-License-Identifier: Apache-2.0
// A FUSE file system that keeps everything in its own memory: nothing is encrypted, stored or flushed.
//
// It talks to the kernel as tain does (the same capabilities, time-outs and transfer sizes, no OPEN, one thread that polls for
// requests before it sleeps), so contrib/bench --ceiling shows with it what the way through FUSE alone leaves of a
// folder's speed on this machine: no file system that works as tain does can be faster. It checks nothing and frees nothing.
//
// Usage: memory_fs MOUNTPOINT, in the background by itself. Compiled by contrib/bench.
#define FUSE_USE_VERSION 35
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

constexpr double kTimeout_s = 86400;
constexpr unsigned kTransferMax = 1 << 20;
constexpr std::chrono::microseconds kPolling{60};
// What is longer is not kept, and read as zeros: fresh memory for it would cost more than the way through FUSE.
constexpr size_t kKeptMax = size_t{16} << 20;

struct Node {
  struct stat attr {};
  std::string content;  // of a symbolic link: where it leads
  std::map<std::string, fuse_ino_t, std::less<>> names;
};

std::unordered_map<fuse_ino_t, Node> nodes;
fuse_ino_t last_ino = FUSE_ROOT_ID;

timespec now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

Node& make(fuse_ino_t ino, mode_t mode, const fuse_ctx* by) {
  Node& node = nodes[ino];
  node.attr.st_ino = ino;
  node.attr.st_mode = mode & ~(by != nullptr ? by->umask & 0777 : 0);
  node.attr.st_nlink = S_ISDIR(mode) ? 2 : 1;
  node.attr.st_uid = by != nullptr ? by->uid : getuid();
  node.attr.st_gid = by != nullptr ? by->gid : getgid();
  node.attr.st_atim = node.attr.st_mtim = node.attr.st_ctim = now();
  return node;
}

fuse_entry_param entry_of(fuse_ino_t ino) {
  fuse_entry_param out{};
  if (ino != 0) out = {.ino = ino, .generation = 0, .attr = nodes[ino].attr, .attr_timeout = kTimeout_s, .entry_timeout = 0};
  out.entry_timeout = kTimeout_s;
  return out;
}

void reply_entry(fuse_req_t request, fuse_ino_t ino) {
  const fuse_entry_param entry = entry_of(ino);
  fuse_reply_entry(request, &entry);
}

fuse_ino_t find(fuse_ino_t directory, std::string_view name) {
  const auto& names = nodes[directory].names;
  const auto it = names.find(name);
  return it == names.end() ? 0 : it->second;
}

void add(fuse_req_t request, fuse_ino_t directory, const char* name, mode_t mode, std::string content = {}) {
  const fuse_ino_t ino = ++last_ino;
  Node& node = make(ino, mode, fuse_req_ctx(request));
  node.attr.st_size = static_cast<off_t>(content.size());
  node.content = std::move(content);
  nodes[directory].names[name] = ino;
  reply_entry(request, ino);
}

void op_init(void*, fuse_conn_info* conn) {
  conn->want |= conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ |
                                 FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_DONT_MASK);
  conn->want &= ~static_cast<unsigned>(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE |
                                       FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                       FUSE_CAP_SPLICE_MOVE);
  conn->max_write = std::min(conn->max_write, kTransferMax);
  conn->max_readahead = kTransferMax;
  conn->max_background = 64;
  conn->congestion_threshold = 48;
  conn->time_gran = 1;
}

void op_lookup(fuse_req_t request, fuse_ino_t directory, const char* name) { reply_entry(request, find(directory, name)); }
void op_forget(fuse_req_t request, fuse_ino_t, uint64_t) { fuse_reply_none(request); }
void op_forget_multi(fuse_req_t request, size_t, fuse_forget_data*) { fuse_reply_none(request); }
void op_getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) { fuse_reply_attr(request, &nodes[ino].attr, kTimeout_s); }

void op_setattr(fuse_req_t request, fuse_ino_t ino, struct stat* attr, int to_set, fuse_file_info*) {
  Node& node = nodes[ino];
  if ((to_set & FUSE_SET_ATTR_MODE) != 0) node.attr.st_mode = (node.attr.st_mode & S_IFMT) | (attr->st_mode & 07777);
  if ((to_set & FUSE_SET_ATTR_UID) != 0) node.attr.st_uid = attr->st_uid;
  if ((to_set & FUSE_SET_ATTR_GID) != 0) node.attr.st_gid = attr->st_gid;
  if ((to_set & FUSE_SET_ATTR_MTIME) != 0) node.attr.st_mtim = attr->st_mtim;
  if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
    if (static_cast<size_t>(attr->st_size) <= kKeptMax) node.content.resize(static_cast<size_t>(attr->st_size));
    node.attr.st_size = attr->st_size;
  }
  fuse_reply_attr(request, &node.attr, kTimeout_s);
}

void op_readlink(fuse_req_t request, fuse_ino_t ino) { fuse_reply_readlink(request, nodes[ino].content.c_str()); }
void op_mknod(fuse_req_t request, fuse_ino_t directory, const char* name, mode_t mode, dev_t) {
  add(request, directory, name, mode);
}
void op_mkdir(fuse_req_t request, fuse_ino_t directory, const char* name, mode_t mode) {
  add(request, directory, name, S_IFDIR | mode);
}
void op_symlink(fuse_req_t request, const char* target, fuse_ino_t directory, const char* name) {
  add(request, directory, name, S_IFLNK | 0777, target);
}

void op_unlink(fuse_req_t request, fuse_ino_t directory, const char* name) {
  if (const fuse_ino_t ino = find(directory, name); ino != 0) nodes[ino].content = {};
  nodes[directory].names.erase(name);
  fuse_reply_err(request, 0);
}
void op_rename(fuse_req_t request, fuse_ino_t from, const char* name, fuse_ino_t to, const char* new_name, unsigned) {
  const fuse_ino_t ino = find(from, name);
  nodes[from].names.erase(name);
  nodes[to].names[new_name] = ino;
  fuse_reply_err(request, 0);
}

void refuse(fuse_req_t request, fuse_ino_t, fuse_file_info*) { fuse_reply_err(request, ENOSYS); }
void op_create(fuse_req_t request, fuse_ino_t, const char*, mode_t, fuse_file_info*) { fuse_reply_err(request, ENOSYS); }

void op_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
  static const std::vector<char> zeros(kTransferMax);
  const Node& node = nodes[ino];
  const size_t from = std::min(static_cast<size_t>(offset), static_cast<size_t>(node.attr.st_size));
  size = std::min({size, zeros.size(), static_cast<size_t>(node.attr.st_size) - from});
  fuse_reply_buf(request, from + size <= node.content.size() ? node.content.data() + from : zeros.data(), size);
}

void op_write(fuse_req_t request, fuse_ino_t ino, const char* data, size_t size, off_t offset, fuse_file_info*) {
  Node& node = nodes[ino];
  const auto from = static_cast<size_t>(offset), end = from + size;
  if (end <= kKeptMax) {
    if (end > node.content.size()) node.content.resize(end);
    std::memcpy(node.content.data() + from, data, size);
  }
  node.attr.st_size = std::max(node.attr.st_size, static_cast<off_t>(end));
  node.attr.st_blocks = (node.attr.st_size + 511) / 512;
  node.attr.st_mtim = node.attr.st_ctim = now();
  fuse_reply_write(request, size);
}

void op_fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) { fuse_reply_err(request, 0); }
/// What is not supported, ls asks for once and not for every file.
void op_getxattr(fuse_req_t request, fuse_ino_t, const char* name, size_t) {
  fuse_reply_err(request, std::string_view(name) == "security.capability" ? ENODATA : EOPNOTSUPP);
}

void op_readdirplus(fuse_req_t request, fuse_ino_t directory, size_t size, off_t offset, fuse_file_info*) {
  static std::vector<char> page;
  page.resize(size);
  const auto& names = nodes[directory].names;
  // A listing in portions walks to where the last one ended by number, so offsets stay right while nothing changes.
  static std::unordered_map<fuse_ino_t, std::pair<off_t, decltype(names.begin())>> where;
  auto& [at, it] = where[directory];
  if (offset == 0 || at != offset) {
    at = 0;
    for (it = names.begin(); at < offset && it != names.end(); ++it) ++at;
  }
  size_t used = 0;
  for (; it != names.end(); ++it) {
    const fuse_entry_param entry = entry_of(it->second);
    const size_t took = fuse_add_direntry_plus(request, page.data() + used, size - used, it->first.c_str(), &entry, at + 1);
    if (took > size - used) break;
    used += took;
    ++at;
  }
  fuse_reply_buf(request, page.data(), used);
}

void op_statfs(fuse_req_t request, fuse_ino_t) {
  struct statvfs out {};
  out.f_bsize = out.f_frsize = 4096;
  out.f_blocks = out.f_bfree = out.f_bavail = uint64_t{1} << 28;
  out.f_namemax = 255;
  fuse_reply_statfs(request, &out);
}

ssize_t read_request(int fd, void* buffer, size_t room, void*) { return read(fd, buffer, room); }

/// libfuse 3.14 cannot say HANDLE_KILLPRIV_V2, without which the kernel asks for an attribute before each write.
ssize_t write_reply(int fd, iovec* parts, int count, void*) {
  static bool is_first = true;  // the answer to INIT
  if (std::exchange(is_first, false) && count == 2 && parts[1].iov_len >= offsetof(fuse_init_out, unused))
    static_cast<fuse_init_out*>(parts[1].iov_base)->flags |= FUSE_HANDLE_KILLPRIV_V2;
  return writev(fd, parts, count);
}

/// As tain's lookout: tries again for a while, giving the processor away in between, before it sleeps.
int serve(fuse_session* session) {
  const int fd = fuse_session_fd(session);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  fuse_buf buffer{};
  auto polled_until = std::chrono::steady_clock::now();
  while (fuse_session_exited(session) == 0) {
    const int size = fuse_session_receive_buf(session, &buffer);
    if (size > 0) {
      fuse_session_process_buf(session, &buffer);
      polled_until = std::chrono::steady_clock::now() + kPolling;
    } else if (size == -EAGAIN || size == -EINTR) {
      if (std::chrono::steady_clock::now() < polled_until) {
        sched_yield();
        continue;
      }
      pollfd readable = {fd, POLLIN, 0};
      poll(&readable, 1, -1);
    } else {
      break;  // unmounted
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  fuse_lowlevel_ops ops{};
  ops.init = op_init;
  ops.lookup = op_lookup;
  ops.forget = op_forget;
  ops.forget_multi = op_forget_multi;
  ops.getattr = op_getattr;
  ops.setattr = op_setattr;
  ops.readlink = op_readlink;
  ops.mknod = op_mknod;
  ops.mkdir = op_mkdir;
  ops.symlink = op_symlink;
  ops.unlink = op_unlink;
  ops.rmdir = op_unlink;
  ops.rename = op_rename;
  ops.open = refuse;
  ops.opendir = refuse;
  ops.create = op_create;
  ops.read = op_read;
  ops.write = op_write;
  ops.fsync = op_fsync;
  ops.fsyncdir = op_fsync;
  ops.getxattr = op_getxattr;
  ops.readdirplus = op_readdirplus;
  ops.statfs = op_statfs;
  make(FUSE_ROOT_ID, S_IFDIR | 0755, nullptr);

  std::array arguments = {argv[0], const_cast<char*>("-odefault_permissions,nosuid,nodev,fsname=memory_fs")};
  fuse_args args = FUSE_ARGS_INIT(static_cast<int>(arguments.size()), arguments.data());
  fuse_session* const session = fuse_session_new(&args, &ops, sizeof ops, nullptr);
  if (session == nullptr || fuse_session_mount(session, argv[1]) != 0 || fuse_daemonize(0) != 0) return 1;
  fuse_custom_io io{};
  io.read = read_request;
  io.writev = write_reply;
  if (fuse_session_custom_io(session, &io, fuse_session_fd(session)) != 0) return 1;
  const int outcome = serve(session);
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  return outcome;
}
