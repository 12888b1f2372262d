// SPDX-License-Identifier: Apache-2.0
// What people and programs do to a vault, recorded: the raw material of the crash tests.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/crash/scene.h"

namespace tain::crash {

/// Does its work in a new vault. `seed` decides what exactly.
using Workload = std::function<Work(uint64_t seed)>;

struct NamedWorkload {
  const char* name;
  Workload record;
  size_t states_short, states_long;  // disks to open of one recording in the default run, and with TAIN_LONG
};
inline void PrintTo(const NamedWorkload& workload, std::ostream* out) {
  *out << workload.name;
}

Work editor_saves(uint64_t seed);
Work database_commits(uint64_t seed);
Work untar(uint64_t seed);
Work delete_tree(uint64_t seed);
Work overwrite_in_place(uint64_t seed);
/// Two threads work, two others call fsync, and the committer runs.
Work mixed_with_committer(uint64_t seed);
/// Operations and fsyncs in the middle of commits: frames that the commit does not have.
Work frames_during_commits(uint64_t seed);
/// Frames until the journal is full and starts again, twice.
Work journal_wraps(uint64_t seed);
/// Files come and go, and what they leave free is made holes of, again and again, between frames and commits.
Work compaction(uint64_t seed);
/// Documents with history: versions, saves by rename, pruning, between frames and commits (history_workloads.cc).
Work versions(uint64_t seed);
/// Folders go to the trash, come back, and go for good.
Work trash(uint64_t seed);
/// Former versions of documents become the newest ones again.
Work version_restores(uint64_t seed);
/// Files are renamed away and made anew, so that two entries have one past; pruning and emptying the trash in many commits.
Work forks(uint64_t seed);
/// The past is given up as on a full disk.
Work give_back(uint64_t seed);
/// A folder of more names than are restored in one step comes back from the trash.
Work large_restore(uint64_t seed);
/// Making a vault. Until create() has returned there may be none.
Work creation(uint64_t seed);
/// Some changes of the password: the last one that was acknowledged counts, and no older one.
Work password_changes(uint64_t seed);
/// Keys added, removed and replaced: what opened before or what opens after, never anything between.
Work key_changes(uint64_t seed);
/// A new master key is begun, and everything sealed anew under it: the same password opens the vault all the time, and
/// whatever a crash leaves can be brought to its end.
Work master_key_change(uint64_t seed);

const std::vector<NamedWorkload>& all_workloads();

/// Operations of all kinds, chosen at random; so many of a hundred writes are fsynced, of operations synced.
void random_operations(Lane& lane, uint64_t seed, size_t count, uint64_t fsync_percent, uint64_t sync_percent = 2);

}  // namespace tain::crash
