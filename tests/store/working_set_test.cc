// SPDX-License-Identifier: Apache-2.0
// What the working set keeps in memory of what is committed, and for how long its committer waits.
#include "store/working_set.h"

#include <gtest/gtest.h>

#include "tests/support/temp_vault.h"
#include "tests/support/temp_directory.h"

namespace tain::store {
namespace {

class WorkingSetTest : public testing::Test {
 protected:
  WorkingSetTest() {
    Batch batch = Batch::begin(database_, {}).value();
    for (const Ino ino : {Ino{5}, Ino{6}}) {
      Inode inode;
      inode.ino = ino;
      inode.nlink = 1;
      inode.mode = S_IFREG | 0600;
      EXPECT_TRUE(batch.put_record(Table::inodes, ino_key(inode.ino), Kind::inode, kInodeSchema, encode_inode(inode), true).ok());
    }
    EXPECT_TRUE(std::move(batch).commit({}).ok());
  }

  test::TempDirectory files_;
  const Cipher cipher_{MasterKey{Secret(32)}, VaultId{}, 1};
  std::unique_ptr<Env> env_ =
      Env::open(files_.path("data.mdb"), {.map_size_bytes = uint64_t{1} << 26, .create = true}).value();
  Database database_{*env_, cipher_, 0};
  test::FakeClock clock_;
  WorkingSet set_{database_, clock_, {}, 1, {}};
};

TEST_F(WorkingSetTest, CleanInodesAreDroppedUnlessTheirAccessTimeWouldBeForgotten) {
  std::lock_guard lock(set_.mutex());
  CachedInode* const read = set_.find(Ino{6}).value();
  clock_.advance_seconds(1);
  set_.note_access(*read);
  const Time accessed = read->record.atime;
  set_.find(Ino{5}).value()->record.mode = S_IFREG | 0777;  // seen as long as it is cached

  set_.drop_clean();

  EXPECT_EQ(set_.find(Ino{5}).value()->record.mode, S_IFREG | 0600u);
  EXPECT_EQ(set_.find(Ino{6}).value()->record.atime, accessed);
}

TEST_F(WorkingSetTest, ChangedInodesStay) {
  std::lock_guard lock(set_.mutex());
  CachedInode* const changed = set_.find(Ino{5}).value();
  changed->record.mode = S_IFREG | 0640;
  set_.touch(*changed);

  set_.drop_clean();

  EXPECT_EQ(set_.find(Ino{5}).value(), changed);
  EXPECT_EQ(changed->record.mode, S_IFREG | 0640u);
}

TEST_F(WorkingSetTest, EachUseCounts) {
  uint64_t before = 0;
  {
    std::lock_guard lock(set_.mutex());
    before = set_.uses();
  }
  { const auto lock = set_.lock(); }
  std::lock_guard lock(set_.mutex());
  EXPECT_EQ(set_.uses(), before + 1);
}

TEST_F(WorkingSetTest, WaitingForWorkEndsWhenThereIsNoneForAWhile) {
  std::unique_lock lock(set_.mutex());
  const bool stop = false;
  EXPECT_FALSE(set_.wait_for_work(lock, stop, std::chrono::milliseconds(1)));
  set_.touch(*set_.find(Ino{5}).value());
  EXPECT_TRUE(set_.wait_for_work(lock, stop, std::chrono::milliseconds(1)));
}

}  // namespace
}  // namespace tain::store
