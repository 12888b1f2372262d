// SPDX-License-Identifier: Apache-2.0
// What the rules of the namespace see of the tree: of the entries they ask about, no others.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sync/heads.h"

namespace tain::sync {

/// What the rules need to know of an entry.
struct EntryState {
  uint8_t type = 0;  // DT_*
  Heads<Location> location;
  /// The heads of content and attributes; those of equal value stand together.
  std::vector<std::vector<Dot>> edits;
  Stamp written;         // of its content, or of its attributes if it has none: no repair changes that
  bool is_bare = false;  // an empty file that nobody ever wrote to: it gives way to every other

  bool is_directory() const;
};

EntryState state_of(uint8_t type, Heads<Location> location, const Heads<Content>& content,
                    const Heads<Attributes>& attributes);

/// For a removal: the heads of content and attributes that it knows, one of each value. What does not fit in is not
/// there, so that it brings the entry back: rather that than to lose it.
std::vector<Dot> seen_edits(const EntryState& state);

/// The tree as the winners of the locations say, before any repair. Errors are the store's.
class NamespaceView {
 public:
  virtual ~NamespaceView() = default;
  /// Nothing: no version of it has come yet. Never asked for the root, which is always there.
  virtual Result<std::optional<EntryState>> find(const EntryId& entry) const = 0;
  /// The entries that have this name; more than one before a clash is repaired.
  virtual Result<std::vector<EntryId>> holders(const Link& link) const = 0;
  /// The entries that have a name in `directory`, which need not be one, or known. Asked of removed ones and of those
  /// that are merged into another.
  virtual Result<std::vector<EntryId>> children(const EntryId& directory) const = 0;
  /// What the device of `writer` announced as its label.
  virtual std::string device_label(uint64_t writer) const = 0;
};

}  // namespace tain::sync
