// SPDX-License-Identifier: Apache-2.0
// What can be had of a file whose map is damaged, and that nothing of it passes for more than it is.
#include "store/file_check.h"

#include <gtest/gtest.h>

#include "store/block_search.h"
#include "store/catalog.h"
#include "tests/store/vault_edits.h"

namespace tain::store {
namespace {

using test::TempVault;

constexpr uint64_t kBlocks = 40;  // more than the inode lists itself

class FileCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = temp_.make_file(kRootIno, "file");
    for (uint64_t i = 0; i < kBlocks; ++i) temp_.write(file_, i * kBlockSize, block_text(i));
    ASSERT_TRUE(temp_.vault().sync().ok());
  }
  static std::string block_text(uint64_t index) { return std::string(kBlockSize, static_cast<char>('a' + index % 26)); }
  void close() {
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
  }
  /// Runs `use` on what the closed vault holds.
  void look(const std::function<void(BlockFinder&, const Inode&)>& use) {
    const LockedVault vault = LockedVault::open(temp_.directory(), TempVault::password()).value();
    const Survey survey = survey_database(temp_.directory() + "/data.mdb", *vault.cipher).value();
    Catalog catalog(survey, *vault.cipher);
    EXPECT_TRUE(catalog.read({}).ok());
    use(catalog.finder(), catalog.load_inode(raw(file_)).value());
  }
  /// The references in the node `ref`, at `level` and from block `index` on.
  static RefList children(BlockFinder& finder, const Inode& inode, const BlockRef& ref, uint8_t level, uint64_t index) {
    const BlockPlace place{.content = inode.content.id, .id = ref.id, .level = level, .index = index};
    return decode_refs(finder.open(place, ref, Kind::map_node).plain, kMapFanout).value();
  }
  void damage(const BlockId& id) {
    test::edit_value(temp_.directory(), Table::blocks, block_key(id), [](Bytes& value) { value[60] ^= 1; });
  }
  void remove(const BlockId& id) { test::remove_value(temp_.directory(), Table::blocks, block_key(id)); }
  struct Found {
    FileReport report;
    std::map<uint64_t, std::string> blocks;  // plaintext by index
  };
  Found find_all() {
    Found out;
    look([&](BlockFinder& finder, const Inode& inode) {
      std::vector<FoundBlock> blocks;
      out.report = check_file(finder, inode, &blocks);
      for (const FoundBlock& block : blocks) {
        CellMask bad = 0;
        const Bytes plain = compose_block(finder, inode.content.id, block.index, block.ref, bad);
        out.blocks[block.index] = std::string(plain.begin(), plain.end());
      }
    });
    return out;
  }

  TempVault temp_{OpenOptions{.committer_thread = false}};
  Ino file_{};
};

/// With a patch over block 3, closed.
class PatchedFileTest : public FileCheckTest {
 protected:
  void SetUp() override {
    FileCheckTest::SetUp();
    temp_.write(file_, 3 * kBlockSize + 8192, std::string(4096, 'N'));
    close();
    look([&](BlockFinder& finder, const Inode& inode) {
      ASSERT_EQ(inode.content.height, 1);
      node_ = inode.content.root.begin()->second.id;
      const RefList refs = children(finder, inode, inode.content.root.begin()->second, 1, 0);
      ASSERT_EQ(refs.at(3).patches.size(), 1u);
      base_ = refs.at(3).id;
      patch_ = refs.at(3).patches[0].id;
    });
  }
  BlockId node_, base_, patch_;
};

TEST_F(PatchedFileTest, BlocksAreFoundWithoutTheirMapNodeAndMayBeOutdated) {
  damage(node_);

  const Found found = find_all();

  EXPECT_EQ(found.blocks.size(), kBlocks - 1);
  EXPECT_EQ(found.blocks.at(2), block_text(2));
  EXPECT_EQ(found.blocks.at(39), block_text(39));
  EXPECT_EQ(found.report.damaged, (std::vector<ByteRange>{{3 * kBlockSize, 4 * kBlockSize}}));
  EXPECT_EQ(found.report.doubtful,
            (std::vector<ByteRange>{{0, 3 * kBlockSize}, {4 * kBlockSize, kBlocks * kBlockSize}}));
}

TEST_F(PatchedFileTest, APatchWithoutItsBlockDoesNotPassForTheBlock) {
  damage(node_);
  remove(base_);

  const Found found = find_all();

  EXPECT_FALSE(found.blocks.contains(3));
  EXPECT_EQ(found.report.damaged, (std::vector<ByteRange>{{3 * kBlockSize, 4 * kBlockSize}}));
}

TEST_F(PatchedFileTest, ABlockWithoutItsPatchIsKeptAndSaidToBeMaybeOutdated) {
  damage(node_);
  remove(patch_);

  const Found found = find_all();

  EXPECT_EQ(found.blocks.at(3), block_text(3));
  EXPECT_TRUE(found.report.damaged.empty());
  EXPECT_EQ(found.report.doubtful, (std::vector<ByteRange>{{0, kBlocks * kBlockSize}}));
  EXPECT_TRUE(std::any_of(found.report.findings.begin(), found.report.findings.end(), [](const Finding& finding) {
    return finding.end == kBlocks * kBlockSize && finding.what.find("may be outdated") != std::string::npos;
  }));
}

TEST_F(FileCheckTest, BelowADamagedHigherNodeWholeNodesAreFound) {
  temp_.write(file_, uint64_t{3000} * kBlockSize, "far away");  // a map of two levels
  temp_.write(file_, 3 * kBlockSize + 8192, std::string(4096, 'N'));
  close();
  look([&](BlockFinder&, const Inode& inode) { ASSERT_EQ(inode.content.height, 2); });
  BlockId node;
  look([&](BlockFinder&, const Inode& inode) { node = inode.content.root.at(0).id; });
  damage(node);

  const Found found = find_all();

  // What no node was found for may be lost; what one was found for is as it was, patches and all.
  EXPECT_EQ(found.blocks.size(), kBlocks + 1);
  EXPECT_EQ(found.blocks.at(3), block_text(3).replace(8192, 4096, std::string(4096, 'N')));
  EXPECT_TRUE(found.report.doubtful.empty());
  EXPECT_EQ(found.report.damaged, (std::vector<ByteRange>{{128 * kBlockSize, 2944 * kBlockSize}}));
}

TEST_F(FileCheckTest, ASearchTriesHardlyMorePlacesThanThereAreBlocks) {
  close();

  look([&](BlockFinder& finder, const Inode& inode) {
    BlockSearch search(finder, inode.content.id);
    EXPECT_EQ(search.find(Kind::data_block, 0, {{0, kBlocks}}).size(), kBlocks);
    EXPECT_LE(search.tries(), 2 * kBlocks);
  });
}

}  // namespace
}  // namespace tain::store
