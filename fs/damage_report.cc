// SPDX-License-Identifier: Apache-2.0
#include "fs/damage_report.h"

#include <sys/stat.h>

#include <deque>
#include <map>

#include "store/tree.h"

namespace tain::fs {
namespace {

using nlohmann::json;

constexpr size_t kListBytesMax = 128 * 1024;  // a reply has room for that
constexpr size_t kNamesMax = 50'000;  // that are looked at in search of theirs
constexpr uint8_t kDirectoryType = S_IFDIR >> 12;

/// Paths of `wanted`, as far as they are found. Files do not know their directories, so this walks the tree.
std::map<uint64_t, std::string> find_paths(store::Tree& tree, std::map<uint64_t, std::string> wanted) {
  std::map<uint64_t, std::string> found;
  std::deque<std::pair<Ino, std::string>> directories{{kRootIno, ""}};
  if (wanted.erase(raw(kRootIno)) != 0) found.emplace(raw(kRootIno), "/");
  size_t names = 0;
  while (!directories.empty() && !wanted.empty() && names < kNamesMax) {
    const Ino directory = directories.front().first;
    const std::string path = std::move(directories.front().second);
    directories.pop_front();
    // A directory that cannot be listed to its end still yields what can be read.
    static_cast<void>(tree.list(directory, Cookie{0},
                                [&](const store::ListItem& item) {
                                  if (wanted.erase(raw(item.ino)) != 0)
                                    found.emplace(raw(item.ino), path + "/" + std::string(item.name));
                                  if (item.type == kDirectoryType)
                                    directories.emplace_back(item.ino, path + "/" + std::string(item.name));
                                  return ++names < kNamesMax && !wanted.empty();
                                })
                          .ok());
  }
  return found;
}

}  // namespace

json describe_damage(store::Vault& vault, size_t listed_max) {
  if (vault.damage().empty()) return json::object();
  const auto items = vault.damage().items();
  std::map<uint64_t, std::string> wanted;
  for (const auto& item : items)
    if (wanted.size() < listed_max) wanted.emplace(raw(item.ino), item.text);
  const auto paths = find_paths(vault.tree(), wanted);
  json entries = json::array();
  size_t bytes = 0;
  for (const auto& [ino, text] : wanted) {
    if (bytes > kListBytesMax) break;
    json entry = {{"ino", ino}, {"damage", text}};
    if (const auto path = paths.find(ino); path != paths.end()) entry["path"] = path->second;
    bytes += text.size() + entry.value("path", std::string()).size() + 64;
    entries.push_back(std::move(entry));
  }
  return {{"damaged", items.size()},
          {"damaged_complete", items.size() < store::DamageLog::kEntriesMax},
          {"damaged_entries", std::move(entries)}};
}

json describe_scrub(const store::ScrubState& state) {
  const store::ScrubRecord& record = state.record;
  json out = {{"running", state.running}};
  if (state.running) {
    out.update({{"part", state.part},
                {"bytes", record.counts.bytes},
                {"entries", record.counts.entries},
                {"started_at", record.started_s},
                {"damaged", state.damaged}});
  }
  if (record.last_ended_s != 0) {
    out["last"] = {{"started_at", record.last_started_s}, {"ended_at", record.last_ended_s},
                   {"bytes", record.last.bytes},          {"entries", record.last.entries},
                   {"damaged", record.last_damaged},      {"lost", record.last.lost}};
  }
  return out;
}

json describe_scrub(const ScrubWatch::State& state) {
  json out = describe_scrub(state.scrub);
  out.update({{"hurried", state.hurried}, {"background", state.background}, {"passes", state.passes}});
  if (!state.error.empty()) out["error"] = state.error;
  return out;
}

}  // namespace tain::fs
