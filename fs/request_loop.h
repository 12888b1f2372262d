// SPDX-License-Identifier: Apache-2.0
// The threads that answer requests.
//
// At most one of them waits for the next request: the *lookout*. It polls for a moment while requests come fast and
// sleeps in poll(2) otherwise. When it has a request it answers it itself, and is no lookout meanwhile. There is none
// then, unless it has called a *spare* thread, which it does when that is likely to be needed (fs/request_pace). Who
// has answered looks for the next request, and becomes the lookout if there is neither the one nor the other.
//
// So that no request waits behind a slow one for long, whatever the pace expects: while there is no lookout a timer
// runs, and when nobody has looked for a request in a whole period of it, the *watchdog* calls a spare thread.
//
// Why no request is forgotten: at any time there is a lookout, which the kernel wakes; or somebody was called, who will
// look; or all threads that are not spare are answering, each of which will look, and the timer runs or there is no
// spare thread. Each step that could break this is taken under one mutex. See ADR 11.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/event.h"
#include "base/file.h"
#include "base/result.h"
#include "fs/request_pace.h"
#include "fs/request_weight.h"

namespace tain::fs {

/// What looking for a request has brought.
struct Arrival {
  enum class What : uint8_t {
    nothing,
    request,
    end,  // there will be no more
  };
  What what = What::nothing;
  RequestWeight weight = RequestWeight::light;  // of the request
  int errno_value = 0;                          // why it ends, if it should not
};

/// One thread's access to a source of requests.
class RequestReceiver {
 public:
  virtual ~RequestReceiver() = default;
  /// Takes the next request, without waiting for one.
  virtual Arrival receive() = 0;
  /// Answers the request that receive() took. May wait for whatever does not wait for all threads of the loop.
  virtual void answer() = 0;
};

/// Threads: any; each uses a receiver of its own.
class RequestSource {
 public:
  virtual ~RequestSource() = default;
  /// Readable, or in error, as long as a receiver may find a request or the end.
  virtual int fd() const = 0;
  virtual std::unique_ptr<RequestReceiver> receiver() = 0;
};

class RequestLoop {
 public:
  /// The time after which the watchdog looks for whether somebody looks.
  static constexpr std::chrono::milliseconds kWatchdogPeriod{2};

  /// With the thread that calls run(), `threads_max` answer. The source outlives the loop. Errors: io (no descriptor).
  static Result<std::unique_ptr<RequestLoop>> make(RequestSource& source, size_t threads_max);
  RequestLoop(const RequestLoop&) = delete;
  RequestLoop& operator=(const RequestLoop&) = delete;

  /// Answers requests until there are no more or stop() is called. Requests that were taken are answered. Once.
  Result<> run();
  /// Threads: any; also before run().
  void stop();

 private:
  /// A thread that answers.
  struct Worker {
    std::condition_variable called;  // its own: waking one thread can never wake another instead
    bool is_called = false;          // guarded by mutex_
  };
  enum class Lookout : uint8_t {
    none,
    called,  // a spare thread is on its way to look for a request
    posted,
  };
  using Lock = std::unique_lock<std::mutex>;

  RequestLoop(RequestSource& source, size_t threads_max) : source_(source), threads_max_(threads_max) {}
  void work();
  void rest(Worker& self, Lock& lock);
  Arrival look_out(RequestReceiver& receiver, Lock& lock);
  Arrival wait(RequestReceiver& receiver, std::chrono::nanoseconds polling, bool& asleep) const;
  void call_spare(const Lock&);
  void start_timer(const Lock&);
  void end(int errno_value, const Lock&);
  void watch();

  RequestSource& source_;
  const size_t threads_max_;
  Event ended_event_;  // for who sleeps in poll(2)
  UniqueFd timer_;

  std::mutex mutex_;  // guards the rest; never held while waiting, looking or answering
  RequestPace pace_;
  Lookout lookout_ = Lookout::none;
  std::vector<Worker*> spare_;  // asleep; the last one was at work last, so its memory is at hand
  size_t answering_ = 0;        // threads
  uint64_t looks_ = 0;          // how often somebody has looked
  uint64_t looks_when_timer_started_ = 0;
  bool timer_runs_ = false;
  bool ended_ = false;
  int errno_value_ = 0;
};

}  // namespace tain::fs
