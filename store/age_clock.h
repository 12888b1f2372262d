// SPDX-License-Identifier: Apache-2.0
// The time that the ages of the past go by (ADR 13): a clock that is wrong must not make the janitor take away what the
// policy keeps.
//
// It goes on with the time that really passes while the vault is open. A system clock that is behind it is believed at
// once, since that takes nothing away. One that is ahead may be wrong, or the vault was closed meanwhile; nobody knows.
// So what it says is believed once the vault has been open for a day since it said so, all openings counted together,
// if it never said less in between. Pure but for the clock.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace tain::store {

/// What a vault remembers of it (docs/format.md §6.5). Milliseconds; times since the Unix epoch.
struct AgeMark {
  int64_t aged_ms = 0;     // the time that ages go by; 0: the clock has not been looked at yet
  int64_t doubted_ms = 0;  // a later time that the system's clock claims; 0: it claims none
  int64_t waited_ms = 0;   // for how long the vault has been open since it did
  bool operator==(const AgeMark&) const = default;
};

/// Not synchronized.
class AgeClock {
 public:
  static constexpr int64_t kDoubted_ms = int64_t{24} * 3600 * 1000;  // a clock that is ahead is doubted for so long

  AgeClock(Clock& clock, const AgeMark& mark) : clock_(clock), mark_(mark) {}
  /// Looks at the clocks. What it yields never comes closer to a time that the system's clock was set to by mistake
  /// than the rule above says.
  const AgeMark& look();
  int64_t now_s() { return look().aged_ms / 1000; }

 private:
  Clock& clock_;
  AgeMark mark_;
  bool has_looked_ = false;
  int64_t looked_at_ms_ = 0;  // by the clock that only goes forward, and that sleep does not stop
};

}  // namespace tain::store
