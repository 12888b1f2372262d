// SPDX-License-Identifier: Apache-2.0
// The kernel's requests of one FUSE session, as a source for the request loop.
#pragma once

#include "fs/request_loop.h"

struct fuse_session;

namespace tain::fs {

/// Taken through libfuse's functions for loops of one's own, with its bookkeeping. Source: fuse_lowlevel.h, "Custom
/// event loop support". The session is mounted and outlives the device.
class FuseDevice : public RequestSource {
 public:
  /// From now on reading the session's descriptor does not wait. Errors: io.
  static Result<std::unique_ptr<FuseDevice>> open(fuse_session* session);

  int fd() const override;
  std::unique_ptr<RequestReceiver> receiver() override;

 private:
  explicit FuseDevice(fuse_session* session) : session_(session) {}
  fuse_session* session_;
};

}  // namespace tain::fs
