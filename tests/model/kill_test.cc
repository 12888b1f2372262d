// SPDX-License-Identifier: Apache-2.0
// kill -9 at random moments: a process works on a vault with its committer running and notes how far it
// came and what fsync acknowledged; after its death the vault holds exactly some prefix of its work that
// is no shorter than what was acknowledged.
//
// TAIN_LONG=1 kills more often; TAIN_KILL_SEED changes the seed, which a failure prints.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <thread>

#include "store/rotation.h"
#include "tests/model/oracle.h"
#include "tests/model/picture.h"
#include "tests/support/audit.h"
#include "tests/support/long_run.h"
#include "tests/support/temp_vault.h"

namespace tain::test {
namespace {

using store::RenameMode;
using store::Rotation;
using store::Vault;
using store::XattrMode;

constexpr uint64_t kOperationsMax = 4'000;  // of one life

constexpr size_t kNodesMax = 80;

/// What the worker and its killer share.
struct Progress {
  std::atomic<uint64_t> begun{0};         // operations begun
  std::atomic<uint64_t> acknowledged{0};  // all up to this one are durable
};

/// A sequence of operations that is the same wherever it runs. The oracle is kept up to date; a vault is
/// changed too when there is one. Operations that would fail are left out.
class Workload {
 public:
  Workload(uint64_t seed, Oracle oracle) : random_(seed), oracle_(std::move(oracle)) {
    next_ = oracle_.nodes().rbegin()->first + 1;
  }

  const Oracle& oracle() const { return oracle_; }

  /// Tells which inode of `vault` is which of the oracle.
  bool attach(Vault& vault) {
    vault_ = &vault;
    return map_directory(1, kRootIno);
  }

  /// The next operation. True when it made everything up to here durable; exits the process on an error.
  bool step() {
    const uint64_t directory = any([](const Oracle::Node& node) { return node.is_directory(); });
    const std::string name = "n" + std::to_string(pick(12));
    const auto& children = oracle_.find(directory)->children;
    const auto found = children.find(name);
    const uint64_t kind = pick(16);
    const uint64_t other_directory = any([](const Oracle::Node& node) { return node.is_directory(); });
    const std::string other_name = "n" + std::to_string(pick(12));
    const uint64_t file = any([](const Oracle::Node& node) { return S_ISREG(node.mode); });
    const uint64_t offset = pick(30) == 0 ? pick(1'500'000) : pick(20'000);
    const size_t size = pick(20) == 0 ? pick(200'000) : 1 + pick(6'000);
    const auto fill = static_cast<char>('a' + pick(26));
    switch (kind) {
      case 0: case 1: case 2:
        if (found == children.end() && oracle_.nodes().size() < kNodesMax) make(directory, name, pick(4) == 0 ? S_IFDIR | 0700 : S_IFREG | 0600);
        return false;
      case 3:
        if (found != children.end()) remove(directory, name, found->second);
        return false;
      case 4: case 5: rename(directory, name, other_directory, other_name); return false;
      case 6: case 7: case 8: case 9:
        if (file != 0) write(file, offset, std::string(size, fill));
        return false;
      case 10:
        if (file != 0) resize(file, pick(3) == 0 ? 0 : offset);
        return false;
      case 11:
        if (file != 0) zero(file, offset, size);
        return false;
      case 12:
        if (file != 0) set_xattr(file, "user." + std::to_string(pick(2)), std::string(pick(50), fill));
        return false;
      case 13:
        if (file != 0 && found == children.end()) link(file, directory, name);
        return false;
      case 14:
        if (file == 0) return false;
        write(file, offset, std::string(1, fill));  // fsync promises what is no newer than the file's last change
        if (vault_ != nullptr) need(vault_->fsync(real(file)));
        return true;
      default:
        if (pick(6) != 0) return false;
        if (vault_ != nullptr) need(vault_->sync());
        return true;
    }
  }

 private:
  uint64_t pick(uint64_t below) { return random_() % below; }
  Ino real(uint64_t number) const { return inos_.at(number); }
  template <class T>
  static T need(Result<T> result) {
    if (!result.ok()) ::_exit(3);
    return std::move(result).value();
  }

  uint64_t any(bool (*wanted)(const Oracle::Node&)) {
    std::vector<uint64_t> fit;
    for (const auto& [number, node] : oracle_.nodes())
      if (wanted(node) && node.nlink > 0) fit.push_back(number);
    const uint64_t choice = random_();
    return fit.empty() ? 0 : fit[choice % fit.size()];
  }

  bool map_directory(uint64_t number, Ino ino) {
    inos_[number] = ino;
    for (const auto& [name, child] : oracle_.find(number)->children) {
      auto attr = vault_->tree().lookup(ino, name);
      if (!attr.ok()) return false;
      if (oracle_.find(child)->is_directory()) {
        if (!map_directory(child, attr->ino)) return false;
      } else {
        inos_[child] = attr->ino;
      }
    }
    return true;
  }

  void make(uint64_t directory, const std::string& name, uint32_t mode) {
    oracle_.make(directory, name, next_, mode, "");
    if (vault_ != nullptr) inos_[next_] = need(vault_->tree().make(real(directory), name, {.mode = mode, .symlink = {}})).ino;
    ++next_;
  }
  /// Whatever lost its last name goes at once, as a kernel that does not use it forgets it.
  void reap(uint64_t number) {
    if (oracle_.find(number)->nlink != 0) return;
    oracle_.reap(number);
    if (vault_ != nullptr) need(vault_->tree().reap(real(number)));
  }
  void remove(uint64_t directory, const std::string& name, uint64_t child) {
    const bool is_directory = oracle_.find(child)->is_directory();
    if (is_directory ? oracle_.rmdir(directory, name).has_value() : oracle_.unlink(directory, name).has_value()) return;
    if (vault_ != nullptr) {
      if (is_directory) need(vault_->tree().rmdir(real(directory), name));
      else need(vault_->tree().unlink(real(directory), name));
    }
    reap(child);
  }
  void rename(uint64_t from, const std::string& name, uint64_t to, const std::string& new_name) {
    const auto& target = oracle_.find(to)->children;
    const auto replaced = target.find(new_name);
    const uint64_t victim = replaced != target.end() ? replaced->second : 0;
    const RenameMode mode = pick(4) == 0 ? RenameMode::exchange : RenameMode::replace;
    if (oracle_.rename(from, name, to, new_name, mode).has_value()) return;
    if (vault_ != nullptr) need(vault_->tree().rename(real(from), name, real(to), new_name, mode));
    if (victim != 0) reap(victim);
  }
  void write(uint64_t file, uint64_t offset, const std::string& data) {
    oracle_.write(file, offset, data);
    if (vault_ != nullptr) need(vault_->content().write(real(file), offset, as_bytes(data)));
  }
  void resize(uint64_t file, uint64_t size) {
    oracle_.resize(file, size);
    if (vault_ != nullptr) need(vault_->tree().setattr(real(file), {.mode = {}, .size = size}));
  }
  void zero(uint64_t file, uint64_t offset, uint64_t length) {
    oracle_.zero(file, offset, length, false);
    if (vault_ != nullptr) need(vault_->content().zero(real(file), offset, length, false));
  }
  void set_xattr(uint64_t file, const std::string& name, const std::string& value) {
    oracle_.set_xattr(file, name, value, XattrMode::any);
    if (vault_ != nullptr) need(vault_->tree().set_xattr(real(file), name, as_bytes(value), XattrMode::any));
  }
  void link(uint64_t file, uint64_t directory, const std::string& name) {
    if (oracle_.link(file, directory, name).has_value()) return;
    if (vault_ != nullptr) need(vault_->tree().link(real(file), real(directory), name));
  }

  std::mt19937_64 random_;
  Oracle oracle_;
  uint64_t next_;
  Vault* vault_ = nullptr;
  std::map<uint64_t, Ino> inos_;
};

/// What goes on beside the work.
enum class Lives { plain, with_rotation };

Rotation::Step need_step(Result<Rotation::Step> step) {
  if (!step.ok()) ::_exit(5);
  return *step;
}

/// The worker's life. Never returns.
[[noreturn]] void work(const std::string& directory, uint64_t seed, const Oracle& start, Progress& progress, Lives lives) {
  store::OpenOptions options;
  options.rotate_in_background = false;  // at full speed instead
  options.pending_max_bytes = 2 << 20;  // so that commits happen all the time
  auto vault = Vault::open(directory, options, TempVault::password());
  if (!vault.ok()) ::_exit(2);
  std::thread rotator;
  if (lives == Lives::with_rotation)
    rotator = std::thread([&] {
      const auto rotation = (*vault)->make_rotation();
      for (auto step = Rotation::Step::more; step == Rotation::Step::more;) step = need_step(rotation->step(20'000));
    });
  Workload workload(seed, start);
  if (!workload.attach(**vault)) ::_exit(4);
  for (uint64_t i = 1; i <= kOperationsMax; ++i) {
    progress.begun = i;
    if (workload.step()) progress.acknowledged = i;
  }
  for (;;) ::pause();
}

void kill_often(Lives lives) {
  const char* given = std::getenv("TAIN_KILL_SEED");
  const uint64_t first_seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  const uint64_t rounds = test::is_long_run() ? 500 : 10;
  store::OpenOptions options;
  options.rotate_in_background = false;
  TempVault temp(options);
  temp.close();
  void* shared = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  Oracle state;

  uint64_t rotations = 0;
  for (uint64_t round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
    const store::VaultInfo info = Vault::inspect(temp.directory()).value();
    if (lives == Lives::with_rotation && info.older_epoch == 0 && info.epoch < store::kEpochMax) {
      ASSERT_TRUE(Vault::start_rotation(temp.directory(), TempVault::password()).ok());
      ++rotations;
    }
    const uint64_t seed = first_seed * 1000 + round;
    SCOPED_TRACE("TAIN_KILL_SEED=" + std::to_string(first_seed) + " round " + std::to_string(round));
    auto& progress = *new (shared) Progress;
    std::mt19937_64 random(seed);
    const uint64_t last = 1 + random() % (round % 5 == 4 ? kOperationsMax : 600);
    const auto extra_us = static_cast<useconds_t>(random() % 2000);

    const pid_t worker = ::fork();
    ASSERT_GE(worker, 0);
    if (worker == 0) work(temp.directory(), seed, state, progress, lives);
    int status = 0;
    while (progress.begun < last && ::waitpid(worker, &status, WNOHANG) == 0) ::usleep(100);
    ::usleep(extra_us);
    ::kill(worker, SIGKILL);
    if (::waitpid(worker, &status, 0) == worker) { ASSERT_TRUE(WIFSIGNALED(status)); }
    ASSERT_GE(progress.begun, last) << "the worker ended by itself: " << status;

    temp.reopen();
    auto seen = picture_of(temp.vault());
    ASSERT_TRUE(seen.ok()) << seen.error().message();
    const Picture found = std::move(seen).value();
    Workload replay(seed, state);
    std::string differences;
    for (uint64_t i = 0; i <= progress.begun; ++i) {
      if (i > 0) replay.step();
      if (i < progress.acknowledged) continue;
      differences = difference(picture_of(replay.oracle()), found);
      if (differences.empty()) break;
    }
    EXPECT_EQ(differences, "") << "no state between operation " << progress.acknowledged << " (acknowledged) and "
                               << progress.begun << " (begun) is what the vault holds";
    state = replay.oracle();
    ASSERT_TRUE(temp.vault().close().ok());
    temp.close();
    EXPECT_EQ(audit_store(temp.directory(), TempVault::password()), std::vector<std::string>());
  }
  ::munmap(shared, sizeof(Progress));
  if (lives == Lives::with_rotation) {
    EXPECT_GT(rotations, 0u);
    temp.reopen();
    const auto rotation = temp.vault().make_rotation();
    auto step = Rotation::Step::more;
    while (step == Rotation::Step::more) step = rotation->step(1 << 20).value();
    EXPECT_EQ(step, Rotation::Step::done);
    EXPECT_EQ(difference(picture_of(state), picture_of(temp.vault()).value()), "");
  }
}

TEST(KillTest, WhatFsyncAcknowledgedSurvivesAndNothingIsHalfMade) { kill_often(Lives::plain); }

TEST(KillTest, AlsoWhileTheMasterKeyIsChanged) { kill_often(Lives::with_rotation); }

}  // namespace
}  // namespace tain::test
