// SPDX-License-Identifier: Apache-2.0
// tain prune and tain retention as requests (docs/control-socket.md): what a vault keeps of its past, and what it does not
// keep any more. There is one policy, the vault's own, and what is due by it goes by the janitor's steps.
#pragma once

#include "base/result.h"
#include "fs/control.h"
#include "store/retention.h"
#include "store/vault.h"

namespace tain::fs {

/// {"dry_run", "from"}: drops what is due; or lists it. Takes its time. Errors: read_only, io, no_space, …
Result<nlohmann::json> answer_prune(store::Vault& vault, const nlohmann::json& request);
/// {"policy", "dry_run"}: sets the policy, if there is one, and yields the one that counts and how much is due by it.
Result<nlohmann::json> answer_retention(store::Vault& vault, const nlohmann::json& request);

/// Seconds for each stage; null is for ever. And the way back; errors: usage.
nlohmann::json policy_to_json(const store::RetentionPolicy& policy);
Result<store::RetentionPolicy> policy_from_json(const nlohmann::json& value);

}  // namespace tain::fs
