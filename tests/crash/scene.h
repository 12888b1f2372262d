// SPDX-License-Identifier: Apache-2.0
// A vault that is worked on while its disk is recorded, beside an oracle that remembers every state it went through.
//
// The work is divided into *lanes*: sequences of operations, each below a directory of its own (with one lane: the
// root) and done by one thread. A crash must leave each lane as it was after one of its operations, none that was
// durable missing and none that had not begun.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/content.h"
#include "store/tree.h"
#include "store/vault.h"
#include "tests/crash/explorer.h"
#include "tests/crash/recorder.h"
#include "tests/crash/workspace.h"
#include "tests/model/oracle.h"
#include "tests/model/picture.h"

namespace tain::crash {

/// For the password and the cheapest cost that all vaults here have.
Secret password(uint64_t number = 0);
/// The value; ends the program when there is none, for then the test itself is broken.
template <class T>
T need(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.error().message().c_str());
    std::abort();
  }
  return std::move(result).value();
}

/// What was seen of a lane over time.
struct History {
  std::string root;                     // path of its directory
  std::vector<test::Picture> pictures;  // by operation; [0] is the beginning
};

/// Threads: one works; another may call fsync_beacon() meanwhile.
class Lane {
 public:
  /// `start` is what the vault holds below `root` already.
  Lane(store::Vault& vault, Recorder& recorder, uint32_t number, std::string path, Ino root, const test::Oracle& start);

  /// Files and directories go by the oracle's numbers; the lane's directory is 1.
  static constexpr uint64_t kRoot = 1;
  uint64_t make_file(uint64_t directory, const std::string& name) { return make(directory, name, S_IFREG | 0644, ""); }
  uint64_t make_directory(uint64_t directory, const std::string& name) {
    return make(directory, name, S_IFDIR | 0755, "");
  }
  uint64_t make_symlink(uint64_t directory, const std::string& name, const std::string& target) {
    return make(directory, name, S_IFLNK | 0777, target);
  }
  void write(uint64_t file, uint64_t offset, const std::string& data);
  void resize(uint64_t file, uint64_t size);
  void zero(uint64_t file, uint64_t offset, uint64_t length);
  void set_mode(uint64_t file, uint32_t mode);
  void set_xattr(uint64_t file, const std::string& name, const std::string& value);
  void link(uint64_t file, uint64_t directory, const std::string& name);
  /// Of a file or an empty directory; what has no name left is gone at once.
  void remove(uint64_t directory, const std::string& name);
  void rename(uint64_t from, const std::string& name, uint64_t to, const std::string& new_name,
              store::RenameMode mode = store::RenameMode::replace);
  /// Makes durable what POSIX promises: the file's own changes, or the directory's names (here: and all before them).
  void fsync(uint64_t number);
  /// Makes everything durable.
  void sync();
  /// fsync of the file that set_beacon() named, from another thread: covers its last write.
  void set_beacon(uint64_t file) { beacon_ = file; }
  void fsync_beacon();

  const test::Oracle& oracle() const { return oracle_; }
  const History& history() const { return history_; }
  /// The oracle after operation `k`, if keep_oracles() was called before.
  const test::Oracle& oracle_after(uint64_t k) const { return oracles_.at(k); }
  void keep_oracles() { oracles_.assign(1, oracle_); }
  /// The operation last done.
  uint64_t done() const { return history_.pictures.size() - 1; }
  uint64_t child(uint64_t directory, const std::string& name) const;

 private:
  uint64_t make(uint64_t directory, const std::string& name, uint32_t mode, const std::string& symlink);
  void begin();
  void end(std::initializer_list<uint64_t> changed);
  void attach(uint64_t number, Ino ino);
  Ino real(uint64_t number) const { return inos_.at(number); }
  void reap(uint64_t number);

  store::Vault& vault_;
  Recorder& recorder_;
  const uint32_t number_;
  test::Oracle oracle_;
  std::vector<test::Oracle> oracles_;
  History history_;
  std::map<uint64_t, Ino> inos_;
  std::map<uint64_t, uint64_t> changed_;  // number → operation that last changed what its fsync covers
  uint64_t next_ = 2;
  uint64_t beacon_ = 0;
  std::mutex beacon_mutex_;
  uint64_t beacon_operation_ = 0;  // guarded by beacon_mutex_
  uint64_t beacon_durable_ = 0;    // of the thread that calls fsync_beacon()
};

/// Opens a vault and finds each lane in its history.
class HistoryJudge final : public Judge {
 public:
  /// `may_warn`: the first opening may have something to mend (a header copy), and say so.
  explicit HistoryJudge(std::vector<History> histories, bool may_warn = false)
      : histories_(std::move(histories)), may_warn_(may_warn) {}
  Visible look(const std::string& folder, bool thorough) const override;

 private:
  std::vector<History> histories_;
  bool may_warn_;
};

/// A finished piece of work, ready to be explored.
struct Work {
  std::string name;
  Recording recording;
  std::shared_ptr<const Judge> judge;
};

class Scene {
 public:
  struct Options {
    uint32_t lanes = 1;
    bool committer_thread = false;
    uint64_t pending_max_bytes = uint64_t{64} << 20;
  };
  /// A new vault.
  explicit Scene(const Options& options);
  /// What a crash left of another scene with one lane, which then was as `oracle` says.
  Scene(const Disk& disk, const test::Oracle& oracle);

  store::Vault& vault() { return *vault_; }
  Lane& lane(uint32_t number = 0) { return *lanes_[number]; }
  /// What was done so far is preparation: makes it durable, and lets crashes happen from here on.
  void begin();
  /// Commits, and does `work` on lane 0 in the middle of it, when the database is about to be flushed. No sync() in it:
  /// one commit waits for the other.
  void commit_with(std::function<void()> work);
  /// Closes the vault. Ends the program if the recording does not explain the files.
  Work finish(std::string name);

 private:
  void open(const Options& options);

  Workspace workspace_;
  std::string folder_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<store::Vault> vault_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace tain::crash
