// SPDX-License-Identifier: Apache-2.0
#include "fs/fuse_device.h"

#define FUSE_USE_VERSION 35
#include <fcntl.h>
#include <fuse_lowlevel.h>

#include <cerrno>
#include <cstdlib>

namespace tain::fs {

namespace {

class FuseReceiver : public RequestReceiver {
 public:
  explicit FuseReceiver(fuse_session* session) : session_(session) {}
  ~FuseReceiver() override { std::free(buffer_.mem); }
  FuseReceiver(const FuseReceiver&) = delete;
  FuseReceiver& operator=(const FuseReceiver&) = delete;

  Arrival receive() override {
    if (fuse_session_exited(session_) != 0) return {.what = Arrival::What::end};
    const int size = fuse_session_receive_buf(session_, &buffer_);
    if (size > 0) return {.what = Arrival::What::request, .weight = weight(static_cast<size_t>(size))};
    if (size == 0) return {.what = Arrival::What::end};  // unmounted
    if (size == -EAGAIN || size == -EINTR) return {};
    return {.what = Arrival::What::end, .errno_value = -size};
  }

  void answer() override { fuse_session_process_buf(session_, &buffer_); }

 private:
  RequestWeight weight(size_t size) const {
    if ((buffer_.flags & FUSE_BUF_IS_FD) != 0) return RequestWeight::heavy;  // in a pipe, for its size
    return weigh({static_cast<const uint8_t*>(buffer_.mem), size});
  }

  fuse_session* session_;
  fuse_buf buffer_{};  // libfuse makes its memory at first use
};

}  // namespace

Result<std::unique_ptr<FuseDevice>> FuseDevice::open(fuse_session* session) {
  const int fd = fuse_session_fd(session);
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return errno_error(errno, "prepare the FUSE device");
  return std::unique_ptr<FuseDevice>(new FuseDevice(session));
}

int FuseDevice::fd() const {
  return fuse_session_fd(session_);
}

std::unique_ptr<RequestReceiver> FuseDevice::receiver() {
  return std::make_unique<FuseReceiver>(session_);
}

}  // namespace tain::fs
