// SPDX-License-Identifier: Apache-2.0
#include "store/pages.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "base/check.h"
#include "base/counters.h"
#include "base/file.h"

namespace tain::store {
namespace {

static_assert(std::endian::native == std::endian::little, "LMDB's file is in the byte order of its machine");

constexpr uint32_t kMagic = 0xBEEFC0DE;
constexpr uint32_t kVersion = 1;
constexpr size_t kPageSizeMin = 512;
constexpr size_t kPageSizeMax = 65536;
constexpr size_t kRootSize = 48;
constexpr size_t kNodeHeaderSize = 8;
constexpr size_t kPrefetch = 8;  // nodes
constexpr uint16_t kBranch = 0x01, kLeaf = 0x02, kOverflow = 0x04, kMeta = 0x08;
constexpr uint16_t kNodeElsewhere = 0x01, kNodeTree = 0x02;
constexpr uint16_t kIntegerKey = 0x08, kNoSubdirectory = 0x4000;  // flags of the free list's root: the environment's
constexpr uint64_t kListMax = uint64_t{1} << 32;                  // entries of one item of the free list

uint16_t load16(const uint8_t* p) {
  return static_cast<uint16_t>(p[0] | p[1] << 8);
}
uint32_t load32(const uint8_t* p) {
  uint32_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}
uint64_t load64(const uint8_t* p) {
  uint64_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}

Error bad_page(uint64_t number, const char* what) {
  return Error(Code::corrupt, "page " + std::to_string(number) + " of the database " + what)
      .hint("keep the vault's files; tain check tells what is damaged, tain salvage takes out what is intact");
}
Error missing_page(uint64_t number) {
  return Error(Code::corrupt, "the database refers to page " + std::to_string(number) + ", which it does not have");
}

}  // namespace

Result<TreeRoot> parse_root(ByteView bytes, KeyOrder order) {
  Reader r(bytes);
  const uint32_t pad = r.u32();
  const uint16_t flags = r.u16();
  TreeRoot root;
  root.depth = r.u16();
  const uint64_t branches = r.u64(), leaves = r.u64();
  r.raw(8);  // overflow pages
  root.tree_pages = branches + leaves;
  root.entries = r.u64();
  root.page = r.u64();
  // LMDB does by the flags, so those of another kind of table would lead it through structures that are not there.
  const bool kind = order == KeyOrder::integer ? (flags & ~kNoSubdirectory) == kIntegerKey : pad == 0 && flags == 0;
  const bool empty = root.page == kNoPage;
  if (!r.done() || !kind || root.depth > kTreeDepthMax || empty != (root.depth == 0) || empty != (root.entries == 0))
    return Error(Code::corrupt, "the root of a table has an impossible form");
  return root;
}

Result<MetaPage> parse_meta(ByteView page, uint64_t number) {
  if (page.size() < kMetaSize) return Error(Code::corrupt, "the database is too short");
  const uint8_t* p = page.data();
  MetaPage meta;
  meta.page_size = load32(p + 40);
  if (load64(p) != number || load16(p + 10) != kMeta || load32(p + 16) != kMagic || load32(p + 20) != kVersion ||
      !std::has_single_bit(meta.page_size) || meta.page_size < kPageSizeMin || meta.page_size > kPageSizeMax)
    return bad_page(number, "is no meta page of LMDB");
  meta.free_list = TRY(parse_root(page.subspan(40, kRootSize), KeyOrder::integer));
  meta.main = TRY(parse_root(page.subspan(40 + kRootSize, kRootSize)));
  meta.last_page = load64(p + 40 + 2 * kRootSize);
  meta.transaction = load64(p + 48 + 2 * kRootSize);
  // Transactions take turns, so a number of the other parity is damaged, or the page was put back.
  const bool own_turn = (meta.transaction & 1) == number || meta.transaction == 0;
  if (!own_turn || meta.last_page < 1 || meta.last_page > kNoPage / kPageSizeMax)
    return bad_page(number, "says impossible things");
  return meta;
}

Result<MetaPage> newest_meta(const Result<MetaPage>& first, const Result<MetaPage>& second) {
  for (const auto* meta : {&first, &second})
    if (!meta->ok()) return Error(meta->error());
  const uint64_t a = first->transaction, b = second->transaction;
  const bool successive = a + 1 == b || b + 1 == a || (a == 0 && b == 0);
  if (!successive || first->page_size != second->page_size)
    return Error(Code::corrupt, "the two meta pages of the database do not fit each other");
  return a > b ? *first : *second;
}

Result<MetaPage> read_newest_meta(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return errno_error(errno, "look at the database");
  const auto size = static_cast<uint64_t>(st.st_size);
  std::array<uint8_t, kMetaSize> first{}, second{};
  if (size < first.size()) return Error(Code::corrupt, size == 0 ? "the file is empty" : "it is too short");
  TRY(read_exactly(fd, first, 0));
  const auto parsed = parse_meta(first, 0);
  if (!parsed.ok()) return Error(parsed.error());
  if (size < 2 * parsed->page_size) return Error(Code::corrupt, "the file was truncated");
  TRY(read_exactly(fd, second, parsed->page_size));
  return newest_meta(parsed, parse_meta(second, 1));
}

Result<ByteView> PageSource::read(uint64_t page, uint64_t count, uint64_t last_page, Bytes& scratch) const {
  if (!has(page, count, last_page)) return missing_page(page);
  const size_t size = static_cast<size_t>(count) * page_size_;
  if (map_ != nullptr) return ByteView(in_map(page, count), size);
  scratch.resize(size);
  auto read = read_exactly(fd_, scratch, page * page_size_);
  if (!read.ok()) return bad_page(page, "cannot be read").with(read.error().message());
  return ByteView(scratch);
}

void PageSource::expect(const PageRange& pages) const {
  ::posix_fadvise(fd_, static_cast<off_t>(pages.page * page_size_), static_cast<off_t>(pages.count * page_size_),
                  POSIX_FADV_WILLNEED);
}

Result<ByteView> PageSource::read_parts(uint64_t page, uint64_t count, uint64_t head, uint64_t begin, uint64_t end,
                                        uint64_t last_page, Bytes& scratch) const {
  if (map_ != nullptr) return read(page, count, last_page, scratch);
  if (!has(page, count, last_page)) return missing_page(page);
  CHECK(head <= count && begin <= end && end <= count);
  scratch.resize(static_cast<size_t>(count) * page_size_);
  auto offset = [&](uint64_t i) { return (page + i) * page_size_; };
  expect({page, count});  // without it the reads below wait for the disk one after the other
  const auto read_range = [&](uint64_t from, uint64_t to) -> Result<> {
    const ByteSpan out = ByteSpan(scratch).subspan(static_cast<size_t>(from) * page_size_, static_cast<size_t>(to - from) * page_size_);
    auto read = read_exactly(fd_, out, offset(from));
    if (!read.ok()) return bad_page(page, "cannot be read").with(read.error().message());
    return {};
  };
  TRY(read_range(0, head));
  if (begin = std::max(begin, head); begin < end) TRY(read_range(begin, end));
  return ByteView(scratch);
}

int compare_keys(ByteView a, ByteView b, KeyOrder order) {
  if (order == KeyOrder::integer) {
    if (a.size() != 8 || b.size() != 8) return a.size() < b.size() ? -1 : 1;
    const uint64_t x = load64(a.data()), y = load64(b.data());
    return x < y ? -1 : x > y ? 1 : 0;
  }
  const size_t size = std::min(a.size(), b.size());
  // Most keys are of 8 or 16 bytes, and a seek compares hundreds.
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const uint64_t x = load64(a.data() + i), y = load64(b.data() + i);
    if (x != y) return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
  }
  for (; i < size; ++i)
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

bool KeyRange::contains(ByteView key, KeyOrder order) const {
  return (low.empty() || compare_keys(key, low, order) >= 0) && (high.empty() || compare_keys(key, high, order) < 0);
}

Result<TreePage> TreePage::parse(ByteView page, uint64_t number) {
  TreePage out;
  if (out.set(page, number)) return out;
  const uint8_t* p = page.data();
  if (load64(p) != number) return bad_page(number, "is another one, or none: its number is wrong");
  const uint16_t flags = load16(p + 10);
  if (flags != kBranch && flags != kLeaf) return bad_page(number, "is of another kind than its place demands");
  return bad_page(number, "has an impossible header");
}

bool TreePage::set(ByteView page, uint64_t number) {
  tain::count(Work::pages);
  const uint8_t* p = page.data();
  const uint16_t flags = load16(p + 10);
  const size_t lower = load16(p + 12), upper = load16(p + 14);
  if (load64(p) != number || (flags != kBranch && flags != kLeaf)) return false;
  if (lower <= kPageHeaderSize || lower % 2 != 0 || lower > upper || upper > page.size()) return false;
  page_ = page;
  number_ = number;
  count_ = (lower - kPageHeaderSize) / 2;
  leaf_ = flags == kLeaf;
  return true;
}

bool TreePage::get(size_t i, Node& out) const {
  const uint8_t* p = page_.data();
  const size_t at = load16(p + kPageHeaderSize + 2 * i);
  if (at < load16(p + 14) || at % 2 != 0 || at + kNodeHeaderSize > page_.size()) return false;
  const uint64_t low = load16(p + at), high = load16(p + at + 2);
  const uint16_t flags = load16(p + at + 4);
  const size_t key_size = load16(p + at + 6);
  if (key_size > page_.size() - at - kNodeHeaderSize) return false;
  out = {};
  out.key = page_.subspan(at + kNodeHeaderSize, key_size);
  if (!leaf_) {
    out.page = low | high << 16 | uint64_t{flags} << 32;
    return true;
  }
  out.size = low | high << 16;
  const ByteView rest = page_.subspan(at + kNodeHeaderSize + key_size);
  if (flags == kNodeElsewhere) {
    if (rest.size() < 8) return false;
    out.page = load64(rest.data());
    return true;
  }
  if ((flags & ~kNodeTree) != 0 || out.size > rest.size()) return false;
  out.is_tree = flags == kNodeTree;
  out.data = rest.first(out.size);
  return true;
}

Result<TreePage::Node> TreePage::node(size_t i) const {
  Node out;
  if (!get(i, out)) return bad_page(number_, "has a node that leaves it");
  return out;
}

Result<> TreePage::check_nodes(KeyOrder order) const {
  // Every seek looks at every node of the pages on its way, so this does without Nodes.
  const uint8_t* const p = page_.data();
  const size_t size = page_.size(), upper = load16(p + 14), first = leaf_ ? 0 : 1;
  ByteView previous;
  for (size_t i = 0; i < count_; ++i) {
    // Nodes lie anywhere on the page; waiting for memory at each is most of the cost.
    if (i + kPrefetch < count_) __builtin_prefetch(p + load16(p + kPageHeaderSize + 2 * (i + kPrefetch)));
    const size_t at = load16(p + kPageHeaderSize + 2 * i);
    if (at < upper || at % 2 != 0 || at + kNodeHeaderSize > size) return bad_page(number_, "has a node that leaves it");
    const size_t key_size = load16(p + at + 6), rest = size - at - kNodeHeaderSize;
    if (key_size > rest) return bad_page(number_, "has a node that leaves it");
    if (leaf_) {
      const uint16_t flags = load16(p + at + 4);
      const uint64_t value_size = flags == kNodeElsewhere ? 8 : load32(p + at);
      if ((flags != kNodeElsewhere && (flags & ~kNodeTree) != 0) || value_size > rest - key_size)
        return bad_page(number_, "has a node that leaves it");
    }
    // The first key of a branch page is never looked at: everything below the second is there.
    if (i < first) continue;
    const ByteView key = page_.subspan(at + kNodeHeaderSize, key_size);
    if (key.empty() || (i > first && compare_keys(previous, key, order) >= 0))
      return bad_page(number_, "has keys out of order");
    previous = key;
  }
  return {};
}

uint64_t overflow_pages(uint64_t size, size_t page_size) {
  return (kPageHeaderSize - 1 + size) / page_size + 1;
}

namespace {

/// The value on `pages`, its header checked.
Result<ByteView> value_on(ByteView pages, uint64_t page, uint64_t count, uint64_t size) {
  const uint8_t* p = pages.data();
  // The header belongs to LMDB, not to the value: it is what LMDB frees these pages by.
  if (load64(p) != page || load16(p + 10) != kOverflow || load32(p + 12) != count)
    return bad_page(page, "is not the value that its leaf says");
  return pages.subspan(kPageHeaderSize, size);
}

}  // namespace

Result<ByteView> read_overflow(const PageSource& source, uint64_t page, uint64_t size, uint64_t last_page,
                               Bytes& scratch) {
  const uint64_t count = overflow_pages(size, source.page_size());
  return value_on(TRY(source.read(page, count, last_page, scratch)), page, count, size);
}

uint64_t first_page_of(ByteView value) {
  return load64(value.data() - kPageHeaderSize);
}

Result<ByteView> read_overflow_part(const PageSource& source, uint64_t page, uint64_t size, const ValuePart& part,
                                    uint64_t last_page, Bytes& scratch) {
  CHECK(part.head <= size && part.begin <= part.end && part.end <= size);
  const uint64_t count = overflow_pages(size, source.page_size());
  const uint64_t head = overflow_pages(part.head, source.page_size());
  const uint64_t begin = (kPageHeaderSize + part.begin) / source.page_size();
  const uint64_t end = overflow_pages(part.end, source.page_size());
  return value_on(TRY(source.read_parts(page, count, head, begin, end, last_page, scratch)), page, count, size);
}

Result<> check_overflow(const PageSource& source, uint64_t page, uint64_t size, uint64_t last_page, Bytes& scratch) {
  const uint64_t count = overflow_pages(size, source.page_size());
  const ByteView head = TRY(source.read(page, 1, last_page, scratch));
  const uint8_t* p = head.data();
  if (load64(p) != page || load16(p + 10) != kOverflow || load32(p + 12) != count || count > last_page - page + 1)
    return bad_page(page, "is not the value that its leaf says");
  return {};
}

std::optional<TreePage::Node> find_node(const PageSource& source, const TreeRoot& root, uint64_t last_page,
                                        ByteView key) {
  ByteView low, high;  // of the page, as its parents say; no data is no bound
  uint64_t number = root.page;
  for (size_t level = 1; level <= root.depth; ++level) {
    const ByteView bytes = source.mapped_page(number, last_page);
    TreePage page;
    if (bytes.empty() || !page.set(bytes, number) || page.is_leaf() != (level == root.depth)) return std::nullopt;
    const size_t first = page.is_leaf() ? 0 : 1;
    size_t from = first, to = page.count();
    if (from == to) return std::nullopt;
    TreePage::Node node;
    if (!page.get(first, node) || (low.data() != nullptr && compare_keys(node.key, low) < 0)) return std::nullopt;
    if (!page.get(to - 1, node) || (high.data() != nullptr && compare_keys(node.key, high) >= 0)) return std::nullopt;
    while (from < to) {
      const size_t middle = (from + to) / 2;
      if (!page.get(middle, node)) return std::nullopt;
      const int compared = compare_keys(node.key, key);
      if (compared > 0) {
        to = middle;
        if (!page.is_leaf()) high = node.key;
      } else if (compared < 0 || !page.is_leaf()) {
        from = middle + 1;
        if (!page.is_leaf()) low = node.key;
      } else {
        break;  // found
      }
    }
    if (page.is_leaf()) {
      if (from == to) return std::nullopt;
      return node;
    }
    if (!page.get(from - 1, node)) return std::nullopt;
    number = node.page;
  }
  return std::nullopt;
}

std::optional<ByteView> find_value(const PageSource& source, const TreeRoot& root, uint64_t last_page, ByteView key) {
  const auto node = find_node(source, root, last_page, key);
  if (!node.has_value()) return std::nullopt;
  if (node->page == kNoPage) return node->data;
  Bytes unused;
  auto value = read_overflow(source, node->page, node->size, last_page, unused);
  return value.ok() ? std::optional<ByteView>(*value) : std::nullopt;
}

KeyRange TreeWalk::range_of(size_t level) const {
  KeyRange range;
  for (size_t i = 0; i < level; ++i) {
    const Level& above = levels_[i];
    // Checked when the page was entered.
    if (above.index > 0) {
      const ByteView key = above.page.node(above.index).value().key;
      range.low.assign(key.begin(), key.end());
    }
    if (above.index + 1 < above.page.count()) {
      const ByteView key = above.page.node(above.index + 1).value().key;
      range.high.assign(key.begin(), key.end());
    }
  }
  return range;
}

/// Checks the page that the walk comes to, and makes it the lowest level.
Result<> TreeWalk::enter(uint64_t number) {
  auto entered = [&]() -> Result<> {
    Level& level = levels_[depth_];
    const ByteView bytes = TRY(source_.read(number, 1, last_page_, level.scratch));
    level.page = TRY(TreePage::parse(bytes, number));
    if (level.page.is_leaf() != (depth_ + 1 == root_.depth)) return bad_page(number, "stands on the wrong level");
    TRY(level.page.check_nodes(order_));
    const size_t first = level.page.is_leaf() ? 0 : 1;
    if (first >= level.page.count()) return {};
    // Keys inside what the parents say, lest a page of another place or time passes.
    const ByteView lowest = level.page.node(first).value().key;
    const ByteView highest = level.page.node(level.page.count() - 1).value().key;
    for (size_t i = depth_; i-- > 0;) {
      const Level& above = levels_[i];
      if (above.index == 0) continue;
      if (compare_keys(lowest, above.page.node(above.index).value().key, order_) < 0)
        return bad_page(number, "has keys of another place");
      break;
    }
    for (size_t i = depth_; i-- > 0;) {
      const Level& above = levels_[i];
      if (above.index + 1 == above.page.count()) continue;
      if (compare_keys(highest, above.page.node(above.index + 1).value().key, order_) >= 0)
        return bad_page(number, "has keys of another place");
      break;
    }
    return {};
  }();
  if (entered.ok()) {
    if (note_entered_) entered_.push_back(number);
    ++depth_;
    return {};
  }
  lost_ = range_of(depth_);
  lost_page_ = number;
  return entered;
}

/// From the page `number` down to the first leaf node with a key not below `key`.
Result<bool> TreeWalk::descend(uint64_t number, ByteView key) {
  for (;;) {
    if (depth_ == kTreeDepthMax) return bad_page(number, "is below too many others");
    TRY(enter(number));
    Level& level = levels_[depth_ - 1];
    const TreePage& page = level.page;
    // First node above (branch) or not below (leaf) `key`.
    size_t from = page.is_leaf() ? 0 : 1, to = page.count();
    while (from < to) {
      const size_t middle = (from + to) / 2;
      TreePage::Node at;
      if (!page.get(middle, at)) return bad_page(number, "has a node that leaves it");
      const int compared = compare_keys(at.key, key, order_);
      if (page.is_leaf() ? compared < 0 : compared <= 0)
        from = middle + 1;
      else
        to = middle;
    }
    if (page.is_leaf()) {
      level.index = from;
      return settle(key);
    }
    level.index = from - 1;
    number = page.node(level.index).value().page;
  }
}

/// Takes the node at the lowest level's index, or goes on to the next leaf.
Result<bool> TreeWalk::settle(ByteView key) {
  while (depth_ > 0) {
    Level& level = levels_[depth_ - 1];
    if (level.index < level.page.count()) {
      if (level.page.is_leaf()) {
        node_ = TRY(level.page.node(level.index));
        return true;
      }
      return descend(level.page.node(level.index).value().page, key);
    }
    --depth_;
    if (depth_ > 0) ++levels_[depth_ - 1].index;
  }
  return false;
}

Result<bool> TreeWalk::seek(ByteView key) {
  depth_ = 0;
  if (root_.page == kNoPage) return false;
  return descend(root_.page, key);
}

Result<bool> TreeWalk::next() {
  if (depth_ == 0) return false;
  ++levels_[depth_ - 1].index;
  return settle({});
}

std::optional<TreePage::Node> TreeWalk::before() const {
  if (depth_ == 0 || levels_[depth_ - 1].index == 0) return std::nullopt;
  const Level& level = levels_[depth_ - 1];
  return level.page.node(level.index - 1).value();
}

uint64_t TreeWalk::value_offset() const {
  if (node_.page != kNoPage) return node_.page * source_.page_size() + kPageHeaderSize;
  const ByteView bytes = levels_[depth_ - 1].page.bytes();
  return page() * source_.page_size() + static_cast<uint64_t>(node_.data.data() - bytes.data());
}

bool TreeWalk::previous_page_fits() const {
  size_t level = depth_;
  while (level > 0 && levels_[level - 1].index == 0) --level;
  if (level == 0 || depth_ == 0) return true;  // the first page of all, or none
  const Level& fork = levels_[level - 1];
  TreePage::Node node, separator;
  if (!fork.page.get(fork.index - 1, node) || !fork.page.get(fork.index, separator)) return false;
  Bytes scratch;
  for (size_t depth = level + 1;; ++depth) {
    auto bytes = source_.read(node.page, 1, last_page_, scratch);
    if (!bytes.ok()) return false;
    auto page = TreePage::parse(*bytes, node.page);
    if (!page.ok() || page->is_leaf() != (depth == root_.depth) || !page->check_nodes(order_).ok()) return false;
    if (!page->get(page->count() - 1, node)) return false;
    if (page->is_leaf()) return compare_keys(node.key, separator.key, order_) < 0;
    if (depth == root_.depth) return false;
  }
}

Result<ByteView> TreeWalk::value(Bytes& scratch) const {
  if (node_.page == kNoPage) return node_.data;
  return read_overflow(source_, node_.page, node_.size, last_page_, scratch);
}

namespace {

/// The page numbers of one item of the free list, after their count, and how many pages the item lies on.
struct FreeItem {
  ByteView numbers;
  uint64_t own_pages = 0;
};

/// The item that `walk` is at. LMDB sets pages of zeros aside for it before it knows what will be left to list, and
/// those that it did not need then stay with it: the header counts more pages than the item takes.
Result<FreeItem> free_item(const PageSource& source, const TreeWalk& walk, uint64_t last_page, Bytes& scratch) {
  const TreePage::Node& node = walk.node();
  FreeItem out;
  ByteView item = node.data;
  if (node.page != kNoPage) {
    const uint64_t needed = overflow_pages(node.size, source.page_size());
    const ByteView head = TRY(source.read(node.page, 1, last_page, scratch));
    const uint8_t* p = head.data();
    out.own_pages = load32(p + 12);
    if (load64(p) != node.page || load16(p + 10) != kOverflow || out.own_pages < needed)
      return bad_page(node.page, "is not the value that its leaf says");
    for (uint64_t page = node.page + needed; page < node.page + out.own_pages; ++page) {
      const ByteView spare = TRY(source.read(page, 1, last_page, scratch));
      if (std::any_of(spare.begin(), spare.end(), [](uint8_t byte) { return byte != 0; }))
        return bad_page(node.page, "says that it has pages that are not its own");
    }
    item = TRY(source.read(node.page, needed, last_page, scratch)).subspan(kPageHeaderSize, node.size);
  }
  const uint64_t count = item.size() < 8 ? kListMax + 1 : load64(item.data());
  if (count > kListMax || item.size() - 8 < count * 8) return Error(Code::corrupt, "the list of free pages is damaged");
  out.numbers = item.subspan(8, count * 8);
  return out;
}

Result<> check_free_pages(ByteView pages, uint64_t last_page) {
  uint64_t previous = kNoPage;
  for (size_t at = 0; at < pages.size(); at += 8) {
    const uint64_t page = load64(pages.data() + at);
    if (page < 2 || page > last_page || page >= previous)
      return Error(Code::corrupt, "the list of free pages names an impossible page");
    previous = page;
  }
  return {};
}

constexpr std::array<uint8_t, 8> kLowestInteger{};
constexpr std::array<uint8_t, 8> kHighestInteger{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

}  // namespace

Result<std::vector<uint64_t>> read_free_list(const PageSource& source, const TreeRoot& free_list, uint64_t last_page,
                                             std::vector<uint64_t>* own_pages, uint64_t limit, uint64_t before) {
  std::vector<uint64_t> out;
  TreeWalk walk(source, free_list, last_page, KeyOrder::integer);
  walk.note_entered(own_pages != nullptr);
  Bytes scratch;
  for (bool more = TRY(walk.seek(kLowestInteger)); more && out.size() < limit; more = TRY(walk.next())) {
    if (walk.node().key.size() == 8 && load64(walk.node().key.data()) >= before) break;
    const FreeItem item = TRY(free_item(source, walk, last_page, scratch));
    TRY(check_free_pages(item.numbers, last_page));
    if (own_pages != nullptr)
      for (uint64_t i = 0; i < item.own_pages; ++i) own_pages->push_back(walk.node().page + i);
    for (size_t at = 0; at < item.numbers.size(); at += 8) out.push_back(load64(item.numbers.data() + at));
  }
  if (own_pages != nullptr) own_pages->insert(own_pages->end(), walk.entered().begin(), walk.entered().end());
  std::sort(out.begin(), out.end());
  if (std::adjacent_find(out.begin(), out.end()) != out.end())
    return Error(Code::corrupt, "the list of free pages names a page twice");
  return out;
}

Result<uint64_t> count_free_pages(const PageSource& source, const TreeRoot& free_list, uint64_t last_page) {
  uint64_t total = 0;
  TreeWalk walk(source, free_list, last_page, KeyOrder::integer);
  Bytes scratch;
  for (bool more = TRY(walk.seek(kLowestInteger)); more; more = TRY(walk.next()))
    total += TRY(free_item(source, walk, last_page, scratch)).numbers.size() / 8;
  return total;
}

Result<> check_free_list(const PageSource& source, const TreeRoot& free_list, uint64_t last_page, uint64_t limit) {
  uint64_t total = 0;
  TreeWalk walk(source, free_list, last_page, KeyOrder::integer);
  Bytes scratch;
  for (bool more = TRY(walk.seek(kLowestInteger)); more && total < limit; more = TRY(walk.next())) {
    const FreeItem item = TRY(free_item(source, walk, last_page, scratch));
    TRY(check_free_pages(item.numbers, last_page));
    total += item.numbers.size() / 8;
  }
  TRY(walk.seek(kHighestInteger));  // enters the pages on the way
  return {};
}

bool only_free_pages_missing(const std::vector<uint64_t>& free_pages, uint64_t present, uint64_t last_page) {
  const auto first = std::lower_bound(free_pages.begin(), free_pages.end(), present);
  return present > last_page || static_cast<uint64_t>(free_pages.end() - first) == last_page - present + 1;
}

}  // namespace tain::store
