// SPDX-License-Identifier: Apache-2.0
// Many threads on one vault with the committer running and little room for pending changes. Every thread
// knows what it must find; run under ThreadSanitizer this also looks for races.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <random>
#include <thread>

#include "store/scrub.h"
#include "tests/support/audit.h"
#include "tests/support/sanitizer.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;

constexpr int kSteps = test::kThreadSanitizer || test::kAddressSanitizer ? 150 : 600;

class ConcurrencyTest : public testing::Test {
 protected:
  /// Scrubs for as long as `more` says so, and then to the end, in steps of all sizes. Nothing is damaged.
  void scrub_while(const std::function<bool()>& more) {
    std::mt19937_64 random(7);
    auto scrubber = temp_.vault().make_scrubber(false);
    int passes = 0;
    while (more() || passes == 0 || scrubber->running()) {
      if (!scrubber->running()) {
        scrubber->begin();
        ++passes;
      }
      auto stepped = scrubber->step(1 + random() % 300'000);
      EXPECT_TRUE(stepped.ok()) << stepped.error().message();
      if (!stepped.ok()) return;
    }
    EXPECT_EQ(scrubber->state().record.last.lost, 0u);
    EXPECT_EQ(scrubber->state().damaged, 0u);
    for (const auto& item : temp_.vault().damage().items()) ADD_FAILURE() << raw(item.ino) << ": " << item.text;
  }
  /// Runs all of `work` at once.
  static void together(const std::vector<std::function<void()>>& work) {
    std::vector<std::thread> threads;
    for (const auto& task : work) threads.emplace_back(task);
    for (std::thread& thread : threads) thread.join();
  }

  std::string read(Ino ino) {
    std::string out(temp_.tree().getattr(ino)->size, '\0');
    auto size = temp_.content().read(ino, 0, {reinterpret_cast<uint8_t*>(out.data()), out.size()});
    EXPECT_TRUE(size.ok()) << size.error().message();
    return out;
  }

  void close_and_audit() {
    auto closed = temp_.vault().close();
    ASSERT_TRUE(closed.ok()) << closed.error().message();
    temp_.close();
    EXPECT_EQ(test::audit_store(temp_.directory(), TempVault::password()), std::vector<std::string>());
    temp_.reopen();
  }

  // Small limits: writers wait for the committer, blocks and nodes leave the cache all the time.
  TempVault temp_{{.pending_max_bytes = 1 << 20, .cache_max_bytes = 100'000, .committer_thread = true}};
};

/// One thread's files in a directory of its own, and what they must hold.
class Worker {
 public:
  Worker(TempVault& temp, Ino shared, int number)
      : temp_(temp), shared_(shared), number_(number), random_(static_cast<uint64_t>(number)) {
    directory_ = temp.make_directory(kRootIno, "worker" + std::to_string(number));
  }

  void run() {
    for (int step = 0; step < kSteps && !testing::Test::HasFailure(); ++step) this->step(step);
  }

  void verify(const std::function<std::string(Ino)>& read) {
    std::map<std::string, Ino> listed;
    ASSERT_TRUE(temp_.tree().list(directory_, Cookie{0}, [&](const ListItem& item) {
      return listed.emplace(item.name, item.ino).second;
    }).ok());
    ASSERT_EQ(listed.size(), files_.size());
    for (const auto& [name, content] : files_) {
      ASSERT_TRUE(listed.contains(name));
      EXPECT_TRUE(read(listed[name]) == content) << name;
    }
    for (const std::string& name : shared_names_) EXPECT_TRUE(temp_.tree().lookup(shared_, name).ok()) << name;
  }

 private:
  uint64_t pick(uint64_t below) { return random_() % below; }
  template <class T>
  static void expect_ok(const Result<T>& result) {
    EXPECT_TRUE(result.ok()) << result.error().message();
  }

  void step(int step) {
    const std::string name = "f" + std::to_string(pick(8));
    auto found = temp_.tree().lookup(directory_, name);
    ASSERT_EQ(found.ok(), files_.contains(name));
    if (!found.ok()) {
      files_[name];
      temp_.make_file(directory_, name);
      return;
    }
    const Ino ino = found->ino;
    std::string& content = files_[name];
    switch (pick(10)) {
      case 0: {
        auto gone = temp_.tree().unlink(directory_, name);
        expect_ok(gone);
        expect_ok(temp_.tree().reap(ino));
        files_.erase(name);
        break;
      }
      case 1: {
        const std::string to = "f" + std::to_string(pick(8));
        auto renamed = temp_.tree().rename(directory_, name, directory_, to, RenameMode::replace);
        expect_ok(renamed);
        if (to == name) break;
        if (renamed.ok() && renamed->has_value()) expect_ok(temp_.tree().reap((*renamed)->ino));
        files_[to] = content;
        files_.erase(name);
        break;
      }
      case 2: {
        const size_t size = pick(200'000);
        content.resize(size, '\0');
        expect_ok(temp_.tree().setattr(ino, {.mode = {}, .size = size}));
        break;
      }
      case 3: expect_ok(temp_.vault().fsync(ino)); break;
      case 4:
        shared_names_.push_back(std::to_string(number_) + "." + std::to_string(step));
        temp_.make_file(shared_, shared_names_.back());
        break;
      case 5: {
        std::string got(content.size(), '\0');
        auto size = temp_.content().read(ino, 0, {reinterpret_cast<uint8_t*>(got.data()), got.size()});
        expect_ok(size);
        EXPECT_TRUE(got == content) << name;
        break;
      }
      default: {
        const size_t offset = pick(3) == 0 ? pick(1'500'000) : pick(100'000);
        const std::string data(1 + pick(pick(5) == 0 ? 300'000 : 5'000), static_cast<char>('a' + pick(26)));
        if (content.size() < offset + data.size()) content.resize(offset + data.size(), '\0');
        content.replace(offset, data.size(), data);
        expect_ok(temp_.content().write(ino, offset, as_bytes(data)));
      }
    }
  }

  TempVault& temp_;
  const Ino shared_;
  const int number_;
  std::mt19937_64 random_;
  Ino directory_{};
  std::map<std::string, std::string> files_;
  std::vector<std::string> shared_names_;
};

TEST_F(ConcurrencyTest, MixedWorkOfManyThreadsIsAllThere) {
  const Ino shared = temp_.make_directory(kRootIno, "shared");
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < 4; ++i) workers.push_back(std::make_unique<Worker>(temp_, shared, i));
  std::atomic<int> running{static_cast<int>(workers.size())};

  std::vector<std::function<void()>> work;
  for (auto& worker : workers) {
    work.emplace_back([&] {
      worker->run();
      --running;
    });
  }
  work.emplace_back([&] {
    while (running > 0) EXPECT_TRUE(temp_.vault().sync().ok());
  });
  work.emplace_back([&] { scrub_while([&] { return running > 0; }); });
  work.emplace_back([&] {
    while (running > 0) {
      uint64_t last = 0;
      EXPECT_TRUE(temp_.tree().list(shared, Cookie{0}, [&](const ListItem& item) {
        EXPECT_GT(raw(item.cookie), last);
        last = raw(item.cookie);
        return true;
      }).ok());
      static_cast<void>(temp_.vault().stats());
    }
  });
  together(work);

  for (auto& worker : workers) worker->verify([&](Ino ino) { return read(ino); });
  close_and_audit();
  for (auto& worker : workers) worker->verify([&](Ino ino) { return read(ino); });
}

TEST_F(ConcurrencyTest, WritersOfOneFileKeepToTheirBytes) {
  // Interleaved stripes: every block belongs to all threads, and commits replace it in between.
  constexpr size_t kThreads = 4, kStripe = 1000, kRows = 250;
  const Ino ino = temp_.make_file(kRootIno, "striped");
  std::atomic<size_t> running{kThreads};
  std::vector<std::function<void()>> work;
  for (size_t t = 0; t < kThreads; ++t) {
    work.emplace_back([this, ino, t, &running] {
      for (size_t round = 0; round < 3; ++round) {
        const std::string data(kStripe, static_cast<char>('a' + t * 3 + round));
        for (size_t row = 0; row < kRows; ++row) {
          const uint64_t offset = (row * kThreads + t) * kStripe;
          EXPECT_TRUE(temp_.content().write(ino, offset, as_bytes(data)).ok());
          if (row % 50 == 49) { EXPECT_TRUE(temp_.vault().fsync(ino).ok()); }
        }
      }
      --running;
    });
  }
  work.emplace_back([&] { scrub_while([&] { return running > 0; }); });
  work.emplace_back([this] {
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(temp_.vault().sync().ok());
  });
  together(work);

  std::string expected;
  for (size_t row = 0; row < kRows; ++row)
    for (size_t t = 0; t < kThreads; ++t) expected += std::string(kStripe, static_cast<char>('a' + t * 3 + 2));
  EXPECT_TRUE(read(ino) == expected);
  close_and_audit();
  EXPECT_TRUE(read(ino) == expected);
}

TEST(ConcurrentPunchTest, PunchToTheEndSparesWhatIsAppendedMeanwhile) {
  // Punching reads a committed block without the lock; what is appended then lies behind the punched range.
  TempVault temp({.cache_max_bytes = 0, .committer_thread = true});  // without a cache the reading takes longer
  const Ino ino = temp.make_file(kRootIno, "growing");
  temp.write(ino, 0, std::string(200'000, 'a'));
  std::atomic<uint64_t> punched_to{0};
  std::atomic<bool> done{false};
  std::thread puncher([&] {
    for (int i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) {
      EXPECT_TRUE(temp.vault().sync().ok());
      punched_to = temp.tree().getattr(ino)->size;
      EXPECT_TRUE(temp.content().zero(ino, 10, punched_to - 10, false).ok());
    }
    done = true;
  });
  for (uint64_t offset = 200'000; !done && !testing::Test::HasFailure(); ++offset) {
    temp.write(ino, offset, "x");
    const std::string found = temp.read(ino, offset, 1);
    if (offset >= punched_to) { EXPECT_EQ(found, "x") << offset; }
  }
  puncher.join();
}

TEST_F(ConcurrencyTest, WriteUpToTheOldEndSparesWhatIsWrittenBehindIt) {
  for (int round = 0; round < kSteps / 4 && !HasFailure(); ++round) {
    const Ino ino = temp_.make_file(kRootIno, "f" + std::to_string(round));
    temp_.write(ino, 0, std::string(70'000, 'a'));
    ASSERT_TRUE(temp_.vault().sync().ok());

    // Both touch the second block; the first writer has to read the first one without the lock.
    together({[&] { temp_.write(ino, 10, std::string(70'000, 'b')); },
              [&] {
                temp_.write(ino, 75'000, "behind");
                EXPECT_TRUE(temp_.vault().sync().ok());
              }});

    EXPECT_EQ(temp_.read(ino, 75'000, 100), "behind");
    EXPECT_EQ(temp_.read(ino, 70'000, 12), std::string(10, 'b') + std::string(2, '\0'));
  }
}

TEST_F(ConcurrencyTest, GroupCommitServesManyFsyncsWithFewerFrames) {
  constexpr int kThreads = 8, kEach = 40;
  std::vector<Ino> files;
  for (int i = 0; i < kThreads; ++i) files.push_back(temp_.make_file(kRootIno, "f" + std::to_string(i)));
  ASSERT_TRUE(temp_.vault().sync().ok());
  const uint64_t before = temp_.vault().stats().journal_frames;
  std::vector<std::function<void()>> work;
  for (Ino ino : files) {
    work.emplace_back([this, ino] {
      for (uint64_t i = 0; i < kEach; ++i) {
        temp_.write(ino, i * 10, "0123456789");
        EXPECT_TRUE(temp_.vault().fsync(ino).ok());
      }
    });
  }
  together(work);

  EXPECT_LE(temp_.vault().stats().journal_frames - before, uint64_t{kThreads * kEach});
  temp_.crash();
  for (Ino ino : files) EXPECT_EQ(temp_.read(ino).size(), size_t{10 * kEach});
}

TEST_F(ConcurrencyTest, RenamesBetweenDirectoriesLoseAndDoubleNothing) {
  const Ino left = temp_.make_directory(kRootIno, "left");
  const Ino right = temp_.make_directory(kRootIno, "right");
  constexpr int kFiles = 20;
  for (int i = 0; i < kFiles; ++i) temp_.make_file(left, "f" + std::to_string(i));
  std::vector<std::function<void()>> work;
  for (int t = 0; t < 4; ++t) {
    work.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      for (int i = 0; i < kSteps; ++i) {
        const std::string name = "f" + std::to_string(random() % kFiles);
        const bool back = random() % 2 == 0;
        auto moved = temp_.tree().rename(back ? right : left, name, back ? left : right, name, RenameMode::no_replace);
        if (!moved.ok()) { EXPECT_TRUE(moved.is(Code::not_found)) << moved.error().message(); }
      }
    });
  }
  work.emplace_back([this] {
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(temp_.vault().sync().ok());
  });
  together(work);

  for (int i = 0; i < kFiles; ++i) {
    const std::string name = "f" + std::to_string(i);
    EXPECT_NE(temp_.tree().lookup(left, name).ok(), temp_.tree().lookup(right, name).ok()) << name;
  }
  close_and_audit();
}

}  // namespace
}  // namespace tain::store
