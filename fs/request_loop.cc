// SPDX-License-Identifier: Apache-2.0
#include "fs/request_loop.h"

#include <poll.h>
#include <sched.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>

namespace tain::fs {

namespace {

using SteadyClock = std::chrono::steady_clock;
using What = Arrival::What;

}  // namespace

Result<std::unique_ptr<RequestLoop>> RequestLoop::make(RequestSource& source, size_t threads_max) {
  std::unique_ptr<RequestLoop> loop(new RequestLoop(source, threads_max));
  loop->ended_event_ = TRY(Event::make());
  loop->timer_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!loop->timer_.valid()) return errno_error(errno, "make a timer");
  loop->spare_.reserve(threads_max);
  return loop;
}

Result<> RequestLoop::run() {
  std::vector<std::thread> threads;
  threads.reserve(threads_max_ + 1);
  try {
    threads.emplace_back([this] { watch(); });
    for (size_t i = 1; i < threads_max_; ++i) threads.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // It works with fewer, down to one.
  }
  work();
  for (std::thread& thread : threads) thread.join();
  const std::lock_guard lock(mutex_);
  if (errno_value_ != 0) return errno_error(errno_value_, "FUSE request loop");
  return {};
}

void RequestLoop::stop() {
  end(0, Lock(mutex_));
}

void RequestLoop::work() {
  Worker self;
  const std::unique_ptr<RequestReceiver> receiver = source_.receiver();
  Lock lock(mutex_);
  if (lookout_ == Lookout::posted && !ended_) rest(self, lock);  // the usual start: enough are at work
  while (!ended_) {
    lock.unlock();
    Arrival arrival = receiver->receive();
    lock.lock();
    ++looks_;
    const bool had_waited = arrival.what == What::request;
    if (arrival.what == What::nothing) {
      if (ended_) break;
      if (lookout_ == Lookout::posted) {
        rest(self, lock);
        continue;
      }
      arrival = look_out(*receiver, lock);
    }
    if (arrival.what == What::end) end(arrival.errno_value, lock);
    if (arrival.what != What::request) continue;

    const bool is_help_needed = pace_.take(arrival.weight, had_waited, answering_);
    ++answering_;
    if (lookout_ == Lookout::none && !spare_.empty()) {
      if (is_help_needed) {
        call_spare(lock);
      } else if (!timer_runs_) {
        start_timer(lock);
      }
    }
    lock.unlock();
    receiver->answer();
    lock.lock();
    --answering_;
  }
}

/// Sleeps until called, for which there must be a lookout.
void RequestLoop::rest(Worker& self, Lock& lock) {
  spare_.push_back(&self);
  self.called.wait(lock, [&] { return self.is_called; });
  self.is_called = false;
  // On its way no longer. If it was another thread that is called, that one comes nevertheless.
  if (lookout_ == Lookout::called) lookout_ = Lookout::none;
}

/// Is the lookout, perhaps in place of one that was called and has not come yet, until there is a request or the end.
Arrival RequestLoop::look_out(RequestReceiver& receiver, Lock& lock) {
  lookout_ = Lookout::posted;
  const std::chrono::nanoseconds polling = pace_.polling();
  lock.unlock();
  const SteadyClock::time_point start = SteadyClock::now();
  bool asleep = false;
  const Arrival arrival = wait(receiver, polling, asleep);
  const std::chrono::nanoseconds time = SteadyClock::now() - start;
  lock.lock();
  ++looks_;
  lookout_ = Lookout::none;
  if (arrival.what == What::request) pace_.waited(time, asleep);
  return arrival;
}

/// Nothing only if the loop has ended.
Arrival RequestLoop::wait(RequestReceiver& receiver, std::chrono::nanoseconds polling, bool& asleep) const {
  if (polling.count() > 0) {
    const SteadyClock::time_point end = SteadyClock::now() + polling;
    do {
      ::sched_yield();  // whoever is to send the next request may be waiting for this processor
      if (const Arrival arrival = receiver.receive(); arrival.what != What::nothing) return arrival;
    } while (SteadyClock::now() < end);
  }
  asleep = true;
  for (;;) {
    pollfd polled[] = {{source_.fd(), POLLIN, 0}, {ended_event_.fd(), POLLIN, 0}};
    if (::poll(polled, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return {.what = What::end, .errno_value = errno};
    }
    if (polled[1].revents != 0) return {};
    // Somebody who has just answered may have been faster.
    if (const Arrival arrival = receiver.receive(); arrival.what != What::nothing) return arrival;
  }
}

void RequestLoop::call_spare(const Lock&) {
  Worker& worker = *spare_.back();
  spare_.pop_back();
  worker.is_called = true;
  lookout_ = Lookout::called;
  worker.called.notify_one();  // under the mutex: without it the worker could be gone by now
}

void RequestLoop::start_timer(const Lock&) {
  constexpr auto kPeriod_ns = std::chrono::nanoseconds(kWatchdogPeriod).count();
  itimerspec once{};
  once.it_value.tv_nsec = kPeriod_ns;
  static_assert(kPeriod_ns < 1'000'000'000);
  if (::timerfd_settime(timer_.get(), 0, &once, nullptr) != 0) return;
  timer_runs_ = true;
  looks_when_timer_started_ = looks_;
}

void RequestLoop::end(int errno_value, const Lock&) {
  if (ended_) return;
  ended_ = true;
  errno_value_ = errno_value;
  ended_event_.raise();
  for (Worker* worker : spare_) {
    worker->is_called = true;
    worker->called.notify_one();
  }
  spare_.clear();
}

/// The watchdog: calls a spare thread when nobody has looked for a request for a period.
void RequestLoop::watch() {
  for (;;) {
    pollfd polled[] = {{timer_.get(), POLLIN, 0}, {ended_event_.fd(), POLLIN, 0}};
    if (::poll(polled, 2, -1) < 0) continue;
    if (polled[1].revents != 0) return;
    uint64_t expirations = 0;
    if (::read(timer_.get(), &expirations, sizeof expirations) < 0) continue;

    const Lock lock(mutex_);
    timer_runs_ = false;
    if (lookout_ != Lookout::none || spare_.empty()) continue;
    if (looks_ == looks_when_timer_started_) {
      call_spare(lock);
    } else {
      start_timer(lock);
    }
  }
}

}  // namespace tain::fs
