// SPDX-License-Identifier: Apache-2.0
#include "cli/history_source.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "base/clock.h"
#include "base/file.h"
#include "base/moment.h"
#include "cli/credential.h"
#include "fs/find_daemon.h"
#include "fs/history_request.h"
#include "fs/time_lock_request.h"
#include "fs/virtual_tree.h"
#include "store/past.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::cli {

using nlohmann::json;

namespace {

constexpr int kConnectTimeoutMs = 10'000;
constexpr int kTimeoutMs = 60 * 60'000;     // restoring much takes its time, and the server does one thing after another
constexpr int kPurgeAttempts = 20;
constexpr unsigned kPurgePause_us = 100'000;
constexpr size_t kPieceSize = 256 * 1024;  // bytes

Error no_such_version(const std::string& text) {
  return Error(Code::not_found, "there is no version " + text).hint("tain log PATH lists them");
}

bool is_version(std::string_view text) {
  if (parse_moment(text, system_clock().wall_ns() / 1'000'000).ok()) return true;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// Until when an entry was there, and from when on.
bool was_there(const RemovedEntry& entry, int64_t ms) {
  return ms < entry.removed_ms && (entry.versions.empty() || entry.versions.back().since_ms <= ms);
}

class MountedHistory final : public HistorySource {
 public:
  MountedHistory(fs::MountEntry mount, fs::RuntimePaths paths, std::unique_ptr<VaultFiles> files)
      : mount_(std::move(mount)), paths_(std::move(paths)), files_(std::move(files)) {}
  Result<json> request(const json& object) override {
    if (!client_) client_ = TRY(fs::connect_to_daemon(mount_, paths_, kConnectTimeoutMs));
    return client_->request(object, kTimeoutMs);
  }
  Result<> read(const Entry& entry, const VersionInfo& version, const VaultFiles::Sink& sink) override {
    const std::string folder = entry.removed ? "/removed/" + std::to_string(raw(entry.removed->ino)) : "/history/" + entry.path;
    return files_->read(std::string(fs::VirtualTree::kName) + folder + "/" + version.name, sink);
  }
  VaultFiles& present() override { return *files_; }
  /// What is there is removed through the mount, so that the kernel lets go of it; then it is in the trash.
  Result<json> purge(const Entry& entry) override {
    if (entry.removed) return purge_removed(entry.removed->json["id"]);
    const std::string path = mount_.mountpoint + "/" + entry.path;
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) return errno_error(errno, path);
    std::error_code failure;
    std::filesystem::remove_all(path, failure);
    if (failure) return errno_error(failure.value(), path).hint("what was removed of it is in the trash");
    for (const RemovedEntry& one : TRY(removed(entry.path)))
      if (raw(one.ino) == st.st_ino) return purge_removed(one.json["id"]);
    // It has another name, or nothing was ever kept of it.
    return json{{"entries", st.st_nlink > 1 && !S_ISDIR(st.st_mode) ? 0 : 1}, {"failed", 0}};
  }
  Result<> close() override { return {}; }

 private:
  /// The kernel takes a moment to let go of what was removed.
  Result<json> purge_removed(const json& id) {
    uint64_t entries = 0;
    for (int attempt = 1;; ++attempt) {
      json reply = TRY(request({{"op", "purge"}, {"id", id}}));
      reply["entries"] = entries += reply.value("entries", uint64_t{0});
      if (reply.value("failed", uint64_t{0}) == 0 || attempt == kPurgeAttempts) return reply;
      ::usleep(kPurgePause_us);
    }
  }
  const fs::MountEntry mount_;
  const fs::RuntimePaths paths_;
  std::optional<fs::ControlClient> client_;  // from the first request on
  std::unique_ptr<VaultFiles> files_;
};

class ClosedHistory final : public HistorySource {
 public:
  explicit ClosedHistory(std::unique_ptr<store::Vault> vault) : vault_(std::move(vault)), files_(VaultFiles::inside(*vault_)) {}
  Result<json> request(const json& object) override {
    const auto unlinked = [this](const store::Unlinked& one) {
      // An orphan that could not be removed is on the vault's list and goes at the next open.
      if (one.orphan) static_cast<void>(vault_->tree().reap(one.ino));
    };
    json reply = fs::is_time_lock_request(object.value("op", json()))
                     ? fs::answer_time_lock(*vault_, object, [] {})
                     : fs::answer_history(*vault_, object, {.changed = [](Ino, const std::string&) {}, .unlinked = unlinked});
    TRY(fs::error_in_reply(reply));
    return reply;
  }
  Result<> read(const Entry& entry, const VersionInfo& version, const VaultFiles::Sink& sink) override {
    const std::string& path = entry.path;
    Ino at = kRootIno;
    if (entry.removed) {
      at = entry.removed->ino;
    } else {
      for (const auto& name : std::filesystem::path(path))
        if (!name.empty()) at = TRY(vault_->tree().lookup(at, name.string())).ino;
    }
    const auto states = TRY(fs::named_states(*vault_, at, ""));
    if (version.number == 0 || version.number > states.size()) return no_such_version(std::to_string(version.number));
    const store::PastState& state = states[version.number - 1].state;
    if (!state.inode.is_regular()) return Error(Code::invalid_argument, path + " is not a regular file");
    Bytes piece(kPieceSize);
    Result<> outcome;
    for (uint64_t offset = 0; outcome.ok();) {
      auto got = vault_->past().read(state, offset, piece);
      if (!got.ok()) outcome = std::move(got).error().with("read " + path);
      if (!outcome.ok() || *got == 0) break;
      outcome = sink(ByteView(piece).first(*got));
      offset += *got;
    }
    wipe(piece);
    return outcome;
  }
  VaultFiles& present() override { return *files_; }
  Result<json> purge(const Entry& entry) override {
    if (entry.removed) return request({{"op", "purge"}, {"id", entry.removed->json["id"]}});
    return request({{"op", "purge"}, {"path", fs::path_to_json(entry.path)}});
  }
  Result<> close() override { return vault_->close(); }

 private:
  std::unique_ptr<store::Vault> vault_;
  std::unique_ptr<VaultFiles> files_;
};

VersionInfo parse_version(const json& row) {
  VersionInfo out;
  out.number = row.value("number", uint64_t{0});
  if (auto name = fs::path_from_json(row.value("name", json())); name.ok()) out.name = *name;
  out.since_ms = row.value("since_ms", int64_t{0});
  if (row.contains("until_ms")) out.until_ms = row.value("until_ms", int64_t{0});
  out.mtime_s = row.value("mtime", int64_t{0});
  out.type = row.value("type", std::string());
  out.mode = row.value("mode", std::string());
  out.size = row.value("size", uint64_t{0});
  out.is_damaged = row.value("damaged", false);
  out.changed = row.value("changed", std::vector<std::string>());
  out.json = row;
  return out;
}

}  // namespace

Result<EntryArgument> find_entry(const std::string& argument) {
  EntryArgument out;
  // The folders on the way may be links; the entry itself need not be there.
  std::error_code failure;
  const std::filesystem::path given = std::filesystem::absolute(argument, failure);
  const std::string absolute =
      (std::filesystem::weakly_canonical(given.parent_path(), failure) / given.filename()).lexically_normal().string();
  const fs::MountEntry* found = nullptr;
  const auto table = TRY(fs::read_mount_table());
  for (const fs::MountEntry& mount : table) {
    if (!mount.is_vault() || !absolute.starts_with(mount.mountpoint + "/")) continue;
    if (found == nullptr || mount.mountpoint.size() >= found->mountpoint.size()) found = &mount;
  }
  if (found != nullptr) {
    out.target = {found->source, *found};
    out.path = absolute.substr(found->mountpoint.size() + 1);
  } else if (argument.find(':') != std::string::npos) {
    Location location = TRY(find_location({argument}));
    out.target = std::move(location.target);
    out.path = std::move(location.path);
  }
  while (out.path.ends_with('/')) out.path.pop_back();
  if (out.path.empty())
    return Error(Code::usage, argument + " names no entry of a vault").hint("VAULT:PATH, or a path below a mountpoint");
  return out;
}

std::vector<Reading> readings(const std::string& path) {
  std::vector<Reading> out = {{path, ""}};
  const size_t at = path.rfind('@');
  if (at == std::string::npos || path.find('/', at) != std::string::npos) return out;
  const std::string version = path.substr(at + 1);
  if (!is_version(version)) return out;
  std::string name = path.substr(0, at);
  const bool is_doubled = name.ends_with('@');
  while (name.ends_with('/')) name.pop_back();  // FOLDER/@TIME
  out.push_back({name, version});
  if (is_doubled && name.size() > 1) out.push_back({name.substr(0, name.size() - 1), version});
  return out;
}

Result<std::unique_ptr<HistorySource>> HistorySource::open(World& world, const Arguments& arguments, const Target& target, bool writes) {
  if (target.mount) {
    auto files = TRY(VaultFiles::open(world, arguments, target));
    return std::unique_ptr<HistorySource>(
        std::make_unique<MountedHistory>(*target.mount, runtime_paths(world, target.mount->owner), std::move(files)));
  }
  TRY(store::Vault::inspect(target.vault_directory));  // before anybody types a password
  const store::Credential credential = TRY(read_credential(world, arguments, target.vault_directory));
  store::OpenOptions options;
  options.read_only = !writes;
  options.history = true;
  options.warn = [&world](const std::string& message) { warn(world, message); };
  auto vault = TRY(store::Vault::open(target.vault_directory, options, credential));
  return std::unique_ptr<HistorySource>(std::make_unique<ClosedHistory>(std::move(vault)));
}

Result<json> HistorySource::collect(json object, const char* member) {
  json out = json::array();
  for (;;) {
    json reply = TRY(request(object));
    const json rows = reply.value(member, json::array());
    out.insert(out.end(), rows.begin(), rows.end());
    if (!reply.contains("next")) return out;
    object["from"] = reply["next"];
  }
}

Result<std::vector<VersionInfo>> HistorySource::log(const std::string& path) {
  auto rows = collect({{"op", "log"}, {"path", fs::path_to_json(path)}}, "versions");
  if (rows.is(Code::not_found)) {
    return Error(Code::not_found, path + " does not exist").hint("tain trash list VAULT shows what was removed");
  }
  std::vector<VersionInfo> out;
  for (const json& row : TRY(std::move(rows))) out.push_back(parse_version(row));
  return out;
}

Result<std::vector<RemovedEntry>> HistorySource::removed(const std::string& path) {
  std::vector<RemovedEntry> out;
  const json items = TRY(collect({{"op", "removed"}, {"path", fs::path_to_json(path)}}, "items"));
  for (const json& item : items) {
    RemovedEntry entry{.ino = Ino{item.value("ino", uint64_t{0})}, .removed_ms = item.value("removed_ms", int64_t{0}), .versions = {}, .json = item};
    const json rows = TRY(collect({{"op", "log"}, {"ino", raw(entry.ino)}}, "versions"));
    for (const json& row : rows) entry.versions.push_back(parse_version(row));
    out.push_back(std::move(entry));
  }
  return out;
}

Result<Entry> HistorySource::find(const std::string& path, int64_t now_ms, bool or_root) {
  std::optional<Entry> present;
  const std::vector<Reading> all = readings(path);
  for (const Reading& reading : all) {
    if (reading.path.empty() && or_root) return Entry{.version = reading.version};
    if (reading.path.empty()) continue;
    auto versions = log(reading.path);
    if (versions.is(Code::not_found)) continue;
    present = Entry{reading.path, reading.version, TRY(std::move(versions)), {}};
    break;
  }
  const auto is_time = [](const Reading& reading) { return !reading.version.empty() && !is_number(reading.version); };
  if (present && !is_time({present->path, present->version})) return *std::move(present);
  std::optional<Entry> last;
  for (const Reading& reading : all) {
    if (reading.path.empty() || (present && present->path != reading.path)) continue;
    std::optional<int64_t> ms;
    if (is_time(reading)) ms = TRY(parse_moment(reading.version, now_ms)).ms;
    // What was there then, of the same path: the present one, or what was removed before that was made.
    if (present && !present->versions.empty() && present->versions.back().since_ms <= *ms) return *std::move(present);
    for (RemovedEntry& entry : TRY(removed(reading.path))) {
      if (ms && !was_there(entry, *ms) && last) continue;
      Entry found{reading.path, reading.version, entry.versions, std::move(entry)};
      if (!ms || was_there(*found.removed, *ms)) return found;
      last = std::move(found);
    }
    if (present) return *std::move(present);
  }
  if (last) return *std::move(last);  // to say that it was not there then
  return Error(Code::not_found, path + " does not exist, and is not in the trash").hint("tain trash list VAULT shows what was removed");
}

Result<VersionInfo> Entry::pick(const std::string& text, int64_t now_ms) const {
  if (versions.empty()) return Error(Code::not_found, path + " has no versions");
  if (text.empty()) return versions[0];
  if (removed && is_number(text) && text[0] == '-') {  // before the present, in which it is not there
    const auto back = static_cast<size_t>(std::strtoull(text.c_str() + 1, nullptr, 10));
    if (back == 0 || back > versions.size()) return no_such_version(text);
    return versions[back - 1];
  }
  if (removed && !is_number(text) && TRY(parse_moment(text, now_ms)).ms >= removed->removed_ms)
    return Error(Code::not_found, "it was removed before, at " + human_time(removed->removed_ms)).hint("tain log PATH lists what there is");
  return pick_version(versions, text, now_ms);
}

Result<VersionInfo> pick_version(const std::vector<VersionInfo>& versions, const std::string& text, int64_t now_ms) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) {
    if (number < 0) {
      const auto back = static_cast<uint64_t>(-number);
      if (back < versions.size()) return versions[back];
    }
    for (const VersionInfo& version : versions)
      if (number > 0 && version.number == static_cast<uint64_t>(number)) return version;
    return no_such_version(text);
  }
  const Moment moment = TRY(parse_moment(text, now_ms));
  for (const VersionInfo& version : versions)
    if (version.since_ms <= moment.ms) return version;
  return Error(Code::not_found, "it was not there at " + human_time(moment.ms)).hint("tain log PATH lists what there is");
}

bool is_number(std::string_view version) {
  return !version.empty() && version.find_first_not_of("0123456789", version[0] == '-' ? 1 : 0) == std::string_view::npos;
}

std::string path_to(const std::string& argument, const Target& target) {
  const auto place = find_entry(argument);
  return place.ok() && place->target.vault_directory == target.vault_directory ? place->path : argument;
}

std::string human_time(int64_t ms) {
  std::string text = moment_name(ms).substr(0, 19);
  for (char& c : text) {
    if (c == 'T') c = ' ';
    if (c == '.') c = ':';
  }
  return text;
}

}  // namespace tain::cli
