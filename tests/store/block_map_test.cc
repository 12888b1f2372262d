// SPDX-License-Identifier: Apache-2.0
// The block map against a std::map, over node stores in memory that notice every leak.
#include "store/block_map.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace tain::store {
namespace {

constexpr uint64_t kBlocksMax = kFileSizeMax / kBlockSize;

/// Keeps nodes in memory and checks what the map says of them.
class MemoryNodes final : public MapWriter {
 public:
  Result<std::shared_ptr<const RefList>> read_node(const BlockPlace& place, const BlockRef& ref) override {
    ++reads;
    auto it = nodes_.find(ref.id);
    if (it == nodes_.end()) return Error(Code::not_found, "released or never written");
    EXPECT_EQ(place.level, it->second.level);
    EXPECT_EQ(place.index, it->second.index);
    EXPECT_EQ(place.id, ref.id);
    return it->second.list;
  }

  Result<BlockRef> write_node(uint8_t level, uint64_t index, const RefList& node) override {
    EXPECT_FALSE(node.empty());
    EXPECT_GE(level, 1);
    EXPECT_LE(node.rbegin()->first, kMapFanout - 1);
    if (writes_left == 0) return Error(Code::no_space, "full");
    --writes_left;
    BlockRef ref{.id = {.writer = 1, .number = ++number_}, .nonce = {}, .tag = {}, .length = 0, .patches = {}};
    nodes_[ref.id] = {level, index, std::make_shared<const RefList>(node)};
    return ref;
  }

  Result<> release(const BlockRef& ref, uint8_t, uint64_t) override {
    const size_t held = nodes_.erase(ref.id) + data_.erase(ref.id);
    EXPECT_EQ(held, 1u) << "released twice, or never written";
    return {};
  }

  BlockRef new_block(uint32_t length) {
    const BlockRef ref{
        .id = {.writer = 2, .number = ++number_}, .nonce = {}, .tag = {}, .length = length, .patches = {}};
    data_.insert(ref.id);
    return ref;
  }
  Patch new_patch(uint32_t length) {
    const BlockRef stored = new_block(length);
    return {.cells = 1, .id = stored.id, .nonce = {}, .tag = {}, .length = length};
  }
  size_t node_count() const { return nodes_.size(); }
  size_t block_count() const { return data_.size(); }

  uint64_t reads = 0;
  uint64_t writes_left = UINT64_MAX;

 private:
  struct Node {
    uint8_t level = 0;
    uint64_t index = 0;
    std::shared_ptr<const RefList> list;
  };
  std::map<BlockId, Node> nodes_;
  std::set<BlockId> data_;
  uint64_t number_ = 0;
};

size_t count_nodes(const ContentRecord& content, const RefList& list, uint8_t level, uint64_t base, MapWriter& nodes) {
  if (level == 0) return 0;
  size_t count = 0;
  for (const auto& [slot, ref] : list) {
    const uint64_t start = base + (uint64_t{slot} << (7 * level));
    auto node = nodes.read_node({.content = content.id, .id = ref.id, .level = level, .index = start}, ref).value();
    count += 1 + count_nodes(content, *node, static_cast<uint8_t>(level - 1), start, nodes);
  }
  return count;
}

class BlockMapTest : public testing::Test {
 protected:
  void set(uint64_t index) { change({.floor = kNoBlock, .blocks = {{index, nodes_.new_block(1)}}}); }
  void punch(uint64_t index) { change({.floor = kNoBlock, .blocks = {{index, std::nullopt}}}); }
  void cut(uint64_t floor) { change({.floor = floor, .blocks = {}}); }

  void change(const MapChanges& changes) {
    auto changed = change_map(content_, changes, nodes_);
    ASSERT_TRUE(changed.ok()) << changed.error().message();
    expected_.erase(expected_.lower_bound(changes.floor), expected_.end());
    for (const auto& [index, ref] : changes.blocks) {
      if (ref.has_value()) expected_[index] = *ref;
      else expected_.erase(index);
    }
  }

  /// The map is the expected one, and nothing is stored that it does not lead to.
  void check() {
    uint64_t allocated = 0;
    size_t blocks = 0;
    for (const auto& [index, ref] : expected_) {
      EXPECT_EQ(find_block(content_, index, nodes_).value(), ref) << index;
      if (!expected_.contains(index + 1)) {
        EXPECT_EQ(find_block(content_, index + 1, nodes_).value(), std::nullopt) << index + 1;
      }
      allocated += ref.length;
      for (const Patch& patch : ref.patches) allocated += patch.length;
      blocks += 1 + ref.patches.size();
    }
    EXPECT_EQ(content_.allocated, allocated);
    uint64_t index = 0;
    for (const auto& [wanted, ref] : expected_) {
      ASSERT_EQ(next_block(content_, index, nodes_).value(), wanted);
      index = wanted + 1;
    }
    EXPECT_EQ(next_block(content_, index, nodes_).value(), kNoBlock);
    EXPECT_LE(content_.height, kMapHeightMax);
    EXPECT_LE(content_.root.size(), size_t{kRootFanout});
    EXPECT_EQ(nodes_.block_count(), blocks);
    EXPECT_EQ(nodes_.node_count(), count_nodes(content_, content_.root, content_.height, 0, nodes_));
  }

  MemoryNodes nodes_;
  ContentRecord content_;
  std::map<uint64_t, BlockRef> expected_;
};

TEST_F(BlockMapTest, SmallFileNeedsNoNode) {
  for (uint64_t i = 0; i < kRootFanout; ++i) set(i);

  check();
  EXPECT_EQ(content_.height, 0);
  EXPECT_EQ(nodes_.node_count(), 0u);
}

TEST_F(BlockMapTest, GrowsByALevelWhenTheRootIsFull) {
  const uint64_t first_of_height[] = {0, kRootFanout, uint64_t{kRootFanout} << 7, uint64_t{kRootFanout} << 14};
  for (uint8_t height = 0; height < 4; ++height) {
    SCOPED_TRACE(height);
    set(first_of_height[height]);
    check();
    EXPECT_EQ(content_.height, height);
  }
  set(kBlocksMax - 1);
  check();
  EXPECT_LE(content_.height, kMapHeightMax);
}

TEST_F(BlockMapTest, LastBlockOfTheLargestFileAlone) {
  set(kBlocksMax - 1);

  check();
  EXPECT_EQ(nodes_.node_count(), content_.height) << "one node for each level";
}

TEST_F(BlockMapTest, EmptyingReleasesEveryNode) {
  for (uint64_t index : {uint64_t{0}, uint64_t{1} << 10, uint64_t{1} << 20, kBlocksMax - 1}) set(index);
  for (uint64_t index : {uint64_t{0}, uint64_t{1} << 10, uint64_t{1} << 20, kBlocksMax - 1}) punch(index);

  check();
  EXPECT_EQ(nodes_.node_count(), 0u);
  EXPECT_TRUE(content_.root.empty());
}

TEST_F(BlockMapTest, FloorZeroEmptiesAndShrinksTheMap) {
  set(uint64_t{1} << 25);

  cut(0);

  check();
  EXPECT_EQ(content_.height, 0);
}

TEST_F(BlockMapTest, FloorComesBeforeTheBlocksOfTheSameChange) {
  for (uint64_t i = 0; i < 300; ++i) set(i);

  change({.floor = 100, .blocks = {{50, nodes_.new_block(5)}, {200, nodes_.new_block(6)}, {250, std::nullopt}}});

  check();
  EXPECT_TRUE(expected_.contains(200));
  EXPECT_FALSE(expected_.contains(201));
}

TEST_F(BlockMapTest, HolesPastTheEndChangeNothing) {
  set(3);
  const ContentRecord before = content_;

  change({.floor = kNoBlock, .blocks = {{kBlocksMax - 1, std::nullopt}, {kRootFanout, std::nullopt}}});

  check();
  EXPECT_EQ(content_, before);
}

TEST_F(BlockMapTest, OldRootStaysReadableUntilItsNodesAreReleased) {
  for (uint64_t i = 0; i < 20; ++i) set(i);
  const ContentRecord before = content_;

  set(5);  // replaces the leaf

  EXPECT_TRUE(find_block(before, 7, nodes_).is(Code::not_found)) << "readers must learn that their map is old";
  check();
}

TEST_F(BlockMapTest, OneChangeInABigFileRewritesOnePathOnly) {
  MapChanges many;
  for (uint64_t i = 0; i < 5000; ++i) many.blocks.emplace(i, nodes_.new_block(1));
  change(many);
  const size_t nodes = nodes_.node_count();

  nodes_.writes_left = content_.height;
  set(2500);

  check();
  EXPECT_EQ(nodes_.node_count(), nodes);
}

TEST_F(BlockMapTest, NextBlockSkipsEmptySubtreesWithoutReadingThem) {
  set(0);
  set(kBlocksMax - 1);
  nodes_.reads = 0;

  EXPECT_EQ(next_block(content_, 1, nodes_).value(), kBlocksMax - 1);

  EXPECT_LE(nodes_.reads, 2u * kMapHeightMax);
}

TEST_F(BlockMapTest, PatchKeepsItsBlockAndGoesWithIt) {
  set(7);
  BlockRef patched = expected_[7];
  patched.patches = {nodes_.new_patch(10), nodes_.new_patch(20)};
  change({.floor = kNoBlock, .blocks = {{7, patched}}});
  check();
  EXPECT_EQ(content_.allocated, 31u);

  BlockRef one_fewer = patched;
  one_fewer.patches.erase(one_fewer.patches.begin());
  change({.floor = kNoBlock, .blocks = {{7, one_fewer}}});
  check();

  set(7);
  check();
  EXPECT_EQ(nodes_.block_count(), 1u) << "the old block and its patch are gone";
}

TEST_F(BlockMapTest, FailedWriteIsReported) {
  for (uint64_t i = 0; i < kRootFanout; ++i) set(i);
  nodes_.writes_left = 0;

  auto changed = change_map(content_, {.floor = kNoBlock, .blocks = {{kRootFanout, nodes_.new_block(1)}}}, nodes_);

  EXPECT_TRUE(changed.is(Code::no_space));
}

TEST_F(BlockMapTest, RandomChangesMatchAMapAndLeakNothing) {
  std::mt19937_64 random(20260731);
  // Logarithmic: as many changes near the start as in the far end of the largest file.
  const auto any_index = [&] { return (random() % kBlocksMax) >> (random() % 30); };
  for (int round = 0; round < 600 && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    MapChanges changes;
    if (random() % 4 == 0) changes.floor = random() % 8 == 0 ? 0 : any_index();
    const uint64_t count = random() % 12;
    for (uint64_t i = 0; i < count; ++i) {
      // Often near something that exists, so that nodes are shared, split and emptied.
      uint64_t index = any_index();
      if (!expected_.empty() && random() % 2 == 0) {
        auto near = expected_.lower_bound(index);
        index = (near != expected_.end() ? near->first : expected_.rbegin()->first) + random() % 2;
      }
      index = std::min(index, kBlocksMax - 1);
      if (changes.blocks.contains(index)) continue;
      std::optional<BlockRef> ref;
      const auto old = index < changes.floor ? expected_.find(index) : expected_.end();
      if (old != expected_.end() && old->second.patches.size() < kPatchesMax && random() % 2 == 0) {
        ref = old->second;
        ref->patches.push_back(nodes_.new_patch(static_cast<uint32_t>(1 + random() % kCellSize)));
      } else if (random() % 3 != 0) {
        ref = nodes_.new_block(static_cast<uint32_t>(1 + random() % kBlockSize));
      }
      changes.blocks.emplace(index, ref);
    }
    change(changes);
    check();
  }
  cut(0);
  check();
}

TEST(PatchTest, APatchTakesThePlaceOfThoseItCovers) {
  const auto patch = [](uint16_t cells, uint64_t number) {
    return Patch{.cells = cells, .id = {1, number}, .nonce = {}, .tag = {}, .length = kCellSize};
  };
  BlockRef ref;
  add_patch(ref, patch(0b0001, 1));
  add_patch(ref, patch(0b0110, 2));
  add_patch(ref, patch(0b1000, 3));
  EXPECT_FALSE(has_room_for_patch(ref, 0b0010));  // covers none of them
  EXPECT_TRUE(has_room_for_patch(ref, 0b0001));
  EXPECT_TRUE(has_room_for_patch(ref, 0b1111));

  add_patch(ref, patch(0b0111, 4));
  ASSERT_EQ(ref.patches.size(), 2u);
  EXPECT_EQ(ref.patches[0].id.number, 3u);
  EXPECT_EQ(ref.patches[1].id.number, 4u);  // the newest is the last
}

}  // namespace
}  // namespace tain::store
