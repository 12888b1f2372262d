// SPDX-License-Identifier: Apache-2.0
#include "store/snapshot.h"

#include <algorithm>

namespace tain::store {
namespace {

constexpr const char* kTableNames[kTableCount + 1] = {nullptr,  "state",   "inodes",   "dirents",   "xattrs",
                                                      "blocks", "orphans", "versions", "past_names",
                                                      "marks",  "notes"};

}  // namespace

const char* table_name(Table table) {
  return kTableNames[static_cast<size_t>(table)];
}

Result<Snapshot> read_snapshot(const PageSource& source, const MetaPage& meta) {
  Snapshot out;
  out.transaction = meta.transaction;
  out.last_page = meta.last_page;
  out.free_list = meta.free_list;
  TreeWalk walk(source, meta.main, meta.last_page);
  for (Table table : kTables) {
    const ByteView name = as_bytes(table_name(table));
    const bool found = TRY(walk.seek(name));
    const bool is_there = found && compare_keys(walk.node().key, name) == 0;
    if (!is_there && may_be_missing(table)) continue;
    if (!is_there || !walk.node().is_tree)
      return Error(Code::corrupt, std::string("table ") + table_name(table) + " is missing");
    out.tables[static_cast<size_t>(table)] = TRY(parse_root(walk.node().data));
  }
  return out;
}

Result<TreePage> PathGuard::look(uint64_t number, bool leaf, const KeyRange* range) {
  Bytes unused;  // the source is mapped
  const ByteView bytes = TRY(source_.read(number, 1, snapshot_.last_page, unused));
  TreePage page = TRY(TreePage::parse(bytes, number));
  if (page.is_leaf() != leaf)
    return Error(Code::corrupt, "page " + std::to_string(number) + " of the database stands on the wrong level");
  if (!seen_.contains(number)) {
    TRY(page.check_nodes());
    seen_.insert(number);
  }
  if (range != nullptr && !placed_.contains(number)) {
    const size_t first = leaf ? 0 : 1;
    if (first < page.count() &&
        !(range->contains(TRY(page.node(first)).key) && range->contains(TRY(page.node(page.count() - 1)).key)))
      return Error(Code::corrupt, "page " + std::to_string(number) + " of the database has keys of another place");
    placed_.insert(number);
  }
  return page;
}

Result<> PathGuard::look_at_ends(uint64_t branch, uint16_t level, uint16_t depth) {
  if (!ends_.insert(branch).second) return {};
  for (bool last : {false, true}) {
    uint64_t number = branch;
    for (uint16_t at = level; at < depth; ++at) {
      const TreePage page = TRY(look(number, false, nullptr));
      number = TRY(page.node(last ? page.count() - 1 : 0)).page;
    }
    TRY(look(number, true, nullptr));
  }
  return {};
}

Result<> PathGuard::check(Table table, ByteView key, bool removal) {
  const TreeRoot& root = snapshot_.root(table);
  uint64_t number = root.page;
  KeyRange range;
  for (uint16_t level = 1; number != kNoPage; ++level) {
    const bool leaf = level == root.depth;
    const TreePage page = TRY(look(number, leaf, &range));
    size_t from = leaf ? 0 : 1, to = page.count();
    while (from < to) {
      const size_t middle = (from + to) / 2;
      const int compared = compare_keys(TRY(page.node(middle)).key, key);
      if (leaf ? compared < 0 : compared <= 0)
        from = middle + 1;
      else
        to = middle;
    }
    if (leaf) {
      if (from == page.count()) return {};
      const TreePage::Node node = TRY(page.node(from));
      if (node.page == kNoPage || compare_keys(node.key, key) != 0) return {};
      Bytes unused;
      TRY(read_overflow(source_, node.page, node.size, snapshot_.last_page, unused));  // LMDB frees by its header
      return {};
    }
    const size_t index = from - 1;
    if (removal) {
      const bool leaves = level + 1 == root.depth;
      for (size_t i : {index - 1, from}) {
        if (i >= page.count()) continue;  // also the one before the first
        const TreePage::Node neighbour = TRY(page.node(i));
        TRY(look(neighbour.page, leaves, nullptr));
      }
      if (!leaves) {
        // A child of a branch goes with its last key, at the earliest; a branch with one child is merged.
        const uint64_t child = TRY(page.node(index)).page;
        const TreePage branch = TRY(look(child, false, nullptr));
        const bool may_merge = ++removals_[child] + 2 > branch.count();
        for (size_t i : {index - 1, index, from}) {
          if (!may_merge || i >= page.count()) continue;
          const TreePage::Node node = TRY(page.node(i));
          TRY(look_at_ends(node.page, static_cast<uint16_t>(level + 1), root.depth));
        }
      }
    }
    if (index > 0) {
      const ByteView low = TRY(page.node(index)).key;
      range.low.assign(low.begin(), low.end());
    }
    if (from < page.count()) {
      const ByteView high = TRY(page.node(from)).key;
      range.high.assign(high.begin(), high.end());
    }
    number = TRY(page.node(index)).page;
  }
  return {};
}

}  // namespace tain::store
