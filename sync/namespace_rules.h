// SPDX-License-Identifier: Apache-2.0
// What versions of several entries can have wrong together, and the edits that put it right (ADR 19).
//
// Each device runs this over what it applied and publishes the repairs as ordinary edits of locations. They are a
// function of the state that is seen alone, so devices that see the same make versions of equal value.
#pragma once

#include "sync/namespace_view.h"

namespace tain::sync {

/// A local edit of a location: its parents are what any edit of it names now (Heads::basis with Replaces::all).
struct Repair {
  EntryId entry;
  Location location;
  uint64_t hlc = 0;  // just above what it repairs, so that an edit that a person makes outranks it (kHlcTick)
  bool operator==(const Repair&) const = default;
};

/// The repairs after versions of the entries `touched` were applied to a tree that had nothing wrong; of an entry at
/// most one. Once they are applied too, there is nothing to repair. Looks at those entries, what has their names,
/// the directories above them, the children of removed directories and of those that are merged into another.
Result<std::vector<Repair>> find_repairs(const NamespaceView& view, const std::vector<EntryId>& touched);

}  // namespace tain::sync
