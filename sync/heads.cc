// SPDX-License-Identifier: Apache-2.0
#include "sync/heads.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/check.h"

namespace tain::sync {

namespace {

bool is_empty(const Content& content) {
  const auto* file = std::get_if<FileContent>(&content);
  return file != nullptr && file->size == 0;
}

/// The first rule, before any clock: false loses against true.
bool has_substance(const Version<Location>& version) { return !version.value.is_removal(); }
bool has_substance(const Version<Content>& version) { return !is_bare(version); }
bool has_substance(const Version<Attributes>&) { return true; }

template <class Value>
bool is_better(const Version<Value>& a, const Version<Value>& b) {
  return std::tuple(has_substance(a), a.hlc, a.dot) > std::tuple(has_substance(b), b.hlc, b.dot);
}

/// Where a chunk lies says nothing of the bytes. Of lists of lists, hashes are of where chunks lie, too: those that
/// come from different packs count as different, and the conflict is shown.
bool is_same_chunk(const Chunk& a, const Chunk& b) {
  return a.index == b.index && a.length == b.length && a.hash == b.hash;
}

bool is_same_file(const FileContent& a, const FileContent& b) {
  if (a.size != b.size || a.data.index() != b.data.index()) return false;
  const auto* list = std::get_if<ChunkList>(&a.data);
  if (list == nullptr) return a.data == b.data;
  const auto& other = std::get<ChunkList>(b.data);
  if (*list == other) return true;
  return list->height == 0 && other.height == 0 && std::ranges::equal(list->chunks, other.chunks, is_same_chunk);
}

}  // namespace

uint64_t later(uint64_t hlc, uint64_t by) { return hlc + std::min(by, std::numeric_limits<uint64_t>::max() - hlc); }

bool is_same_value(const Location& a, const Location& b) { return a.links == b.links; }

bool is_same_value(const Content& a, const Content& b) {
  if (a.index() != b.index()) return false;
  if (const auto* file = std::get_if<FileContent>(&a)) return is_same_file(*file, std::get<FileContent>(b));
  return std::get<SymlinkContent>(a).target == std::get<SymlinkContent>(b).target;
}

bool is_same_value(const Attributes& a, const Attributes& b) { return a == b; }

bool is_bare(const Version<Content>& version) { return version.parents.empty() && is_empty(version.value); }

template <class Value>
bool Heads<Value>::insert(Version<Value> version) {
  for (const Version<Value>& head : all_)
    if (head.dot == version.dot || std::ranges::binary_search(head.parents, version.dot)) return false;
  std::erase_if(all_, [&](const auto& head) { return std::ranges::binary_search(version.parents, head.dot); });
  const auto place = std::ranges::upper_bound(all_, version, is_better<Value>);
  all_.insert(place, std::move(version));
  return true;
}

template <class Value>
const Version<Value>& Heads<Value>::winner() const {
  CHECK(!all_.empty());
  return all_.front();
}

template <class Value>
std::vector<const Version<Value>*> Heads<Value>::values() const {
  std::vector<const Version<Value>*> out;
  for (const Version<Value>& head : all_)
    if (std::ranges::none_of(out, [&](const auto* one) { return is_same_value(one->value, head.value); }))
      out.push_back(&head);
  return out;
}

template <class Value>
std::vector<const Version<Value>*> Heads<Value>::conflicts() const {
  std::vector<const Version<Value>*> out = values();
  if (!out.empty()) out.erase(out.begin());
  std::erase_if(out, [](const auto* head) { return !has_substance(*head); });
  return out;
}

template <class Value>
std::vector<Dot> Heads<Value>::replaced_by(Replaces replaces) const {
  std::vector<Dot> out;
  for (const Version<Value>& head : all_)
    if (replaces == Replaces::all || is_same_value(head.value, winner().value)) out.push_back(head.dot);
  return out;
}

template <class Value>
std::optional<Basis> Heads<Value>::basis(Replaces replaces) const {
  Basis basis{.parents = replaced_by(replaces)};
  if (basis.parents.size() > kParentsMax) return std::nullopt;
  std::ranges::sort(basis.parents);
  for (const Version<Value>& head : all_) basis.hlc_min = std::max(basis.hlc_min, later(head.hlc, kHlcTick));
  return basis;
}

template <class Value>
Basis Heads<Value>::fold(Replaces replaces) const {
  Basis basis{.parents = replaced_by(replaces), .hlc_min = winner().hlc};
  // The worst go first: they are what is missed least.
  if (basis.parents.size() > kParentsMax)
    basis.parents.erase(basis.parents.begin(), basis.parents.end() - static_cast<std::ptrdiff_t>(kParentsMax));
  std::ranges::sort(basis.parents);
  return basis;
}

template class Heads<Location>;
template class Heads<Content>;
template class Heads<Attributes>;

}  // namespace tain::sync
