// SPDX-License-Identifier: Apache-2.0
// The FUSE requests: decode, call Filesystem, reply. Nothing else happens in fs/ops*.cc.
#pragma once

#include <array>
#include <atomic>
#include <string_view>
#include <utility>
#include <vector>

#include "fs/reply.h"

namespace tain::fs {

/// The kinds of request, as they are counted.
enum class Op : uint8_t {
  lookup,
  forget,
  getattr,
  setattr,
  readlink,
  mknod,
  mkdir,
  unlink,
  rmdir,
  symlink,
  rename,
  link,
  open,
  read,
  write,
  fsync,
  opendir,
  readdir,
  readdirplus,
  fsyncdir,
  statfs,
  setxattr,
  getxattr,
  listxattr,
  removexattr,
  create,
  fallocate,
  copy_file_range,
  lseek,
  tmpfile,
};
inline constexpr size_t kOpCount = 30;
static_assert(static_cast<size_t>(Op::tmpfile) + 1 == kOpCount);

/// What the handlers of one mount share: libfuse's user data. Outlives the FUSE session.
struct Context {
  explicit Context(Filesystem& fs) : filesystem(fs) {}

  Filesystem& filesystem;
  bool acls = false;        // set before the mount: ask the kernel to check POSIX ACLs
  bool no_open = false;     // set by init: the kernel takes ENOSYS from OPEN for "never ask again"
  bool no_opendir = false;  // … and from OPENDIR
  std::array<std::atomic<uint64_t>, kOpCount> counts{};

  void count(Op op) { counts[static_cast<size_t>(op)].fetch_add(1, std::memory_order_relaxed); }
};

/// Requests so far by kind, without those that never came: round trips are what a mount's speed is made of.
std::vector<std::pair<std::string_view, uint64_t>> op_counts(const Context& context);

/// The table for fuse_session_new(), whose user data must be a Context.
fuse_lowlevel_ops operations();

/// Lets O_TMPFILE work with a libfuse that does not know it. Call it once, after fuse_session_mount(). Errors: fuse.
Result<> offer_tmpfile(fuse_session* session);

// For fs/ops*.cc.

/// What the kernel calls a file without a name, in requests for one. No file has this name.
inline constexpr std::string_view kTmpfileName = "/";

inline Context& context_of(fuse_req_t request) {
  return *static_cast<Context*>(fuse_req_userdata(request));
}
inline Ino to_ino(fuse_ino_t ino) {
  return Ino{ino};
}
Caller caller_of(fuse_req_t request);

/// Counts `request` and answers it with `body(Filesystem&, Reply&) -> Result<>`.
template <class Body>
void serve(fuse_req_t request, Op op, Body&& body) noexcept {
  Context& context = context_of(request);
  context.count(op);
  answer(request, context.filesystem, [&](Reply& reply) { return body(context.filesystem, reply); });
}

void add_inode_operations(fuse_lowlevel_ops& ops);      // ops.cc
void add_directory_operations(fuse_lowlevel_ops& ops);  // ops_dir.cc
void add_file_operations(fuse_lowlevel_ops& ops);       // ops_file.cc

}  // namespace tain::fs
