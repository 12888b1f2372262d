// SPDX-License-Identifier: Apache-2.0
#include "store/survey.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace tain::store {
namespace {

bool has_two_numbers(Table table) {
  return table != Table::inodes && table != Table::xattrs && table != Table::orphans;
}

class Surveyor {
 public:
  Surveyor(Survey& survey, const Cipher& cipher) : survey_(survey), cipher_(cipher) {}

  void run() {
    const std::optional<MetaPage> meta = choose_meta();
    if (meta.has_value()) read_meta(*meta);
    if (!survey_.snapshot.has_value()) {
      // Roots from wherever they are; which pages are free is then not known.
      source_ = PageSource::of_file(survey_.fd.get(), survey_.page_size);
      last_page_ = survey_.file_size / survey_.page_size;
      last_page_ -= last_page_ > 0 ? 1 : 0;
      survey_.free_pages.reset();
      survey_.used.assign(last_page_ + 1, false);
      survey_.snapshot = find_main();
      survey_.roots_are_earlier = meta.has_value();  // which knew of other ones
    }
    if (!survey_.snapshot.has_value()) return;
    for (Table table : kTables) walk(table, survey_.snapshot->root(table));
    if (survey_.free_pages.has_value()) account_for_pages();
  }

 private:
  void complain(std::string what) { survey_.findings.push_back({.part = Part::database, .what = std::move(what)}); }

  void read_meta(MetaPage meta) {
    source_ = PageSource::of_file(survey_.fd.get(), meta.page_size);
    std::vector<uint64_t> own;
    auto free_list = read_free_list(source_, meta.free_list, meta.last_page, &own);
    const uint64_t present = survey_.file_size / meta.page_size;
    if (present <= meta.last_page) {
      if (!free_list.ok() || !only_free_pages_missing(*free_list, present, meta.last_page))
        complain("the file was truncated: " + std::to_string(survey_.file_size) + " of " +
                 std::to_string((meta.last_page + 1) * meta.page_size) + " bytes");
      // A damaged number must not cost memory: no more pages than the file has.
      meta.last_page = present - 1;
    }
    last_page_ = meta.last_page;
    survey_.used.assign(last_page_ + 1, false);
    auto snapshot = read_snapshot(source_, meta);
    if (!snapshot.ok()) return complain(snapshot.error().message());
    survey_.snapshot = *snapshot;
    mark_main(meta);
    if (free_list.ok())
      survey_.free_pages = std::move(*free_list);
    else
      complain("the list of free pages: " + free_list.error().message());
    for (uint64_t page : own) mark(page, 1);
  }

  /// The newest meta page; nothing when that cannot be known.
  std::optional<MetaPage> choose_meta() {
    std::array<uint8_t, kMetaSize> bytes{};
    std::array<Result<MetaPage>, 2> metas{Error(Code::corrupt, "page 0 cannot be read"),
                                          Error(Code::corrupt, "page 1 cannot be read")};
    for (uint64_t i = 0; i < 2; ++i) {
      if (read_exactly(survey_.fd.get(), bytes, i * survey_.page_size).ok()) metas[i] = parse_meta(bytes, i);
      if (i == 0 && metas[0].ok()) survey_.page_size = metas[0]->page_size;
    }
    auto newest = newest_meta(metas[0], metas[1]);
    if (newest.ok()) return *newest;
    complain(newest.error().message());
    return std::nullopt;
  }

  /// The main tree of the newest commit that can be found: it is one leaf, whose nodes are all roots.
  std::optional<Snapshot> find_main() {
    survey_.roots_searched = true;
    std::optional<Snapshot> best;
    std::pair<bool, uint64_t> best_rank{};
    Bytes scratch;
    for (uint64_t number = 2; number <= last_page_; ++number) {
      auto bytes = source_.read(number, 1, last_page_, scratch);
      if (!bytes.ok()) continue;
      auto page = TreePage::parse(*bytes, number);
      if (!page.ok() || !page->is_leaf() || (page->count() != kTableCount && page->count() != kTableCountOldest) || !page->check_nodes().ok()) continue;
      const TreeRoot root{.page = number, .entries = page->count(), .depth = 1};
      const MetaPage meta{
          .page_size = survey_.page_size, .transaction = 0, .last_page = last_page_, .free_list = {}, .main = root};
      auto snapshot = read_snapshot(source_, meta);
      if (!snapshot.ok()) continue;
      survey_.state.reset();
      const auto findings = survey_.findings.size();
      TreeWalk walk(source_, snapshot->root(Table::state), last_page_);
      const uint8_t lowest = 0;
      auto found = walk.seek({&lowest, 1});
      if (found.ok() && *found) read_state({.offset = walk.value_offset(), .size = walk.node().size});
      survey_.findings.resize(findings);
      if (!survey_.state.has_value()) continue;
      // Its state may be of a later commit that reused the page: then the numbers of values differ.
      bool own_state = true;
      for (Table table : kTables)
        own_state = own_state && (table == Table::state || snapshot->root(table).entries ==
                                                               survey_.state->sets[static_cast<size_t>(table)].count);
      const std::pair rank{own_state, survey_.state->commit_number};
      if (best.has_value() && rank <= best_rank) continue;
      best = *snapshot;
      best_rank = rank;
    }
    survey_.state.reset();
    if (!best.has_value()) complain("no root of its tables can be found");
    return best;
  }

  void mark(uint64_t page, uint64_t count) {
    for (uint64_t i = page; i < page + count && i < survey_.used.size(); ++i) {
      if (survey_.used[i]) complain("page " + std::to_string(i) + " of the database is used twice");
      survey_.used[i] = true;
    }
  }

  void mark_main(const MetaPage& meta) {
    TreeWalk walk(source_, meta.main, meta.last_page);
    walk.note_entered(true);
    const uint8_t lowest = 0;
    auto more = walk.seek({&lowest, 1});
    while (more.ok() && *more) more = walk.next();
    for (uint64_t page : walk.entered()) mark(page, 1);
  }

  void walk(Table table, const TreeRoot& root) {
    TreeWalk walk(source_, root, last_page_);
    walk.note_entered(true);
    const uint8_t lowest = 0;
    uint64_t count = 0;
    Bytes scratch;
    for (auto more = walk.seek({&lowest, 1});; more = walk.next()) {
      if (!more.ok()) {
        survey_.lost.push_back({table, walk.lost(), walk.lost_page()});
        complain("table " + std::string(table_name(table)) + ": " + more.error().message());
        if (more.is(Code::corrupt)) continue;
        break;
      }
      if (!*more) break;
      ++count;
      take(table, walk, scratch);
    }
    for (uint64_t page : walk.entered()) mark(page, 1);
    if (count != root.entries && std::none_of(survey_.lost.begin(), survey_.lost.end(),
                                              [&](const LostRange& lost) { return lost.table == table; }))
      complain("table " + std::string(table_name(table)) + " has " + std::to_string(count) + " values, not " +
               std::to_string(root.entries));
  }

  void take(Table table, const TreeWalk& walk, Bytes& scratch) {
    const TreePage::Node& node = walk.node();
    const auto key = decode_key(table, node.key);
    if (!key.has_value()) {
      complain("table " + std::string(table_name(table)) + " has an impossible key on page " +
               std::to_string(walk.page()));
      return;
    }
    Extent extent{.offset = walk.value_offset(), .size = node.size};
    if (node.page != kNoPage) {
      // The first page only: the value itself is read by who wants it.
      const uint64_t pages = overflow_pages(node.size, survey_.page_size);
      auto head = check_overflow(source_, node.page, node.size, last_page_, scratch);
      if (head.ok())
        mark(node.page, pages);  // a size that is wrong says nothing of the pages behind
      else
        survey_.findings.push_back(
            {.part = Part::database,
             .what = "a value of table " + std::string(table_name(table)) + ": " + head.error().message()});
    }
    survey_.values(table).push_back({.key = *key, .extent = extent});
    if (table == Table::state) read_state(extent);
  }

  void read_state(const Extent& extent) {
    auto value = survey_.read(extent);
    if (!value.ok()) return complain("the state record: " + value.error().message());
    Damage damage{};
    auto record = cipher_.open_record(Table::state, kStateKey, *value, &damage);
    if (!record.ok()) {
      survey_.findings.push_back({.part = Part::record, .damage = damage, .what = "the state record is damaged"});
      return;
    }
    auto state = decode_state(record->body, record->schema);
    if (state.ok())
      survey_.state = *state;
    else
      complain(state.error().message());
    if (damage == Damage::checksum_only)
      survey_.findings.push_back({.part = Part::record,
                                  .damage = damage,
                                  .what = "the state record's checksum is damaged",
                                  .repairable = true});
  }

  /// Each page belongs to one thing, or is free: a page that is both would be overwritten by the next commit.
  void account_for_pages() {
    for (uint64_t page : *survey_.free_pages)
      if (page < survey_.used.size() && survey_.used[page])
        complain("page " + std::to_string(page) + " of the database is in use, but listed as free");
  }

  Survey& survey_;
  const Cipher& cipher_;
  PageSource source_;
  uint64_t last_page_ = 0;
};

}  // namespace

Bytes encode_key(Table table, const RecordKey& key) {
  if (table == Table::state) return {kStateKey.begin(), kStateKey.end()};
  Bytes out(has_two_numbers(table) ? 16 : 8);
  store_be64(out.data(), key.first);
  if (out.size() == 16) store_be64(out.data() + 8, key.second);
  return out;
}

std::optional<RecordKey> decode_key(Table table, ByteView bytes) {
  if (table == Table::state) {
    if (bytes.size() != 1 || bytes[0] != kStateKey[0]) return std::nullopt;
    return RecordKey{};
  }
  if (bytes.size() != (has_two_numbers(table) ? 16u : 8u)) return std::nullopt;
  return RecordKey{.first = load_be64(bytes.data()), .second = bytes.size() == 16 ? load_be64(bytes.data() + 8) : 0};
}

bool Survey::may_have_lost(Table table, const RecordKey& key) const {
  if (!snapshot.has_value()) return true;
  const Bytes bytes = encode_key(table, key);
  const auto& ranges = lost_keys[static_cast<size_t>(table)];
  const auto behind = std::upper_bound(ranges.begin(), ranges.end(), bytes, [](const Bytes& k, const KeyRange& range) {
    return compare_keys(k, range.low) < 0;
  });
  return behind != ranges.begin() && std::prev(behind)->contains(bytes);
}

void Survey::index_lost() {
  for (auto& ranges : lost_keys) ranges.clear();
  for (const LostRange& range : lost) lost_keys[static_cast<size_t>(range.table)].push_back(range.range);
  for (auto& ranges : lost_keys) {
    std::sort(ranges.begin(), ranges.end(),
              [](const KeyRange& a, const KeyRange& b) { return compare_keys(a.low, b.low) < 0; });
    std::vector<KeyRange> apart;
    for (KeyRange& range : ranges) {
      if (apart.empty() || (!apart.back().high.empty() && compare_keys(apart.back().high, range.low) < 0))
        apart.push_back(std::move(range));
      else if (!apart.back().high.empty() && (range.high.empty() || compare_keys(apart.back().high, range.high) < 0))
        apart.back().high = std::move(range.high);
    }
    ranges = std::move(apart);
  }
}

Result<Bytes> Survey::read(const Extent& extent) const {
  if (extent.offset > file_size || extent.size > file_size - extent.offset)
    return Error(Code::corrupt, "it lies behind the end of the file");
  Bytes out(extent.size);
  auto read = read_exactly(fd.get(), out, extent.offset);
  if (!read.ok()) return Error(Code::corrupt, "the device cannot read it: " + read.error().message());
  return out;
}

Result<Survey> survey_database(const std::string& path, const Cipher& cipher) {
  Survey out;
  out.fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat st {};
  if (!out.fd.valid() || ::fstat(out.fd.get(), &st) != 0) return errno_error(errno, "open " + path);
  out.file_size = static_cast<uint64_t>(st.st_size);
  Surveyor(out, cipher).run();
  for (auto& values : out.tables)
    std::sort(values.begin(), values.end(), [](const StoredValue& a, const StoredValue& b) { return a.key < b.key; });
  out.index_lost();
  return out;
}

}  // namespace tain::store
