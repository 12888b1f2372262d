// SPDX-License-Identifier: Apache-2.0
#include "fs/time_lock_request.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/clock.h"
#include "fs/history_request.h"
#include "store/time_lock.h"
#include "store/tree.h"

namespace tain::fs {

using nlohmann::json;
using store::TimeLocks;

namespace {

constexpr int64_t kYear_s = int64_t{366} * 86'400;
constexpr int64_t kLongest_s = 100 * kYear_s;        // a slip of the pen is not for ever
constexpr int64_t kAhead_s = 60;                     // by which the clock of locks may be ahead before anybody is told

void add_time(json& out, int64_t until_s) {
  out["until_s"] = until_s;
  out["unlock_at"] = store::unlock_text(until_s);
}

/// When it shall open. Errors: usage.
Result<int64_t> until_of(const json& request, int64_t now_s) {
  const json length = request.value("for_s", json());
  const json until = request.value("until_s", json());
  if (!length.is_null() && (!length.is_number_integer() || length < 1 || length > kLongest_s))
    return Error(Code::usage, "for_s is no length of time");
  if (!until.is_null() && (!until.is_number_integer() || until > now_s + kLongest_s))
    return Error(Code::usage, "until_s is no time in the next hundred years");
  if (length.is_null() == until.is_null()) return Error(Code::usage, "for_s or until_s, and not both");
  return length.is_null() ? until.get<int64_t>() : now_s + length.get<int64_t>();
}

/// {"path"} asks; with "for_s" or "until_s" locks; with "override": true opens.
Result<json> answer_change(store::Vault& vault, const json& request, const std::function<void()>& changed) {
  const std::string path = TRY(path_from_json(request.value("path", json())));
  const Place place = TRY(find_place(vault.tree(), path));
  const store::Attr attr = TRY(vault.tree().lookup(place.directory, place.name));
  TimeLocks locks = vault.time_locks();
  const int64_t now_s = locks.now_s();
  const bool opens = request.value("override", false);
  const bool asks = !opens && !request.contains("for_s") && !request.contains("until_s");
  json out = {{"ok", true}, {"path", path_to_json(path)}};
  if (!asks) {
    if (vault.read_only()) return Error(Code::read_only, "the vault is open read-only");
    const int64_t until_s = opens ? 0 : TRY(until_of(request, now_s));
    const auto done = opens ? locks.override_lock(attr.ino) : locks.lock(attr.ino, until_s);
    changed();  // also when it came to a part only
    const store::LockReport report = TRY(done);
    TRY(vault.sync());
    out["entries"] = report.entries;
    out["failed"] = report.failed;
  }
  if (const int64_t until_s = TRY(locks.until(attr.ino)); until_s != 0) add_time(out, until_s);
  const int64_t ahead_s = now_s - system_clock().wall_ns() / 1'000'000'000;
  if (ahead_s > kAhead_s) out["ahead_s"] = ahead_s;
  return out;
}

/// {"from"}: what is locked, by path.
Result<json> answer_list(store::Vault& vault, const json& request) {
  const json from = request.value("from", json(0));
  if (!from.is_number_integer() || from < 0) return Error(Code::usage, "from is no number");
  std::vector<store::LockedEntry> entries;
  const uint64_t damaged = TRY(vault.time_locks().list([&](const store::LockedEntry& entry) { entries.push_back(entry); }));
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  json out = {{"ok", true}, {"items", json::array()}, {"count", entries.size()}, {"damaged", damaged}};
  const size_t first = std::min(from.get<size_t>(), entries.size()), last = std::min(first + kReplyItemsMax, entries.size());
  for (size_t i = first; i < last; ++i) {
    json row = {{"path", path_to_json(entries[i].path)}, {"type", S_ISDIR(entries[i].mode) ? "directory" : "file"}};
    add_time(row, entries[i].until_s);
    out["items"].push_back(std::move(row));
  }
  if (last < entries.size()) out["next"] = last;
  return out;
}

}  // namespace

bool is_time_lock_request(const json& op) { return op == "timelock" || op == "timelock_list"; }

json answer_time_lock(store::Vault& vault, const json& request, const std::function<void()>& changed) {
  auto reply = request.value("op", json()) == "timelock_list" ? answer_list(vault, request) : answer_change(vault, request, changed);
  return reply.ok() ? *std::move(reply) : reply_for(reply.error());
}

}  // namespace tain::fs
