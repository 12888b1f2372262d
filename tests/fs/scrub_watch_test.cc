// SPDX-License-Identifier: Apache-2.0
// When a mount scrubs, how fast, and that it can be stopped at any time.
#include "fs/scrub_watch.h"

#include <gtest/gtest.h>

#include <thread>

#include "store/content.h"
#include "store/tree.h"
#include "tests/support/temp_directory.h"

namespace tain::fs {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr uint64_t kMegabyte = 1'000'000;

TEST(ScrubPaceTest, KeepsToItsRateOnAQuietMount) {
  ScrubPace pace(4 * kMegabyte, 300 * kSecond);
  EXPECT_EQ(pace.wait_ns(0, 0), 300 * kSecond);
  EXPECT_EQ(pace.wait_ns(0, 300 * kSecond), 0);
  pace.stepped(kMegabyte, 301 * kSecond);
  EXPECT_EQ(pace.wait_ns(0, 301 * kSecond), kSecond / 4);
  EXPECT_EQ(pace.wait_ns(0, 301 * kSecond + kSecond / 4), 0);
}

TEST(ScrubPaceTest, WaitsForASecondWithoutRequests) {
  ScrubPace pace(kMegabyte, 10 * kSecond);
  EXPECT_EQ(pace.wait_ns(5, 10 * kSecond), kSecond);
  EXPECT_EQ(pace.wait_ns(5, 10 * kSecond + kSecond / 2), kSecond / 2);
  EXPECT_EQ(pace.wait_ns(6, 11 * kSecond), kSecond);
  EXPECT_EQ(pace.wait_ns(6, 12 * kSecond), 0);
}

TEST(ScrubPaceTest, GetsOnWithOneStepAMinuteWhereRequestsNeverEnd) {
  ScrubPace pace(kMegabyte, 10 * kSecond);
  uint64_t requests = 1;
  int64_t now = 10 * kSecond;
  int steps = 0;
  for (; now < 310 * kSecond; now += kSecond / 2) {
    if (pace.wait_ns(++requests, now) > 0) continue;
    pace.stepped(kMegabyte, now);
    ++steps;
  }
  EXPECT_EQ(steps, 4);  // after 60 s, and then every 61 s
}

class ScrubWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    store::CreateOptions create;
    create.kdf = store::kKdfFloor;
    const Secret password = Secret::copy_of(as_bytes("correct horse"));
    ASSERT_TRUE(store::Vault::create(folder_.path("vault"), create, password).ok());
    vault_ = store::Vault::open(folder_.path("vault"), {}, password).value();
    const Ino file = vault_->tree().make(kRootIno, "file", {.mode = S_IFREG | 0600}).value().ino;
    ASSERT_TRUE(vault_->content().write(file, 0, Bytes(8'000'000, 'x')).ok());
    ASSERT_TRUE(vault_->sync().ok());
  }
  std::unique_ptr<ScrubWatch> watch(uint64_t rate_bytes_s, bool keep_position = true) {
    return ScrubWatch::start(*vault_, {.rate_bytes_s = rate_bytes_s,
                                       .keep_position = keep_position,
                                       .requests = [] { return uint64_t{0}; },
                                       .report = [](const std::string& line) { ADD_FAILURE() << line; }})
        .value();
  }
  static void await_pass(const ScrubWatch& watch) {
    while (watch.state().passes == 0) std::this_thread::yield();
  }
  std::optional<store::ScrubRecord> record() const {
    return store::read_scrub_record(vault_->info().directory, vault_->info().id);
  }

  test::TempDirectory folder_;
  std::unique_ptr<store::Vault> vault_;
};

TEST_F(ScrubWatchTest, APassThatIsDueBeginsByItselfAndTheNextOneWaits) {
  {
    auto first = watch(uint64_t{1} << 40);
    await_pass(*first);
    EXPECT_EQ(first->state().scrub.record.last.entries, 2u);
    EXPECT_GT(first->state().scrub.record.last.bytes, 8'000'000u);
    EXPECT_EQ(first->state().scrub.damaged, 0u);
  }
  const auto kept = record();
  ASSERT_TRUE(kept.has_value());

  auto second = watch(uint64_t{1} << 40);
  EXPECT_FALSE(second->state().scrub.running);
  EXPECT_EQ(second->state().scrub.record.last_ended_s, kept->last_ended_s);
  second->hurry();  // however recent the last one
  await_pass(*second);
  EXPECT_FALSE(second->state().hurried);
}

TEST_F(ScrubWatchTest, WithoutARateOnlyACommandBeginsAPass) {
  {
    auto idle = watch(0);
    EXPECT_FALSE(idle->state().background);
  }
  EXPECT_FALSE(record().has_value()) << "nothing was looked at, so nothing is kept";

  auto asked = watch(0);
  asked->hurry();
  await_pass(*asked);
  EXPECT_EQ(asked->state().scrub.record.last.entries, 2u);
}

TEST_F(ScrubWatchTest, StoppingKeepsThePosition) {
  {
    auto slow = watch(1);  // one step, and the next one in days
    while (!slow->state().scrub.running) std::this_thread::yield();
  }
  const auto kept = record();
  ASSERT_TRUE(kept.has_value());
  EXPECT_NE(kept->started_s, 0);
  EXPECT_GT(kept->counts.bytes, 0u);
  EXPECT_LT(kept->counts.bytes, 8'000'000u);

  auto next = watch(0);
  EXPECT_TRUE(next->state().scrub.running);
  next->hurry();
  await_pass(*next);
  EXPECT_EQ(next->state().scrub.record.last_started_s, kept->started_s);
  EXPECT_EQ(next->state().scrub.record.last.entries, 2u);
}

TEST_F(ScrubWatchTest, AReadOnlyMountKeepsNothing) {
  {
    auto asked = watch(0, /*keep_position=*/false);
    asked->hurry();
    await_pass(*asked);
  }
  EXPECT_FALSE(record().has_value());
}

}  // namespace
}  // namespace tain::fs
