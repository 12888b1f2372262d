// SPDX-License-Identifier: Apache-2.0
#include "fs/scrub_watch.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"

namespace tain::fs {
namespace {

constexpr int64_t kSecond_ns = 1'000'000'000;
constexpr int64_t kQuiet_ns = kSecond_ns;          // without requests, before a step
constexpr int64_t kPatience_ns = 60 * kSecond_ns;  // with requests all the time
constexpr int64_t kSaveEvery_ns = 300 * kSecond_ns;
constexpr int64_t kRetry_ns = 600 * kSecond_ns;       // after an error
constexpr int64_t kLookAgain_ns = 3600 * kSecond_ns;  // the wall clock may be set
constexpr uint64_t kStepBytes = uint64_t{1} << 20;
constexpr int kIdleClass = 3 << 13, kNormalClass = (2 << 13) | 4;  // ioprio_set(2)

/// Of the calling thread. Where it is not allowed, the rate must do.
void set_disk_priority(int priority) {
  static_cast<void>(::syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, priority));
}

/// Nice, not SCHED_IDLE: it takes locks that requests wait for, so it must get on even when the processors are busy.
void lower_priority() {
  static_cast<void>(::setpriority(PRIO_PROCESS, 0 /* this thread */, 19));
  set_disk_priority(kIdleClass);
}

}  // namespace

int64_t ScrubPace::wait_ns(uint64_t requests, int64_t now_ns) {
  if (requests != requests_) {
    requests_ = requests;
    used_at_ns_ = now_ns;
  }
  if (now_ns < next_ns_) return next_ns_ - now_ns;
  const int64_t quiet_ns = now_ns - used_at_ns_;
  if (used_at_ns_ == 0 || quiet_ns >= kQuiet_ns || now_ns - next_ns_ >= kPatience_ns) return 0;
  return kQuiet_ns - quiet_ns;
}

void ScrubPace::stepped(uint64_t bytes, int64_t now_ns) {
  next_ns_ = now_ns + static_cast<int64_t>(static_cast<double>(bytes) / static_cast<double>(rate_bytes_s_) *
                                           static_cast<double>(kSecond_ns));
}

ScrubWatch::ScrubWatch(store::Vault& vault, Options options)
    : options_(std::move(options)), scrubber_(vault.make_scrubber(options_.keep_position)) {
  state_.scrub = scrubber_->state();
  state_.background = options_.rate_bytes_s > 0;
}

Result<std::unique_ptr<ScrubWatch>> ScrubWatch::start(store::Vault& vault, Options options) {
  auto watch = std::unique_ptr<ScrubWatch>(new ScrubWatch(vault, std::move(options)));
  watch->stop_ = TRY(Event::make());
  watch->wake_ = TRY(Event::make());
  watch->thread_ = std::thread([self = watch.get()] { self->run(); });
  return watch;
}

ScrubWatch::~ScrubWatch() {
  if (!thread_.joinable()) return;
  stop_.raise();
  thread_.join();
}

ScrubWatch::State ScrubWatch::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

void ScrubWatch::hurry() {
  {
    std::lock_guard lock(mutex_);
    asked_ = state_.hurried = true;
    state_.error.clear();
  }
  wake_.raise();
}

void ScrubWatch::slow_down() {
  {
    std::lock_guard lock(mutex_);
    asked_ = state_.hurried = false;
  }
  wake_.raise();
}

void ScrubWatch::run() {
  lower_priority();
  ScrubPace pace(options_.rate_bytes_s, system_clock().monotonic_ns() + options_.first_after_s * kSecond_ns);
  saved_at_ns_ = system_clock().monotonic_ns();
  pollfd polled[] = {{stop_.fd(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}};
  const store::ScrubRecord before = scrubber_->state().record;
  for (;;) {
    const int64_t wait_ns = plan(pace, system_clock().monotonic_ns());
    const timespec timeout{.tv_sec = wait_ns / kSecond_ns, .tv_nsec = wait_ns % kSecond_ns};
    const int ready = ::ppoll(polled, 2, &timeout, nullptr);
    if (ready > 0 && polled[0].revents != 0) break;
    if (ready > 0) wake_.drain();
    if (ready == 0 && wait_ns == 0) step(pace);
  }
  if (!(scrubber_->state().record == before)) save();
}

int64_t ScrubWatch::plan(ScrubPace& pace, int64_t now_ns) {
  bool hurried = false, asked = false;
  {
    std::lock_guard lock(mutex_);
    hurried = state_.hurried;
    asked = std::exchange(asked_, false);
  }
  if (asked) {
    scrubber_->begin();
    set_disk_priority(kNormalClass);
    retry_at_ns_ = now_ns;
  } else if (!hurried) {
    set_disk_priority(kIdleClass);
  }
  if (hurried && scrubber_->running()) return std::max<int64_t>(retry_at_ns_ - now_ns, 0);
  if (options_.rate_bytes_s == 0) return kLookAgain_ns;
  const int64_t wait_ns = std::max(pace.wait_ns(options_.requests(), now_ns), retry_at_ns_ - now_ns);
  if (wait_ns > 0 || scrubber_->has_work()) return std::max<int64_t>(wait_ns, 0);
  const int64_t today_s = system_clock().wall_ns() / kSecond_ns;
  const int64_t last_s = scrubber_->state().record.last_ended_s;
  // A clock that was ahead must not put the next pass off for ever.
  if (last_s <= today_s && today_s - last_s < options_.every_s) return kLookAgain_ns;
  scrubber_->begin();
  return 0;
}

void ScrubWatch::step(ScrubPace& pace) {
  const bool was_running = scrubber_->running();
  const auto stepped = scrubber_->step(kStepBytes);
  const int64_t now_ns = system_clock().monotonic_ns();
  const bool ended = was_running && !scrubber_->running();
  if (stepped.ok() && options_.rate_bytes_s > 0) pace.stepped(*stepped, now_ns);
  if (ended || now_ns - saved_at_ns_ >= kSaveEvery_ns) {
    save();
    saved_at_ns_ = now_ns;
  }
  if (!stepped.ok()) {
    retry_at_ns_ = now_ns + kRetry_ns;
    options_.report("scrubbing stands still: " + stepped.error().message());
  }
  const store::ScrubState state = scrubber_->state();
  if (ended && state.damaged + state.record.last.lost > 0)
    options_.report("scrubbing found damage in " + std::to_string(state.damaged) + " entries: tain status names them");
  std::lock_guard lock(mutex_);
  state_.scrub = state;
  state_.error = stepped.ok() ? "" : stepped.error().message();
  if (ended) ++state_.passes;
  if (ended || !stepped.ok()) state_.hurried = false;
}

void ScrubWatch::save() {
  auto saved = scrubber_->save();
  if (!saved.ok() && !save_failed_)
    options_.report("how far scrubbing is could not be kept: " + saved.error().message());
  save_failed_ = !saved.ok();
}

}  // namespace tain::fs
