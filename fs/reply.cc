// SPDX-License-Identifier: Apache-2.0
// Encoding of replies to the kernel.
//
// A reply fails when its request was interrupted or the file system is gone. Only where the kernel would have
// taken a lookup count does that need an answer from us.
#include "fs/reply.h"

#include <sys/sysmacros.h>

#include "base/check.h"

namespace tain::fs {

namespace {

timespec to_timespec(const store::Time& time) {
  return {.tv_sec = static_cast<time_t>(time.seconds), .tv_nsec = static_cast<long>(time.nanoseconds)};
}

/// The kernel leaves clearing set-user-id and set-group-id to us (HANDLE_KILLPRIV) and does not look whether a write
/// did so. It must not remember the attributes of a file that could lose them.
double attr_timeout_s(const store::Attr& attr) {
  if (is_volatile(attr.ino)) return 0;
  return S_ISREG(attr.mode) && (attr.mode & (S_ISUID | S_ISGID)) != 0 ? 0 : kCacheTimeout_s;
}

}  // namespace

struct stat to_stat(const store::Attr& attr) {
  struct stat out {};
  out.st_ino = raw(attr.ino);
  out.st_mode = attr.mode;
  out.st_nlink = attr.nlink;
  out.st_uid = attr.uid;
  out.st_gid = attr.gid;
  out.st_rdev = attr.rdev;
  out.st_size = static_cast<off_t>(attr.size);
  out.st_blocks = static_cast<blkcnt_t>(attr.blocks);
  out.st_blksize = static_cast<blksize_t>(store::kBlockSize);
  out.st_atim = to_timespec(attr.atime);
  out.st_mtim = to_timespec(attr.mtime);
  out.st_ctim = to_timespec(attr.ctime);
  return out;
}

fuse_entry_param to_entry(const store::Attr& attr) {
  fuse_entry_param out{};
  out.ino = raw(attr.ino);
  out.generation = 0;  // inode numbers are never reused
  out.attr = to_stat(attr);
  out.attr_timeout = attr_timeout_s(attr);
  out.entry_timeout = is_volatile(attr.ino) ? 0 : kCacheTimeout_s;
  return out;
}

fuse_req_t Reply::take() {
  CHECK(request_ != nullptr);
  return std::exchange(request_, nullptr);
}

void Reply::fail(int errno_value) {
  if (request_ != nullptr) fuse_reply_err(take(), errno_value);
}

void Reply::done() {
  fuse_reply_err(take(), 0);
}

void Reply::entry(const store::Attr& attr) {
  const fuse_entry_param param = to_entry(attr);
  if (fuse_reply_entry(take(), &param) != 0) filesystem_.forget(attr.ino, 1);
}

void Reply::created(const store::Attr& attr, const fuse_file_info& file) {
  const fuse_entry_param param = to_entry(attr);
  if (fuse_reply_create(take(), &param, &file) != 0) filesystem_.forget(attr.ino, 1);
}

void Reply::no_entry() {
  fuse_entry_param param{};
  param.entry_timeout = kCacheTimeout_s;
  fuse_reply_entry(take(), &param);
}

void Reply::attr(const store::Attr& attr) {
  const struct stat stats = to_stat(attr);
  fuse_reply_attr(take(), &stats, attr_timeout_s(attr));
}

void Reply::opened(const fuse_file_info& file) {
  fuse_reply_open(take(), &file);
}

void Reply::link_target(const std::string& target) {
  fuse_reply_readlink(take(), target.c_str());
}

void Reply::bytes(ByteView data) {
  fuse_reply_buf(take(), as_text(data).data(), data.size());
}

void Reply::listing(ByteView page, const std::vector<Ino>& looked_up) {
  if (fuse_reply_buf(take(), as_text(page).data(), page.size()) == 0) return;
  for (Ino ino : looked_up) filesystem_.forget(ino, 1);
}

void Reply::written(size_t count) {
  fuse_reply_write(take(), count);
}

void Reply::attribute(ByteView value, size_t room) {
  if (room == 0) {
    fuse_reply_xattr(take(), value.size());
  } else if (value.size() > room) {
    fail(ERANGE);
  } else {
    bytes(value);
  }
}

void Reply::position(uint64_t offset) {
  fuse_reply_lseek(take(), static_cast<off_t>(offset));
}

void Reply::statfs(const struct statvfs& stats) {
  fuse_reply_statfs(take(), &stats);
}

}  // namespace tain::fs
