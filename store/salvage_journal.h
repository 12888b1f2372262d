// SPDX-License-Identifier: Apache-2.0
// The journal of a vault that is salvaged: what it will bring, and bringing it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/catalog.h"
#include "store/salvage.h"

namespace tain::store {

/// What the journal will bring: inodes that a frame speaks of, which replaying makes anew if they are not there.
struct InJournal {
  std::set<uint64_t> inodes;
  std::map<uint64_t, uint64_t> previous;               // inodes whose entries others took over, and when
  std::vector<std::pair<uint64_t, uint64_t>> changes;  // inode, time of its last committed change as the frame knew it
  uint64_t next_ino = 0;
};

/// Copies the journal, and reads what it will bring. `state` gets its position where that is not known: when there is
/// no state record, or only one that had to be searched for, which may be that of an earlier commit.
Result<InJournal> copy_journal(const std::string& from, const std::string& to, const Catalog& catalog,
                               bool position_known, State& state, SalvageReport& report);

/// What the journal has, on top of the new vault in `directory`. Its records count what was there before the damage, so
/// they are mended afterwards. `remade` are inodes that only the journal makes, although the database had them.
Result<> replay_journal(const std::string& directory, const MasterKey& master, const std::set<uint64_t>& remade,
                        SalvageReport& report);

}  // namespace tain::store
