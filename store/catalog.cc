// SPDX-License-Identifier: Apache-2.0
#include "store/catalog.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace tain::store {
namespace {

constexpr size_t kPathDepthMax = 4096;    // names; deeper is a cycle
constexpr uint64_t kProgressStep = 4096;  // records between two reports

std::string damage_text(Damage damage) {
  switch (damage) {
    case Damage::rot: return "rot: neither its checksum nor its seal is right";
    case Damage::tampering: return "tampering: its checksum is right, its seal is not";
    case Damage::checksum_only: return "only its checksum is damaged; it is intact";
    case Damage::none: break;
  }
  return "it cannot be read";
}

const char* record_name(Table table) {
  switch (table) {
    case Table::inodes: return "inode";
    case Table::dirents: return "name";
    case Table::xattrs: return "extended attributes";
    case Table::orphans: return "orphan";
    case Table::versions: return "version";
    case Table::past_names: return "past name";
    case Table::marks: return "mark of a change";
    case Table::notes: return "note of sync";
    case Table::blocks: return "block";
    case Table::state: return "state";
  }
  return "record";
}

void add_mod(Id32& sum, const Id32& summand) {
  unsigned carry = 0;
  for (size_t i = 0; i < sum.size(); ++i) {
    carry += unsigned{sum[i]} + summand[i];
    sum[i] = static_cast<uint8_t>(carry);
    carry >>= 8;
  }
}

}  // namespace

Finding& Catalog::complain(Part part, uint64_t ino, std::string what, bool repairable) {
  findings.push_back({.part = part, .what = std::move(what), .ino = Ino{ino}, .repairable = repairable});
  return findings.back();
}

std::optional<Catalog::OpenedRecord> Catalog::open(Table table, const StoredValue& value, Kind kind, uint16_t schema) {
  const Bytes key = encode_key(table, value.key);
  auto bytes = survey_.read(value.extent);
  OpenedRecord out;
  std::string why;
  if (bytes.ok()) {
    auto record = cipher_.open_record(table, key, *bytes, &out.damage);
    if (record.ok() && record->kind == kind && record->schema == schema) {
      out.body = std::move(record->body);
      if (out.damage == Damage::checksum_only) {
        bad_checksums.emplace_back(table, value.key);
        Finding& found = complain(Part::record, value.key.first,
                                  std::string(record_name(table)) + " record: " + damage_text(out.damage), true);
        found.damage = out.damage;
      }
      return out;
    }
    why = record.ok() ? "it has a kind or version that this tain does not know" : damage_text(out.damage);
  } else {
    out.damage = Damage::rot;
    why = bytes.error().message();
  }
  damaged_tables_.insert(table);
  // Marks and notes are of no entry, and can be done without: whoever mirrors the vault looks again.
  const bool is_note = table == Table::marks || table == Table::notes;
  complain(Part::record, is_note ? 0 : value.key.first,
           std::string(record_name(table)) + (table == Table::dirents ? " in this directory" : " record") +
               " is damaged: " + why,
           is_note)
      .damage = out.damage;
  return std::nullopt;
}

void Catalog::take_inode(const StoredValue& value, const Bytes& body) {
  auto inode = decode_inode(body);
  if (inode.is(Code::format_too_old)) too_old_ = inode.error();
  if (!inode.ok() || raw(inode->ino) != value.key.first) {
    complain(Part::record, value.key.first, "inode record has an impossible structure");
    return;
  }
  CatalogInode& out = inodes[value.key.first];
  out.mode = inode->mode;
  out.nlink = inode->nlink;
  out.flags = inode->flags;
  out.uid = inode->uid;
  out.gid = inode->gid;
  out.children = inode->children;
  out.size = inode->content.size;
  out.parent = inode->parent;
  out.entry = inode->entry;
  out.past = inode->past;
  out.time_lock = inode->time_lock;
  out.hlc = std::max(inode->attribute_stamp.hlc, inode->content_stamp.hlc);
  out.extent = value.extent;
  out.stale = value.stale;
  out.newer = value.newer;
}

void Catalog::take_name(const StoredValue& value, const Bytes& body) {
  auto dirent = decode_dirent(body);
  if (!dirent.ok() || raw(dirent->directory) != value.key.first || raw(dirent->cookie) != value.key.second) {
    complain(Part::record, value.key.first, "a name in this directory has an impossible structure");
    return;
  }
  names.push_back({.dirent = std::move(*dirent), .extent = value.extent, .stale = value.stale, .newer = value.newer});
}

void Catalog::read_table(Table table, const Progress& progress) {
  uint64_t done = 0;
  for (const StoredValue& value : survey_.values(table)) {
    if (progress && ++done % kProgressStep == 0) progress(0, 0);
    switch (table) {
      case Table::inodes:
        if (auto record = open(table, value, Kind::inode, kInodeSchema)) take_inode(value, record->body);
        break;
      case Table::dirents:
        if (auto record = open(table, value, Kind::dirent, kDirentSchema)) take_name(value, record->body);
        break;
      case Table::xattrs:
        if (auto record = open(table, value, Kind::xattrs, kXattrsSchema)) {
          auto xattrs = decode_xattrs(record->body);
          if (!xattrs.ok() || raw(xattrs->ino) != value.key.first)
            complain(Part::record, value.key.first, "extended attributes have an impossible structure");
          else if (xattrs->xattrs.empty())
            complain(Part::record, value.key.first, "an empty record of extended attributes");
          else
            with_xattrs.insert(value.key.first);
        }
        break;
      case Table::orphans:
        if (open(table, value, Kind::orphan, kOrphanSchema)) orphans.insert(value.key.first);
        break;
      case Table::versions: versions_[value.key.first].push_back(&value); break;
      case Table::past_names:
        if (auto record = open(table, value, Kind::past_name, kPastNameSchema)) {
          auto name = decode_past_name(record->body);
          if (!name.ok() || raw(name->dirent.directory) != value.key.first || name->ended_hlc != value.key.second)
            complain(Part::record, value.key.first, "a past name in this directory has an impossible structure");
          else
            past_names.push_back({.name = std::move(*name), .stale = value.stale});
        }
        break;
      case Table::marks:
        if (!open(table, value, Kind::mark, kMarkSchema)) unreadable_notes.emplace_back(table, value.key);
        break;
      case Table::notes:
        if (!open(table, value, Kind::note, kNoteSchema)) unreadable_notes.emplace_back(table, value.key);
        break;
      case Table::blocks:
      case Table::state: break;
    }
  }
}

Result<> Catalog::read(const Progress& progress) {
  for (Table table : {Table::inodes, Table::dirents, Table::xattrs, Table::orphans, Table::versions, Table::past_names,
                      Table::marks, Table::notes})
    read_table(table, progress);
  if (too_old_.has_value()) return *std::exchange(too_old_, std::nullopt);
  for (auto& [ino, inode] : inodes) {
    inode.has_xattrs = with_xattrs.contains(ino);
    inode.is_orphan = orphans.contains(ino);
  }
  count_names();
  return {};
}

void Catalog::count_names() {
  for (auto& [ino, inode] : inodes) {
    inode.names = inode.entries = inode.subdirectories = 0;
    inode.first_name = ~size_t{0};
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const Dirent& dirent = names[i].dirent;
    auto child = inodes.find(raw(dirent.child));
    auto directory = inodes.find(raw(dirent.directory));
    if (child != inodes.end()) {
      ++child->second.names;
      if (child->second.first_name == ~size_t{0}) child->second.first_name = i;
    }
    if (directory == inodes.end()) continue;
    ++directory->second.entries;
    if (child != inodes.end() && child->second.is_directory()) ++directory->second.subdirectories;
  }
}

std::vector<uint64_t> Catalog::cut_off() const {
  const auto has_way_up = [&](uint64_t ino) {
    const auto it = inodes.find(ino);
    return ino != raw(kRootIno) && it != inodes.end() && it->second.is_directory() && it->second.names != 0;
  };
  std::unordered_map<uint64_t, std::vector<uint64_t>> below;  // directories in each directory
  for (const CatalogName& name : names)
    if (has_way_up(raw(name.dirent.child))) below[raw(name.dirent.directory)].push_back(raw(name.dirent.child));
  std::unordered_set<uint64_t> reached;
  const auto walk_from = [&](uint64_t ino) {
    if (!reached.insert(ino).second) return;
    for (std::vector<uint64_t> waiting{ino}; !waiting.empty();) {
      const auto it = below.find(waiting.back());
      waiting.pop_back();
      if (it == below.end()) continue;
      for (uint64_t child : it->second)
        if (reached.insert(child).second) waiting.push_back(child);
    }
  };
  for (const auto& item : below)
    if (!has_way_up(item.first)) walk_from(item.first);
  std::vector<uint64_t> out;
  for (const auto& item : inodes) {
    uint64_t ino = item.first;
    if (!has_way_up(ino) || reached.contains(ino)) continue;
    // Up until somewhere for the second time: there is the circle.
    std::unordered_set<uint64_t> seen;
    while (seen.insert(ino).second) ino = raw(names[inodes.at(ino).first_name].dirent.directory);
    out.push_back(ino);
    walk_from(ino);
  }
  return out;
}

std::string Catalog::path(uint64_t ino) const {
  std::vector<const std::string*> parts;  // upwards
  std::string out;
  for (size_t depth = 0; ino != raw(kRootIno); ++depth) {
    auto it = inodes.find(ino);
    if (it == inodes.end() || it->second.first_name == ~size_t{0} || depth == kPathDepthMax) {
      out = "?";
      break;
    }
    const Dirent& dirent = names[it->second.first_name].dirent;
    parts.push_back(&dirent.name);
    ino = raw(dirent.directory);
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) out += "/" + **part;
  return out.empty() ? "/" : out;
}

Result<Inode> Catalog::load_inode(uint64_t ino) const {
  auto it = inodes.find(ino);
  if (it == inodes.end()) return Error(Code::not_found, "inode " + std::to_string(ino) + " is not known");
  return read_inode(ino, it->second.extent);
}

Result<Inode> Catalog::load_replaced_inode(uint64_t ino) const {
  auto it = survey_.replaced_inodes.find(ino);
  if (it == survey_.replaced_inodes.end()) return Error(Code::not_found, "inode " + std::to_string(ino));
  return read_inode(ino, it->second);
}

Result<Inode> Catalog::read_inode(uint64_t ino, const Extent& extent) const {
  const Bytes value = TRY(survey_.read(extent));
  auto record = TRY(cipher_.open_record(Table::inodes, ino_key(Ino{ino}), value));
  return decode_inode(record.body);
}

Result<Xattrs> Catalog::load_xattrs(uint64_t ino) const {
  const auto& values = survey_.values(Table::xattrs);
  auto it = std::lower_bound(values.begin(), values.end(), RecordKey{ino, 0},
                             [](const StoredValue& value, const RecordKey& key) { return value.key < key; });
  if (it == values.end() || it->key.first != ino) return Xattrs();
  const Bytes value = TRY(survey_.read(it->extent));
  auto record = TRY(cipher_.open_record(Table::xattrs, ino_key(Ino{ino}), value));
  InodeXattrs decoded = TRY(decode_xattrs(record.body));
  return std::move(decoded.xattrs);
}

Result<Version> Catalog::load_version(const StoredValue& value) const {
  const Bytes bytes = TRY(survey_.read(value.extent));
  auto record = TRY(cipher_.open_record(Table::versions, encode_key(Table::versions, value.key), bytes));
  if (record.kind != Kind::version || record.schema != kVersionSchema) return Error(Code::corrupt, "version record");
  Version version = TRY(decode_version(record.body));
  if (raw(version.inode.ino) != value.key.first || version.ended_hlc != ~value.key.second)
    return Error(Code::corrupt, "a version is not the one of its key");
  return version;
}

/// After the file itself, which has what they share.
void Catalog::check_versions(uint64_t ino, const Inode* present) {
  const auto versions = versions_.find(ino);
  if (versions == versions_.end()) return;
  for (const StoredValue* value : versions->second) {
    auto record = open(Table::versions, *value, Kind::version, kVersionSchema);
    if (!record.has_value()) {
      // Nobody knows which blocks it has.
      if (auto entry = inodes.find(ino); entry != inodes.end()) entry->second.damaged_content = true;
      continue;
    }
    auto version = decode_version(record->body);
    if (!version.ok() || raw(version->inode.ino) != ino || version->ended_hlc != ~value->key.second ||
        (present != nullptr && version->inode.content.id != present->content.id)) {
      complain(Part::record, ino, "a version of it has an impossible structure");
      continue;
    }
    FileReport report = check_version(finder_, version->inode);
    for (Finding& found : report.findings) {
      found.ino = Ino{ino};
      found.what = "the version that ended at " + std::to_string(version->ended.seconds) + ": " + found.what;
      findings.push_back(std::move(found));
    }
    if (auto entry = inodes.find(ino); entry != inodes.end())
      entry->second.damaged_content |= !report.damaged.empty() || report.map_damaged || report.unreadable_here;
    for (const BlockId& id : report.bad_checksums)
      bad_checksums.emplace_back(Table::blocks, RecordKey{id.writer, id.number});
  }
}

void Catalog::check_files(const Progress& progress) {
  uint64_t total = 0, done = 0;
  bool some_unreadable = false;  // by this processor
  for (const auto& [ino, inode] : inodes) total += inode.size;
  for (auto& [ino, entry] : inodes) {
    auto inode = load_inode(ino);
    if (!inode.ok()) continue;  // opened a moment ago: the device changes its mind, and the next check tells
    FileReport report = check_file(finder_, *inode);
    entry.damaged_content = !report.damaged.empty() || report.map_damaged || report.unreadable_here;
    some_unreadable |= report.unreadable_here;
    for (Finding& found : report.findings) {
      found.ino = Ino{ino};
      findings.push_back(std::move(found));
    }
    if (report.unreadable_here)
      complain(Part::content, ino, "its content cannot be checked: this processor lacks its cipher");
    entry.allocated = report.allocated;
    for (const BlockId& id : report.bad_checksums)
      bad_checksums.emplace_back(Table::blocks, RecordKey{id.writer, id.number});
    if (report.allocated != inode->content.allocated && !report.map_damaged && !report.unreadable_here) {
      entry.wrong_allocated = true;
      complain(Part::count, ino, "allocated bytes are wrong", true);
    }
    check_versions(ino, &*inode);
    done += entry.size;
    if (progress) progress(done, total);
  }
  // The owners may be what is lost, or what cannot be read here.
  if (damaged_tables_.contains(Table::inodes) || damaged_tables_.contains(Table::versions) || !survey_.lost.empty() || some_unreadable) return;
  const bool maps_intact =
      std::none_of(inodes.begin(), inodes.end(), [](const auto& entry) { return entry.second.damaged_content; });
  for (const BlockId& id : finder_.unused())
    complain(Part::count, 0, "block " + to_hex(block_key(id)) + " belongs to no file", maps_intact);
}

void Catalog::check_inodes() {
  for (const auto& [ino, inode] : inodes) {
    const bool flagged = (inode.flags & kInodeHasXattrs) != 0;
    if (flagged != inode.has_xattrs)
      complain(Part::record, ino, flagged ? "its extended attributes are missing" : "attribute flag is wrong",
               !flagged);
    if (inode.past.retired != 0 && (inode.nlink != 0 || inode.names != 0))
      complain(Part::count, ino, "it has left the present, and has a name");
    if (raw(inode.past.previous) != 0 && !inodes.contains(raw(inode.past.previous)) && survey_.lost.empty() &&
        !damaged_tables_.contains(Table::inodes))
      complain(Part::record, ino, "the inode before it in its history is missing");
    if ((inode.nlink == 0 && inode.past.retired == 0) != inode.is_orphan) complain(Part::count, ino, "orphan table is wrong", true);
    if (survey_.state && ino >= survey_.state->next_ino)
      complain(Part::count, ino, "its number is still to be given away", true);
  }
  for (const auto* table : {&orphans, &with_xattrs})
    for (uint64_t ino : *table)
      if (!inodes.contains(ino)) complain(Part::record, ino, "a record without an inode", survey_.lost.empty());
  for (const auto& [ino, values] : versions_)
    if (!inodes.contains(ino)) complain(Part::record, ino, "a version without an inode");
}

/// Who leads to whom in the past. Where inodes are lost nobody knows how many there were.
void Catalog::check_chains() {
  if (!survey_.lost.empty() || damaged_tables_.contains(Table::inodes)) return;
  std::map<uint64_t, uint64_t> newest;  // when an inode was last succeeded
  for (const auto& [ino, inode] : inodes) {
    const auto previous = inodes.find(raw(inode.past.previous));
    if (previous == inodes.end()) continue;
    ++previous->second.successors;
    newest[previous->first] = std::max(newest[previous->first], inode.past.since);
    // So no chain is a circle.
    if (inode.past.since <= previous->second.past.since || inode.past.floor >= inode.past.since)
      complain(Part::record, ino, "in its history it is not newer than the inode before it");
  }
  for (const auto& [ino, inode] : inodes) {
    const Past& past = inode.past;
    Past right = past;
    uint32_t flags = inode.flags;
    set_successors(right, flags, inode.successors);
    right.forked = std::max(right.forked, newest[ino]);
    if (right != past || flags != inode.flags)
      complain(Part::count, ino, "how many inodes came after it in history is wrong: " + std::to_string(past.successors) + ", but there are " + std::to_string(inode.successors), true);
    if ((inode.flags & kInodeTrashed) != 0 && past.retired == 0) complain(Part::count, ino, "it is in the trash, and present", true);
  }
}

void Catalog::check_names() {
  for (uint64_t ino : cut_off())
    complain(Part::name, ino, "it is inside itself: no way from the root leads to it", true);
  std::set<std::pair<uint64_t, std::string_view>> seen;
  for (const CatalogName& name : names) {
    const Dirent& dirent = name.dirent;
    const uint64_t directory = raw(dirent.directory), child = raw(dirent.child);
    if (!seen.emplace(directory, dirent.name).second) complain(Part::name, directory, "a name twice");
    const auto at = inodes.find(child);
    if (at == inodes.end() || !inodes.contains(directory)) {
      const bool gone = at == inodes.end() && !survey_.may_have_lost(Table::inodes, {child, 0}) &&
                        !damaged_tables_.contains(Table::inodes);
      const std::string folder = path(directory);
      Finding& found =
          complain(Part::name, child,
                   at == inodes.end() ? "its name is there, its inode is not" : "its directory has no inode", gone);
      found.path = folder + (folder.ends_with('/') ? "" : "/") + dirent.name;
      if (at == inodes.end()) continue;
    }
    if (const auto in = inodes.find(directory); in != inodes.end() && !in->second.is_directory())
      complain(Part::name, child, "its name is in something that is no directory", true);
    const uint64_t wanted = raw(dirent.cookie) & ~uint64_t{15};
    if (wanted != cipher_.name_hash(dirent.directory, dirent.name) &&
        wanted != cipher_.older_name_hash(dirent.directory, dirent.name))
      complain(Part::name, directory, "a cookie of another name");
    if (dirent.type != dirent_type(at->second.mode)) complain(Part::name, child, "an entry with another type", true);
    if (at->second.is_directory() && at->second.parent != dirent.directory)
      complain(Part::count, child, "another parent than the directory it is in", true);
  }
  for (const auto& [ino, inode] : inodes) {
    const bool root = ino == raw(kRootIno);
    if (!inode.is_directory()) {
      if (inode.nlink != 0 && inode.names == 0)
        complain(Part::name, ino, "no name leads to it", true);
      else if (inode.nlink != inode.names)
        complain(Part::count, ino, "link count is wrong", true);
      continue;
    }
    const uint64_t wanted = root || inode.nlink == 0 ? 0 : 1;
    if (inode.names < wanted) complain(Part::name, ino, "no name leads to it", true);
    if (inode.names > wanted) complain(Part::name, ino, "a directory with several names", true);
    if (inode.children != inode.entries)
      complain(Part::count, ino,
               "count of entries is wrong: " + std::to_string(inode.children) + ", but there are " +
                   std::to_string(inode.entries),
               true);
    if (inode.nlink != 0 && inode.nlink != 2 + inode.subdirectories)
      complain(Part::count, ino, "link count is wrong", true);
  }
  if (!inodes.contains(raw(kRootIno))) complain(Part::record, raw(kRootIno), "the root directory's inode is missing");
}

void Catalog::check_digest(Table table) {
  if (!survey_.state.has_value()) return;
  SetDigest found;
  for (const StoredValue& value : survey_.values(table)) {
    if (value.extent.size < kChecksumSize) continue;
    auto checksum = survey_.read({value.extent.offset + value.extent.size - kChecksumSize, kChecksumSize});
    if (!checksum.ok()) continue;
    uint32_t epoch = cipher_.epoch();
    if (cipher_.older_epoch() != 0 && value.extent.size >= kRecordHeaderSize) {
      auto beginning = survey_.read({value.extent.offset, kRecordHeaderSize});
      if (beginning.ok()) epoch = value_epoch(*beginning);
    }
    ++found.count;
    add_mod(found.sum, cipher_.set_summand(table, encode_key(table, value.key), *checksum, epoch));
  }
  found_sets[static_cast<size_t>(table)] = found;
  const SetDigest& wanted = survey_.state->sets[static_cast<size_t>(table)];
  if (found == wanted) return;
  digests_match = false;
  std::string what = "table " + std::string(table_name(table)) + ": ";
  if (found.count != wanted.count)
    what += std::to_string(wanted.count) + " values were stored, " + std::to_string(found.count) + " are there";
  else
    what += "its digest is wrong: values are missing, doubled, damaged or from another time";
  complain(Part::count, 0, what, true);
}

void Catalog::check(const Progress& progress) {
  check_files(progress);
  check_inodes();
  check_chains();
  check_names();
  for (Table table : kTables)
    if (table != Table::state) check_digest(table);
  if (survey_.state.has_value()) {
    uint64_t bytes = 0, retired = 0, retired_bytes = 0;
    for (const auto& [ino, inode] : inodes) {
      const bool is_retired = inode.past.retired != 0;
      (is_retired ? retired_bytes : bytes) += inode.size;
      retired += is_retired ? 1 : 0;
    }
    const State& state = *survey_.state;
    const bool is_right = bytes == state.content_bytes && retired == state.retired_inodes &&
                          retired_bytes == state.retired_content_bytes;
    if (!is_right && survey_.lost.empty() && !damaged_tables_.contains(Table::inodes))
      complain(Part::count, 0, "the state record's content bytes are wrong", true);
  }
  for (Finding& found : findings)
    if (raw(found.ino) != 0 && found.path.empty()) found.path = path(raw(found.ino));
}

}  // namespace tain::store
