// SPDX-License-Identifier: Apache-2.0
// The heads of a register: the versions that no known version replaces, and which of them wins (ADR 19).
//
// Everything here is a function of the set of heads, so devices that know the same versions agree, in whatever order
// those came. That needs causal delivery: a version comes after its parents, and each once.
#pragma once

#include <span>

#include "sync/entry.h"

namespace tain::sync {

/// A millisecond, as a difference of HLCs. Edits go forward by that at least: between them is room for repairs.
inline constexpr uint64_t kHlcTick = 1 << 16;

/// `hlc` + `by`, or the end of time.
uint64_t later(uint64_t hlc, uint64_t by);

/// What a new version of a register names and stands above.
struct Basis {
  std::vector<Dot> parents;  // ascending, at most kParentsMax
  /// The version's HLC is at least this: a tick later than every head that its device had, also where clocks lie. So
  /// what somebody saw lose does not come back over the next edit of the winner. The device's own clock is not
  /// moved by it.
  uint64_t hlc_min = 0;
};

/// What an edit replaces. A conflict of contents lasts until it is resolved, so an edit replaces what it was made on;
/// of the other registers nothing is worth keeping.
enum class Replaces : uint8_t { winner, all };

/// Values that a person cannot tell apart: the same links, the same bytes (whatever the time says), equal attributes.
bool is_same_value(const Location& a, const Location& b);
bool is_same_value(const Content& a, const Content& b);
bool is_same_value(const Attributes& a, const Attributes& b);

/// A version of content that is empty and replaces nothing: never worth more than one that is not.
bool is_bare(const Version<Content>& version);

template <class Value>
class Heads {
 public:
  /// False if it changes nothing: `version` is a head, or a head names it as a parent.
  bool insert(Version<Value> version);

  bool empty() const { return all_.empty(); }
  /// The best first; so all()[0] is the winner.
  std::span<const Version<Value>> all() const { return all_; }
  /// There must be a head.
  const Version<Value>& winner() const;
  /// One version, the best, of each value that is a head. The winner is the first.
  std::vector<const Version<Value>*> values() const;
  /// The losers that a person should hear of: other values, of content not bare ones, of locations no removals.
  std::vector<const Version<Value>*> conflicts() const;

  /// What the next local edit names; nothing if that is more than kParentsMax heads: then a version with the winner's
  /// value over fold() goes before it, as often as it takes.
  std::optional<Basis> basis(Replaces replaces) const;
  /// Parents for a version that has the winner's value and exactly its HLC (`hlc_min`), and leaves fewer heads.
  Basis fold(Replaces replaces) const;

  bool operator==(const Heads&) const = default;

 private:
  std::vector<Dot> replaced_by(Replaces replaces) const;

  std::vector<Version<Value>> all_;
};

extern template class Heads<Location>;
extern template class Heads<Content>;
extern template class Heads<Attributes>;

}  // namespace tain::sync
