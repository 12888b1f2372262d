// SPDX-License-Identifier: Apache-2.0
// The database as a whole: what opening refuses, and that digests and counts are those of the tables.
#include "store/database.h"

#include <gtest/gtest.h>
#include <lmdb.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "tests/support/audit.h"
#include "tests/support/temp_directory.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::audit_store;
using test::TempVault;
using Complaints = std::vector<std::string>;

/// A database without a vault around it.
class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() { open(true); }

  void open(bool create) {
    database_.reset();
    env_.reset();
    env_ = Env::open(path(), {.map_size_bytes = uint64_t{1} << 30, .create = create}).value();
    database_ = std::make_unique<Database>(*env_, cipher_, uint64_t{1} << 20);
  }
  std::string path() const { return directory_.path("data.mdb"); }

  Inode inode(uint64_t number) const {
    Inode out;
    out.ino = Ino{number};
    out.nlink = 1;
    out.mode = S_IFREG | 0600;
    return out;
  }
  Result<> put(Batch& batch, const Inode& record, bool fresh) {
    return batch.put_record(Table::inodes, ino_key(record.ino), Kind::inode, kInodeSchema, encode_inode(record), fresh);
  }
  /// Commits `change` on top of `state`.
  State commit(const State& state, const std::function<Result<>(Batch&)>& change) {
    Batch batch = Batch::begin(*database_, state).value();
    EXPECT_TRUE(change(batch).ok());
    return std::move(batch).commit(state).value();
  }

  test::TempDirectory directory_;
  const Cipher cipher_{MasterKey{Secret(32)}, VaultId{}, 1};
  std::unique_ptr<Env> env_;
  std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, ABlockSealedInItsPlaceIsLikeOneThatWasPut) {
  const BlockPlace place{.content = ContentId{}, .id = {1, 1}, .level = 0, .index = 0};
  const BlockPlace other{.content = ContentId{}, .id = {1, 2}, .level = 0, .index = 1};
  const Bytes plain(50'000, 7);
  const Bytes small(100, 8);
  BlockRef ref, small_ref;

  const State state = commit({}, [&](Batch& batch) -> Result<> {
    const ByteSpan room = TRY(batch.reserve_block(place.id, block_value_size(plain.size())));
    ref = cipher_.seal_block_into(room, Suite::xchacha20_poly1305, place, Kind::data_block, plain);
    batch.reserved_block_sealed(place.id, room);
    SealedBlock sealed = cipher_.seal_block(Suite::xchacha20_poly1305, other, Kind::data_block, small);
    small_ref = sealed.ref;
    return batch.put_block(other.id, sealed.value);
  });

  const auto txn = ReadTxn::begin(*env_);
  Bytes got(plain.size()), got_small(small.size());
  ASSERT_TRUE(database_->read_block(*txn, place, ref, 0, got).ok());
  ASSERT_TRUE(database_->read_block(*txn, other, small_ref, 0, got_small).ok());
  EXPECT_EQ(got, plain);
  EXPECT_EQ(got_small, small);
  // The digest counts both: taking both away leaves nothing of it.
  const State none = commit(state, [&](Batch& batch) -> Result<> {
    TRY(batch.remove(Table::blocks, block_key(place.id)));
    return batch.remove(Table::blocks, block_key(other.id));
  });
  EXPECT_EQ(none.sets, State{}.sets);
}

TEST_F(DatabaseTest, ACacheThatWasClearedTakesBlocksAgain) {
  BlockCache cache(1000);
  cache.insert({1, 1}, std::make_shared<const Bytes>(Bytes(500, 1)));
  ASSERT_NE(cache.data({1, 1}), nullptr);

  cache.clear();

  EXPECT_EQ(cache.data({1, 1}), nullptr);
  cache.insert({1, 2}, std::make_shared<const Bytes>(Bytes(800, 2)));
  EXPECT_NE(cache.data({1, 2}), nullptr);
}

TEST_F(DatabaseTest, DigestForgetsWhatIsRemoved) {
  const State empty;
  const State one = commit(empty, [&](Batch& b) { return put(b, inode(5), true); });
  EXPECT_EQ(one.sets[2].count, 1u);
  EXPECT_NE(one.sets[2].sum, Id32{});
  const State two = commit(one, [&](Batch& b) { return put(b, inode(6), true); });
  EXPECT_EQ(two.sets[2].count, 2u);

  const State again = commit(two, [&](Batch& b) { return b.remove(Table::inodes, ino_key(Ino{6})); });

  EXPECT_EQ(again.sets, one.sets) << "the digest depends on the records alone";
  const State none = commit(again, [&](Batch& b) { return b.remove(Table::inodes, ino_key(Ino{5})); });
  EXPECT_EQ(none.sets, empty.sets);
}

TEST_F(DatabaseTest, DigestFollowsAReplacedRecord) {
  const State one = commit({}, [&](Batch& b) { return put(b, inode(5), true); });
  const State changed = commit(one, [&](Batch& b) { return put(b, inode(5), false); });
  EXPECT_EQ(changed.sets[2].count, 1u);
  EXPECT_NE(changed.sets[2].sum, one.sets[2].sum) << "it was sealed anew";

  const State none = commit(changed, [&](Batch& b) { return b.remove(Table::inodes, ino_key(Ino{5})); });

  EXPECT_EQ(none.sets, State().sets);
}

TEST_F(DatabaseTest, RemovingWhatIsNotThereChangesNothing) {
  const State one = commit({}, [&](Batch& b) { return put(b, inode(5), true); });
  const State same = commit(one, [&](Batch& b) { return b.remove(Table::inodes, ino_key(Ino{6})); });
  EXPECT_EQ(same.sets, one.sets);
}

TEST_F(DatabaseTest, AbandonedBatchLeavesNoTrace) {
  const State one = commit({}, [&](Batch& b) { return put(b, inode(5), true); });
  {
    Batch batch = Batch::begin(*database_, one).value();
    ASSERT_TRUE(put(batch, inode(6), true).ok());
  }

  ReadTxn txn = ReadTxn::begin(*env_).value();
  EXPECT_FALSE(database_->load_inode(txn, Ino{6}).value().has_value());
  EXPECT_EQ(database_->load_state(txn).value(), one);
}

TEST_F(DatabaseTest, RecordUnderAnotherKeyIsCorrupt) {
  commit({}, [&](Batch& b) -> Result<> {
    return b.put_record(Table::inodes, ino_key(Ino{5}), Kind::inode, kInodeSchema, encode_inode(inode(6)), true);
  });
  ReadTxn txn = ReadTxn::begin(*env_).value();
  EXPECT_TRUE(database_->load_inode(txn, Ino{5}).is(Code::corrupt)) << "it names inode 6";
}

TEST_F(DatabaseTest, RecordOfAnotherKindIsCorrupt) {
  commit({}, [&](Batch& b) -> Result<> {
    return b.put_record(Table::inodes, ino_key(Ino{5}), Kind::dirent, kInodeSchema, encode_inode(inode(5)), true);
  });
  ReadTxn txn = ReadTxn::begin(*env_).value();
  EXPECT_TRUE(database_->load_inode(txn, Ino{5}).is(Code::corrupt));
}

TEST_F(DatabaseTest, NewerSchemaIsNotMistakenForDamage) {
  commit({}, [&](Batch& b) -> Result<> {
    return b.put_record(Table::inodes, ino_key(Ino{5}), Kind::inode, kInodeSchema + 1, encode_inode(inode(5)), true);
  });
  ReadTxn txn = ReadTxn::begin(*env_).value();
  EXPECT_TRUE(database_->load_inode(txn, Ino{5}).is(Code::format_too_new));
}

TEST_F(DatabaseTest, ReadTransactionKeepsItsView) {
  const State one = commit({}, [&](Batch& b) { return put(b, inode(5), true); });
  ReadTxn before = ReadTxn::begin(*env_).value();
  commit(one, [&](Batch& b) { return b.remove(Table::inodes, ino_key(Ino{5})); });

  EXPECT_TRUE(database_->load_inode(before, Ino{5}).value().has_value());
  ReadTxn after = ReadTxn::begin(*env_).value();
  EXPECT_FALSE(database_->load_inode(after, Ino{5}).value().has_value());
}

TEST_F(DatabaseTest, FullMapIsNoSpaceAndTheLastCommitStays) {
  database_.reset();
  env_.reset();
  env_ = Env::open(path(), {.map_size_bytes = uint64_t{1} << 20, .create = false}).value();
  database_ = std::make_unique<Database>(*env_, cipher_, 0);
  const State one = commit({}, [&](Batch& b) { return put(b, inode(5), true); });

  Result<> failed;
  {
    Batch batch = Batch::begin(*database_, one).value();
    for (uint64_t i = 1; i < 100 && failed.ok(); ++i) failed = batch.put_block({.writer = 1, .number = i}, Bytes(65536));
  }

  EXPECT_TRUE(failed.is(Code::no_space));
  ReadTxn txn = ReadTxn::begin(*env_).value();
  EXPECT_EQ(database_->load_state(txn).value(), one);
}

TEST_F(DatabaseTest, TruncatedFileIsRefusedBeforeItIsTouched) {
  State state;
  for (uint64_t i = 1; i < 200; ++i)
    state = commit(state, [&](Batch& b) { return b.put_block({.writer = 1, .number = i}, Bytes(9000)); });
  database_.reset();
  env_.reset();
  const uint64_t size = std::filesystem::file_size(path());
  const std::string copy = directory_.path("copy.mdb");

  for (const uint64_t kept : {size - 1, size - 4096, size / 2, uint64_t{3 * 4096}, uint64_t{8192}}) {
    SCOPED_TRACE(kept);
    std::filesystem::copy_file(path(), copy, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(copy, kept);
    auto env = Env::open(copy, {.map_size_bytes = 0, .create = false});
    EXPECT_TRUE(env.is(Code::corrupt));
    EXPECT_EQ(std::filesystem::file_size(copy), kept) << "the damaged file is evidence";
  }
  EXPECT_TRUE(Env::open(path(), {}).ok());
}

TEST_F(DatabaseTest, EmptyFileIsRefused) {
  directory_.file("empty.mdb", "");
  EXPECT_TRUE(Env::open(directory_.path("empty.mdb"), {}).is(Code::corrupt));
}

TEST_F(DatabaseTest, ForeignFileIsRefused) {
  directory_.file("foreign.mdb", std::string(20000, 'x'));
  EXPECT_TRUE(Env::open(directory_.path("foreign.mdb"), {}).is(Code::corrupt));
}

TEST_F(DatabaseTest, MissingFileIsNotFound) {
  EXPECT_TRUE(Env::open(directory_.path("none.mdb"), {}).is(Code::not_found));
  EXPECT_FALSE(std::filesystem::exists(directory_.path("none.mdb")));
}

TEST_F(DatabaseTest, MissingTableIsCorrupt) {
  const std::string other = directory_.path("other.mdb");
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi dbi = 0;
  ASSERT_EQ(mdb_env_create(&env), 0);
  mdb_env_set_maxdbs(env, 6);
  ASSERT_EQ(mdb_env_open(env, other.c_str(), MDB_NOSUBDIR, 0600), 0);
  ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
  for (const char* name : {"state", "inodes", "dirents", "xattrs", "blocks"})  // no orphans
    ASSERT_EQ(mdb_dbi_open(txn, name, MDB_CREATE, &dbi), 0);
  ASSERT_EQ(mdb_txn_commit(txn), 0);
  mdb_env_close(env);

  auto opened = Env::open(other, {});

  ASSERT_TRUE(opened.is(Code::corrupt));
  EXPECT_NE(opened.error().message().find("orphans"), std::string::npos);
}

TEST(BlockCacheTest, EvictsTheLeastRecentlyUsed) {
  BlockCache cache(3 * (1000 + 128));
  const auto id = [](uint64_t n) { return BlockId{.writer = 1, .number = n}; };
  const auto put = [&](uint64_t n) {
    cache.insert(id(n), std::make_shared<const Bytes>(1000, static_cast<uint8_t>(n)));
  };
  for (uint64_t n : {uint64_t{1}, uint64_t{2}, uint64_t{3}}) put(n);
  ASSERT_NE(cache.data(id(1)), nullptr);

  put(4);

  EXPECT_EQ(cache.data(id(2)), nullptr) << "1 was used after 2";
  for (uint64_t n : {uint64_t{1}, uint64_t{3}, uint64_t{4}}) {
    ASSERT_NE(cache.data(id(n)), nullptr) << n;
    EXPECT_EQ(cache.data(id(n))->front(), n);
  }
}

TEST(BlockCacheTest, TooLargeAnEntryIsNotKeptAndPushesNothingOut) {
  BlockCache cache(2000);
  cache.insert({.writer = 1, .number = 1}, std::make_shared<const Bytes>(1000));
  cache.insert({.writer = 1, .number = 2}, std::make_shared<const Bytes>(5000));
  EXPECT_NE(cache.data({.writer = 1, .number = 1}), nullptr);
  EXPECT_EQ(cache.data({.writer = 1, .number = 2}), nullptr);
}

TEST(BlockCacheTest, HandedOutBlocksOutliveTheirEviction) {
  BlockCache cache(1200);
  cache.insert({.writer = 1, .number = 1}, std::make_shared<const Bytes>(1000, uint8_t{7}));
  auto held = cache.data({.writer = 1, .number = 1});
  cache.insert({.writer = 1, .number = 2}, std::make_shared<const Bytes>(1000));
  EXPECT_EQ(cache.data({.writer = 1, .number = 1}), nullptr);
  EXPECT_EQ(held->at(999), 7);
}

TEST(BlockCacheTest, DataAndNodesAreApart) {
  BlockCache cache(10000);
  cache.insert({.writer = 1, .number = 1}, std::make_shared<const RefList>());
  EXPECT_EQ(cache.data({.writer = 1, .number = 1}), nullptr);
  EXPECT_NE(cache.node({.writer = 1, .number = 1}), nullptr);
}

TEST(StoreAuditTest, SoundAfterManyRandomCommits) {
  TempVault temp({.committer_thread = false});
  std::mt19937_64 random(7);
  const auto pick = [&](uint64_t below) { return random() % below; };
  std::vector<Ino> directories{kRootIno};
  for (int i = 0; i < 4; ++i) directories.push_back(temp.make_directory(kRootIno, "dir" + std::to_string(i)));
  for (int step = 0; step < 3000; ++step) {
    const Ino directory = directories[pick(directories.size())];
    const std::string name = "n" + std::to_string(pick(40));
    auto found = temp.tree().lookup(directory, name);
    switch (pick(8)) {
      case 0: {
        auto gone = temp.tree().unlink(directory, name);
        if (gone.ok() && gone->orphan && pick(2) == 0) { EXPECT_TRUE(temp.tree().reap(gone->ino).ok()); }
        break;
      }
      case 1: {
        auto moved = temp.tree().rename(directory, name, directories[pick(directories.size())],
                                        "n" + std::to_string(pick(40)), pick(3) == 0 ? RenameMode::exchange
                                                                                      : RenameMode::replace);
        if (moved.ok() && moved->has_value() && (*moved)->orphan) { EXPECT_TRUE(temp.tree().reap((*moved)->ino).ok()); }
        break;
      }
      case 2:
        if (found.ok() && S_ISREG(found->mode)) {
          const uint64_t size = pick(4) == 0 ? 0 : pick(3'000'000);
          EXPECT_TRUE(temp.tree().setattr(found->ino, {.mode = {}, .size = size}).ok());
        }
        break;
      case 3:
        if (found.ok()) {
          const std::string attribute = "user." + std::to_string(pick(2));
          if (pick(2) == 0) EXPECT_TRUE(temp.tree().set_xattr(found->ino, attribute, as_bytes("v"), XattrMode::any).ok());
          else static_cast<void>(temp.tree().remove_xattr(found->ino, attribute).ok());
        }
        break;
      default:
        if (!found.ok()) {
          temp.make_file(directory, name);
        } else if (S_ISREG(found->mode)) {
          temp.write(found->ino, pick(3) == 0 ? pick(2'500'000) : pick(100'000), std::string(pick(70'000), 'd'));
        }
    }
    if (pick(20) == 0) { EXPECT_TRUE(temp.vault().sync().ok()); }
    if (pick(20) == 0) { EXPECT_TRUE(temp.vault().fsync(kRootIno).ok()); }
  }
  ASSERT_TRUE(temp.vault().close().ok());
  temp.close();
  EXPECT_EQ(audit_store(temp.directory(), TempVault::password()), Complaints());
}

TEST(StoreAuditTest, NoticesALostRecord) {
  // The audit itself must be able to fail.
  TempVault temp({.committer_thread = false});
  temp.make_file(kRootIno, "a");
  ASSERT_TRUE(temp.vault().close().ok());
  temp.close();
  const std::string path = temp.directory() + "/data.mdb";
  {
    auto env = Env::open(path, {}).value();
    WriteTxn txn = WriteTxn::begin(*env).value();
    ASSERT_TRUE(txn.remove(Table::inodes, ino_key(Ino{2})).value());
    ASSERT_TRUE(std::move(txn).commit().ok());
  }
  const Complaints lost = audit_store(temp.directory(), TempVault::password());
  ASSERT_FALSE(lost.empty());
  EXPECT_EQ(lost[0], "inode 2: its name is there, its inode is not (/a)");
  EXPECT_EQ(lost[1], "table inodes: 2 values were stored, 1 are there");
}

}  // namespace
}  // namespace tain::store
