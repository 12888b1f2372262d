// SPDX-License-Identifier: Apache-2.0
// What the commands of history ask a vault, mounted or not: the serving process, or this one with the password.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/target.h"
#include "cli/vault_files.h"
#include "cli/world.h"

namespace tain::cli {

/// VAULT:PATH, or a path below a mountpoint, and perhaps @VERSION.
struct EntryArgument {
  Target target;
  std::string path;     // inside the vault, without a leading '/'
  std::string version;  // without the '@'; empty: none was given
};
/// What follows an '@' in the last name is a version if it is a number or a time; else it is part of the name.
/// Errors: usage (no vault is meant).
Result<EntryArgument> find_entry(const std::string& argument);

/// The same for VAULT PATH, where it is clear which vault is meant.
EntryArgument entry_at(Location location);

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

class HistorySource {
 public:
  /// `writes`: a vault that is not mounted is opened for changes.
  static Result<std::unique_ptr<HistorySource>> open(World& world, const Arguments& arguments, const Target& target, bool writes);
  virtual ~HistorySource() = default;

  /// A request of fs/history_request.h or fs/time_lock_request.h. Errors: those in the reply; io.
  virtual Result<nlohmann::json> request(const nlohmann::json& object) = 0;
  virtual Result<> read(const std::string& path, const VersionInfo& version, const VaultFiles::Sink& sink) = 0;
  /// Commits. Nothing more after it.
  virtual Result<> close() = 0;

  /// The members of array `member` in all replies to `object`.
  Result<nlohmann::json> collect(nlohmann::json object, const char* member);
  /// Newest first. Errors: not_found.
  Result<std::vector<VersionInfo>> log(const std::string& path);
};

/// The one of `versions` (newest first) that `text` means: a number as `tain log` shows it, -N for N before the present,
/// or a time (base/moment). Errors: not_found, usage.
Result<VersionInfo> pick_version(const std::vector<VersionInfo>& versions, const std::string& text, int64_t now_ms);

/// The item of the trash that had this path, the last one, or the last one until `entry.version`. Errors: not_found.
Result<nlohmann::json> find_in_trash(HistorySource& source, const EntryArgument& entry);
/// Says what a reply to "restore" or "trash_restore" has. Errors: partial.
Result<> report_restored(World& world, const Arguments& arguments, const EntryArgument& entry, const nlohmann::json& reply);

/// "2026-11-01 10:00:03", local.
std::string human_time(int64_t ms);

}  // namespace tain::cli
