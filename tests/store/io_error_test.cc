// SPDX-License-Identifier: Apache-2.0
// Every write and every flush of a piece of work fails once, and once from there on. What was acknowledged
// stays, no failure is reported as success, now or later, and the store goes on when the disk does.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "tests/store/faults.h"
#include "tests/support/audit.h"
#include "tests/support/long_run.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::FaultyDisk;
using test::TempVault;
using Complaints = std::vector<std::string>;
using Files = std::map<std::string, std::string>;  // name → content

/// The same work each time, with a note of every state that it went through.
class Work {
 public:
  explicit Work(TempVault& temp) : temp_(temp) { states_.emplace_back(); }

  /// Runs it; an error is counted, and the work goes on.
  void run() {
    append("journal.md", 3'000);
    fsync("journal.md");
    save("letter.md", "first", 20'000);
    append("journal.md", 500);
    sync();
    save("letter.md", "second", 90'000);
    append("big", 700'000);
    fsync("big");
    append("journal.md", 10);
    fsync("journal.md");
    remove("big");
    save("letter.md", "third", 100);
    sync();
    append("big", 1'300'000);
    append("journal.md", 1);
    fsync("big");
  }
  const Files& now() const { return states_.back(); }
  int errors() const { return errors_; }
  /// Everything up to now is durable.
  void acknowledge() { acknowledged_ = states_.size() - 1; }
  /// Whether `found` is a state that a crash may leave.
  bool allows(const Files& found) const {
    return std::find(states_.begin() + static_cast<ptrdiff_t>(acknowledged_), states_.end(), found) != states_.end();
  }

 private:
  Files& next() { return states_.emplace_back(states_.back()); }
  Ino find(const std::string& name) {
    auto found = temp_.tree().lookup(kRootIno, name);
    return found.ok() ? found->ino : temp_.make_file(kRootIno, name);
  }
  void append(const std::string& name, size_t size) {
    const bool fresh = !now().contains(name);
    const Ino ino = find(name);
    if (fresh) next()[name];
    const std::string text(size, static_cast<char>('a' + states_.size() % 26));
    temp_.write(ino, now().at(name).size(), text);
    next()[name] += text;
  }
  /// As editors do: the old text or the new one, whole.
  void save(const std::string& name, const std::string& word, size_t size) {
    const std::string text = word + std::string(size, '.');
    const Ino ino = temp_.make_file(kRootIno, "new");
    next()["new"];
    temp_.write(ino, 0, text);
    next()["new"] = text;
    fsync("new");
    auto replaced = temp_.tree().rename(kRootIno, "new", kRootIno, name, RenameMode::replace);
    ASSERT_TRUE(replaced.ok()) << replaced.error().message();
    if (replaced->has_value()) {
      ASSERT_TRUE(temp_.tree().reap((*replaced)->ino).ok());
    }
    Files& after = next();
    after.erase("new");
    after[name] = text;
  }
  void remove(const std::string& name) {
    auto gone = temp_.tree().unlink(kRootIno, name);
    ASSERT_TRUE(gone.ok()) << gone.error().message();
    ASSERT_TRUE(temp_.tree().reap(gone->ino).ok());
    next().erase(name);
  }
  void fsync(const std::string& name) { note(temp_.vault().fsync(find(name))); }
  void sync() { note(temp_.vault().sync()); }
  void note(const Result<>& durable) {
    if (durable.ok())
      acknowledge();
    else
      ++errors_;
  }

  TempVault& temp_;
  std::vector<Files> states_;
  size_t acknowledged_ = 0;
  int errors_ = 0;
};

Files everything(TempVault& temp) {
  Files out;
  std::vector<std::pair<std::string, Ino>> names;
  auto listed = temp.tree().list(kRootIno, Cookie{}, [&](const ListItem& item) {
    names.emplace_back(item.name, item.ino);
    return true;
  });
  EXPECT_TRUE(listed.ok());
  for (const auto& [name, ino] : names) out[name] = temp.read(ino);
  return out;
}

/// Every call in the long run, else every so many.
struct Trial {
  FaultyDisk::Faults faults;
  uint64_t stride = 1;
};
class IoError : public testing::TestWithParam<Trial> {};

TEST_P(IoError, AtEveryCall) {
  uint64_t calls = 1;
  int reopened = 0;
  const uint64_t stride = test::is_long_run() ? 1 : GetParam().stride;
  for (uint64_t at = 0; at < calls; at += stride) {
    TempVault temp({.committer_thread = false});
    Work work(temp);
    std::string failed;
    {
      FaultyDisk::Faults faults = GetParam().faults;
      faults.first = at;
      FaultyDisk disk(temp.directory(), faults);
      ASSERT_NO_FATAL_FAILURE(work.run());
      calls = std::max(calls, disk.calls());
      failed = disk.failed();
    }
    SCOPED_TRACE("call " + std::to_string(at) + ": " + failed);
    ASSERT_EQ(everything(temp), work.now()) << "still readable";
    // The disk works again: so does the store, or it says that it needs a new start (a meta page was hit). Then the
    // journal still takes what is fsynced, and what is left at the end.
    if (temp.vault().sync().ok()) {
      work.acknowledge();
    } else {
      ++reopened;
      EXPECT_FALSE(temp.vault().sync().ok()) << "no change of mind";
      if (temp.vault().close().ok()) work.acknowledge();
      ASSERT_EQ(everything(temp), work.now()) << "readable to the end";
    }
    temp.crash();
    ASSERT_TRUE(work.allows(everything(temp)));
    temp.write(temp.make_file(kRootIno, "later"), 0, "later");
    ASSERT_TRUE(temp.vault().sync().ok());
    const std::string directory = temp.directory();
    ASSERT_TRUE(temp.vault().close().ok());
    temp.close();
    ASSERT_EQ(test::audit_store(directory, TempVault::password()), Complaints());
  }
  EXPECT_GT(calls, 10u);
  RecordProperty("calls", std::to_string(calls));
  RecordProperty("reopened", reopened);
}

INSTANTIATE_TEST_SUITE_P(Kinds, IoError,
                         testing::Values(Trial{{.count = 1, .error = EIO}, 3},
                                         Trial{{.count = 1, .error = EIO, .torn = true}, 7},
                                         Trial{{.count = UINT64_MAX, .error = EIO}, 7},
                                         Trial{{.count = 1, .error = ENOSPC, .torn = true}, 7},
                                         Trial{{.count = 3, .error = EDQUOT}, 7}));

}  // namespace
}  // namespace tain::store
