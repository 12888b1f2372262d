// SPDX-License-Identifier: Apache-2.0
// Requests about the connection and about inodes: init, forget, attributes, extended attributes, statfs.
#include "fs/ops.h"

#include <algorithm>

namespace tain::fs {

namespace {

constexpr unsigned kTransferMax = 1 << 20;  // bytes in one READ or WRITE
constexpr unsigned kBackgroundMax = 64;     // read-ahead requests in flight
constexpr unsigned kBackgroundCongested = 48;
constexpr size_t kGroupsUsual = 64;  // room for a caller's groups at the first attempt

constexpr std::array<std::string_view, kOpCount> kOpNames = {
    "lookup",      "forget",   "getattr",   "setattr",         "readlink", "mknod",
    "mkdir",       "unlink",   "rmdir",     "symlink",         "rename",   "link",
    "open",        "read",     "write",     "fsync",           "opendir",  "readdir",
    "readdirplus", "fsyncdir", "statfs",    "setxattr",        "getxattr", "listxattr",
    "removexattr", "create",   "fallocate", "copy_file_range", "lseek",    "tmpfile"};

/// As /proc has them while the request waits; none when the caller's process cannot be seen from here.
std::vector<uint32_t> groups_of(fuse_req_t request) {
  std::vector<gid_t> groups(kGroupsUsual);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const int count = fuse_req_getgroups(request, static_cast<int>(groups.size()), groups.data());
    if (count < 0) return {};
    const bool all = static_cast<size_t>(count) <= groups.size();
    groups.resize(static_cast<size_t>(count));
    if (all) break;
  }
  return {groups.begin(), groups.end()};
}

void want(fuse_conn_info* conn, uint64_t capability, bool wanted) {
  const unsigned bit = static_cast<unsigned>(capability);
  conn->want = wanted ? conn->want | (conn->capable & bit) : conn->want & ~bit;
}

bool can(const fuse_conn_info* conn, uint64_t capability) {
  return (conn->capable & static_cast<unsigned>(capability)) != 0;
}

void op_init(void* user_data, fuse_conn_info* conn) {
  Context& context = *static_cast<Context*>(user_data);
  context.no_open = can(conn, FUSE_CAP_NO_OPEN_SUPPORT);
  context.no_opendir = can(conn, FUSE_CAP_NO_OPENDIR_SUPPORT);

  // Listings bring the attributes along, always: a stat for each name would cost a round trip.
  want(conn, FUSE_CAP_READDIRPLUS, true);
  want(conn, FUSE_CAP_READDIRPLUS_AUTO, false);
  want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
  want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
  want(conn, FUSE_CAP_ASYNC_READ, true);
  // This process is the only writer, so what the kernel has cached stays right until we say otherwise.
  want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
  want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
  // Write-back would cost a SETATTR for each closed file, and without OPEN there is no O_TRUNC to see.
  want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
  want(conn, FUSE_CAP_ATOMIC_O_TRUNC, false);
  // Set-user-id is cleared by Filesystem and store/content in the change that demands it.
  want(conn, FUSE_CAP_HANDLE_KILLPRIV, true);
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
  want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2, true);
#endif
  // The kernel checks POSIX ACLs; the store keeps them, and inherits them in place of the umask.
  want(conn, FUSE_CAP_POSIX_ACL, context.acls);
  want(conn, FUSE_CAP_DONT_MASK, true);
  // Every byte is decrypted into or encrypted from our memory, so there are no pages to hand over: splice would
  // only add its pipe to each request.
  want(conn, FUSE_CAP_SPLICE_READ, false);
  want(conn, FUSE_CAP_SPLICE_WRITE, false);
  want(conn, FUSE_CAP_SPLICE_MOVE, false);

  conn->max_write = std::min(conn->max_write, kTransferMax);
  conn->max_readahead = kTransferMax;  // the kernel takes the smaller of this and its own
  conn->max_background = kBackgroundMax;
  conn->congestion_threshold = kBackgroundCongested;
  conn->time_gran = 1;  // nanoseconds
}

void op_forget(fuse_req_t request, fuse_ino_t ino, uint64_t count) {
  Context& context = context_of(request);
  context.count(Op::forget);
  context.filesystem.forget(to_ino(ino), count);
  fuse_reply_none(request);
}

void op_forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
  Context& context = context_of(request);
  context.count(Op::forget);
  for (size_t i = 0; i < count; ++i) context.filesystem.forget(to_ino(forgets[i].ino), forgets[i].nlookup);
  fuse_reply_none(request);
}

void op_getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
  serve(request, Op::getattr, [&](Filesystem& fs, Reply& reply) -> Result<> {
    reply.attr(TRY(fs.getattr(to_ino(ino))));
    return {};
  });
}

store::Time to_time(const timespec& time) {
  return {.seconds = time.tv_sec, .nanoseconds = static_cast<uint32_t>(time.tv_nsec)};
}

void op_setattr(fuse_req_t request, fuse_ino_t ino, struct stat* attr, int to_set, fuse_file_info*) {
  serve(request, Op::setattr, [&](Filesystem& fs, Reply& reply) -> Result<> {
    store::AttrChange change;
    if ((to_set & FUSE_SET_ATTR_MODE) != 0) change.mode = attr->st_mode;
    if ((to_set & FUSE_SET_ATTR_UID) != 0) change.uid = attr->st_uid;
    if ((to_set & FUSE_SET_ATTR_GID) != 0) change.gid = attr->st_gid;
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
      if (attr->st_size < 0) return Error(Code::invalid_argument, "negative size");
      change.size = static_cast<uint64_t>(attr->st_size);
    }
    change.atime_now = (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0;
    change.mtime_now = (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0;
    if ((to_set & FUSE_SET_ATTR_ATIME) != 0 && !change.atime_now) change.atime = to_time(attr->st_atim);
    if ((to_set & FUSE_SET_ATTR_MTIME) != 0 && !change.mtime_now) change.mtime = to_time(attr->st_mtim);
    reply.attr(TRY(fs.setattr(to_ino(ino), change, caller_of(request))));
    return {};
  });
}

void op_readlink(fuse_req_t request, fuse_ino_t ino) {
  serve(request, Op::readlink, [&](Filesystem& fs, Reply& reply) -> Result<> {
    reply.link_target(TRY(fs.readlink(to_ino(ino))));
    return {};
  });
}

void op_statfs(fuse_req_t request, fuse_ino_t) {
  serve(request, Op::statfs, [&](Filesystem& fs, Reply& reply) -> Result<> {
    reply.statfs(TRY(fs.statfs()));
    return {};
  });
}

void op_setxattr(fuse_req_t request, fuse_ino_t ino, const char* name, const char* value, size_t size, int flags) {
  serve(request, Op::setxattr, [&](Filesystem& fs, Reply& reply) -> Result<> {
    TRY(fs.set_xattr(to_ino(ino), name, as_bytes({value, size}), flags, caller_of(request)));
    reply.done();
    return {};
  });
}

void op_getxattr(fuse_req_t request, fuse_ino_t ino, const char* name, size_t room) {
  serve(request, Op::getxattr, [&](Filesystem& fs, Reply& reply) -> Result<> {
    reply.attribute(TRY(fs.get_xattr(to_ino(ino), name)), room);
    return {};
  });
}

void op_listxattr(fuse_req_t request, fuse_ino_t ino, size_t room) {
  serve(request, Op::listxattr, [&](Filesystem& fs, Reply& reply) -> Result<> {
    reply.attribute(as_bytes(TRY(fs.list_xattrs(to_ino(ino), caller_of(request)))), room);
    return {};
  });
}

void op_removexattr(fuse_req_t request, fuse_ino_t ino, const char* name) {
  serve(request, Op::removexattr, [&](Filesystem& fs, Reply& reply) -> Result<> {
    TRY(fs.remove_xattr(to_ino(ino), name));
    reply.done();
    return {};
  });
}

}  // namespace

Caller caller_of(fuse_req_t request) {
  const fuse_ctx* ctx = fuse_req_ctx(request);
  return {.uid = ctx->uid, .gid = ctx->gid, .umask = ctx->umask, .groups = [request] { return groups_of(request); }};
}

void add_inode_operations(fuse_lowlevel_ops& ops) {
  ops.init = op_init;
  ops.forget = op_forget;
  ops.forget_multi = op_forget_multi;
  ops.getattr = op_getattr;
  ops.setattr = op_setattr;
  ops.readlink = op_readlink;
  ops.statfs = op_statfs;
  ops.setxattr = op_setxattr;
  ops.getxattr = op_getxattr;
  ops.listxattr = op_listxattr;
  ops.removexattr = op_removexattr;
}

// No flush, release, releasedir: libfuse answers these, and the kernel stops sending FLUSH. No getlk, setlk,
// flock: the kernel keeps the locks. No access: it checks permissions. No ioctl, poll, bmap.
fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops ops{};
  add_inode_operations(ops);
  add_directory_operations(ops);
  add_file_operations(ops);
  return ops;
}

std::vector<std::pair<std::string_view, uint64_t>> op_counts(const Context& context) {
  std::vector<std::pair<std::string_view, uint64_t>> out;
  for (size_t i = 0; i < kOpCount; ++i) {
    const uint64_t count = context.counts[i].load(std::memory_order_relaxed);
    if (count != 0) out.emplace_back(kOpNames[i], count);
  }
  return out;
}

}  // namespace tain::fs
