// SPDX-License-Identifier: Apache-2.0
// Brings a former state of a file back as its newest one.
#pragma once

#include <string>

#include "base/result.h"
#include "fs/history_request.h"
#include "store/past.h"
#include "store/vault.h"

namespace tain::fs {

/// A name for the moment in which what is new is about to take the old one's place. Nobody else has it, and no history is
/// kept of files whose names end so.
std::string passing_name();

/// Makes `from` the newest version of `to`, or `to` itself where nothing has that name. What has the name becomes a
/// version. Nothing is seen of it before it is whole. Errors: corrupt, is_directory, no_space, stale (the version was
/// pruned meanwhile), io. Threads: any; a large file takes its time.
Result<> restore_version(store::Vault& vault, const store::PastState& from, const Place& to, const Server& server);

}  // namespace tain::fs
