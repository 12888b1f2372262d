// SPDX-License-Identifier: Apache-2.0
#include "cli/history_source.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/clock.h"
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

/// Takes "@VERSION" off.
void split_version(EntryArgument& entry) {
  const size_t at = entry.path.rfind('@');
  if (at == std::string::npos || at == 0 || entry.path.find('/', at) != std::string::npos || entry.path[at - 1] == '/') return;
  if (!is_version(std::string_view(entry.path).substr(at + 1))) return;
  entry.version = entry.path.substr(at + 1);
  entry.path.resize(at);
}

class MountedHistory final : public HistorySource {
 public:
  MountedHistory(fs::ControlClient client, std::unique_ptr<VaultFiles> files) : client_(std::move(client)), files_(std::move(files)) {}
  Result<json> request(const json& object) override { return client_.request(object, kTimeoutMs); }
  Result<> read(const std::string& path, const VersionInfo& version, const VaultFiles::Sink& sink) override {
    return files_->read(std::string(fs::VirtualTree::kName) + "/history/" + path + "/" + version.name, sink);
  }
  Result<> close() override { return {}; }

 private:
  fs::ControlClient client_;
  std::unique_ptr<VaultFiles> files_;
};

class ClosedHistory final : public HistorySource {
 public:
  explicit ClosedHistory(std::unique_ptr<store::Vault> vault) : vault_(std::move(vault)) {}
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
  Result<> read(const std::string& path, const VersionInfo& version, const VaultFiles::Sink& sink) override {
    Ino at = kRootIno;
    for (const auto& name : std::filesystem::path(path))
      if (!name.empty()) at = TRY(vault_->tree().lookup(at, name.string())).ino;
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
  Result<> close() override { return vault_->close(); }

 private:
  std::unique_ptr<store::Vault> vault_;
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
  split_version(out);
  return out;
}

EntryArgument entry_at(Location location) {
  EntryArgument out{.target = std::move(location.target), .path = std::move(location.path), .version = {}};
  split_version(out);
  return out;
}

Result<std::unique_ptr<HistorySource>> HistorySource::open(World& world, const Arguments& arguments, const Target& target, bool writes) {
  if (target.mount) {
    auto client = TRY(fs::connect_to_daemon(*target.mount, runtime_paths(world, target.mount->owner), kConnectTimeoutMs));
    auto files = TRY(VaultFiles::open(world, arguments, target));
    return std::unique_ptr<HistorySource>(std::make_unique<MountedHistory>(std::move(client), std::move(files)));
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

std::string human_time(int64_t ms) {
  std::string text = moment_name(ms).substr(0, 19);
  for (char& c : text) {
    if (c == 'T') c = ' ';
    if (c == '.') c = ':';
  }
  return text;
}

}  // namespace tain::cli
