// SPDX-License-Identifier: Apache-2.0
// Brings a folder back as it was at a time, with all that was in it.
//
// In place it goes by inodes, so that entries keep their history: first everything that is in the way goes to the trash,
// then what was there comes back, out of the trash where it is there, and a changed file gets its former state as its
// newest version. Each step is one atomic change and leaves nothing that cannot be had back, and a step whose outcome is
// there already is left out: after a crash or an error the same call goes on.
//
// What is outside of the folder now stays there, and a copy comes into the folder; two names of one file are that again where
// both are inside. A file that was changed and came back is another inode with the same content, and is compared before it is given that once more.
//
// Not brought back is what history does not keep (ADR 13): attributes that were changed without the content, the time of a
// folder to which names were only added, and what editors leave beside a file. The latter stays where it is, and so does what was made in the last two seconds: the trash
// would not take it.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "fs/history_request.h"
#include "store/vault.h"

namespace tain::fs {

struct FolderRestored {
  uint64_t restored = 0;   // entries that came back, or got their former state
  uint64_t unchanged = 0;  // that are as they were
  uint64_t removed = 0;    // that were not there then: they are in the trash
  uint64_t left = 0;       // the same, but they stay
  uint64_t failed = 0;     // damaged, time-locked, or pruned
};

/// Makes directory `to` what directory `from` was at `hlc`; they may be the same. Goes on past entries that fail. Errors:
/// no_space, io, read_only; not_permitted where the vault keeps no history. Threads: any; it takes its time.
Result<FolderRestored> restore_folder(store::Vault& vault, Ino from, uint64_t hlc, Ino to, const Server& server);

/// Makes a copy as `to`, a name that is free. It appears when it is whole.
Result<FolderRestored> copy_folder(store::Vault& vault, Ino from, uint64_t hlc, const Place& to, const Server& server);

}  // namespace tain::fs
