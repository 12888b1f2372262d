// SPDX-License-Identifier: Apache-2.0
#include "sync/namespace_rules.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "sync/conflict_name.h"
#include "sync/namespace_draft.h"

namespace tain::sync {

namespace {

// Each rule either takes a problem away or moves it up, down or to the top folder, so a few changes of an entry
// are many. More than these are not a person's tree.
constexpr int kChangesMax = 64;

/// A head of content or attributes that no removal knew, by none of its dots.
bool has_unseen_edit(const EntryState& state) {
  std::set<Dot> seen;
  for (const Version<Location>& head : state.location.all())
    if (head.value.is_removal()) seen.insert(head.value.seen.begin(), head.value.seen.end());
  return std::ranges::any_of(state.edits, [&](const std::vector<Dot>& dots) {
    return std::ranges::none_of(dots, [&](const Dot& dot) { return seen.contains(dot); });
  });
}

/// Where an entry that comes back comes to: where it was.
Location before_removal(const EntryId& entry, const EntryState& state, const Location& removal) {
  Location out{.links = removal.taken};
  if (out.links.empty()) out.links = {{kRootEntry, "recovered " + to_hex(entry.bytes).substr(0, 8)}};
  if (state.is_directory()) out.links.resize(1);
  return out;
}

/// All names of the heads, if any has more than one: which of them somebody added and which are left over from before
/// cannot be told from the values. Nothing, if the winner says it all.
std::optional<Location> union_of_links(const EntryState& state) {
  if (state.is_directory()) return std::nullopt;
  std::set<Link> links;
  bool has_several = false;
  for (const Version<Location>& head : state.location.all()) {
    links.insert(head.value.links.begin(), head.value.links.end());
    has_several |= head.value.links.size() > 1;
  }
  if (!has_several) return std::nullopt;
  Location out{.links = std::vector(links.begin(), links.end())};
  if (out.links.size() > kLinksMax) out.links.resize(kLinksMax);
  if (is_same_value(out, state.location.winner().value)) return std::nullopt;
  return out;
}

Location with_link_replaced(const Location& location, const Link& from, Link to) {
  std::set<Link> links(location.links.begin(), location.links.end());
  links.erase(from);
  links.insert(std::move(to));
  return {.links = std::vector(links.begin(), links.end())};
}

/// When a person put it where it is: a repair does not change that.
uint64_t milliseconds(const EntryState& state) { return state.location.winner().hlc / kHlcTick; }

/// Later than all that it repairs, so that what others made of the same before does not win against it and is repaired
/// again and again; and earlier than every edit.
uint64_t repair_hlc(const EntryState& state) {
  uint64_t latest = 0;
  for (const Version<Location>& head : state.location.all()) latest = std::max(latest, head.hlc);
  return later(latest, 1);
}

class Repairer {
 public:
  explicit Repairer(const NamespaceView& view) : draft_(view) {}

  Result<std::vector<Repair>> run(const std::vector<EntryId>& touched) {
    unplaced_.insert(touched.begin(), touched.end());
    unnamed_ = unplaced_;
    // Names are looked at when everything is at its place: who has one depends on what is in the directory at last.
    while (!unplaced_.empty() || !unnamed_.empty()) {
      if (!unplaced_.empty()) TRY(settle_places());
      else TRY(settle_names());
    }
    return repairs();
  }

 private:
  // ---- Changes ----

  Result<> place(const EntryId& entry, Location location) {
    draft_.place(entry, std::move(location));
    rooted_.clear();
    unplaced_.insert(entry);
    unnamed_.insert(entry);
    if ((*draft_.entries().find(entry)->second).changes > kChangesMax)
      return Error(Code::corrupt, "the locations of this vault's entries contradict one another without end");
    return {};
  }

  // ---- Places ----

  Result<> settle_places() {
    const std::set<EntryId> batch = std::exchange(unplaced_, {});
    for (const EntryId& entry : batch) TRY(settle_registers(entry));
    for (const EntryId& entry : batch) TRY(settle_directories_above(entry));
    for (const EntryId& entry : batch) TRY(settle_cycle(entry));
    return {};
  }

  /// What is wrong with the entry alone. Once: what the draft has after that is the answer.
  Result<> settle_registers(const EntryId& entry) {
    const DraftEntry* known = TRY(draft_.find(entry));
    if (known == nullptr || !settled_.insert(entry).second || known->changes > 0) return {};
    const EntryState& state = known->state;
    if (known->location.is_removal()) {
      if (has_unseen_edit(state)) TRY(bring_back(entry));
    } else if (auto links = union_of_links(state)) {
      TRY(place(entry, std::move(*links)));
    }
    return {};
  }

  Result<> bring_back(const EntryId& entry) {
    const DraftEntry* known = TRY(draft_.find(entry));
    return place(entry, before_removal(entry, known->state, known->location));
  }

  /// Every name must be in a directory that is there. What is unknown is left: with causal delivery it comes first, so
  /// something is still missing, and nothing follows from what is missing.
  Result<> settle_directories_above(const EntryId& entry) {
    const DraftEntry* known = TRY(draft_.find(entry));
    if (known == nullptr) return {};
    if (known->location.is_removal() || !known->state.is_directory()) {  // then nothing may be in it
      const std::vector<EntryId> children = TRY(draft_.children(entry));
      if (!known->state.is_directory()) {
        for (const EntryId& child : children) unplaced_.insert(child);
      } else if (!children.empty()) {
        TRY(bring_back(entry));
      }
    }
    const std::vector<Link> links = known->location.links;
    for (const Link& link : links) {
      const DraftEntry* above = TRY(draft_.find(link.directory));
      if (above == nullptr) continue;
      if (!above->state.is_directory()) {
        TRY(place(entry, with_link_replaced(known->location, link, {kRootEntry, link.name})));
      } else if (above->location.is_removal()) {
        TRY(bring_back(link.directory));
      }
    }
    return {};
  }

  /// Two moves of directories into one another. The later one is undone, or goes to the top folder if it cannot be.
  Result<> settle_cycle(const EntryId& entry) {
    const std::vector<EntryId> cycle = TRY(cycle_above(entry));
    if (cycle.empty()) return {};
    std::pair<uint64_t, EntryId> latest;
    for (const EntryId& one : cycle)
      latest = std::max(latest, {milliseconds(TRY(draft_.find(one))->state), one});
    const DraftEntry* moved = TRY(draft_.find(latest.second));
    Link target{kRootEntry, moved->location.links[0].name};
    const std::vector<Link>& before = moved->state.location.winner().value.taken;
    if (!before.empty() && TRY(is_outside(before[0].directory, latest.second))) target = before[0];
    return place(latest.second, {.links = {target}});
  }

  /// The directory that `directory` is in; nothing above the root, what is unknown and what is removed.
  Result<std::optional<EntryId>> above(const EntryId& directory) {
    const DraftEntry* known = TRY(draft_.find(directory));
    if (known == nullptr || known->location.is_removal()) return std::optional<EntryId>();
    return std::optional(known->location.links[0].directory);
  }

  /// The directories of the cycle that `entry` is in or below; empty if there is none.
  Result<std::vector<EntryId>> cycle_above(const EntryId& entry) {
    const DraftEntry* known = TRY(draft_.find(entry));
    if (known == nullptr || !known->state.is_directory()) return std::vector<EntryId>();
    std::vector<EntryId> path;
    std::set<EntryId> visited;
    std::optional<EntryId> at = entry;
    while (at.has_value() && !rooted_.contains(*at)) {
      if (!visited.insert(*at).second) {
        path.erase(path.begin(), std::ranges::find(path, *at));
        return path;
      }
      path.push_back(*at);
      at = TRY(above(*at));
    }
    rooted_.insert(path.begin(), path.end());
    return std::vector<EntryId>();
  }

  /// Whether `directory` is there, and reached from the root without passing `entry`.
  Result<bool> is_outside(const EntryId& directory, const EntryId& entry) {
    std::set<EntryId> visited;
    EntryId at = directory;
    while (at != kRootEntry) {
      const DraftEntry* known = TRY(draft_.find(at));
      if (known == nullptr || !known->state.is_directory() || known->location.is_removal()) return false;
      if (at == entry || !visited.insert(at).second) return false;
      at = known->location.links[0].directory;
    }
    return true;
  }

  // ---- Names ----

  Result<> settle_names() {
    const std::set<EntryId> batch = std::exchange(unnamed_, {});
    for (const EntryId& entry : batch) {
      const DraftEntry* known = TRY(draft_.find(entry));
      if (known == nullptr) continue;
      const std::vector<Link> links = known->location.links;
      for (const Link& link : links) {
        if (TRY(settle_name(link))) {
          unnamed_.insert(batch.begin(), batch.end());
          return {};
        }
      }
    }
    return {};
  }

  /// True if anything was changed.
  Result<bool> settle_name(const Link& link) {
    std::vector<EntryId> holders = TRY(draft_.holders(link));
    if (holders.size() < 2) return false;
    // Milliseconds and no dots: those of repairs differ, and the order must stay the same.
    std::vector<std::tuple<bool, bool, uint64_t, EntryId>> ranks;
    for (const EntryId& holder : holders) {
      const EntryState& state = TRY(draft_.find(holder))->state;
      ranks.emplace_back(state.is_directory(), !state.is_bare, milliseconds(state), holder);
    }
    std::ranges::sort(ranks, std::greater());
    const EntryId keeper = std::get<EntryId>(ranks[0]);
    for (size_t i = 1; i < ranks.size(); ++i) {
      const EntryId loser = std::get<EntryId>(ranks[i]);
      if (std::get<0>(ranks[i])) TRY(merge_directory(link, loser, keeper));
      else TRY(give_conflict_name(link, loser));
    }
    return true;
  }

  Result<> merge_directory(const Link& link, const EntryId& loser, const EntryId& keeper) {
    for (const EntryId& child : TRY(draft_.children(loser))) {
      Location location = TRY(draft_.find(child))->location;
      for (const Link& old : std::vector(location.links))
        if (old.directory == loser) location = with_link_replaced(location, old, {keeper, old.name});
      TRY(place(child, std::move(location)));
    }
    const EntryState& state = TRY(draft_.find(loser))->state;
    return place(loser, {.taken = {link}, .seen = seen_edits(state)});
  }

  /// Named after who wrote the content and when, and told apart by the entry: whoever repairs, whatever else he sees,
  /// there are few names it can get. With names of the repairers or with numbers, two devices that unite what the other
  /// one made of hard links would go on for ever.
  Result<> give_conflict_name(const Link& link, const EntryId& loser) {
    const DraftEntry* known = TRY(draft_.find(loser));
    const Stamp& written = known->state.written;
    const std::string device = draft_.device_label(written.dot.writer);
    const std::string id = to_hex(loser.bytes);
    Link free = link;
    for (size_t digits = 0; !TRY(is_free(free, loser)); digits += 4) {
      std::string tag = id.substr(0, digits);
      if (digits > id.size()) tag += to_hex(Bytes{static_cast<uint8_t>(digits)});  // somebody makes fun of us
      free.name = conflict_name(link.name, device, seconds_of(written.hlc), tag);
    }
    return place(loser, with_link_replaced(known->location, link, free));
  }

  /// Whether nobody else has that name. If `entry` has it already, the name that it loses is one hard link less.
  Result<bool> is_free(const Link& link, const EntryId& entry) {
    const std::vector<EntryId> holders = TRY(draft_.holders(link));
    return holders.empty() || holders == std::vector{entry};
  }

  // ---- The answer ----

  std::vector<Repair> repairs() const {
    std::vector<Repair> out;
    for (const auto& [entry, known] : draft_.entries()) {
      if (!known.has_value() || known->changes == 0) continue;
      const Version<Location>& winner = known->state.location.winner();
      if (known->location == winner.value) continue;
      // Of what lives only the names count; a removal is made anew where it now knows more.
      const bool lives = !known->location.is_removal();
      if (lives && is_same_value(known->location, winner.value)) continue;
      out.push_back({.entry = entry, .location = known->location, .hlc = repair_hlc(known->state)});
    }
    return out;
  }

  NamespaceDraft draft_;
  std::set<EntryId> unplaced_;  // may be in the wrong directory
  std::set<EntryId> unnamed_;   // may have a name that another one has, too
  std::set<EntryId> settled_;   // their registers were looked at
  std::set<EntryId> rooted_;    // no cycle is above them
};

}  // namespace

Result<std::vector<Repair>> find_repairs(const NamespaceView& view, const std::vector<EntryId>& touched) {
  return Repairer(view).run(touched);
}

}  // namespace tain::sync
