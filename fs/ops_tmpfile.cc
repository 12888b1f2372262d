// SPDX-License-Identifier: Apache-2.0
// O_TMPFILE with a libfuse before 3.17, which answers the kernel's TMPFILE request with "unknown".
//
// The request has the form of a CREATE, whose name is "/": the kernel's name for what has none. So it is enough to
// change the number of the request on its way from the kernel to libfuse; op_create() knows it by that name.
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "fs/ops.h"
// After libfuse's headers: both define some of the same names.
#include <linux/fuse.h>

namespace tain::fs {

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 14)
namespace {

constexpr uint32_t kTmpfile = 51;  // FUSE_TMPFILE of protocol 7.37: the headers here may be older than the kernel

ssize_t read_request(int fd, void* buffer, size_t room, void*) {
  const ssize_t size = read(fd, buffer, room);
  fuse_in_header header;
  if (size < static_cast<ssize_t>(sizeof header)) return size;
  std::memcpy(&header, buffer, sizeof header);
  if (header.opcode == kTmpfile) {
    header.opcode = FUSE_CREATE;
    std::memcpy(buffer, &header, sizeof header);
  }
  return size;
}

ssize_t write_reply(int fd, iovec* parts, int count, void*) {
  return writev(fd, parts, count);
}

template <class Ops>
Result<> offer(fuse_session* session) {
  if constexpr (requires(Ops ops) { ops.tmpfile; }) {
    return {};
  } else {
    fuse_custom_io io{};
    io.read = read_request;
    io.writev = write_reply;
    if (fuse_session_custom_io(session, &io, fuse_session_fd(session)) != 0) {
      return Error(Code::fuse, "libfuse refused to read requests through tain");
    }
    return {};
  }
}

}  // namespace

Result<> offer_tmpfile(fuse_session* session) {
  return offer<fuse_lowlevel_ops>(session);
}
#else
/// This libfuse lets nobody read its requests; the kernel says that the operation is not supported.
Result<> offer_tmpfile(fuse_session*) { return {}; }
#endif

}  // namespace tain::fs
