// SPDX-License-Identifier: Apache-2.0
// Visits what a crash can leave of a recording: rebuilds disks, has each one opened, and compares what is seen with
// what the promises allow.
//
// A crash happens just before a flush returns (everything since the flush before is then pending, and any part of it
// may be left), after an operation became known as durable, and at the end. What is left is chosen systematically
// (nothing, all, all but one, only one, the first k, one torn) and at random (writes, sectors). Equal disks are opened
// once. Choices depend on the recording and the seed only.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/disk.h"
#include "tests/support/long_run.h"

namespace tain::crash {

/// What one disk turned out to hold.
struct Visible {
  std::string complaint;  // something that must never be seen; empty: none
  /// By lane: the operations after which the lane looked exactly like this. None: it never looked like this.
  std::vector<std::vector<uint64_t>> fits;
  std::string nearest;  // when a lane fits nothing: how it differs from the state that is most like it
};

class Judge {
 public:
  virtual ~Judge() = default;
  /// Opens the vault in `folder` as a user would, closes it, and says what there was to see. `thorough`: also audits
  /// the store and opens it again. Runs in a process of its own: whatever it does to that process is noticed.
  virtual Visible look(const std::string& folder, bool thorough) const = 0;
};

struct Plan {
  uint64_t seed = 1;
  size_t states = 100;          // different disks to open; fewer when there are not so many
  size_t audit_every = 8;       // one in so many is looked at thoroughly
  size_t recover_every = 0;     // of one in so many, the opening itself is recorded and explored; 0: never
  size_t recovery_states = 10;  // for each of these
  size_t violations_max = 3;    // then it is enough
};

struct Tally {
  uint64_t points = 0;      // crash points chosen
  uint64_t crashes = 0;     // crashes judged: a disk together with what was acknowledged by then
  uint64_t states = 0;      // different disks opened, those of recoveries included
  uint64_t recoveries = 0;  // openings explored
  uint64_t violations = 0;
  std::vector<std::string> complaints;  // the first of them

  Tally& operator+=(const Tally& other);
};

Tally explore(const Recording& recording, const Judge& judge, const Plan& plan);

/// One disk that a crash somewhere in the recording can leave, and the bounds of lane 0 there.
struct CrashedDisk {
  Disk disk;
  Timeline::Bounds bounds;
};
CrashedDisk random_crash(const Recording& recording, uint64_t seed);

/// From the environment variable TAIN_CRASH_SEED, or 1.
uint64_t seed_from_environment();
using test::is_long_run;  // then tens of thousands of states

}  // namespace tain::crash
