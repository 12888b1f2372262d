// SPDX-License-Identifier: Apache-2.0
#include "sync/namespace_draft.h"

#include <dirent.h>

#include <algorithm>

#include "base/check.h"

namespace tain::sync {

bool EntryState::is_directory() const { return type == DT_DIR; }

namespace {

template <class Value>
void add_edits(const Heads<Value>& heads, std::vector<std::vector<Dot>>& out) {
  for (const Version<Value>* one : heads.values()) {
    std::vector<Dot>& dots = out.emplace_back();
    for (const Version<Value>& head : heads.all())
      if (is_same_value(head.value, one->value)) dots.push_back(head.dot);
  }
}

bool has_link(const Location& location, const Link& link) {
  return std::ranges::binary_search(location.links, link);
}

bool is_in(const Location& location, const EntryId& directory) {
  return std::ranges::any_of(location.links, [&](const Link& link) { return link.directory == directory; });
}

}  // namespace

EntryState state_of(uint8_t type, Heads<Location> location, const Heads<Content>& content,
                    const Heads<Attributes>& attributes) {
  EntryState out{.type = type, .location = std::move(location)};
  add_edits(content, out.edits);
  add_edits(attributes, out.edits);
  if (!content.empty()) out.written = {content.winner().dot, content.winner().hlc};
  else if (!attributes.empty()) out.written = {attributes.winner().dot, attributes.winner().hlc};
  out.is_bare = type == DT_REG && (content.empty() || is_bare(content.winner()));
  return out;
}

std::vector<Dot> seen_edits(const EntryState& state) {
  std::vector<Dot> out;
  for (const std::vector<Dot>& dots : state.edits)
    if (out.size() < kSeenMax) out.push_back(dots.front());
  std::ranges::sort(out);
  return out;
}

Result<const DraftEntry*> NamespaceDraft::find(const EntryId& entry) {
  auto at = entries_.find(entry);
  if (at == entries_.end()) {
    std::optional<DraftEntry> loaded;
    if (entry != kRootEntry) {
      std::optional<EntryState> state = TRY(view_.find(entry));
      if (state.has_value() && !state->location.empty()) {
        const Location& winner = state->location.winner().value;
        loaded = DraftEntry{.location = winner};
        loaded->state = std::move(*state);
      }
    }
    at = entries_.emplace(entry, std::move(loaded)).first;
  }
  return at->second.has_value() ? &*at->second : nullptr;
}

Result<std::vector<EntryId>> NamespaceDraft::holders(const Link& link) {
  std::set<EntryId> found;
  for (const EntryId& entry : TRY(view_.holders(link))) {
    const DraftEntry* known = TRY(find(entry));
    if (known != nullptr && has_link(known->location, link)) found.insert(entry);
  }
  if (const auto placed = placed_.find(link); placed != placed_.end()) found.merge(std::set(placed->second));
  return std::vector(found.begin(), found.end());
}

Result<std::vector<EntryId>> NamespaceDraft::children(const EntryId& directory) {
  std::set<EntryId> found;
  for (const EntryId& entry : TRY(view_.children(directory))) {
    const DraftEntry* known = TRY(find(entry));
    if (known != nullptr && is_in(known->location, directory)) found.insert(entry);
  }
  for (auto at = placed_.lower_bound({directory, ""}); at != placed_.end() && at->first.directory == directory; ++at)
    found.insert(at->second.begin(), at->second.end());
  return std::vector(found.begin(), found.end());
}

void NamespaceDraft::place(const EntryId& entry, Location location) {
  const auto at = entries_.find(entry);
  CHECK(at != entries_.end() && at->second.has_value());
  DraftEntry& draft = *at->second;
  if (draft.changes++ > 0)
    for (const Link& link : draft.location.links)
      if (const auto placed = placed_.find(link); placed != placed_.end() && placed->second.erase(entry) != 0 &&
                                                  placed->second.empty())
        placed_.erase(placed);
  draft.location = std::move(location);
  for (const Link& link : draft.location.links) placed_[link].insert(entry);
}

}  // namespace tain::sync
