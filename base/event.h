// SPDX-License-Identifier: Apache-2.0
// What one thread tells another that waits in poll(2), together with other descriptors.
#pragma once

#include "base/file.h"
#include "base/result.h"

namespace tain {

/// Raised or not; stays raised until it is drained. Threads: any.
class Event {
 public:
  Event() = default;  // none: raise() and drain() do nothing
  /// Errors: io (no descriptor left).
  static Result<Event> make();

  /// Becomes readable when the event is raised.
  int fd() const { return fd_.get(); }
  void raise() const;
  void drain() const;

 private:
  explicit Event(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace tain
