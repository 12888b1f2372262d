// SPDX-License-Identifier: Apache-2.0
#include "store/salvage_past.h"

#include <algorithm>

#include "store/time_lock.h"

namespace tain::store {
namespace {

constexpr size_t kFormerDepthMax = 4096;  // directories; more would be a circle

std::string ended_text(uint64_t ended_hlc) {
  return unlock_text(seconds_of(ended_hlc));
}

void set_flag(uint32_t& flags, uint32_t flag, bool is_set) {
  flags = is_set ? flags | flag : flags & ~flag;
}

}  // namespace

// --- before names are mended --------------------------------------------------------------------------

void SalvagedPast::prepare() {
  index();
  // An inode's successors were made after it: they come first, and say when it was replaced.
  const auto& versions = catalog_.versions();
  for (auto it = versions.rbegin(); it != versions.rend(); ++it)
    if (!is_there(it->first)) bring_back(it->first, it->second);
  drop_stale_inodes();
  mend_chains();
}

void SalvagedPast::index() {
  for (const CatalogName& name : catalog_.names) {
    (name.stale ? once_named_ : named_).insert(raw(name.dirent.child));
    directories_[raw(name.dirent.child)].push_back(name.dirent.directory);
  }
  for (const auto& [ino, entry] : catalog_.inodes)
    if (raw(entry.past.previous) != 0) successors_.emplace(raw(entry.past.previous), ino);
  for (const CatalogPastName& past : catalog_.past_names) {
    if (past.name.why != NameEnd::removed) continue;
    const PastName*& newest = removed_[raw(past.name.dirent.child)];
    if (newest == nullptr || newest->ended_hlc < past.name.ended_hlc) newest = &past.name;
  }
}

bool SalvagedPast::may_be_lost(uint64_t ino) const {
  const Survey& survey = catalog_.survey();
  const auto& values = survey.values(Table::inodes);
  const auto it = std::lower_bound(values.begin(), values.end(), RecordKey{ino, 0},
                                   [](const StoredValue& value, const RecordKey& key) { return value.key < key; });
  if (it != values.end() && it->key.first == ino) return true;  // and cannot be read
  if (!survey.state.has_value() || survey.roots_searched) return true;
  return survey.may_have_lost(Table::inodes, {ino, 0}) ||
         values.size() < survey.state->sets[static_cast<size_t>(Table::inodes)].count;
}

void SalvagedPast::bring_back(uint64_t ino, const std::vector<const StoredValue*>& versions) {
  Version version;
  const StoredValue* found = nullptr;
  for (const StoredValue* value : versions) {
    auto loaded = catalog_.load_version(*value);
    if (!loaded.ok()) continue;
    version = std::move(*loaded);
    found = value;
    break;
  }
  if (found == nullptr) return;
  const auto successor = successors_.find(ino);
  const auto in_journal = in_journal_.previous.find(ino);
  const auto removed = removed_.find(ino);
  const bool is_replaced = successor != successors_.end() || in_journal != in_journal_.previous.end();
  // What only older copies know of, and was not lost, was removed for good.
  if (!named_.contains(ino) && !is_replaced && found->stale && !may_be_lost(ino)) return;
  const bool is_named = named_.contains(ino) || once_named_.contains(ino);

  CatalogInode& entry = catalog_.inodes[ino];
  const Inode& inode = version.inode;
  entry.mode = inode.mode;
  entry.flags = inode.flags;
  entry.uid = inode.uid;
  entry.gid = inode.gid;
  entry.children = inode.children;
  entry.size = inode.content.size;
  entry.parent = inode.parent;
  entry.entry = inode.entry;
  entry.past = inode.past;
  entry.past.retired = 0;
  entry.time_lock = inode.time_lock;
  entry.hlc = version.ended_hlc;
  entry.nlink = std::max<uint32_t>(inode.nlink, inode.is_directory() ? 2 : 1);
  if (is_replaced && !is_named) {
    entry.past.retired =
        successor != successors_.end() ? catalog_.inodes.at(successor->second).past.since : in_journal->second;
    entry.past.successors = std::max<uint32_t>(entry.past.successors, 1);
    entry.past.forked = std::max(entry.past.forked, entry.past.retired);
  } else if (removed != removed_.end() && !is_named) {
    entry.past.retired = removed->second->ended_hlc;
  }
  if (entry.past.retired != 0) entry.nlink = 0;
  // A lock that came later was put on the whole folder, or on the whole entry.
  const auto lock_as = [&](uint64_t other) {
    const auto at = catalog_.inodes.find(other);
    if (at != catalog_.inodes.end()) entry.time_lock = std::max(entry.time_lock, at->second.time_lock);
  };
  for (Ino directory : directories_[ino]) lock_as(raw(directory));
  if (removed != removed_.end() && !is_named) lock_as(raw(removed->second->dirent.directory));
  if (successor != successors_.end()) lock_as(successor->second);
  if (raw(entry.past.previous) != 0) {
    lock_as(raw(entry.past.previous));
    successors_.emplace(raw(entry.past.previous), ino);
  }
  stand_ins_.emplace(ino, found);
}

/// Older copies of inodes count as far as inodes are missing, and something leads to them.
void SalvagedPast::drop_stale_inodes() {
  std::vector<uint64_t> waiting;
  std::set<uint64_t> wanted;
  for (const auto& [ino, entry] : catalog_.inodes)
    if (!entry.stale || named_.contains(ino) || once_named_.contains(ino) || removed_.contains(ino) ||
        ino == raw(kRootIno))
      waiting.push_back(ino);
  for (const auto& item : in_journal_.previous) waiting.push_back(item.first);
  while (!waiting.empty()) {
    const uint64_t ino = waiting.back();
    waiting.pop_back();
    const auto it = catalog_.inodes.find(ino);
    if (it == catalog_.inodes.end() || !wanted.insert(ino).second) continue;
    if (raw(it->second.past.previous) != 0) waiting.push_back(raw(it->second.past.previous));
  }
  std::erase_if(catalog_.inodes, [&](const auto& item) { return !wanted.contains(item.first); });
  catalog_.count_names();
}

/// How many inodes have each as their previous one. What the journal brings is counted when it has been applied.
std::map<uint64_t, uint32_t> SalvagedPast::count_successors() const {
  std::map<uint64_t, uint32_t> out;
  for (const auto& [ino, entry] : catalog_.inodes)
    if (raw(entry.past.previous) != 0) ++out[raw(entry.past.previous)];
  for (const auto& item : in_journal_.previous) out.try_emplace(item.first, 1);
  return out;
}

void SalvagedPast::mend_chains() {
  const std::map<uint64_t, uint32_t> before = count_successors();
  Heads heads;
  for (const auto& [ino, entry] : catalog_.inodes)
    if (entry.past.retired != 0 && entry.past.successors != 0 && !before.contains(ino))
      heads[entry.entry].push_back(ino);
  for (auto& [ino, entry] : catalog_.inodes)
    if (raw(entry.past.previous) != 0 && !is_there(raw(entry.past.previous))) give_chain(ino, entry, heads);

  successors_.clear();
  for (const auto& [ino, entry] : catalog_.inodes)
    if (raw(entry.past.previous) != 0) successors_.emplace(raw(entry.past.previous), ino);
  const std::map<uint64_t, uint32_t> after = count_successors();
  for (auto& [ino, entry] : catalog_.inodes) {
    const bool was_succeeded = entry.past.successors != 0, was_trashed = (entry.flags & kInodeTrashed) != 0;
    const auto now = after.find(ino);
    set_successors(entry.past, entry.flags, now != after.end() ? now->second : 0);
    if (!was_succeeded || was_trashed || now != after.end() || entry.past.retired == 0) continue;
    report_.damaged.push_back({.part = Part::record,
                               .what = "what inode " + std::to_string(ino) + " became on " +
                                       ended_text(entry.past.retired) + " is lost: as it was then, it is there again",
                               .ino = Ino{ino},
                               .path = {}});
    entry.past.retired = 0;
    entry.nlink = 1;
  }
}

/// The inode before it is lost: of those before that, all of which have the entry's identity, the newest takes its
/// place.
void SalvagedPast::give_chain(uint64_t ino, CatalogInode& entry, const Heads& heads) {
  const uint64_t since = entry.past.since;
  const uint64_t lost = raw(entry.past.previous);
  uint64_t newest = 0;
  const auto same_entry = heads.find(entry.entry);
  for (uint64_t head : same_entry != heads.end() ? same_entry->second : std::vector<uint64_t>()) {
    const CatalogInode& other = catalog_.inodes.at(head);
    if (head == ino || other.past.retired >= since) continue;
    if (newest == 0 || other.past.retired > catalog_.inodes.at(newest).past.retired) newest = head;
  }
  entry.past.previous = Ino{newest};
  entry.past.since = newest != 0 ? catalog_.inodes.at(newest).past.retired : 0;
  entry.past.floor = 0;
  if (newest != 0) catalog_.inodes.at(newest).past.forked = entry.past.since;
  if (stand_ins_.contains(ino)) return;  // it does not know what was pruned since
  ++report_.versions_lost;
  report_.damaged.push_back(
      {.part = Part::record,
       .what = "its state that ended on " + ended_text(since) + " is lost, as inode " + std::to_string(lost) + " is",
       .ino = Ino{ino},
       .path = {}});
}

// --- when names are mended ----------------------------------------------------------------------------

bool SalvagedPast::is_wanted(uint64_t ino) const {
  const auto it = catalog_.inodes.find(ino);
  if (it == catalog_.inodes.end()) return false;
  const CatalogInode& entry = it->second;
  // Deleted, but still in use when the vault was closed; unless the journal may give it a name.
  return entry.nlink != 0 || entry.names != 0 || entry.past.retired != 0 || in_journal_.inodes.contains(ino);
}

bool SalvagedPast::is_trash(uint64_t ino) const {
  const auto it = catalog_.inodes.find(ino);
  return it != catalog_.inodes.end() && it->second.past.retired != 0 &&
         (it->second.past.successors == 0 || (it->second.flags & kInodeTrashed) != 0);
}

void SalvagedPast::settle(Mended& mended, Time now) {
  for (auto& [ino, entry] : catalog_.inodes)
    if (entry.names != 0) entry.past.retired = 0;  // it has come back
  keep_names(mended, now);
  for (Finding& found : report_.damaged)
    if (found.path.empty() && raw(found.ino) != 0) found.path = path(raw(found.ino));
  for (const auto& [ino, value] : stand_ins_) {
    if (!is_wanted(ino)) continue;
    report_.damaged.push_back(
        {.part = Part::record,
         .what = "its newest state is lost: that which ended on " + ended_text(~value->key.second) + " stands in",
         .ino = Ino{ino},
         .path = path(ino)});
  }
  report_missing(Table::versions, "former versions");
  report_missing(Table::past_names, "past names");
  report_damaged_names();
}

void SalvagedPast::keep_names(Mended& mended, Time now) {
  std::set<std::pair<uint64_t, uint64_t>> keys;
  const auto keep = [&](PastName name) {
    while (!keys.emplace(raw(name.dirent.directory), name.ended_hlc).second) ++name.ended_hlc;
    const uint64_t child = raw(name.dirent.child);
    if (name.why == NameEnd::removed && is_trash(child)) {
      PastName& newest = trash_names_[child];
      if (newest.ended_hlc <= name.ended_hlc) newest = name;
    }
    names_.push_back(std::move(name));
  };
  std::map<uint64_t, PastName> homeless;  // in the trash, and the directory that they were in is gone
  for (const CatalogPastName& past : catalog_.past_names) {
    const PastName& name = past.name;
    const uint64_t child = raw(name.dirent.child);
    const uint64_t directory = raw(name.dirent.directory);
    const bool has_directory = in_journal_.inodes.contains(directory) || is_wanted(directory);
    if (in_journal_.inodes.contains(child) || is_wanted(child)) {
      if (has_directory) {
        keep(name);
      } else if (name.why == NameEnd::removed && is_trash(child)) {
        PastName& newest = homeless[child];
        if (newest.ended_hlc <= name.ended_hlc) newest = name;
      }
    } else if (name.why == NameEnd::removed && !past.stale && !catalog_.inodes.contains(child) && may_be_lost(child)) {
      const std::string folder = catalog_.path(directory);
      ++report_.trash_lost;
      report_.damaged.push_back({.part = Part::name,
                                 .what = "it was in the trash, and its inode is lost",
                                 .ino = name.dirent.child,
                                 .path = folder + (folder.ends_with('/') ? "" : "/") + name.dirent.name});
    }
  }
  std::vector<uint64_t> nameless;
  for (const auto& item : catalog_.inodes)
    if (is_trash(item.first) && !trash_names_.contains(item.first)) nameless.push_back(item.first);
  for (uint64_t ino : nameless) {
    const Ino folder = lost_and_found(catalog_, mended, now);
    const CatalogInode& entry = catalog_.inodes.at(ino);
    PastName name{.ended_hlc = entry.past.retired, .why = NameEnd::removed, .dirent = {}};
    if (const auto known = homeless.find(ino); known != homeless.end()) name = known->second;
    if (name.dirent.name.empty()) name.dirent.name = std::to_string(ino);
    name.dirent.directory = folder;
    name.dirent.cookie = Cookie{catalog_.cipher().name_hash(folder, name.dirent.name)};
    name.dirent.child = Ino{ino};
    name.dirent.type = dirent_type(entry.mode);
    if (entry.is_directory()) new_parents_[ino] = folder;
    report_.remarks.push_back("where inode " + std::to_string(ino) + " of the trash was is lost: it is there as " +
                              catalog_.path(raw(folder)) + "/" + name.dirent.name);
    keep(std::move(name));
  }
}

/// Past names whose records are there, but cannot be read.
void SalvagedPast::report_damaged_names() {
  std::map<uint64_t, uint64_t> damaged;  // by directory
  for (const StoredValue& value : catalog_.survey().values(Table::past_names)) ++damaged[value.key.first];
  for (const CatalogPastName& past : catalog_.past_names) --damaged[raw(past.name.dirent.directory)];
  for (const auto& [directory, count] : damaged) {
    if (count == 0) continue;
    report_.damaged.push_back({.part = Part::record,
                               .what = std::to_string(count) + " names that were in it are lost",
                               .ino = Ino{directory},
                               .path = path(directory)});
  }
}

/// Values that a table had and that nobody knows the keys of.
void SalvagedPast::report_missing(Table table, const std::string& what) {
  const Survey& survey = catalog_.survey();
  if (!survey.state.has_value() || survey.roots_searched) return;
  const uint64_t wanted = survey.state->sets[static_cast<size_t>(table)].count;
  const auto& values = survey.values(table);
  if (values.size() >= wanted) return;
  report_.damaged.push_back(
      {.part = Part::record,
       .what = std::to_string(wanted - values.size()) + " " + what + " are lost, nobody knows of which entries",
       .path = {}});
}

std::string SalvagedPast::path(uint64_t ino) const {
  std::string below;
  for (size_t depth = 0; depth < kFormerDepthMax; ++depth) {
    const auto entry = catalog_.inodes.find(ino);
    if (entry == catalog_.inodes.end()) return "?" + below;
    // A former state has the place of what came after it.
    if (entry->second.past.retired == 0 || ino == raw(kRootIno)) {
      const std::string path = catalog_.path(ino);
      return below.empty() ? path : (path == "/" ? "" : path) + below;
    }
    const auto name = trash_names_.find(ino);
    if (name == trash_names_.end()) {
      const auto next = successors_.find(ino);
      if (next == successors_.end()) return "?" + below;
      ino = next->second;
      continue;
    }
    below = "/" + name->second.dirent.name + below;
    ino = raw(name->second.dirent.directory);
  }
  return "?" + below;
}

// --- what is written ----------------------------------------------------------------------------------

Result<Inode> SalvagedPast::load_inode(uint64_t ino) const {
  const auto entry = catalog_.inodes.find(ino);
  if (entry == catalog_.inodes.end()) return Error(Code::not_found, "inode " + std::to_string(ino));
  const auto stand_in = stand_ins_.find(ino);
  Inode inode = stand_in != stand_ins_.end() ? TRY(catalog_.load_version(*stand_in->second)).inode
                                             : TRY(catalog_.load_inode(ino));
  inode.past = entry->second.past;
  const uint64_t previous = raw(inode.past.previous);
  if (previous != 0 && !is_wanted(previous) && !in_journal_.inodes.contains(previous)) {
    inode.past.previous = Ino{0};
    inode.past.since = 0;
    inode.past.floor = 0;
  }
  inode.time_lock = std::max(inode.time_lock, entry->second.time_lock);
  inode.nlink = entry->second.nlink;
  if (entry->second.names != 0 && inode.nlink == 0) inode.nlink = 1;  // it has come back
  set_flag(inode.flags, kInodeTrashed, (entry->second.flags & kInodeTrashed) != 0);
  set_flag(inode.flags, kInodeAltered, (entry->second.flags & kInodeAltered) != 0);
  set_flag(inode.flags, kInodeHasPast, inode.past != Past{});
  if (const auto parent = new_parents_.find(ino); parent != new_parents_.end()) inode.parent = parent->second;
  return inode;
}

Result<Xattrs> SalvagedPast::load_xattrs(uint64_t ino) const {
  const auto stand_in = stand_ins_.find(ino);
  if (stand_in == stand_ins_.end()) return catalog_.load_xattrs(ino);
  return TRY(catalog_.load_version(*stand_in->second)).xattrs;
}

std::vector<const StoredValue*> SalvagedPast::versions(uint64_t ino) const {
  const auto found = catalog_.versions().find(ino);
  if (found == catalog_.versions().end()) return {};
  std::vector<const StoredValue*> out(found->second.rbegin(), found->second.rend());
  if (const auto stand_in = stand_ins_.find(ino); stand_in != stand_ins_.end()) std::erase(out, stand_in->second);
  return out;
}

uint64_t SalvagedPast::newest_hlc() const {
  uint64_t newest = 0;
  for (const auto& item : catalog_.inodes)
    newest = std::max({newest, item.second.hlc, item.second.past.since, item.second.past.retired});
  for (const PastName& name : names_) newest = std::max({newest, name.ended_hlc, name.dirent.location_stamp.hlc});
  for (const CatalogName& name : catalog_.names) newest = std::max(newest, name.dirent.location_stamp.hlc);
  return newest;
}

void SalvagedPast::report_lost_versions(const std::set<uint64_t>& copied) {
  for (const auto& [ino, values] : catalog_.versions()) {
    if (copied.contains(ino) || std::all_of(values.begin(), values.end(), [](const auto* v) { return v->stale; }))
      continue;
    report_.versions_lost += values.size();
    report_.damaged.push_back(
        {.part = Part::record,
         .what = "inode " + std::to_string(ino) + " and its " + std::to_string(values.size()) + " versions are lost",
         .ino = Ino{ino},
         .path = {}});
  }
}

}  // namespace tain::store
