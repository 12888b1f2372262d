// SPDX-License-Identifier: Apache-2.0
#include "fs/status_report.h"

namespace tain::fs {

using nlohmann::json;

json describe_header(const store::VaultInfo& info) {
  json out = {{"vault", info.directory},
          {"vault_id", to_hex(info.id.bytes)},
          {"cipher", store::suite_name(info.suite)},
          {"key_epoch", info.epoch},
          {"key_slots", info.slots.size()},
          {"kdf", {{"name", "argon2id"}, {"passes", info.kdf.passes}, {"memory_bytes", info.kdf.memory_bytes}}},
          {"header", {{"sequence", info.header_sequence}, {"copy_used", info.copy_used}}}};
  if (info.older_epoch != 0) out["rotation"] = {{"running", true}, {"epoch", info.epoch}};
  return out;
}

void add_live_status(json& status, const json& live) {
  for (const char* member : {"pid", "version", "mounted_at", "entries", "content_bytes", "history", "past_entries", "past_bytes", "store_bytes",
                             "pending_bytes", "secrets_locked", "confined", "idle_timeout_s", "as_of", "opened_with", "damaged", "damaged_complete", "damaged_entries", "scrub", "rotation"}) {
    if (live.contains(member)) status[member] = live[member];
  }
}

}  // namespace tain::fs
