// SPDX-License-Identifier: Apache-2.0
#include "store/carve.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace tain::store {
namespace {

constexpr size_t kNodeHeaderSize = 8;
constexpr uint64_t kReadPages = 256;

uint16_t load16(const uint8_t* p) {
  return static_cast<uint16_t>(p[0] | p[1] << 8);
}

std::optional<Table> table_of(Kind kind) {
  switch (kind) {
    case Kind::inode: return Table::inodes;
    case Kind::dirent: return Table::dirents;
    case Kind::xattrs: return Table::xattrs;
    case Kind::state: return Table::state;
    case Kind::orphan: return Table::orphans;
    case Kind::version: return Table::versions;
    case Kind::past_name: return Table::past_names;
    case Kind::mark: return Table::marks;
    case Kind::note: return Table::notes;
    case Kind::map_node:
    case Kind::data_block: break;
  }
  return std::nullopt;
}

size_t key_size(Table table) {
  return encode_key(table, {}).size();
}

/// A record that was found, with what decides between several of one key.
struct Candidate {
  Table table{};
  RecordKey key;
  Extent extent;
  bool live = false;
  uint64_t order = 0;  // later is newer
  bool newer = false;  // than the trees
  auto rank() const { return std::tuple(table, key, !newer, !live, ~order); }
};

class Carver {
 public:
  Carver(Survey& survey, const Cipher& cipher, const Progress& progress)
      : survey_(survey), cipher_(cipher), progress_(progress), page_size_(survey.page_size) {}

  Result<std::vector<CarvedBlock>> run() {
    read_trees();
    const uint64_t pages = (survey_.file_size + page_size_ - 1) / page_size_;
    Bytes buffer;
    for (uint64_t first = 0; first < pages; first += kReadPages) {
      const uint64_t count = std::min(kReadPages, pages - first);
      const uint64_t size = std::min(count * page_size_, survey_.file_size - first * page_size_);
      buffer.assign(count * page_size_, 0);
      auto bytes = survey_.read({first * page_size_, size});
      if (bytes.ok()) std::copy(bytes->begin(), bytes->end(), buffer.begin());
      for (uint64_t i = 0; i < count; ++i) {
        if (!bytes.ok()) {  // one bad sector costs its page, not its neighbours
          auto page = survey_.read({(first + i) * page_size_, page_size_});
          if (!page.ok()) continue;
          std::copy(page->begin(), page->end(), buffer.begin() + static_cast<ptrdiff_t>(i * page_size_));
        }
        carve_page(ByteView(buffer).subspan(i * page_size_, page_size_), first + i);
      }
      if (progress_) progress_((first + count) * page_size_, survey_.file_size);
    }
    adopt();
    if (searched_) fit_xattrs();
    return std::move(blocks_);
  }

 private:
  /// Which records of the trees do not open, and how new the others are.
  void read_trees() {
    for (Table table : kTables) {
      if (table == Table::blocks || table == Table::state) continue;
      for (const StoredValue& value : survey_.values(table)) {
        const auto body = open(table, encode_key(table, value.key), value.extent);
        if (!body.has_value()) broken_.emplace(table, value.key);
        if (!searched_) continue;
        const uint64_t order = body.has_value() ? order_of(table, *body) : 0;
        orders_[static_cast<size_t>(table)].push_back(order);
        newest_ = std::max(newest_, order);
      }
    }
  }

  /// Whether a record of a later commit than the trees. A commit gives stamps to what it changes, and to the directory
  /// of what it removes: what is not in the trees, and not newer than all of them, had been removed.
  bool is_newer(Table table, const RecordKey& key, uint64_t order) const {
    if (!searched_) return false;
    const auto& values = survey_.values(table);
    const auto it = std::lower_bound(values.begin(), values.end(), key,
                                     [](const StoredValue& value, const RecordKey& k) { return value.key < k; });
    if (it == values.end() || it->key != key || broken_.contains({table, key})) return order > newest_;
    return order > orders_[static_cast<size_t>(table)][static_cast<size_t>(it - values.begin())];
  }

  bool is_live(uint64_t page) const {
    if (survey_.free_pages.has_value())
      return !std::binary_search(survey_.free_pages->begin(), survey_.free_pages->end(), page);
    return page < survey_.used.size() && survey_.used[page];
  }

  void carve_page(ByteView page, uint64_t number) {
    const bool live = is_live(number);
    auto parsed = TreePage::parse(page, number);
    const bool whole = parsed.ok() && parsed->is_leaf() && parsed->check_nodes().ok();
    if (whole) {
      for (size_t i = 0; i < parsed->count(); ++i) {
        const auto node = parsed->node(i).value();
        if (node.page != kNoPage)
          take_elsewhere(node.key, node.size, node.page, live);
        else
          take_inline(page, number, static_cast<size_t>(node.data.data() - page.data()), live);
      }
    } else if (live && load16(page.data() + 10) != 4) {
      follow_array(page, number);
    }
    // What lies between the nodes of a whole page is left over from changes, and not current.
    scan(page, number, whole);
  }

  /// A page with a damaged header may still have its list of nodes: as long as it makes sense, it counts.
  void follow_array(ByteView page, uint64_t number) {
    Bytes previous;
    for (size_t at = kPageHeaderSize; at + 2 <= page.size(); at += 2) {
      const size_t node = load16(page.data() + at);
      if (node % 2 != 0 || node < at || node + kNodeHeaderSize > page.size()) return;
      const size_t keys = load16(page.data() + node + 6);
      const size_t value = node + kNodeHeaderSize + keys;
      if (keys == 0 || keys > 16 || value > page.size()) return;
      const ByteView key = page.subspan(node + kNodeHeaderSize, keys);
      if (!previous.empty() && compare_keys(previous, key) >= 0) return;
      if (!take_inline(page, number, value, true)) return;
      previous.assign(key.begin(), key.end());
    }
  }

  void scan(ByteView page, uint64_t number, bool whole) {
    for (size_t at = 0; at + kBlockHeaderSize <= page.size(); at += 2) {
      const uint8_t* p = page.data() + at;
      const uint32_t epoch = value_epoch({p, kRecordHeaderSize});
      const bool known_epoch = epoch == cipher_.epoch() || (epoch != 0 && epoch == cipher_.older_epoch());
      const bool versioned = (p[2] == 1 || p[2] == kBlockSchemaResealed) && p[3] == 0 && known_epoch;
      if (versioned && (p[1] == 1 || p[1] == 2)) {
        if (Kind{p[0]} == Kind::data_block || Kind{p[0]} == Kind::map_node) {
          CarvedBlock block;
          std::copy(p + kBlockNonceOffset, p + kBlockNonceOffset + block.nonce.size(), block.nonce.begin());
          block.offset = number * page_size_ + at;
          blocks_.push_back(block);
        } else if (!whole && p[1] == 2 && p[2] == 1) {
          take_inline(page, number, at, false);
        }
      }
      // A node whose value lies elsewhere: flags 1, a key of 8 bytes.
      if (!whole && load16(p + 4) == 1 && load16(p + 6) == 8) {
        const uint64_t size = uint64_t{load16(p)} | uint64_t{load16(p + 2)} << 16;
        take_elsewhere({p + kNodeHeaderSize, 8}, size, Reader({p + kNodeHeaderSize + 8, 8}).u64(), false);
      }
    }
  }

  /// The record whose value begins at `at` with its key and node header before it. False when there is none.
  bool take_inline(ByteView page, uint64_t number, size_t at, bool live) {
    if (at + kRecordOverhead > page.size()) return false;
    const Kind kind{page[at]};
    if (kind == Kind::data_block || kind == Kind::map_node) return true;  // the scan finds them
    const auto table = table_of(kind);
    if (!table) return false;
    const size_t keys = key_size(*table);
    if (at < keys + kNodeHeaderSize) return false;
    const uint8_t* node = page.data() + at - keys - kNodeHeaderSize;
    const size_t size = size_t{load16(node)} | size_t{load16(node + 2)} << 16;
    if (load16(node + 4) != 0 || load16(node + 6) != keys || size > page.size() - at) return false;
    return take(*table, page.subspan(at - keys, keys), page.subspan(at, size), number * page_size_ + at, live);
  }

  void take_elsewhere(ByteView key, uint64_t size, uint64_t page, bool live) {
    const uint64_t offset = page * page_size_ + kPageHeaderSize;
    if (page < 2 || page > survey_.file_size / page_size_ || size < kRecordOverhead || size > kRecordMax) return;
    auto value = survey_.read({offset, size});
    if (!value.ok()) return;
    if (const auto table = table_of(Kind{(*value)[0]}); table && key.size() == key_size(*table))
      take(*table, key, *value, offset, live);
  }

  bool take(Table table, ByteView key, ByteView value, uint64_t offset, bool live) {
    const auto decoded = decode_key(table, key);
    if (!decoded) return false;
    const bool wanted = table == Table::state
                            ? searched_ || !had_state_
                            : broken_.contains({table, *decoded}) || survey_.may_have_lost(table, *decoded);
    if (!wanted && !live && !searched_) return false;
    auto record = cipher_.open_record(table, key, value);
    if (!record.ok()) return false;
    if (table == Table::state) {
      if (wanted) take_state(*record, live);
      return true;
    }
    const uint64_t order = order_of(table, record->body);
    const bool newer = is_newer(table, *decoded, order);
    survey_.roots_are_earlier |= newer;
    const bool unordered = searched_ && table == Table::xattrs;  // fit_xattrs() decides
    if (wanted || newer || unordered)
      candidates_.push_back({.table = table,
                             .key = *decoded,
                             .extent = {offset, value.size()},
                             .live = live,
                             .order = order,
                             .newer = newer});
    return true;
  }

  void take_state(const Cipher::Record& record, bool live) {
    auto state = decode_state(record.body, record.schema);
    if (!state.ok()) return;
    live = live && !searched_;  // the newest of all says where the journal goes on
    if (!survey_.state.has_value() ||
        std::tuple(live, state->commit_number) > std::tuple(state_live_, survey_.state->commit_number)) {
      survey_.roots_are_earlier |= searched_ && survey_.state.has_value();
      survey_.state = *state;
      state_live_ = live;
    }
  }

  static uint64_t order_of(Table table, const Bytes& body) {
    if (table == Table::inodes) {
      auto inode = decode_inode(body);
      return inode.ok() ? std::max(inode->attribute_stamp.hlc, inode->content_stamp.hlc) : 0;
    }
    if (table == Table::dirents) {
      auto dirent = decode_dirent(body);
      return dirent.ok() ? dirent->location_stamp.hlc : 0;
    }
    if (table == Table::versions) {
      auto version = decode_version(body);
      return version.ok() ? version->ended_hlc : 0;
    }
    if (table == Table::past_names) {
      auto name = decode_past_name(body);
      return name.ok() ? name->ended_hlc : 0;
    }
    return 0;
  }

  /// Takes the best candidate for each key that the trees have lost, or whose record does not open.
  void adopt() {
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.rank() < b.rank(); });
    for (Table table : kTables) {
      if (table == Table::blocks || table == Table::state) continue;
      std::vector<StoredValue>& values = survey_.values(table);
      std::vector<StoredValue> out;
      size_t i = 0;
      auto candidate =
          std::find_if(candidates_.begin(), candidates_.end(), [&](const Candidate& c) { return c.table == table; });
      while (i < values.size() || (candidate != candidates_.end() && candidate->table == table)) {
        const bool has_candidate = candidate != candidates_.end() && candidate->table == table;
        if (i < values.size() && (!has_candidate || values[i].key <= candidate->key)) {
          const bool same = has_candidate && values[i].key == candidate->key;
          const bool broken = same && broken_.contains({table, values[i].key});
          if (broken || (same && candidate->newer))
            out.push_back(adopted(*candidate));
          else
            out.push_back(values[i]);
          if (same && candidate->newer && !broken && table == Table::inodes)
            survey_.replaced_inodes.emplace(values[i].key.first, values[i].extent);
          skip_key(candidate, table, values[i].key);
          ++i;
          continue;
        }
        const RecordKey key = candidate->key;
        if (candidate->newer || survey_.may_have_lost(table, key)) out.push_back(adopted(*candidate));
        skip_key(candidate, table, key);
      }
      values = std::move(out);
    }
  }

  static StoredValue adopted(const Candidate& found) {
    return {.key = found.key, .extent = found.extent, .stale = !found.live && !found.newer, .newer = found.newer};
  }

  /// Extended attributes have no stamp, but their inode has, and says whether there are any.
  void fit_xattrs() {
    std::map<RecordKey, StoredValue> fitting;
    for (const StoredValue& value : survey_.values(Table::xattrs)) fitting.emplace(value.key, value);
    std::multimap<RecordKey, const Candidate*> found;
    for (const Candidate& candidate : candidates_)
      if (candidate.table == Table::xattrs) found.emplace(candidate.key, &candidate);
    for (const StoredValue& value : survey_.values(Table::inodes)) {
      if (!value.newer) continue;
      const Bytes key = encode_key(Table::inodes, value.key);
      const auto body = open(Table::inodes, key, value.extent);
      auto inode = body.has_value() ? decode_inode(*body) : Error(Code::corrupt, "inode");
      if (!inode.ok()) continue;
      if ((inode->flags & kInodeHasXattrs) == 0) {
        fitting.erase(value.key);
        continue;
      }
      auto [first, last] = found.equal_range(value.key);
      if (first == last) continue;
      const auto chosen = fitting.emplace(value.key, adopted(*first->second)).first;
      const auto text = open(Table::xattrs, key, chosen->second.extent);
      if (std::any_of(first, last,
                      [&](const auto& other) { return open(Table::xattrs, key, other.second->extent) != text; }))
        survey_.doubtful_xattrs.insert(value.key.first);
    }
    survey_.values(Table::xattrs).clear();
    for (const auto& item : fitting) survey_.values(Table::xattrs).push_back(item.second);
  }

  void skip_key(std::vector<Candidate>::iterator& it, Table table, const RecordKey& key) const {
    while (it != candidates_.end() && it->table == table && it->key == key) ++it;
  }
  std::optional<Bytes> open(Table table, ByteView key, const Extent& extent) const {
    const auto bytes = survey_.read(extent);
    if (!bytes.ok()) return std::nullopt;
    auto record = cipher_.open_record(table, key, *bytes);
    if (!record.ok()) return std::nullopt;
    return std::move(record->body);
  }

  static constexpr uint64_t kRecordMax = kXattrTotalMax + kXattrCountMax * 6 + 4096;  // bytes

  Survey& survey_;
  const Cipher& cipher_;
  const Progress& progress_;
  const size_t page_size_;
  const bool searched_ = survey_.roots_searched && survey_.snapshot.has_value();
  const bool had_state_ = survey_.state.has_value();
  bool state_live_ = false;
  std::set<std::pair<Table, RecordKey>> broken_;  // in the trees, but their values do not open
  // Where the roots were searched for: the time of each record in the trees, and of the newest.
  std::array<std::vector<uint64_t>, kTableCount + 1> orders_;
  uint64_t newest_ = 0;
  std::vector<Candidate> candidates_;
  std::vector<CarvedBlock> blocks_;
};

}  // namespace

Result<std::vector<CarvedBlock>> carve(Survey& survey, const Cipher& cipher, const Progress& progress) {
  return Carver(survey, cipher, progress).run();
}

}  // namespace tain::store
