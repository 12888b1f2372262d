// SPDX-License-Identifier: Apache-2.0
// The request loop with a device in memory. A wake-up that gets lost shows as a test that never ends.
#include "fs/request_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <deque>
#include <functional>
#include <random>
#include <semaphore>
#include <thread>

#include "tests/support/long_run.h"

namespace tain::fs {
namespace {

/// Stands for the FUSE device: programs wait for the answers to their requests until it is unplugged.
class FakeDevice : public RequestSource {
 public:
  FakeDevice() : readable_(Event::make().value()) {}

  /// A program's system call: whether it was answered. `work` is what answering takes.
  bool call(RequestWeight weight, const std::function<void()>& work = [] {}) {
    Request request(weight, work);
    std::unique_lock lock(mutex_);
    if (unplugged_) return false;
    queue_.push_back(&request);
    readable_.raise();
    request.changed.wait(lock, [&] { return request.is_answered || request.is_refused; });
    return request.is_answered;
  }
  /// One that nobody waits for.
  void note(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(&notes_.emplace_back(RequestWeight::note, std::move(work)));
    readable_.raise();
  }
  /// As an unmount: what was not taken yet is refused.
  void unplug(int errno_value = 0) {
    const std::lock_guard lock(mutex_);
    unplugged_ = true;
    errno_value_ = errno_value;
    for (Request* request : queue_) {
      request->is_refused = true;
      request->changed.notify_one();
    }
    queue_.clear();
    readable_.raise();
  }
  /// So that a loop can be ended in the middle of what is going on.
  void at_answer(uint64_t number, std::function<void()> action) {
    action_at_ = number;
    action_ = std::move(action);
  }
  uint64_t answered() const { return answered_; }

  int fd() const override { return readable_.fd(); }
  std::unique_ptr<RequestReceiver> receiver() override { return std::make_unique<Receiver>(*this); }

 private:
  struct Request {
    Request(RequestWeight w, std::function<void()> f) : weight(w), work(std::move(f)) {}
    RequestWeight weight;
    std::function<void()> work;
    std::condition_variable changed;
    bool is_answered = false;
    bool is_refused = false;
  };

  class Receiver : public RequestReceiver {
   public:
    explicit Receiver(FakeDevice& device) : device_(device) {}
    Arrival receive() override {
      EXPECT_EQ(taken_, nullptr) << "received before the answer";
      const std::lock_guard lock(device_.mutex_);
      if (device_.unplugged_) return {.what = Arrival::What::end, .errno_value = device_.errno_value_};
      if (device_.queue_.empty()) return {};
      taken_ = device_.queue_.front();
      device_.queue_.pop_front();
      if (device_.queue_.empty()) device_.readable_.drain();
      return {.what = Arrival::What::request, .weight = taken_->weight};
    }
    void answer() override {
      Request& request = *std::exchange(taken_, nullptr);
      request.work();
      if (++device_.answered_ == device_.action_at_) device_.action_();
      const std::lock_guard lock(device_.mutex_);
      EXPECT_FALSE(request.is_answered);
      request.is_answered = true;
      request.changed.notify_one();  // under the mutex: the request lies on its program's stack
    }

   private:
    FakeDevice& device_;
    Request* taken_ = nullptr;
  };

  std::mutex mutex_;  // guards the queue, the requests in it and the two below
  bool unplugged_ = false;
  int errno_value_ = 0;
  std::deque<Request*> queue_;
  std::deque<Request> notes_;
  Event readable_;  // as long as the queue is not empty or the device unplugged
  std::atomic<uint64_t> answered_{0};
  uint64_t action_at_ = 0;
  std::function<void()> action_;
};

class RequestLoopTest : public testing::Test {
 protected:
  void start(size_t threads_max) {
    loop_ = RequestLoop::make(device_, threads_max).value();
    server_ = std::thread([this] { outcome_ = loop_->run(); });
  }
  Result<> join() {
    server_.join();
    return outcome_;
  }

  FakeDevice device_;
  std::unique_ptr<RequestLoop> loop_;
  std::thread server_;
  Result<> outcome_;
};

TEST_F(RequestLoopTest, AnswersOneRequestAfterTheOther) {
  start(3);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(device_.call(i % 7 == 0 ? RequestWeight::heavy : RequestWeight::light));

  device_.unplug();

  EXPECT_TRUE(join().ok());
  EXPECT_EQ(device_.answered(), 1000u);
}

TEST_F(RequestLoopTest, OneThreadIsEnough) {
  start(1);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(device_.call(RequestWeight::heavy));

  loop_->stop();

  EXPECT_TRUE(join().ok());
}

TEST_F(RequestLoopTest, AnErrorOfTheDeviceIsTheOutcome) {
  start(3);
  EXPECT_TRUE(device_.call(RequestWeight::light));

  device_.unplug(ECONNABORTED);

  EXPECT_FALSE(join().ok());
}

TEST_F(RequestLoopTest, StoppedBeforeItRunsItReturns) {
  loop_ = RequestLoop::make(device_, 4).value();
  loop_->stop();

  EXPECT_TRUE(loop_->run().ok());
}

TEST_F(RequestLoopTest, StopWaitsForTheAnswersUnderWay) {
  for (RequestWeight weight : {RequestWeight::light, RequestWeight::heavy}) {
    std::binary_semaphore begun(0), finish(0);
    start(2);
    std::thread program([&] {
      EXPECT_TRUE(device_.call(weight, [&] {
        begun.release();
        finish.acquire();
      }));
    });
    begun.acquire();

    loop_->stop();
    finish.release();

    EXPECT_TRUE(join().ok());
    program.join();
  }
}

// Neither the weight nor a crowd says that another thread is needed. It may come from a sleeping lookout or not.
TEST_F(RequestLoopTest, ALightRequestThatTakesLongDoesNotKeepOthersWaiting) {
  start(2);
  for (int i = 0; i < 50; ++i) {
    std::binary_semaphore begun(0), other_answered(0);
    std::thread slow([&] {
      EXPECT_TRUE(device_.call(RequestWeight::light, [&] {
        begun.release();
        other_answered.acquire();
      }));
    });
    begun.acquire();
    EXPECT_TRUE(device_.call(RequestWeight::light, [&] { other_answered.release(); }));
    slow.join();
  }

  device_.unplug();

  EXPECT_TRUE(join().ok());
}

TEST_F(RequestLoopTest, AllThreadsButOneMayWaitForAnotherRequest) {
  constexpr ptrdiff_t kThreads = 6;
  start(kThreads);
  for (int i = 0; i < 20; ++i) {
    std::counting_semaphore<kThreads> begun(0), other_answered(0);
    std::vector<std::thread> programs;
    for (int j = 0; j < kThreads - 1; ++j) {
      programs.emplace_back([&, j] {
        EXPECT_TRUE(device_.call(j % 2 == 0 ? RequestWeight::light : RequestWeight::heavy, [&] {
          begun.release();
          other_answered.acquire();
        }));
      });
    }
    for (int j = 0; j < kThreads - 1; ++j) begun.acquire();
    EXPECT_TRUE(device_.call(RequestWeight::light, [&] { other_answered.release(kThreads - 1); }));
    for (std::thread& program : programs) program.join();
  }

  loop_->stop();

  EXPECT_TRUE(join().ok());
}

TEST_F(RequestLoopTest, WhenAllThreadsWaitTheNextIsAnsweredByTheFirstThatIsFree) {
  constexpr ptrdiff_t kThreads = 3;
  start(kThreads);
  std::counting_semaphore<kThreads> begun(0), finish(0);
  std::vector<std::thread> programs;
  for (int j = 0; j < kThreads; ++j) {
    programs.emplace_back([&] {
      EXPECT_TRUE(device_.call(RequestWeight::heavy, [&] {
        begun.release();
        finish.acquire();
      }));
    });
  }
  for (int j = 0; j < kThreads; ++j) begun.acquire();
  std::binary_semaphore interrupted(0);
  device_.note([&] { interrupted.release(); });

  finish.release();
  interrupted.acquire();

  finish.release(kThreads - 1);
  for (std::thread& program : programs) program.join();
  loop_->stop();
  EXPECT_TRUE(join().ok());
}

/// One life of a loop: programs that send light and heavy requests, pairs of which one sends requests that wait for a
/// request of the other, and an end at some time.
void random_life(uint32_t seed) {
  std::minstd_rand random(seed + 1);
  const auto below = [&](uint32_t limit) { return static_cast<uint32_t>(random() % limit); };
  const size_t threads_max = 1 + below(5);
  const size_t pairs = below(static_cast<uint32_t>(threads_max));  // one thread is always free
  const size_t programs = 1 + below(4);
  const uint32_t requests = 1 + below(60);
  enum { finished, unplugged, stopped } end = std::array{finished, unplugged, stopped}[below(3)];

  FakeDevice device;
  auto loop = RequestLoop::make(device, threads_max).value();
  std::atomic<uint64_t> answered{0}, worked{0};
  if (end != finished) {
    device.at_answer(1 + below(2 * requests), [&] {
      if (end == stopped) loop->stop();
      // Answers that wait for a request which nobody will take end with it.
      if (end == unplugged || pairs > 0) device.unplug();
    });
  }
  std::thread server([&] {
    EXPECT_TRUE(loop->run().ok());
    device.unplug();  // as the end of the process that serves: who is waiting still has to be told
  });

  std::vector<std::thread> threads;
  for (size_t i = 0; i < programs; ++i) {
    threads.emplace_back([&, sequence = std::minstd_rand(below(1u << 30) + 1)]() mutable {
      for (uint32_t n = 0; n < requests; ++n) {
        const auto chosen = sequence();
        const auto weight = chosen % 3 == 0 ? RequestWeight::heavy : RequestWeight::light;
        const auto yields = chosen / 8 % 8 == 0 ? 20u : 0u;
        if (chosen / 64 % 16 == 0) device.note([] {});
        const bool done = device.call(weight, [&] {
          for (unsigned j = 0; j < yields; ++j) std::this_thread::yield();
          ++worked;
        });
        if (!done) return;
        ++answered;
        if (chosen / 1024 % 16 == 0) std::this_thread::yield();
      }
    });
  }
  std::deque<std::counting_semaphore<1024>> gates;
  for (size_t i = 0; i < pairs; ++i) {
    auto& gate = gates.emplace_back(0);
    const uint32_t rounds = 1 + below(10);
    const auto weight = below(2) == 0 ? RequestWeight::light : RequestWeight::heavy;
    threads.emplace_back([&, rounds, weight] {
      for (uint32_t n = 0; n < rounds; ++n) device.call(weight, [&] { gate.acquire(); });
    });
    threads.emplace_back([&, rounds] {
      for (uint32_t n = 0; n < rounds; ++n) {
        // Refused: the one that waits for it has to be let go.
        if (!device.call(RequestWeight::light, [&] { gate.release(); })) gate.release();
      }
    });
  }

  for (std::thread& thread : threads) thread.join();
  loop->stop();  // at the latest
  server.join();
  if (end == finished) {
    EXPECT_EQ(answered, programs * requests);
  }
  EXPECT_EQ(answered, worked);
}

TEST(RequestLoopStressTest, ManyLives) {
  const uint32_t lives = test::is_long_run() ? 400 : 100;
  for (uint32_t seed = 0; seed < lives && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    random_life(seed);
  }
}

}  // namespace
}  // namespace tain::fs
