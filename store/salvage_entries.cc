// SPDX-License-Identifier: Apache-2.0
#include "store/salvage_entries.h"

#include "store/superfluous.h"

#include <algorithm>

#include "base/clock.h"
#include "store/damage_log.h"
#include "store/time_lock.h"

namespace tain::store {
namespace {

Time salvage_time() {
  const int64_t wall_ns = system_clock().wall_ns();
  return {.seconds = wall_ns / 1'000'000'000, .nanoseconds = static_cast<uint32_t>(wall_ns % 1'000'000'000)};
}

bool by_index(const FoundBlock& a, const FoundBlock& b) {
  return a.index < b.index;
}

/// Nothing when there is none, or when it is damaged.
const FoundBlock* intact_at(const std::vector<FoundBlock>& blocks, uint64_t index) {
  const auto it = std::lower_bound(blocks.begin(), blocks.end(), FoundBlock{.index = index, .ref = {}}, by_index);
  return it != blocks.end() && it->index == index && it->bad == 0 ? &*it : nullptr;
}

}  // namespace

struct SalvagedEntries::States {
  uint64_t ino = 0;
  const Inode* present = nullptr;  // nothing where only the journal has it
  SalvagedContent content;
  FileMemo memo;
  std::vector<FoundBlock> before;  // of the state before, by index
  std::vector<FoundBlock> last;    // of the present, if its map is sure
};

Result<> SalvagedEntries::copy(const Progress& progress) {
  past_.prepare();
  std::set<uint64_t> keep;
  for (uint64_t ino : in_journal_.inodes)
    if (!catalog_.inodes.contains(ino)) keep.insert(ino);
  const Time now = salvage_time();
  Mended mended = mend_names(catalog_, keep, now);
  report_.damaged.insert(report_.damaged.end(), mended.lost.begin(), mended.lost.end());
  report_.remarks.insert(report_.remarks.end(), mended.remarks.begin(), mended.remarks.end());
  report_.entries_lost = static_cast<uint64_t>(std::count_if(
      mended.lost.begin(), mended.lost.end(), [](const Finding& found) { return found.part == Part::name; }));
  past_.settle(mended, now);
  State& state = out_.state();
  state.next_ino = std::max(state.next_ino, mended.next_ino);
  state.hlc = std::max(state.hlc, past_.newest_hlc());

  uint64_t total = 0, done = 0;
  for (const auto& [ino, inode] : catalog_.inodes) total += inode.size;
  std::set<uint64_t> made;
  for (Inode& inode : mended.new_inodes) {
    made.insert(raw(inode.ino));
    TRY(put_inode(inode, {}));
  }
  for (const auto& [ino, entry] : catalog_.inodes) {
    if (made.contains(ino) || !past_.is_wanted(ino)) continue;
    TRY(copy_entry(ino, entry));
    done += entry.size;
    if (progress) progress(done, total);
  }
  TRY(copy_versions_of_journal());
  for (const CatalogName& name : catalog_.names)
    TRY(out_.put_record(Table::dirents, dirent_key(name.dirent.directory, name.dirent.cookie), Kind::dirent,
                        kDirentSchema, encode_dirent(name.dirent)));
  for (const PastName& name : past_.names())
    TRY(out_.put_record(Table::past_names, past_name_key(name.dirent.directory, name.ended_hlc), Kind::past_name,
                        kPastNameSchema, encode_past_name(name)));
  state.content_bytes = content_bytes_;
  state.retired_inodes = retired_inodes_;
  state.retired_content_bytes = retired_content_bytes_;
  return out_.finish();
}

Result<> SalvagedEntries::copy_entry(uint64_t ino, const CatalogInode& entry) {
  auto loaded = past_.load_inode(ino);
  if (!loaded.ok()) return std::move(loaded).error();
  Inode inode = std::move(*loaded);
  copied_.insert(ino);
  if (!inode.is_retired())
    ++report_.entries;
  else if (!is_trash(inode))
    ++report_.versions;
  else
    ++report_.trash;
  if (entry.stale)
    report_.remarks.push_back(past_.path(ino) + " is from an older copy: it may have been changed since");
  Xattrs xattrs;
  // The flag may be what is wrong: it only says whether something is lost.
  auto found = past_.load_xattrs(ino);
  if (found.ok()) xattrs = std::move(*found);
  if (xattrs.empty() && (inode.flags & kInodeHasXattrs) != 0)
    lose(ino, Part::record, "its extended attributes are lost");
  if (catalog_.survey().doubtful_xattrs.contains(ino))
    report_.remarks.push_back(past_.path(ino) +
                              ": which of several records of its extended attributes is the newest is not known");
  if (entry.newer && entry.is_directory() && entry.entries > entry.children)
    report_.remarks.push_back(past_.path(ino) + " has " + std::to_string(entry.entries - entry.children) +
                              " more than its newest record says: some of what is in it was removed or renamed");
  xattrs.erase(kDamagedXattr);
  TRY(copy_states(inode, xattrs));
  return put_inode(inode, xattrs);
}

Result<> SalvagedEntries::put_inode(Inode& inode, const Xattrs& xattrs) {
  mend_counts(catalog_, inode);
  constexpr uint32_t kKept = kInodeHasPast | kInodeHasVersions | kInodeUnversioned | kInodeTrashed | kInodeAltered;
  inode.flags = (inode.flags & kKept) | (xattrs.empty() ? 0 : kInodeHasXattrs);
  if (inode.ino == kRootIno) inode.flags |= kRootKnowsAcls;  // some entry may have one: nobody asked them all
  if (inode.is_retired()) {
    ++retired_inodes_;
    retired_content_bytes_ += inode.content.size;
  } else {
    content_bytes_ += inode.content.size;
  }
  const auto key = ino_key(inode.ino);
  if (inode.nlink == 0 && !inode.is_retired())
    TRY(out_.put_record(Table::orphans, key, Kind::orphan, kOrphanSchema, {}));
  TRY(out_.put_record(Table::inodes, key, Kind::inode, kInodeSchema, encode_inode(inode)));
  if (xattrs.empty()) return {};
  return out_.put_record(Table::xattrs, key, Kind::xattrs, kXattrsSchema, encode_xattrs(inode.ino, xattrs));
}

/// The present is read first: what nothing leads to is rather its than a version's. It is written last.
Result<> SalvagedEntries::copy_states(Inode& inode, Xattrs& xattrs) {
  const uint64_t ino = raw(inode.ino);
  const std::vector<const StoredValue*> versions = past_.versions(ino);
  if (!versions.empty()) inode.flags |= kInodeHasVersions;
  FileMemo memo;
  std::vector<FoundBlock> blocks;
  FileReport file = check_file(catalog_.finder(), inode, &blocks, versions.empty() ? nullptr : &memo);
  use_replaced_content(inode, file, blocks);
  std::sort(blocks.begin(), blocks.end(), by_index);
  const Inode found = inode;
  States states{.ino = ino,
                .present = &found,
                .content = SalvagedContent(catalog_.finder(), suite_, out_, inode.content.id),
                .memo = std::move(memo),
                .before = {},
                .last = {}};
  if (!versions.empty() && !file.map_damaged) states.last = blocks;
  for (const StoredValue* version : versions) TRY(copy_version(*version, states));
  inode.content = TRY(states.content.put(inode.content.size, blocks, /*is_last=*/true));
  report_content(ino, file, "");
  if (file.damaged.empty() && file.doubtful.empty()) return {};
  ++(inode.is_retired() && !is_trash(inode) ? report_.versions_incomplete
                                                                : report_.files_incomplete);
  const std::string text = damaged_ranges(file);
  xattrs[kDamagedXattr] = Bytes(text.begin(), text.end());
  return {};
}

/// Of inodes that only the journal makes anew.
Result<> SalvagedEntries::copy_versions_of_journal() {
  std::set<uint64_t> done = copied_;
  for (const auto& item : catalog_.versions()) {
    const uint64_t ino = item.first;
    if (copied_.contains(ino) || !in_journal_.inodes.contains(ino)) continue;
    done.insert(ino);
    const std::vector<const StoredValue*> versions = past_.versions(ino);
    for (const StoredValue* value : versions) {
      const auto first = catalog_.load_version(*value);
      if (!first.ok()) continue;
      States states{.ino = ino,
                    .present = nullptr,
                    .content = SalvagedContent(catalog_.finder(), suite_, out_, first->inode.content.id),
                    .memo = {},
                    .before = {},
                    .last = {}};
      for (const StoredValue* version : versions) TRY(copy_version(*version, states));
      break;
    }
  }
  past_.report_lost_versions(done);
  return {};
}

Result<> SalvagedEntries::copy_version(const StoredValue& value, States& states) {
  const std::string what = "the version that ended on " + unlock_text(seconds_of(~value.key.second));
  auto loaded = catalog_.load_version(value);
  const bool is_own =
      loaded.ok() && (states.present == nullptr || (loaded->inode.content.id == states.present->content.id &&
                                                    (loaded->inode.mode & S_IFMT) == (states.present->mode & S_IFMT)));
  if (!is_own) {
    ++report_.versions_lost;
    lose(states.ino, Part::record, what + " is lost: its record is damaged");
    return {};
  }
  Version version = std::move(*loaded);
  std::vector<FoundBlock> blocks;
  // What a state and a later one have, all between them have.
  const KnownBlock known = [&](uint64_t index) -> std::optional<BlockRef> {
    const FoundBlock* before = intact_at(states.before, index);
    const FoundBlock* after = intact_at(states.last, index);
    if (before == nullptr || after == nullptr || before->ref != after->ref) return std::nullopt;
    return before->ref;
  };
  const FileReport file = check_state(catalog_.finder(), version.inode, blocks, states.memo, known);
  if (version.inode.content.size != 0 && file.damaged == std::vector{ByteRange{0, version.inode.content.size}}) {
    ++report_.versions_lost;
    lose(states.ino, Part::content, what + " is lost: nothing of its content can be read");
    return {};
  }
  std::sort(blocks.begin(), blocks.end(), by_index);
  version.inode.content = TRY(states.content.put(version.inode.content.size, blocks, /*is_last=*/false));
  states.before = std::move(blocks);
  report_content(states.ino, file, what + ": ");
  if (!file.damaged.empty() || !file.doubtful.empty()) {
    ++report_.versions_incomplete;
    const std::string text = damaged_ranges(file);
    version.xattrs[kDamagedXattr] = Bytes(text.begin(), text.end());
  }
  ++report_.versions;
  return put_version(version);
}

Result<> SalvagedEntries::put_version(Version& version) {
  if (version.xattrs.empty())
    version.inode.flags &= ~kInodeHasXattrs;
  else
    version.inode.flags |= kInodeHasXattrs;
  out_.state().hlc = std::max(out_.state().hlc, version.ended_hlc);
  return out_.put_record(Table::versions, version_key(version.inode.ino, version.ended_hlc), Kind::version,
                         kVersionSchema, encode_version(version));
}

/// Where nothing of a newer record's content is left, that of the commit found is better than zeros.
void SalvagedEntries::use_replaced_content(Inode& inode, FileReport& file, std::vector<FoundBlock>& blocks) {
  const ByteRange whole{0, inode.content.size};
  if (file.damaged != std::vector{whole}) return;
  const auto replaced = catalog_.load_replaced_inode(raw(inode.ino));
  if (!replaced.ok() || replaced->content.size == 0) return;
  std::vector<FoundBlock> older_blocks;
  FileReport older = check_file(catalog_.finder(), *replaced, &older_blocks);
  if (!older.damaged.empty() || !older.doubtful.empty()) return;
  lose(raw(inode.ino), Part::content, "its newest content is lost: that of an earlier commit stands in");
  inode.content = replaced->content;
  inode.content_stamp = replaced->content_stamp;
  inode.parents = replaced->parents;
  inode.mtime = replaced->mtime;
  file = std::move(older);
  blocks = std::move(older_blocks);
}

void SalvagedEntries::report_content(uint64_t ino, const FileReport& file, const std::string& of_what) {
  for (Finding found : file.findings) {
    if (found.end == 0) continue;
    found.ino = Ino{ino};
    found.path = past_.path(ino);
    found.what = of_what + found.what;
    report_.damaged.push_back(std::move(found));
  }
}

void SalvagedEntries::lose(uint64_t ino, Part part, std::string what) {
  report_.damaged.push_back({.part = part, .what = std::move(what), .ino = Ino{ino}, .path = past_.path(ino)});
}

}  // namespace tain::store
