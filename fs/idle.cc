// SPDX-License-Identifier: Apache-2.0
#include "fs/idle.h"

#include <poll.h>

#include <algorithm>

#include "base/clock.h"

namespace tain::fs {
namespace {

constexpr int64_t kSecond_ns = 1'000'000'000;
constexpr int64_t kIntervalMin_ns = kSecond_ns / 4;
constexpr int64_t kIntervalMax_ns = 60 * kSecond_ns;

}  // namespace

bool IdleTimer::tick(uint64_t requests, int64_t now_ns) {
  if (requests != requests_) {
    requests_ = requests;
    used_at_ns_ = now_ns;
  }
  return now_ns - used_at_ns_ >= limit_ns_;
}

int64_t IdleTimer::interval_ns() const { return std::clamp(limit_ns_ / 4, kIntervalMin_ns, kIntervalMax_ns); }

Result<std::unique_ptr<IdleWatch>> IdleWatch::start(Session& session, Options options) {
  auto watch = std::unique_ptr<IdleWatch>(new IdleWatch(session, std::move(options)));
  watch->stop_ = TRY(Event::make());
  watch->thread_ = std::thread([fds = watch.get()] { fds->run(); });
  return watch;
}

IdleWatch::~IdleWatch() {
  if (!thread_.joinable()) return;
  stop_.raise();
  thread_.join();
}

void IdleWatch::run() {
  IdleTimer timer(options_.limit_s * kSecond_ns, system_clock().monotonic_ns());
  const auto interval_ms = static_cast<int>(timer.interval_ns() / 1'000'000);
  pollfd polled{stop_.fd(), POLLIN, 0};
  for (;;) {
    const int stopped = ::poll(&polled, 1, interval_ms);
    if (stopped > 0) return;
    if (timer.tick(session_.requests(), system_clock().monotonic_ns())) {
      if (unmount()) return;
      timer.in_use(system_clock().monotonic_ns());
    }
    session_.forget_root_attributes();
  }
}

bool IdleWatch::unmount() {
  const auto unmounted = unmount_if_unused(options_.own);
  if (unmounted.ok()) {
    session_.cut_off();  // another mount namespace may have a copy of the mount, as idle as this one
    options_.report("unmounted: idle for " + std::to_string(options_.limit_s) + " seconds");
  } else if (!unmounted.is(Code::busy) && !unmounted.is(Code::mountpoint)) {
    options_.report("idle, but stays mounted: " + unmounted.error().message());
  }
  return unmounted.ok();
}

}  // namespace tain::fs
