// SPDX-License-Identifier: Apache-2.0
// LMDB's data file read without LMDB: nothing on a page is believed before it has been checked.
//
// LMDB trusts its file. A zeroed page or a cut file ends the process, and a page in another's place hides
// records without a word. So LMDB writes, and everything that reads, checks or salvages goes through here:
// a page must carry its own number, the right kind, and keys inside the range that its parent gives it.
// docs/format.md §5.1 describes the layout.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/read_around.h"
#include "store/read_windows.h"

namespace tain::store {

inline constexpr uint64_t kNoPage = ~uint64_t{0};
inline constexpr size_t kTreeDepthMax =
    16;  // a tree of two children a page would hold 65 536 pages; real ones have hundreds
inline constexpr size_t kPageHeaderSize = 16;  // bytes
inline constexpr size_t kMetaSize = 152;       // bytes of a meta page that mean something

/// Where a tree begins: LMDB's record of one table.
struct TreeRoot {
  uint64_t page = kNoPage;  // kNoPage: empty
  uint64_t entries = 0;
  uint16_t depth = 0;       // levels of pages
  uint64_t tree_pages = 0;  // branches and leaves
};

/// One of the two first pages: they take turns, so the one of the transaction before is always there.
struct MetaPage {
  size_t page_size = 0;  // bytes
  uint64_t transaction = 0;
  uint64_t last_page = 0;
  TreeRoot free_list, main;
};

/// Errors: corrupt. `page` has at least kMetaSize bytes; `number` is 0 or 1.
Result<MetaPage> parse_meta(ByteView page, uint64_t number);
/// The newer of two meta pages that fit each other. Errors: corrupt (one is damaged, or was put back).
Result<MetaPage> newest_meta(const Result<MetaPage>& first, const Result<MetaPage>& second);
/// The same from a file. Errors: corrupt (also: it is too short), io.
Result<MetaPage> read_newest_meta(int fd);

/// Pages of a file, mapped or read. Threads: any.
class PageSource {
 public:
  PageSource() = default;
  /// `map` holds all pages up to any `last_page` that read() is told of. With `windows`, which outlive this, the disk is asked
  /// for what lies around a page before it is looked at.
  static PageSource mapped(const uint8_t* map, size_t page_size, ReadWindows* windows = nullptr) {
    PageSource out(map, -1, page_size);
    out.windows_ = windows;
    return out;
  }
  /// Reads with pread, so an unreadable sector is an error and not a signal. The descriptor stays the caller's.
  static PageSource of_file(int fd, size_t page_size) { return {nullptr, fd, page_size}; }

  size_t page_size() const { return page_size_; }
  bool is_mapped() const { return map_ != nullptr; }
  /// Asks the disk for pages that will be read, without waiting. Only advice. For a source that reads a file.
  void expect(const PageRange& pages) const;
  /// The page in the map; empty when it lies outside. For a mapped source.
  ByteView mapped_page(uint64_t page, uint64_t last_page) const {
    if (map_ == nullptr || page < 2 || page > last_page) return {};
    return {in_map(page, 1), page_size_};
  }
  /// `count` pages from `page` on, in `scratch` if they had to be read. Errors: corrupt (past `last_page`), io.
  Result<ByteView> read(uint64_t page, uint64_t count, uint64_t last_page, Bytes& scratch) const;
  /// The same, but only the pages [0, head) and [begin, end) of the `count` are sure to be in what is returned; the rest
  /// may be any bytes. The disk is asked for all of them at once, and for no more: a neighbour may be read next, and one
  /// long read takes hardly longer than a short one.
  Result<ByteView> read_parts(uint64_t page, uint64_t count, uint64_t head, uint64_t begin, uint64_t end,
                              uint64_t last_page, Bytes& scratch) const;

 private:
  bool has(uint64_t page, uint64_t count, uint64_t last_page) const {
    return page >= 2 && page <= last_page && count <= last_page - page + 1;
  }
  PageSource(const uint8_t* map, int fd, size_t page_size) : map_(map), fd_(fd), page_size_(page_size) {}
  /// Pages of the map that are about to be looked at.
  const uint8_t* in_map(uint64_t page, uint64_t count) const {
    if (windows_ != nullptr) windows_->bring(map_, page_size_, {page, count});
    return map_ + page * page_size_;
  }
  const uint8_t* map_ = nullptr;
  ReadWindows* windows_ = nullptr;
  int fd_ = -1;
  size_t page_size_ = 0;
};

/// Of tain's tables: bytes, then length. Of the free list: one machine integer.
enum class KeyOrder { bytes, integer };
int compare_keys(ByteView a, ByteView b, KeyOrder order = KeyOrder::bytes);

/// A tree's beginning from the 48 bytes that LMDB keeps of it. Errors: corrupt.
Result<TreeRoot> parse_root(ByteView bytes, KeyOrder order = KeyOrder::bytes);

/// A branch or leaf page, and what stands on it.
class TreePage {
 public:
  struct Node {
    ByteView key;
    ByteView data;            // leaf: the value, empty when it lies elsewhere
    uint64_t page = kNoPage;  // branch: the child; leaf: the first page of a value that lies elsewhere
    uint64_t size = 0;        // bytes of the value
    bool is_tree = false;     // the value is a TreeRoot's bytes
  };
  /// Checks the header; `number` is where the page lies. Errors: corrupt.
  static Result<TreePage> parse(ByteView page, uint64_t number);
  /// The same without words: false when the header is wrong.
  bool set(ByteView page, uint64_t number);

  bool is_leaf() const { return leaf_; }
  size_t count() const { return count_; }
  uint64_t number() const { return number_; }
  ByteView bytes() const { return page_; }
  /// Errors: corrupt (it does not lie inside the page).
  Result<Node> node(size_t i) const;
  /// The same without words: false when it does not lie inside the page.
  bool get(size_t i, Node& out) const;
  /// Every node inside the page, keys ascending. Errors: corrupt.
  Result<> check_nodes(KeyOrder order = KeyOrder::bytes) const;

 private:
  ByteView page_;
  uint64_t number_ = 0;
  size_t count_ = 0;
  bool leaf_ = false;
};

/// Pages that a value of `size` bytes takes beside its leaf.
uint64_t overflow_pages(uint64_t size, size_t page_size);
/// The bytes of a value that lies on pages of its own. Errors: corrupt, io.
Result<ByteView> read_overflow(const PageSource& source, uint64_t page, uint64_t size, uint64_t last_page,
                               Bytes& scratch);
/// The first page of a value of a changed page in memory that LMDB has handed out to be written: the header stands before it.
uint64_t first_page_of(ByteView value);
/// Bytes of a value: [0, head) and [begin, end), both within it.
struct ValuePart {
  uint64_t head = 0, begin = 0, end = 0;
};
/// The same, but what is returned has only `part` of the value; the rest may be any bytes. Errors: corrupt, io.
Result<ByteView> read_overflow_part(const PageSource& source, uint64_t page, uint64_t size, const ValuePart& part,
                                    uint64_t last_page, Bytes& scratch);

/// The same without reading more than the header; `scratch` then holds the first page.
Result<> check_overflow(const PageSource& source, uint64_t page, uint64_t size, uint64_t last_page, Bytes& scratch);

/// Keys from `low` on and below `high`; an empty `high` is no bound.
struct KeyRange {
  Bytes low, high;
  bool contains(ByteView key, KeyOrder order = KeyOrder::bytes) const;
};

/// A walk through one tree in key order. Every page is checked whole before anything on it is returned.
/// After an error with Code::corrupt, next() goes on behind the damaged page. Threads: one.
class TreeWalk {
 public:
  TreeWalk(PageSource source, const TreeRoot& root, uint64_t last_page, KeyOrder order = KeyOrder::bytes)
      : source_(source), root_(root), last_page_(last_page), order_(order) {}

  /// To the first node with a key not below `key`. False at the end.
  Result<bool> seek(ByteView key);
  Result<bool> next();
  /// The node found; valid until the next move.
  const TreePage::Node& node() const { return node_; }
  /// The node before it on the same page; nothing at the page's beginning.
  std::optional<TreePage::Node> before() const;
  /// At a page's beginning: whether the page before it can be read and ends where this one's parents say. If not, a
  /// key that was not found may be there.
  bool previous_page_fits() const;
  /// The node's value. Errors: corrupt, io.
  Result<ByteView> value(Bytes& scratch) const;
  /// Where in the file the value's bytes begin.
  uint64_t value_offset() const;
  /// The page on which the node stands.
  uint64_t page() const { return levels_[depth_ - 1].page.number(); }
  /// After an error: the range of keys that could not be read, and the page.
  const KeyRange& lost() const { return lost_; }
  uint64_t lost_page() const { return lost_page_; }
  /// Pages of branches and leaves entered so far, for who marks them.
  const std::vector<uint64_t>& entered() const { return entered_; }
  void note_entered(bool on) { note_entered_ = on; }

 private:
  struct Level {
    TreePage page;
    size_t index = 0;
    Bytes scratch;
  };
  KeyRange range_of(size_t level) const;
  Result<> enter(uint64_t number);
  Result<bool> descend(uint64_t number, ByteView key);
  Result<bool> settle(ByteView key);

  PageSource source_;
  TreeRoot root_;
  uint64_t last_page_;
  KeyOrder order_;
  std::array<Level, kTreeDepthMax> levels_;
  size_t depth_ = 0;  // levels in use
  TreePage::Node node_;
  KeyRange lost_;
  uint64_t lost_page_ = kNoPage;
  bool note_entered_ = false;
  std::vector<uint64_t> entered_;
};

/// The value of `key`, when it is certain: nothing when the key is not found or anything looks odd, which TreeWalk then
/// tells apart. Touches only what the search comes by: on each page the header, the nodes that are compared, and the
/// first and last key, which must lie where the parents say. What else is wrong on a page cannot lead to another
/// value of this key, and the value's own seal proves the rest. Keeps nothing between calls, so damage done to a
/// page that was read before counts, too. For a mapped source; the view is into the map.
std::optional<ByteView> find_value(const PageSource& source, const TreeRoot& root, uint64_t last_page, ByteView key);
/// The same, but what it finds is the leaf's node: a value that lies elsewhere is not looked at.
std::optional<TreePage::Node> find_node(const PageSource& source, const TreeRoot& root, uint64_t last_page,
                                        ByteView key);

/// The free list: pages that hold nothing current, ascending; no more items of it once there are `limit` pages, and
/// none of the transaction `before` and later ones. `own_pages` gets those that the list itself lies on.
/// Errors: corrupt, io.
Result<std::vector<uint64_t>> read_free_list(const PageSource& source, const TreeRoot& free_list, uint64_t last_page,
                                             std::vector<uint64_t>* own_pages = nullptr, uint64_t limit = kNoPage,
                                             uint64_t before = kNoPage);
/// How many pages that list has, by its structure. Errors: corrupt, io.
Result<uint64_t> count_free_pages(const PageSource& source, const TreeRoot& free_list, uint64_t last_page);
/// Looks at what of that list a change of the database goes by: the oldest items, up to `limit` pages of them, which
/// LMDB takes pages from, and the way to the end, where it adds an item. Errors: corrupt, io.
Result<> check_free_list(const PageSource& source, const TreeRoot& free_list, uint64_t last_page, uint64_t limit);
/// Whether a file of `present` pages is as good as one with all up to `last_page`: LMDB counts pages when it hands them
/// out, and one that it gave up before the commit is listed as free (`free_pages`, ascending) and never written.
bool only_free_pages_missing(const std::vector<uint64_t>& free_pages, uint64_t present, uint64_t last_page);

}  // namespace tain::store
