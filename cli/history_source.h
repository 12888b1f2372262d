// SPDX-License-Identifier: Apache-2.0
// What the commands of history ask a vault, mounted or not: the serving process, or this one with the password.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "cli/arguments.h"
#include "cli/target.h"
#include "cli/vault_files.h"
#include "cli/world.h"

namespace tain::cli {

/// VAULT:PATH, or a path below a mountpoint.
struct EntryArgument {
  Target target;
  std::string path;  // inside the vault, without a leading '/'; perhaps with @VERSION at its end
};
/// Errors: usage (no vault is meant).
Result<EntryArgument> find_entry(const std::string& argument);

/// One way to understand PATH@VERSION.
struct Reading {
  std::string path;     // empty: the vault's root
  std::string version;  // without the '@'; empty: none is meant
};
/// All ways, to be tried in this order: as a name that has an '@' in it; as a version, if what follows the last '@' is a
/// number or a time; and of `PATH@@VERSION` also without the second '@', so that PATH's versions can be named where there
/// is an entry `PATH@VERSION`.
std::vector<Reading> readings(const std::string& path);

/// A state of an entry, as the reply to "log" describes it.
struct VersionInfo {
  uint64_t number = 0;  // 1 is the oldest one
  std::string name;     // in .tain/history/PATH/
  int64_t since_ms = 0;
  std::optional<int64_t> until_ms;  // none: it is the present one
  int64_t mtime_s = 0;
  std::string type;
  std::string mode;
  uint64_t size = 0;
  std::vector<std::string> changed;
  bool is_damaged = false;  // neither mode nor size are known
  nlohmann::json json;  // all of it
};

/// An entry that was removed.
struct RemovedEntry {
  Ino ino{};
  int64_t removed_ms = 0;
  std::vector<VersionInfo> versions;  // newest first
  nlohmann::json json;  // its item of the trash
};

/// What an argument means, and its history.
struct Entry {
  std::string path;
  std::string version;                  // that was asked for; empty: none was
  std::vector<VersionInfo> versions;    // newest first; none of the vault's root
  std::optional<RemovedEntry> removed;  // it is in the trash

  /// The version that `text` means (pick_version), without a text the newest one. Errors: not_found, usage.
  Result<VersionInfo> pick(const std::string& text, int64_t now_ms) const;
};

class HistorySource {
 public:
  /// `writes`: a vault that is not mounted is opened for changes.
  static Result<std::unique_ptr<HistorySource>> open(World& world, const Arguments& arguments, const Target& target, bool writes);
  virtual ~HistorySource() = default;

  /// A request of fs/history_request.h or fs/time_lock_request.h. Errors: those in the reply; io.
  virtual Result<nlohmann::json> request(const nlohmann::json& object) = 0;
  /// The content of one of the versions of `entry`.
  virtual Result<> read(const Entry& entry, const VersionInfo& version, const VaultFiles::Sink& sink) = 0;
  /// What is there now, as VaultFiles.
  virtual VaultFiles& present() = 0;
  /// Removes it for good: the reply to "purge". Errors: also io (the mount).
  virtual Result<nlohmann::json> purge(const Entry& entry) = 0;
  /// Commits. Nothing more after it.
  virtual Result<> close() = 0;

  /// The members of array `member` in all replies to `object`.
  Result<nlohmann::json> collect(nlohmann::json object, const char* member);
  /// Newest first. Errors: not_found.
  Result<std::vector<VersionInfo>> log(const std::string& path);
  /// What had this path when it was removed, and is in the trash; last removed first.
  Result<std::vector<RemovedEntry>> removed(const std::string& path);
  /// What `path`, with or without @VERSION, means. What is there comes before what was removed, and of that what was removed
  /// last; a time means what was there then. The root is nobody's entry unless `or_root`. Errors: not_found, usage.
  Result<Entry> find(const std::string& path, int64_t now_ms, bool or_root = false);
};

/// The one of `versions` (newest first) that `text` means: a number as `tain log` shows it, -N for N before the present,
/// or a time (base/moment). Errors: not_found, usage.
Result<VersionInfo> pick_version(const std::vector<VersionInfo>& versions, const std::string& text, int64_t now_ms);

/// A version by its number, or by how many are younger; else it is a time.
bool is_number(std::string_view version);

/// The path in the vault of `target` that the value of --to means: below its mountpoint, VAULT:PATH, or as it stands.
std::string path_to(const std::string& argument, const Target& target);
/// Says what a reply to "restore" or "trash_restore" for `path` has. Errors: partial.
Result<> report_restored(World& world, const Arguments& arguments, const std::string& path, const nlohmann::json& reply);

/// "2026-11-01 10:00:03", local.
std::string human_time(int64_t ms);

}  // namespace tain::cli
