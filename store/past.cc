// SPDX-License-Identifier: Apache-2.0
#include "store/past.h"

#include <algorithm>

#include "store/content.h"
#include "store/load_block.h"
#include "store/superfluous.h"
#include "store/time_lock.h"
#include "store/tree.h"
#include "store/working_set.h"

namespace tain::store {
namespace {

constexpr size_t kChainMax = 1'000'000;  // inodes of one entry: a circle would be a damaged vault

Error damaged_state(const PastState& state) {
  return Error(Code::corrupt, "a former state of inode " + std::to_string(raw(state.inode.ino)) + " is damaged");
}

}  // namespace

Result<std::vector<PastState>> PastView::states_of(Ino ino) {
  std::vector<PastState> out;
  std::optional<Cut> cut;
  std::optional<Cut> frozen_cut;
  {
    auto lock = set_.lock();
    CachedInode* inode = TRY(set_.find(ino));
    PastState present;
    present.inode = inode->record;
    present.ended_hlc = inode->record.past.retired;
    out.push_back(std::move(present));
    cut = inode->cut;
    frozen_cut = inode->frozen_cut;
  }
  if ((out[0].inode.flags & kInodeHasVersions) == 0) return out;
  Database& database = set_.database();
  ReadTxn txn = TRY(ReadTxn::begin(database.env()));
  std::vector<uint64_t> damaged;
  std::vector<Version> versions = TRY(database.load_versions(txn, ino, SIZE_MAX, &damaged));
  // What is to become a version is what the database has, until it has become one.
  for (const auto& pending : {cut, frozen_cut}) {
    if (!pending.has_value()) continue;
    if (!versions.empty() && versions.front().ended_hlc >= pending->ended_hlc) continue;
    auto stored = TRY(database.load_inode(txn, ino));
    if (!stored.has_value()) continue;
    Version version{.ended_hlc = pending->ended_hlc, .ended = pending->ended, .xattrs = {}, .inode = std::move(*stored)};
    if ((version.inode.flags & kInodeHasXattrs) != 0) version.xattrs = TRY(database.load_xattrs(txn, ino));
    versions.insert(versions.begin(), std::move(version));
    break;  // of two the newer one is what the database will have when the older one is there
  }
  for (Version& version : versions)
    out.push_back({.inode = std::move(version.inode),
                   .ended_hlc = version.ended_hlc,
                   .ended = version.ended,
                   .is_version = true,
                   .xattrs = std::move(version.xattrs)});
  for (uint64_t ended_hlc : damaged) {
    PastState state{.inode = {}, .ended_hlc = ended_hlc, .is_version = true, .is_damaged = true};
    state.inode.ino = ino;
    state.inode.mode = out[0].inode.mode & S_IFMT;
    const auto older = std::find_if(std::next(out.begin()), out.end(),
                                    [&](const PastState& other) { return other.ended_hlc < ended_hlc; });
    out.insert(older, std::move(state));
  }
  return out;
}

Result<std::vector<PastState>> PastView::log(Ino ino) {
  std::vector<PastState> out;
  Past link;            // of the inode that came after `ino`
  bool is_own = true;   // what is older than the states listed so far
  for (size_t length = 0; raw(ino) != 0 && length < kChainMax; ++length) {
    const bool is_last = length == 0;
    auto states = states_of(ino);
    if (states.is(Code::not_found) && !is_last) break;  // pruned
    if (states.is(Code::corrupt) && !is_last) {  // its record would say what was before it
      PastState state{.inode = {}, .ended_hlc = link.since, .is_damaged = true};
      state.inode.ino = ino;
      state.inode.mode = out.back().inode.mode & S_IFMT;
      out.push_back(std::move(state));
      break;
    }
    auto found = TRY(std::move(states));
    const Past past = found[0].inode.past;
    const bool is_fork = !is_last && !is_only_past(found[0].inode);
    // Where the entry went on as another inode, what this one became afterwards is not its history.
    const uint64_t until = is_last ? UINT64_MAX : link.since;
    // In use under another name since, as a backup or on its own, or removed as that.
    size_t first = 0;
    while (!is_last && first + 1 < found.size() && found[first + 1].ended_hlc > until) ++first;
    if (!is_last && (first > 0 || found[0].ended_hlc == 0 || found[0].ended_hlc > until)) found[first].ended_hlc = until;
    if (first > 0) {
      constexpr uint32_t kWhole = kInodeHasPast | kInodeTrashed | kInodeAltered;
      found[first].is_stand_in = true;
      found[first].inode.past = past;
      found[first].inode.flags |= found[0].inode.flags & kWhole;
      found.erase(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(first));
    }
    found[0].is_fork = is_fork;
    // What ended until then is another entry's to prune, and so is how it was then.
    const uint64_t own_after = is_last ? past.forked : past.successors > 1 ? link.floor : 0;
    for (size_t i = 0; i < found.size(); ++i) {
      PastState& state = found[i];
      const bool is_oldest_own = i + 1 == found.size() || found[i + 1].ended_hlc <= own_after;
      const bool is_anothers = own_after != 0 && i > 0 && (state.ended_hlc <= own_after || is_oldest_own);
      state.is_own = is_own && !is_anothers;
      state.inode.past.previous = past.previous;
      state.inode.past.since = past.since;
      out.push_back(std::move(state));
    }
    is_own = is_own && own_after == 0;
    link = past;
    ino = past.previous;
  }
  return out;
}

Result<PastState> PastView::state_of(Ino ino, uint64_t hlc) {
  auto states = TRY(states_of(ino));
  size_t found = 0;
  for (size_t i = 1; i < states.size() && states[i].ended_hlc > hlc; ++i) found = i;
  if (states[found].is_damaged) return damaged_state(states[found]);
  return std::move(states[found]);
}

Result<PastState> PastView::state(const PastName& name, uint64_t hlc) {
  Ino ino = name.dirent.child;
  for (size_t length = 0; length < kChainMax; ++length) {
    Inode record;
    {
      auto lock = set_.lock();
      record = TRY(set_.find(ino))->record;
    }
    // The name was there before this inode took it over.
    const uint64_t since = record.past.since;
    const bool is_later = since > hlc && name.dirent.location_stamp.hlc < since &&
                          (name.ended_hlc == 0 || name.ended_hlc > since);
    if (!is_later || raw(record.past.previous) == 0) break;
    ino = record.past.previous;
  }
  return state_of(ino, hlc);
}

Result<std::vector<PastName>> PastView::list(Ino directory, uint64_t hlc) {
  std::vector<PastName> out;
  Cookie after{0};
  for (bool end = false; !end;) {
    auto lock = set_.lock();
    WorkingSet::Listing listing = TRY(set_.list(directory, after, WorkingSet::kListChunk));
    for (Dirent& dirent : listing.entries)
      if (dirent.location_stamp.hlc <= hlc) out.push_back({.ended_hlc = 0, .why = {}, .dirent = std::move(dirent)});
    after = listing.reached;
    end = listing.end;
  }
  auto lock = set_.lock();
  for (PastName& name : TRY(set_.past_names(directory, hlc)))
    if (name.dirent.location_stamp.hlc <= hlc) out.push_back(std::move(name));
  // Kept out of the lock between the chunks: a name may have gone from one list to the other meanwhile, or, while the
  // master key is changed, to another cookie.
  std::stable_sort(out.begin(), out.end(),
                   [](const PastName& a, const PastName& b) { return a.dirent.name < b.dirent.name; });
  out.erase(std::unique(out.begin(), out.end(),
                        [](const PastName& a, const PastName& b) { return a.dirent.name == b.dirent.name; }),
            out.end());
  std::sort(out.begin(), out.end(),
            [](const PastName& a, const PastName& b) { return a.dirent.cookie < b.dirent.cookie; });
  return out;
}

Result<std::optional<PastEntry>> PastView::lookup(Ino directory, std::string_view name, uint64_t hlc) {
  std::optional<PastName> found;
  {
    auto lock = set_.lock();
    auto present = TRY(set_.find_name(directory, name));
    if (present.has_value() && present->location_stamp.hlc <= hlc) found = PastName{.ended_hlc = 0, .why = {}, .dirent = std::move(*present)};
    if (!found.has_value())
      for (PastName& past : TRY(set_.past_names(directory, hlc)))
        if (past.dirent.name == name && past.dirent.location_stamp.hlc <= hlc) found = std::move(past);
  }
  if (!found.has_value()) return std::optional<PastEntry>();
  PastState there = TRY(state(*found, hlc));
  return std::optional<PastEntry>(PastEntry{std::move(*found), std::move(there)});
}

Result<size_t> PastView::read(const PastState& state, uint64_t offset, ByteSpan out) {
  if (state.is_damaged) return damaged_state(state);
  if (!state.is_version) return Content(set_).read(state.inode.ino, offset, out, Access::unnoticed);
  {
    auto lock = set_.lock();
    TRY(check_unlocked(set_, state.inode.ino));  // as it is now: what was locked later was not locked then
  }
  return read_content(set_.database(), state.inode.content, offset, out);
}

Result<Xattrs> PastView::xattrs(const PastState& state) {
  if (state.is_damaged) return damaged_state(state);
  if (state.is_version) return state.xattrs;
  return Tree(set_).list_xattrs(state.inode.ino);
}

}  // namespace tain::store
