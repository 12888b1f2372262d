// SPDX-License-Identifier: Apache-2.0
#include "store/pages.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/file.h"
#include "store/database.h"
#include "tests/support/long_run.h"
#include "tests/support/temp_directory.h"

namespace tain::store {
namespace {

using Random = std::mt19937_64;

/// A database with records in one table, whose pages the tests damage.
class PagesTest : public testing::Test {
 protected:
  static constexpr Table kTable = Table::dirents;

  static Bytes value_of(const Bytes& key, size_t size) {
    Bytes value(size, key.back());
    const auto checksum = value_checksum(kTable, key, value);
    value.insert(value.end(), checksum.begin(), checksum.end());
    return value;
  }
  void fill(uint64_t count) {
    auto env = Env::open(path(), {.map_size_bytes = uint64_t{1} << 26, .create = true}).value();
    for (uint64_t part = 0; part < 4; ++part) {  // several transactions, so that there are free pages
      WriteTxn txn = WriteTxn::begin(*env).value();
      for (uint64_t i = part; i < count; i += 4) {
        const auto raw_key = dirent_key(Ino{i / 100 + 1}, Cookie{i * 64 + 16});
        Bytes key(raw_key.begin(), raw_key.end());
        const Bytes value = value_of(key, i % 50 == 7 ? 9000 : 40 + i % 60);
        ASSERT_TRUE(txn.put(kTable, key, value).ok());
        expected_[key] = value;
      }
      ASSERT_TRUE(std::move(txn).commit().ok());
    }
  }
  std::string path() const { return directory_.path("data.mdb"); }
  std::unique_ptr<Env> open() { return Env::open(path(), {.map_size_bytes = uint64_t{1} << 26}).value(); }

  /// Leaves of the table, with the first key of each.
  std::map<uint64_t, Bytes> leaves() {
    auto env = open();
    ReadTxn txn = ReadTxn::begin(*env).value();
    UniqueFd fd(::open(path().c_str(), O_RDONLY));
    TreeWalk walk(PageSource::of_file(fd.get(), kPageSize), txn.snapshot().root(kTable), txn.snapshot().last_page);
    std::map<uint64_t, Bytes> out;
    const uint8_t lowest = 0;
    for (bool more = walk.seek({&lowest, 1}).value(); more; more = walk.next().value())
      out.try_emplace(walk.page(), walk.node().key.begin(), walk.node().key.end());
    return out;
  }
  Bytes page(uint64_t number) {
    UniqueFd fd(::open(path().c_str(), O_RDONLY));
    Bytes out(kPageSize);
    EXPECT_TRUE(read_exactly(fd.get(), out, number * kPageSize).ok());
    return out;
  }
  void overwrite(uint64_t number, const Bytes& bytes, size_t offset = 0) {
    UniqueFd fd(::open(path().c_str(), O_WRONLY));
    ASSERT_TRUE(write_exactly(fd.get(), bytes, number * kPageSize + offset).ok());
  }
  /// Reads every key: how many are right, refused, silently missing or wrong.
  struct Outcome {
    size_t right = 0, refused = 0, silent = 0;
  };
  Outcome read_all() {
    auto env = open();
    return read_all(*env);
  }
  Outcome read_all(Env& env) {
    Outcome out;
    ReadTxn txn = ReadTxn::begin(env).value();
    for (const auto& [key, value] : expected_) {
      auto found = txn.get(kTable, key);
      if (!found.ok() || (found->has_value() && !checksum_matches(kTable, key, **found)))
        ++out.refused;
      else if (found->has_value() && std::equal(value.begin(), value.end(), (*found)->begin(), (*found)->end()))
        ++out.right;
      else
        ++out.silent;
    }
    return out;
  }

  test::TempDirectory directory_;
  std::map<Bytes, Bytes> expected_;
};

TEST_F(PagesTest, AWalkSeesWhatLmdbStored) {
  fill(3000);
  auto env = open();
  ReadTxn txn = ReadTxn::begin(*env).value();
  Cursor cursor = Cursor::open(txn, kTable).value();
  auto want = expected_.begin();
  for (auto item = cursor.seek(want->first).value(); item.has_value(); item = cursor.next().value(), ++want) {
    ASSERT_NE(want, expected_.end());
    ASSERT_TRUE(std::equal(want->first.begin(), want->first.end(), item->key.begin(), item->key.end()));
    ASSERT_TRUE(std::equal(want->second.begin(), want->second.end(), item->value.begin(), item->value.end()));
    EXPECT_TRUE(cursor.is_intact(*item));
  }
  EXPECT_EQ(want, expected_.end());
  EXPECT_EQ(read_all().right, expected_.size());
}

TEST_F(PagesTest, APartOfALargeValueIsRightWhereItWasAskedFor) {
  fill(60);
  const auto large = std::find_if(expected_.begin(), expected_.end(), [](const auto& e) { return e.second.size() > 9000; });
  ASSERT_NE(large, expected_.end());
  const auto& [key, value] = *large;
  auto env = open();
  const ReadTxn txn = ReadTxn::begin(*env).value();
  const uint64_t size = value.size(), edge = kPageSize - kPageHeaderSize;  // where the value's second page begins
  for (const uint64_t head : {uint64_t{0}, uint64_t{1}, edge, edge + 1, size}) {
    for (const uint64_t begin : {uint64_t{0}, uint64_t{1}, edge - 1, edge, edge + kPageSize, size}) {
      for (const uint64_t end : {begin, edge, edge + 1, size - 1, size}) {
        if (end < begin) continue;
        Bytes scratch(3 * kPageSize, 0xee);
        const ValuePart part{.head = head, .begin = begin, .end = end};
        const ByteView read = txn.get_large(kTable, key, scratch, &part).value().value();
        ASSERT_EQ(read.size(), size);
        EXPECT_TRUE(std::equal(read.begin(), read.begin() + static_cast<ptrdiff_t>(head), value.begin()));
        EXPECT_TRUE(std::equal(read.begin() + static_cast<ptrdiff_t>(begin), read.begin() + static_cast<ptrdiff_t>(end),
                               value.begin() + static_cast<ptrdiff_t>(begin)))
            << head << " " << begin << " " << end;
      }
    }
  }
  // A value that is shorter than its reader thinks comes whole, for the reader to refuse.
  Bytes scratch;
  const ValuePart past{.head = 16, .begin = size - 4, .end = size + 1};
  EXPECT_TRUE(std::ranges::equal(txn.get_large(kTable, key, scratch, &past).value().value(), value));
}

TEST_F(PagesTest, ATransactionSeesItsOwnState) {
  fill(100);
  auto env = open();
  const Bytes key = expected_.begin()->first;
  ReadTxn before = ReadTxn::begin(*env).value();
  for (int i = 0; i < 5; ++i) {
    WriteTxn txn = WriteTxn::begin(*env).value();
    ASSERT_TRUE(txn.remove(kTable, key).ok());
    ASSERT_TRUE(txn.put(kTable, value_of(key, 4), as_bytes("x")).ok());
    ASSERT_TRUE(std::move(txn).commit().ok());
  }
  EXPECT_TRUE(before.get(kTable, key).value().has_value());
  ReadTxn after = ReadTxn::begin(*env).value();
  EXPECT_FALSE(after.get(kTable, key).value().has_value());
}

TEST_F(PagesTest, ReadersAmongCommitsSeeWholeStates) {
  fill(10);
  auto env = open();
  constexpr uint64_t kCommits = 400;
  const auto key = ino_key(Ino{1});
  std::atomic<bool> done = false;
  std::atomic<uint64_t> torn = 0, refused = 0, backwards = 0, reads = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      for (uint64_t last = 0; !done;) {
        auto txn = ReadTxn::begin(*env);
        if (!txn.ok()) {
          ++refused;
          continue;
        }
        const auto inode = txn->get(Table::inodes, key), xattrs = txn->get(Table::xattrs, key);
        if (!inode.ok() || !xattrs.ok()) {
          ++refused;
          continue;
        }
        ++reads;
        const uint64_t a = inode->has_value() ? load_be64((*inode)->data()) : 0;
        const uint64_t b = xattrs->has_value() ? load_be64((*xattrs)->data()) : 0;
        if (a != b) ++torn;
        if (a < last) ++backwards;
        last = a;
      }
    });
  }

  for (uint64_t i = 1; i <= kCommits; ++i) {
    WriteTxn txn = WriteTxn::begin(*env).value();
    EXPECT_TRUE(txn.put(Table::inodes, key, ino_key(Ino{i})).ok());
    EXPECT_TRUE(txn.put(Table::xattrs, key, ino_key(Ino{i})).ok());
    EXPECT_TRUE(std::move(txn).commit().ok());
  }
  while (reads == 0) std::this_thread::yield();
  done = true;
  for (std::thread& reader : readers) reader.join();

  EXPECT_EQ(torn, 0u);
  EXPECT_EQ(refused, 0u);
  EXPECT_EQ(backwards, 0u);
}

TEST_F(PagesTest, WhatLmdbGoesByIsCheckedBeforeEachChange) {
  fill(3000);
  auto env = open();
  const Snapshot state = ReadTxn::begin(*env).value().snapshot();
  ASSERT_NE(state.free_list.page, kNoPage);
  UniqueFd fd(::open(path().c_str(), O_RDONLY));
  const MetaPage meta = newest_meta(parse_meta(page(0), 0), parse_meta(page(1), 1)).value();

  for (const uint64_t victim : {meta.transaction & 1, meta.main.page, state.free_list.page}) {
    const Bytes original = page(victim);
    overwrite(victim, Bytes(kPageSize));
    EXPECT_TRUE(WriteTxn::begin(*env).is(Code::corrupt)) << victim;
    overwrite(victim, original);
    EXPECT_TRUE(WriteTxn::begin(*env).ok()) << victim;
  }
  Bytes sorted_duplicates = page(meta.main.page);  // LMDB would look for trees below the values
  const std::string_view name = "inodes";
  auto at = std::search(sorted_duplicates.begin(), sorted_duplicates.end(), name.begin(), name.end());
  ASSERT_NE(at, sorted_duplicates.end());
  at[static_cast<ptrdiff_t>(name.size()) + 4] = 0x04;
  overwrite(meta.main.page, sorted_duplicates);
  EXPECT_TRUE(WriteTxn::begin(*env).is(Code::corrupt));
}

TEST_F(PagesTest, APageInAnothersPlaceIsRefusedNotSearched) {
  fill(3000);
  const auto pages = leaves();
  const auto victim = std::next(pages.begin(), 5)->first;
  overwrite(victim, page(std::next(pages.begin(), 9)->first));

  const Outcome outcome = read_all();

  EXPECT_EQ(outcome.silent, 0u);
  EXPECT_GT(outcome.refused, 0u);
  EXPECT_LT(outcome.refused, 60u) << "one page's worth";
}

TEST_F(PagesTest, DamageUnderAnOpenDatabaseIsNoticedAtTheNextRead) {
  fill(3000);
  const auto pages = leaves();
  auto env = open();
  ASSERT_EQ(read_all(*env).right, expected_.size());
  const uint64_t used = env->used_bytes() / kPageSize;
  size_t refusals = 0;
  for (uint64_t victim = 2; victim < used; victim += 3) {  // leaves, branches, values of their own, free pages
    const Bytes original = page(victim);
    const Bytes replacements[] = {Bytes(kPageSize), page(victim + 1 < used ? victim + 1 : 2),
                                  page(pages.begin()->first)};
    for (const Bytes& replacement : replacements) {
      overwrite(victim, replacement);
      const Outcome outcome = read_all(*env);
      EXPECT_EQ(outcome.silent, 0u) << victim;
      refusals += outcome.refused;
    }
    overwrite(victim, original);
  }
  EXPECT_GT(refusals, 0u);
  EXPECT_EQ(read_all(*env).right, expected_.size());
}

TEST_F(PagesTest, AZeroedPageIsRefusedAndAWalkGoesOnBehindIt) {
  fill(3000);
  const auto pages = leaves();
  overwrite(std::next(pages.begin(), 5)->first, Bytes(kPageSize));

  EXPECT_EQ(read_all().silent, 0u);
  auto env = open();
  ReadTxn txn = ReadTxn::begin(*env).value();
  Cursor cursor = Cursor::open(txn, kTable).value();
  size_t seen = 0, lost = 0;
  for (auto item = cursor.seek(expected_.begin()->first);; item = cursor.next()) {
    if (!item.ok()) {
      ++lost;
      EXPECT_FALSE(cursor.lost().low.empty());
      continue;
    }
    if (!item->has_value()) break;
    ++seen;
  }
  EXPECT_EQ(lost, 1u);
  EXPECT_GT(seen, expected_.size() - 60);
}

TEST_F(PagesTest, AChangeOnADamagedPageFailsWithoutLmdb) {
  fill(3000);
  const auto pages = leaves();
  const auto victim = std::next(pages.begin(), 5);
  const auto neighbour = std::next(pages.begin(), 6);
  overwrite(victim->first, Bytes(kPageSize));
  auto env = open();
  WriteTxn txn = WriteTxn::begin(*env).value();

  EXPECT_TRUE(txn.get(kTable, victim->second).is(Code::corrupt));
  EXPECT_TRUE(txn.put(kTable, victim->second, as_bytes("x")).is(Code::corrupt));
  EXPECT_TRUE(txn.remove(kTable, victim->second).is(Code::corrupt));
  // Pages that shrink are merged with their neighbours.
  const auto by_key = [&] {
    std::map<Bytes, uint64_t> out;
    for (const auto& [number, key] : pages) out[key] = number;
    return out;
  }();
  const auto after = std::next(by_key.find(victim->second));
  ASSERT_NE(after, by_key.end());
  EXPECT_TRUE(txn.remove(kTable, after->first).is(Code::corrupt));
  EXPECT_TRUE(txn.put(kTable, neighbour->second, as_bytes("x")).ok());
  EXPECT_TRUE(std::move(txn).commit().ok());
}

TEST_F(PagesTest, EveryBitFlipOnALeafIsNoticedOrHarmless) {
  fill(400);
  const auto pages = leaves();
  const uint64_t victim = std::next(pages.begin(), 2)->first;
  const Bytes original = page(victim);
  for (size_t bit = 0; bit < kPageSize * 8; bit += 37) {
    Bytes damaged = original;
    damaged[bit / 8] = static_cast<uint8_t>(damaged[bit / 8] ^ 1 << bit % 8);
    overwrite(victim, damaged);
    auto env = open();
    ReadTxn txn = ReadTxn::begin(*env).value();
    for (const auto& [key, value] : expected_) {
      auto found = txn.get(kTable, key);
      if (!found.ok()) continue;
      if (found->has_value()) {
        // A value that was hit is refused by its checksum and seal.
        EXPECT_TRUE(!checksum_matches(kTable, key, **found) ||
                    std::equal(value.begin(), value.end(), (*found)->begin(), (*found)->end()))
            << bit;
        continue;
      }
      // A key that was hit: a neighbour says that something is wrong.
      Cursor cursor = Cursor::open(txn, kTable).value();
      auto item = cursor.seek(key);
      const bool noticed =
          !item.ok() || !cursor.is_certain_before() || (item->has_value() && !cursor.is_intact(**item));
      EXPECT_TRUE(noticed) << bit;
    }
  }
}

TEST_F(PagesTest, DamagedMetaPagesAreRefusedAtOpen) {
  fill(400);
  for (const uint64_t number : {uint64_t{0}, uint64_t{1}}) {
    const Bytes original = page(number);
    // Number, flags, magic, version, page size, transaction.
    for (const size_t offset : {size_t{0}, size_t{10}, size_t{16}, size_t{20}, size_t{40}, size_t{144}}) {
      Bytes damaged = original;
      damaged[offset] = static_cast<uint8_t>(damaged[offset] ^ 5);
      overwrite(number, damaged);
      EXPECT_TRUE(Env::open(path(), {.map_size_bytes = uint64_t{1} << 26}).is(Code::corrupt))
          << number << ' ' << offset;
    }
    overwrite(number, original);
  }
  EXPECT_EQ(read_all().right, expected_.size());
}

TEST_F(PagesTest, ADamagedFreeListIsRefusedAtOpen) {
  fill(3000);
  UniqueFd fd(::open(path().c_str(), O_RDONLY));
  const MetaPage meta = newest_meta(parse_meta(page(0), 0), parse_meta(page(1), 1)).value();
  std::vector<uint64_t> own;
  ASSERT_FALSE(
      read_free_list(PageSource::of_file(fd.get(), kPageSize), meta.free_list, meta.last_page, &own).value().empty());
  ASSERT_FALSE(own.empty());

  overwrite(own.front(), Bytes(kPageSize));

  EXPECT_TRUE(Env::open(path(), {.map_size_bytes = uint64_t{1} << 26}).is(Code::corrupt));
}

/// Many large values come and go, as when files are deleted: the free list has long items, whose length LMDB overstates,
/// and pages at the end of the file are handed out and given up within one transaction.
class FreeListTest : public PagesTest {
 protected:
  static constexpr uint64_t kMap = uint64_t{1} << 32;

  /// One transaction: as many removals and additions, of up to `pages_max` pages each, and a value of `fleeting_pages`
  /// that comes and goes: the pages are free then, and were never written.
  void churn(Env& env, Random& random, uint64_t removals, uint64_t additions, uint64_t pages_max,
             uint64_t fleeting_pages = 64) {
    WriteTxn txn = WriteTxn::begin(env).value();
    for (; removals > 0 && !numbers_.empty(); --removals) {
      const size_t at = random() % numbers_.size();
      ASSERT_TRUE(txn.remove(Table::blocks, block_key({1, numbers_[at]})).value());
      numbers_.erase(numbers_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    for (; additions > 0; --additions) {
      numbers_.push_back(++last_);
      ASSERT_TRUE(txn.put(Table::blocks, block_key({1, last_}), Bytes(1 + random() % (pages_max * kPageSize))).ok());
    }
    ASSERT_TRUE(txn.put(Table::blocks, block_key({2, 1}), Bytes(fleeting_pages * kPageSize)).ok());
    ASSERT_TRUE(txn.remove(Table::blocks, block_key({2, 1})).value());
    ASSERT_TRUE(std::move(txn).commit().ok());
  }
  MetaPage meta() { return newest_meta(parse_meta(page(0), 0), parse_meta(page(1), 1)).value(); }

  std::vector<uint64_t> numbers_;
  uint64_t last_ = 0;
};

TEST_F(FreeListTest, IsReadHoweverLmdbLaidItOut) {
  Random random(1);
  std::set<uint64_t> spare;
  auto env = Env::open(path(), {.map_size_bytes = kMap, .create = true}).value();
  UniqueFd fd(::open(path().c_str(), O_RDONLY));
  const PageSource source = PageSource::of_file(fd.get(), kPageSize);
  const int rounds = test::is_long_run() ? 300 : 100;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(round);
    const bool shrink = round % 7 == 6;
    churn(*env, random, shrink ? 500 : random() % 40, random() % 120, round % 3 == 0 ? 20 : 3, round % 100 < 4 ? 30'000 : 64);
    if (HasFatalFailure()) return;

    const MetaPage now = meta();
    std::vector<uint64_t> own;
    auto listed = read_free_list(source, now.free_list, now.last_page, &own);
    ASSERT_TRUE(listed.ok()) << listed.error().message();
    EXPECT_GE(std::filesystem::file_size(path()), (now.last_page + 1) * kPageSize);
    TreeWalk walk(source, now.free_list, now.last_page, KeyOrder::integer);
    Bytes scratch;
    const std::array<uint8_t, 8> lowest{};
    for (bool more = walk.seek(lowest).value(); more; more = walk.next().value())
      if (!walk.value(scratch).ok()) spare.insert(walk.node().page);
    // Every page is one of the free ones, of the list, or of a tree; and none is two of them.
    std::vector<bool> seen(now.last_page + 1);
    const auto mark = [&](uint64_t number) {
      EXPECT_FALSE(seen.at(number)) << number;
      seen[number] = true;
    };
    for (uint64_t number : *listed) mark(number);
    for (uint64_t number : own) mark(number);
    ReadTxn txn = ReadTxn::begin(*env).value();
    TreeWalk blocks(source, txn.snapshot().root(Table::blocks), now.last_page);
    blocks.note_entered(true);
    for (bool more = blocks.seek({lowest.data(), 1}).value(); more; more = blocks.next().value()) {
      if (blocks.node().page == kNoPage) continue;
      for (uint64_t i = 0; i < overflow_pages(blocks.node().size, kPageSize); ++i) mark(blocks.node().page + i);
    }
    for (uint64_t number : blocks.entered()) mark(number);
    EXPECT_EQ(std::count(seen.begin(), seen.end(), false), 3) << "two meta pages, and the main tree's";
  }
  EXPECT_FALSE(spare.empty()) << "LMDB never did what this test is about";

  env.reset();
  EXPECT_TRUE(Env::open(path(), {.map_size_bytes = kMap}).ok());
}

TEST_F(FreeListTest, PagesThatAreNotItsOwnAreRefused) {
  Random random(2);
  auto env = Env::open(path(), {.map_size_bytes = kMap, .create = true}).value();
  churn(*env, random, 0, 900, 16);
  churn(*env, random, 800, 0, 1);
  churn(*env, random, 0, 1, 1);
  const MetaPage now = meta();
  UniqueFd fd(::open(path().c_str(), O_RDONLY));
  TreeWalk walk(PageSource::of_file(fd.get(), kPageSize), now.free_list, now.last_page, KeyOrder::integer);
  uint64_t number = kNoPage, pages = 0;
  const std::array<uint8_t, 8> lowest{};
  for (bool more = walk.seek(lowest).value(); more; more = walk.next().value()) {
    if (walk.node().page == kNoPage) continue;
    number = walk.node().page;
    pages = overflow_pages(walk.node().size, kPageSize);
  }
  ASSERT_NE(number, kNoPage);
  Bytes head = page(number);
  overwrite(number + pages, Bytes(kPageSize, 1));
  head[12] = static_cast<uint8_t>(pages + 1);
  overwrite(number, head);
  EXPECT_TRUE(WriteTxn::begin(*env).is(Code::corrupt)) << "LMDB would free a page that holds something";
  overwrite(number + pages, Bytes(kPageSize));
  EXPECT_TRUE(WriteTxn::begin(*env).ok()) << "as LMDB leaves pages that it set aside for nothing";
}

TEST_F(FreeListTest, AFileThatLacksOnlyFreePagesAtItsEndIsWhole) {
  Random random(3);
  {
    auto env = Env::open(path(), {.map_size_bytes = kMap, .create = true}).value();
    churn(*env, random, 0, 100, 8);
    churn(*env, random, 1, 0, 1);
    churn(*env, random, 0, 1, 1);
  }
  const MetaPage now = meta();
  UniqueFd fd(::open(path().c_str(), O_RDONLY));
  const auto free = read_free_list(PageSource::of_file(fd.get(), kPageSize), now.free_list, now.last_page).value();
  uint64_t last_used = now.last_page;
  while (std::binary_search(free.begin(), free.end(), last_used)) --last_used;
  ASSERT_LT(last_used, now.last_page) << "the value that came and went lay at the end";

  std::filesystem::resize_file(path(), (last_used + 1) * kPageSize);
  {
    auto env = Env::open(path(), {.map_size_bytes = kMap});
    ASSERT_TRUE(env.ok()) << env.error().message();
    EXPECT_EQ(std::filesystem::file_size(path()), (now.last_page + 1) * kPageSize) << "what is mapped is there";
    churn(**env, random, 1, 20, 8);
  }
  std::filesystem::resize_file(path(), last_used * kPageSize);
  EXPECT_TRUE(Env::open(path(), {.map_size_bytes = kMap}).is(Code::corrupt));
}

}  // namespace
}  // namespace tain::store
