// SPDX-License-Identifier: Apache-2.0
// The answer to INIT, completed on its way from libfuse to the kernel.
//
// libfuse writes its reply to the descriptor of the session. A pipe takes that descriptor's place for the moment, so
// that the reply can be read, given one more flag, and passed on.
#include "fs/init_reply.h"

#define FUSE_USE_VERSION 35
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/file.h"

namespace tain::fs {

namespace {

struct Free {
  void operator()(void* memory) const { free(memory); }
};

Error init_error(int errno_value, const char* what) {
  return Error(Code::fuse, errno_error(errno_value, what).message());
}

/// The flags that the kernel offers in an INIT request; 0 when it is something else.
uint32_t offered_flags(const void* request, size_t size) {
  fuse_in_header header;
  fuse_init_in init;
  constexpr size_t kNeeded = sizeof header + offsetof(fuse_init_in, flags) + sizeof init.flags;
  if (size < kNeeded) return 0;
  std::memcpy(&header, request, sizeof header);
  std::memcpy(&init.flags, static_cast<const char*>(request) + kNeeded - sizeof init.flags, sizeof init.flags);
  return header.opcode == FUSE_INIT ? init.flags : 0;
}

void add_flag(char* reply, size_t size, uint32_t flag) {
  constexpr size_t kAt = sizeof(fuse_out_header) + offsetof(fuse_init_out, flags);
  fuse_out_header header;
  uint32_t flags = 0;
  if (size < kAt + sizeof flags) return;
  std::memcpy(&header, reply, sizeof header);
  if (header.error != 0) return;
  std::memcpy(&flags, reply + kAt, sizeof flags);
  flags |= flag;
  std::memcpy(reply + kAt, &flags, sizeof flags);
}

}  // namespace

Result<> answer_init(fuse_session* session) {
  fuse_buf request{};
  int received = 0;
  do {
    received = fuse_session_receive_buf(session, &request);
  } while (received == -EINTR);
  const std::unique_ptr<void, Free> memory(request.mem);
  if (received <= 0) return init_error(-received, "read the first request");
  const uint32_t wanted = offered_flags(request.mem, static_cast<size_t>(received)) & FUSE_HANDLE_KILLPRIV_V2;

  const int device = fuse_session_fd(session);
  const UniqueFd kernel(fcntl(device, F_DUPFD_CLOEXEC, 0));
  int ends[2];
  if (!kernel.valid() || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return init_error(errno, "prepare the first reply");
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  if (dup3(in.get(), device, O_CLOEXEC) < 0) return init_error(errno, "prepare the first reply");
  fuse_session_process_buf(session, &request);
  if (dup3(kernel.get(), device, O_CLOEXEC) < 0) return init_error(errno, "restore the FUSE device");

  std::array<char, 4096> reply;
  const ssize_t size = read(out.get(), reply.data(), reply.size());
  if (size <= 0) return init_error(EPROTO, "answer the first request");
  add_flag(reply.data(), static_cast<size_t>(size), wanted);
  if (write(device, reply.data(), static_cast<size_t>(size)) != size)
    return init_error(errno, "answer the first request");
  return {};
}

}  // namespace tain::fs
