// SPDX-License-Identifier: Apache-2.0
// A view of the tree with changes laid over it: where the rules try out their repairs.
#pragma once

#include <map>
#include <set>

#include "sync/namespace_view.h"

namespace tain::sync {

/// An entry that was looked at.
struct DraftEntry {
  EntryState state;
  Location location;  // where it is in the draft; at first the winner's
  int changes = 0;
};

class NamespaceDraft {
 public:
  explicit NamespaceDraft(const NamespaceView& view) : view_(view) {}

  /// Null: unknown, or the root. Stays valid as long as the draft.
  Result<const DraftEntry*> find(const EntryId& entry);
  /// Ascending.
  Result<std::vector<EntryId>> holders(const Link& link);
  Result<std::vector<EntryId>> children(const EntryId& directory);
  std::string device_label(uint64_t writer) const { return view_.device_label(writer); }

  /// `entry` must have been found.
  void place(const EntryId& entry, Location location);

  const std::map<EntryId, std::optional<DraftEntry>>& entries() const { return entries_; }

 private:
  const NamespaceView& view_;
  std::map<EntryId, std::optional<DraftEntry>> entries_;
  std::map<Link, std::set<EntryId>> placed_;  // the links of entries that were changed
};

}  // namespace tain::sync
