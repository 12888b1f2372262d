// SPDX-License-Identifier: Apache-2.0
#include "fs/retention_request.h"

#include "fs/history_request.h"
#include "fs/virtual_tree.h"
#include "store/janitor.h"
#include "store/trash.h"

namespace tain::fs {

using nlohmann::json;
using store::Retention;
using store::RetentionPolicy;

namespace {

json seconds_to_json(int64_t seconds) { return seconds == Retention::kForEver ? json(nullptr) : json(seconds); }

Result<int64_t> seconds_from_json(const json& value, const char* member) {
  const json found = value.value(member, json("missing"));
  if (found.is_null()) return Retention::kForEver;
  if (!found.is_number_integer() || found < 0 || found > Retention::kForEver)
    return Error(Code::usage, std::string(member) + " is no number of seconds");
  return found.get<int64_t>();
}

/// How much of what is due there is, and some of it.
struct Due {
  uint64_t states = 0;
  uint64_t entries = 0;  // of the trash
  json items = json::array();
  bool is_more = false;
};

/// Lists the items from the one number `from` on, and no more than fit a reply; from 0 on it also counts all.
Result<Due> find_due(store::Vault& vault, const RetentionPolicy& policy, size_t from, bool is_listed) {
  Due out;
  size_t number = 0;
  const auto take = [&](const store::DueState& due) {
    // Of what leaves the trash its states are not counted one by one.
    if (due.is_trash && !due.is_entry) return true;
    ++(due.is_trash ? out.entries : out.states);
    if (!is_listed || number++ < from) return true;
    if (out.items.size() == kReplyItemsMax) {
      out.is_more = true;
      return from == 0;
    }
    out.items.push_back({{"path", path_to_json(due.path.substr(1))},
                         {"until_ms", ms_of_hlc(due.ended_hlc)},
                         {"size", due.bytes},
                         {"trash", due.is_trash}});
    return true;
  };
  TRY(vault.trash().for_each_due(policy, take));
  return out;
}

}  // namespace

Result<json> answer_prune(store::Vault& vault, const json& request) {
  const bool dry_run = request.value("dry_run", json(false)) == true;
  if (dry_run) {
    const json from = request.value("from", json(0));
    if (!from.is_number_integer() || from < 0) return Error(Code::usage, "from is no number");
    const Due due = TRY(find_due(vault, vault.retention(), from.get<size_t>(), true));
    json out = {{"ok", true}, {"dry_run", true}, {"items", due.items}};
    if (from == 0) out.update({{"states", due.states}, {"entries", due.entries}});
    if (due.is_more) out["next"] = from.get<size_t>() + kReplyItemsMax;
    return out;
  }
  // What is due must be in the database before the janitor sees it, and gone from it when this says so.
  TRY(vault.sync());
  uint64_t states = 0, entries = 0;
  const auto janitor = vault.make_janitor();
  for (bool end = false; !end;) {
    const store::Janitor::Tidied step = TRY(janitor->step());
    states += step.states;
    entries += step.entries;
    end = step.end;
  }
  TRY(vault.sync());
  return json{{"ok", true}, {"dry_run", false}, {"states", states}, {"entries", entries}};
}

Result<json> answer_retention(store::Vault& vault, const json& request) {
  RetentionPolicy policy = vault.retention();
  const bool is_set = request.contains("policy");
  if (is_set) policy = TRY(policy_from_json(request["policy"]));
  const Due due = TRY(find_due(vault, policy, 0, false));
  if (is_set && request.value("dry_run", json(false)) != true) TRY(vault.set_retention(policy));
  json out = {{"ok", true}, {"policy", policy_to_json(policy)}, {"states", due.states}, {"entries", due.entries}};
  if (const auto name = store::preset_name(policy); !name.empty()) out["preset"] = name;
  return out;
}

json policy_to_json(const RetentionPolicy& policy) {
  return {{"all_s", seconds_to_json(policy.states.all_s)},
          {"hourly_s", seconds_to_json(policy.states.hourly_s)},
          {"daily_s", seconds_to_json(policy.states.daily_s)},
          {"monthly_s", seconds_to_json(policy.states.monthly_s)},
          {"trash_s", seconds_to_json(policy.trash_s)}};
}

Result<RetentionPolicy> policy_from_json(const json& value) {
  if (!value.is_object()) return Error(Code::usage, "policy is no object");
  RetentionPolicy out;
  out.states.all_s = TRY(seconds_from_json(value, "all_s"));
  out.states.hourly_s = TRY(seconds_from_json(value, "hourly_s"));
  out.states.daily_s = TRY(seconds_from_json(value, "daily_s"));
  out.states.monthly_s = TRY(seconds_from_json(value, "monthly_s"));
  out.trash_s = TRY(seconds_from_json(value, "trash_s"));
  return out;
}

}  // namespace tain::fs
