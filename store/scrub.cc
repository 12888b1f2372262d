// SPDX-License-Identifier: Apache-2.0
#include "store/scrub.h"

#include <algorithm>

#include "base/check.h"
#include "base/secret.h"
#include "store/load_block.h"
#include "store/scrub_notes.h"

namespace tain::store {
namespace {

using Stage = ScrubPlace::Stage;

constexpr size_t kNamesAtOnce = 256;
constexpr int kTriesMax = 8;            // at a place that commits keep changing
constexpr uint64_t kBlockWeight = 16;   // of a block against a record, for how far a pass is
constexpr size_t kDamagedMax = 65'536;  // inodes that are counted
constexpr uint64_t kMapShift = 7;       // a slot at one level covers 2^7 of the level below

ScrubPlace begin_of(uint64_t ino) {
  return {.ino = Ino{ino}};
}
ScrubPlace after(Ino ino) {
  return begin_of(raw(ino) + 1);
}

/// What the owner of a value that does not open suffered; `damage` is what its cipher said.
Damage cause(Damage damage) {
  return damage == Damage::tampering ? Damage::tampering : Damage::rot;
}

bool has_past(const Inode& inode) { return (inode.flags & kInodeHasVersions) != 0; }

/// The first inode that a damaged page cannot have held.
uint64_t end_of(const KeyRange& lost, Ino from) {
  if (lost.high.empty()) return ~uint64_t{0};
  std::array<uint8_t, 8> key{};
  std::copy_n(lost.high.begin(), std::min(lost.high.size(), key.size()), key.begin());
  return std::max(load_be64(key.data()), raw(from) + 1);
}

}  // namespace

/// One step: a read transaction and what is left of its budget.
class Scrubber::Slice {
 public:
  Slice(ReadTxn read, uint64_t budget, int64_t end_ns) : txn(std::move(read)), left_(budget), end_ns_(end_ns) {}
  ~Slice() { wipe(plain); }
  Slice(const Slice&) = delete;
  Slice& operator=(const Slice&) = delete;

  void spend(uint64_t bytes) {
    spent_ += bytes;
    left_ -= std::min(left_, bytes);
  }
  uint64_t spent() const { return spent_; }
  /// At least one thing is looked at, however slow the disk is and however much stands on the way to it.
  bool full() const { return again || (advanced && (left_ == 0 || system_clock().monotonic_ns() >= end_ns_)); }

  ReadTxn txn;
  bool advanced = false;
  bool again = false;          // the same place must be looked at in a newer state
  std::optional<Inode> inode;  // the one that was looked at last
  std::map<BlockId, std::shared_ptr<const RefList>> nodes;
  Bytes plain = Bytes(kBlockSize);

 private:
  uint64_t left_;
  const int64_t end_ns_;
  uint64_t spent_ = 0;
};

Scrubber::Scrubber(WorkingSet& set, std::string directory, const VaultId& vault, const Options& options)
    : set_(set), database_(set.database()), directory_(std::move(directory)), options_(options) {
  record_ = read_scrub_record(directory_, vault).value_or(ScrubRecord{.vault = vault});
  damaged_.insert(record_.damaged.begin(), record_.damaged.end());
  again_.assign(record_.damaged.begin(), record_.damaged.end());
  record_.damaged.clear();
  if (!again_.empty()) again_place_ = begin_of(again_.front());
}

void Scrubber::begin() {
  if (running()) return;
  record_.started_s = std::max<int64_t>(set_.now().seconds, 1);
  record_.place = begin_of(0);
  record_.counts = {};
  damaged_.clear();
  again_.clear();
}

Result<uint64_t> Scrubber::step(uint64_t budget) {
  CHECK(budget > 0);
  const int64_t end_ns = system_clock().monotonic_ns() + options_.step_max_ns;
  Slice slice(TRY(ReadTxn::begin(database_.env(), PageAccess::copied)), budget, end_ns);
  count_all(slice);
  TRY(look_again(slice));
  TRY(go_on(slice));
  tries_ = slice.again ? tries_ + 1 : 0;
  return slice.spent();
}

/// What an earlier process found damaged: this one's damage log does not have it yet.
Result<> Scrubber::look_again(Slice& slice) {
  const ScrubCounts counts = record_.counts;  // this is no part of the pass
  while (!again_.empty() && !slice.full()) {
    const Ino ino = again_place_.ino;
    bool through = true;
    if (again_place_.stage == Stage::record) {
      auto value = slice.txn.get(Table::inodes, ino_key(ino));
      slice.advanced = true;
      if (value.ok() && value->has_value()) {
        damaged_.erase(raw(ino));
        scrub_record(slice, ino, **value, again_place_);
        through = again_place_.ino != ino;
      } else if (value.ok() && !running()) {
        damaged_.erase(raw(ino));  // removed since
      } else if (value.ok() || value.is(Code::corrupt)) {
        note_record(ino, Damage::rot);
      } else {
        return std::move(value).error();
      }
    } else {
      through = TRY(scrub_rest(slice, again_place_));
    }
    if (!through) continue;
    if (!running() && !damaged_.contains(raw(ino)) && record_.last_damaged > 0) --record_.last_damaged;
    again_.pop_front();
    if (!again_.empty()) again_place_ = begin_of(again_.front());
  }
  record_.counts = counts;
  return {};
}

Result<> Scrubber::go_on(Slice& slice) {
  ScrubPlace& place = record_.place;
  std::optional<Cursor> cursor;  // at the inode before place.ino, if any
  while (running() && !slice.full()) {
    if (place.stage == Stage::marks || place.stage == Stage::notes) {
      slice.advanced = true;
      const auto spend = [&](size_t bytes) { return !slice.full() && (slice.spend(bytes), true); };
      if (!TRY(scrub_notes(database_, slice.txn, place, record_.counts, spend))) continue;
      if (place.stage == Stage::marks)
        place = {.ino = {}, .stage = Stage::notes};
      else
        finish(slice);
      continue;
    }
    if (place.stage != Stage::record) {
      const Ino ino = place.ino;
      if (TRY(scrub_rest(slice, place))) place = after(ino);
      continue;
    }
    const bool fresh = !cursor.has_value();
    if (fresh) cursor = TRY(Cursor::open(slice.txn, Table::inodes));
    auto item = fresh ? cursor->seek(ino_key(place.ino)) : cursor->next();
    slice.advanced = true;
    if (item.is(Code::corrupt)) {  // whose records these were, their names will tell
      const KeyRange& lost = cursor->lost();
      const bool one = lost.low.size() == sizeof(uint64_t) && lost.high.size() == lost.low.size() + 1;
      if (one)
        note_record(Ino{load_be64(lost.low.data())}, Damage::rot);
      else
        ++record_.counts.lost;
      place = one ? after(Ino{load_be64(lost.low.data())}) : begin_of(end_of(lost, place.ino));
      if (raw(place.ino) == ~uint64_t{0}) place = {.ino = {}, .stage = Stage::marks};
      continue;
    }
    const auto found = TRY(std::move(item));
    if (!found.has_value()) {
      place = {.ino = {}, .stage = Stage::marks};
    } else if (found->key.size() != ino_key(Ino{}).size()) {
      ++record_.counts.lost;
    } else {
      const Ino ino{load_be64(found->key.data())};
      ++record_.counts.entries;
      ++record_.counts.records;
      record_.counts.bytes += found->value.size();
      scrub_record(slice, ino, found->value, place);
    }
  }
  return {};
}

void Scrubber::scrub_record(Slice& slice, Ino ino, ByteView value, ScrubPlace& place) {
  slice.spend(value.size());
  slice.inode.reset();
  place = after(ino);
  Damage damage = Damage::none;
  auto inode = database_.open_inode(ino, value, &damage);
  if (inode.is(Code::corrupt)) return note_record(ino, cause(damage));
  if (!inode.ok()) return;  // of a newer version: intact as far as anybody can tell here
  const Damage xattrs = scrub_xattrs(slice, *inode);
  if (xattrs != Damage::none && xattrs != Damage::checksum_only) damage = xattrs;
  if (damage == Damage::none) damage = xattrs;
  if (damage == Damage::none)
    set_.damage().record_intact(ino);
  else
    note_record(ino, damage);
  if (inode->is_directory())
    place = {.ino = ino, .stage = Stage::names};
  else if (!inode->content.root.empty())
    place = {.ino = ino, .stage = Stage::content};
  else if (has_past(*inode))
    place = {.ino = ino, .stage = Stage::versions};
  slice.inode = *std::move(inode);
}

Damage Scrubber::scrub_xattrs(Slice& slice, const Inode& inode) {
  if ((inode.flags & kInodeHasXattrs) == 0) return Damage::none;
  Damage damage = Damage::none;
  const auto xattrs = database_.load_xattrs(slice.txn, inode.ino, &damage);
  ++record_.counts.records;
  if (xattrs.is(Code::corrupt)) return cause(damage);
  if (!xattrs.ok()) return Damage::none;
  return xattrs->empty() ? Damage::rot : damage;  // empty: the inode says otherwise, so the record is lost
}

Result<bool> Scrubber::scrub_rest(Slice& slice, ScrubPlace& place) {
  if (!slice.inode.has_value() || slice.inode->ino != place.ino) {
    auto loaded = database_.load_inode(slice.txn, place.ino);
    slice.inode.reset();
    if (loaded.ok() && loaded->has_value()) slice.inode = **std::move(loaded);
    if (!slice.inode.has_value()) {  // removed, or damaged since: its reader will note that
      slice.advanced = true;
      return true;
    }
  }
  const Inode& inode = *slice.inode;
  switch (place.stage) {
    case Stage::record: break;
    case Stage::names:
      if (TRY(scrub_names(slice, inode, place))) place = {.ino = inode.ino, .stage = Stage::versions};
      return false;
    case Stage::content:
      if (!TRY(scrub_map(slice, inode, inode.content.root, inode.content.height, 0, place))) return false;
      if (!has_past(inode)) return true;
      place = {.ino = inode.ino, .stage = Stage::versions};
      return false;
    case Stage::versions:
      if (!TRY(scrub_versions(slice, inode, place))) return false;
      if (!inode.is_directory()) return true;
      place = {.ino = inode.ino, .stage = Stage::past_names};
      return false;
    case Stage::past_names: return scrub_past_names(slice, inode, place);
    case Stage::marks:
    case Stage::notes: break;  // of no inode
  }
  return true;
}

/// Former states of one inode: their records, and of their content what the next newer state does not have.
Result<bool> Scrubber::scrub_versions(Slice& slice, const Inode& inode, ScrubPlace& place) {
  if (place.at == 0 && !(version_.has_value() && version_->ino == inode.ino)) {
    set_.damage().past_intact(inode.ino);
    version_.reset();
  }
  const auto through = [&] {
    version_.reset();
    return true;
  };
  Cursor cursor = TRY(Cursor::open(slice.txn, Table::versions));
  while (!slice.full()) {
    slice.advanced = true;
    const uint64_t key = version_.has_value() && version_->ino == inode.ino ? version_->key : place.at;
    auto item = cursor.seek(version_key(inode.ino, ~key));
    if (item.is(Code::corrupt)) {
      note_past(inode.ino, Damage::rot);
      return through();
    }
    const auto found = TRY(std::move(item));
    if (!found.has_value() || found->key.size() != 16 || load_be64(found->key.data()) != raw(inode.ino)) return through();
    const uint64_t found_key = load_be64(found->key.data() + 8);
    if (version_.has_value() && version_->ino == inode.ino && version_->key == found_key && version_->next < version_->own.size()) {
      for (; version_->next < version_->own.size() && !slice.full(); ++version_->next)
        if (const Damage damage = TRY(scrub_stored(slice, version_->own[version_->next])); damage != Damage::none)
          note_past(inode.ino, damage);
      if (version_->next < version_->own.size()) return false;
      place.at = found_key + 1;
      version_->key = place.at;
      continue;
    }
    // What is newer: the version before, or the present.
    const bool follows = version_.has_value() && version_->ino == inode.ino;
    const ContentRecord newer = follows ? version_->content : inode.content;
    Damage damage = Damage::none;
    auto version = database_.open_version(*found, &damage);
    slice.spend(found->value.size());
    ++record_.counts.records;
    record_.counts.bytes += found->value.size();
    if (version.is(Code::corrupt)) damage = cause(damage);
    if (damage != Damage::none) note_past(inode.ino, damage);
    if (!version.ok()) {
      place.at = found_key + 1;
      if (follows) version_->key = place.at;
      continue;
    }
    VersionUnderWay work{.ino = inode.ino, .key = found_key, .own = {}, .next = 0, .content = version->inode.content};
    TxnNodeReader nodes(database_, slice.txn);
    const ContentRecord* others[] = {&newer};
    auto walked = for_each_unshared(work.content, others, nodes, [&](const BlockRef& ref) { work.own.push_back(ref); });
    if (!walked.ok() && !walked.is(Code::suite_missing)) return std::move(walked).error();
    const bool is_done = work.own.empty();
    version_ = std::move(work);
    if (is_done) version_->key = place.at = found_key + 1;
  }
  return false;
}

/// Whether a block is there, and what was stored: without its place in the file only the checksum tells.
Result<Damage> Scrubber::scrub_stored(Slice& slice, const BlockRef& ref) {
  const auto key = block_key(ref.id);
  slice.spend(block_value_size(ref.length));
  auto value = slice.txn.get(Table::blocks, key);
  if (value.is(Code::corrupt)) return Damage::rot;
  const auto stored = TRY(std::move(value));
  if (!stored.has_value() || !checksum_matches(Table::blocks, key, *stored)) return Damage::rot;
  ++record_.counts.blocks;
  record_.counts.bytes += stored->size();
  return Damage::none;
}

Result<bool> Scrubber::scrub_past_names(Slice& slice, const Inode& inode, ScrubPlace& place) {
  Cursor cursor = TRY(Cursor::open(slice.txn, Table::past_names));
  for (auto item = cursor.seek(past_name_key(inode.ino, place.at));; item = cursor.next()) {
    slice.advanced = true;
    if (item.is(Code::corrupt)) {
      note_past(inode.ino, Damage::rot);
      return true;
    }
    const auto found = TRY(std::move(item));
    if (!found.has_value() || found->key.size() != 16 || load_be64(found->key.data()) != raw(inode.ino)) return true;
    Damage damage = Damage::none;
    const auto name = database_.open_past_name(*found, &damage);
    slice.spend(found->value.size());
    ++record_.counts.records;
    record_.counts.bytes += found->value.size();
    if (name.is(Code::corrupt)) damage = cause(damage);
    if (damage != Damage::none) note_past(inode.ino, damage);
    place.at = load_be64(found->key.data() + 8) + 1;
    if (slice.full()) return false;
  }
}

Result<bool> Scrubber::scrub_names(Slice& slice, const Inode& inode, ScrubPlace& place) {
  const auto listed =
      TRY(database_.load_dirents(slice.txn, inode.ino, Cookie{place.at}, Cookie{kNoBlock}, kNamesAtOnce));
  slice.advanced = true;
  slice.spend(listed.bytes + 1);
  record_.counts.bytes += listed.bytes;
  record_.counts.records += listed.entries.size();
  const bool all = place.at == 0 && listed.complete;
  if (listed.damaged > 0)
    note_names(inode.ino, cause(listed.damage));
  else if (all && listed.entries.size() != inode.children)  // a page that was put back has no damage of its own
    note_names(inode.ino, Damage::rot);
  else if (listed.bad_checksums > 0)
    note_names(inode.ino, Damage::checksum_only);
  else if (all)
    set_.damage().names_intact(inode.ino);
  for (const Dirent& dirent : listed.entries) {
    const auto child = slice.txn.get(Table::inodes, ino_key(dirent.child));
    if (child.is(Code::corrupt) || (child.ok() && !child->has_value())) note_record(dirent.child, Damage::rot);
  }
  place.at = raw(listed.last) + 1;
  return listed.complete;
}

Result<bool> Scrubber::scrub_map(Slice& slice, const Inode& inode, const RefList& list, uint8_t level, uint64_t base,
                                 ScrubPlace& place) {
  const uint64_t span = uint64_t{1} << (kMapShift * level);
  for (const auto& [slot, ref] : list) {
    const uint64_t index = base + slot * span;
    if (index + span <= place.at) continue;
    if (slice.full()) return false;
    if (level == 0) {
      TRY(scrub_block(slice, inode, ref, index));
      if (slice.again) return false;
    } else {
      const auto node = TRY(scrub_node(slice, inode, ref, level, index, place.at <= index));
      if (slice.again) return false;
      if (node != nullptr && !TRY(scrub_map(slice, inode, *node, static_cast<uint8_t>(level - 1), index, place)))
        return false;
    }
    place.at = index + span;
    slice.advanced = true;
  }
  return true;
}

Result<std::shared_ptr<const RefList>> Scrubber::scrub_node(Slice& slice, const Inode& inode, const BlockRef& ref,
                                                            uint8_t level, uint64_t index, bool is_new) {
  std::shared_ptr<const RefList>& node = slice.nodes[ref.id];
  if (node != nullptr) return node;
  const BlockPlace place{.content = inode.content.id, .id = ref.id, .level = level, .index = index};
  Damage damage = Damage::none;
  Result<> opened;
  slice.spend(block_value_size(ref.length));
  auto value = slice.txn.get(Table::blocks, block_key(ref.id));
  if (!value.ok()) {
    opened = std::move(value).error();
  } else if (!value->has_value()) {
    opened = Error(Code::corrupt, "map node is missing");
  } else {
    Bytes plain(ref.length);
    opened = database_.cipher().open_block(place, ref, Kind::map_node, **value, plain, &damage);
    if (opened.ok()) {
      auto decoded = decode_refs(plain, kMapFanout);
      if (decoded.ok())
        node = std::make_shared<const RefList>(*std::move(decoded));
      else
        opened = std::move(decoded).error();
    }
  }
  if (!opened.ok() && !opened.is(Code::corrupt) && !opened.is(Code::suite_missing)) return std::move(opened).error();
  const uint64_t count = uint64_t{1} << (kMapShift * level);
  const auto note = [&](Damage what) {
    note_content(slice, inode, index, count, {{index * kBlockSize, (index + count) * kBlockSize, what}});
  };
  if (opened.is(Code::corrupt))
    note(cause(damage));
  else if (is_new && damage == Damage::checksum_only)
    note(Damage::checksum_only);
  if (is_new && !slice.again) {
    ++record_.counts.blocks;
    record_.counts.bytes += block_value_size(ref.length);
  }
  return node;
}

Result<> Scrubber::scrub_block(Slice& slice, const Inode& inode, const BlockRef& ref, uint64_t index) {
  CellMask bad = 0;      // of the block as it reads, patches laid over
  CellMask covered = 0;  // by the patches looked at so far, newest first
  bool hidden = false;   // something is damaged that no reader needs: a checksum, or what lies below a patch
  Damage worst = Damage::rot;
  uint64_t bytes = 0;
  const auto part = [&](const BlockRef& stored, CellMask own) -> Result<> {
    const BlockPlace place{.content = inode.content.id, .id = stored.id, .level = 0, .index = index};
    const auto read = [&](size_t cell, size_t size, Damage* damage) {
      return database_.read_block(slice.txn, place, stored, cell, ByteSpan(slice.plain).first(size), damage);
    };
    bytes += block_value_size(stored.length);
    Damage damage = Damage::none;
    const auto whole = read(0, stored.length, &damage);
    if (whole.is(Code::corrupt) || whole.is(Code::not_found)) {
      size_t position = 0;
      CellMask lost = 0;
      for (unsigned cell = 0; cell < kBlockSize / kCellSize; ++cell) {
        if ((own >> cell & 1) == 0) continue;
        const size_t begin = position * kCellSize;
        const bool good = begin < stored.length && !whole.is(Code::not_found) &&
                          read(position, std::min(kCellSize, stored.length - begin), nullptr).ok();
        if (!good) lost = static_cast<CellMask>(lost | 1u << cell);
        ++position;
      }
      lost = static_cast<CellMask>(lost & ~covered);
      if (lost != 0) worst = cause(damage);
      hidden = hidden || lost == 0;
      bad = static_cast<CellMask>(bad | lost);
    } else if (!whole.ok() && !whole.is(Code::suite_missing)) {
      return whole;
    } else {
      hidden = hidden || damage == Damage::checksum_only;
    }
    covered = static_cast<CellMask>(covered | own);
    return {};
  };
  for (auto patch = ref.patches.rbegin(); patch != ref.patches.rend(); ++patch)
    TRY(part(stored_ref(*patch), patch->cells));
  BlockRef base = ref;
  base.patches.clear();
  TRY(part(base, cells_touching(0, base.length)));
  slice.spend(bytes);

  const uint64_t start = index * kBlockSize;
  std::vector<Span> spans;
  for_each_run(bad, 0, block_length(ref), [&](size_t begin, size_t end) {
    spans.push_back({start + begin, start + end, worst});
  });
  if (spans.empty() && hidden) spans.push_back({start, start + block_length(ref), Damage::checksum_only});
  if (!spans.empty()) note_content(slice, inode, index, 1, spans);
  if (slice.again) return {};
  record_.counts.blocks += 1 + ref.patches.size();
  record_.counts.bytes += bytes;
  return {};
}

void Scrubber::note_content(Slice& slice, const Inode& inode, uint64_t first, uint64_t count,
                            const std::vector<Span>& spans) {
  DamageLog& log = set_.damage();
  auto lock = set_.lock();
  const auto found = set_.find(inode.ino);
  if (!found.ok()) return;  // removed, or its record cannot be read any more: there is nothing left to say
  const CachedInode& now = **found;
  const ContentRecord& content = now.record.content;
  const bool same = content.root == inode.content.root && content.height == inode.content.height;
  if (!same && tries_ < kTriesMax) {
    slice.again = true;
    return;
  }
  for (const Span& span : spans) {
    const uint64_t end = std::min(span.end, content.size);
    if (span.begin < end) count_damaged(inode.ino);
    log.add_content(inode.ino, span.damage, span.begin, end);
  }
  // What is pending lies over it. Later changes wait for the lock, and take off what they overwrite.
  const uint64_t floor = std::min(now.floor, now.frozen_floor);
  if (floor != kNoBlock) log.overwritten(inode.ino, floor * kBlockSize, kFileSizeMax);
  for (auto block = now.blocks.lower_bound(first); block != now.blocks.end() && block->first < first + count; ++block) {
    const uint64_t start = block->first * kBlockSize;
    const CellMask cells = block->second.data != nullptr ? block->second.data->present() : kAllCells;
    for_each_run(cells, 0, kBlockSize,
                 [&](size_t begin, size_t end) { log.overwritten(inode.ino, start + begin, start + end); });
  }
  if (!log.full() && !log.describe(inode.ino).has_value()) damaged_.erase(raw(inode.ino));
}

void Scrubber::count_damaged(Ino ino) {
  if (damaged_.size() < kDamagedMax) damaged_.insert(raw(ino));
}

void Scrubber::note_record(Ino ino, Damage damage) {
  set_.damage().add_record(ino, damage);
  count_damaged(ino);
}

void Scrubber::note_past(Ino ino, Damage damage) {
  set_.damage().add_past(ino, damage);
  count_damaged(ino);
}

void Scrubber::note_names(Ino ino, Damage damage) {
  set_.damage().add_names(ino, damage);
  count_damaged(ino);
}

void Scrubber::count_all(Slice& slice) {
  const auto state = database_.load_state(slice.txn);
  if (!state.ok()) return;  // finish() will note it
  const auto count = [&](Table table) { return state->sets[static_cast<size_t>(table)].count; };
  records_total_ = count(Table::inodes) + count(Table::dirents) + count(Table::xattrs) + count(Table::versions) +
                   count(Table::past_names) + count(Table::marks) + count(Table::notes);
  blocks_total_ = count(Table::blocks);
}

void Scrubber::finish(Slice& slice) {
  if (!database_.load_state(slice.txn).ok()) ++record_.counts.lost;
  if (!database_.load_orphans(slice.txn).ok()) ++record_.counts.lost;
  record_.last = record_.counts;
  record_.last_started_s = std::exchange(record_.started_s, 0);
  record_.last_ended_s = std::max<int64_t>(set_.now().seconds, 1);
  record_.last_damaged = damaged_.size();
  record_.place = {};
  record_.counts = {};
}

Result<> Scrubber::save() const {
  if (!options_.keep) return {};
  ScrubRecord record = record_;
  for (uint64_t ino : damaged_)
    if (record.damaged.size() < kScrubDamagedMax) record.damaged.push_back(ino);
  return write_scrub_record(directory_, record);
}

ScrubState Scrubber::state() const {
  ScrubState out;
  out.running = running();
  out.record = record_;
  out.damaged = running() ? damaged_.size() : record_.last_damaged;
  const auto weight = [](uint64_t records, uint64_t blocks) {
    return static_cast<double>(records) + static_cast<double>(blocks) * static_cast<double>(kBlockWeight);
  };
  const double total = weight(records_total_, blocks_total_);
  if (running() && total > 0) out.part = std::min(weight(record_.counts.records, record_.counts.blocks) / total, 1.0);
  return out;
}

}  // namespace tain::store
