// SPDX-License-Identifier: Apache-2.0
#include "base/event.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace tain {

Result<Event> Event::make() {
  // Non-blocking: raising refuses only when the counter is full, and then the event is raised.
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return errno_error(errno, "make an event");
  return Event(std::move(fd));
}

void Event::raise() const {
  const uint64_t one = 1;
  while (::write(fd_.get(), &one, sizeof one) < 0 && errno == EINTR) {}
}

void Event::drain() const {
  uint64_t raised = 0;
  while (::read(fd_.get(), &raised, sizeof raised) < 0 && errno == EINTR) {}
}

}  // namespace tain
