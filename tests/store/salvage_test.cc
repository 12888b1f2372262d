// SPDX-License-Identifier: Apache-2.0
// Where tain salvage builds the new vault, and what a failed run leaves. What it saves is tested in damage_test.cc.
#include "store/salvage.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/store/vault_edits.h"
#include "tests/support/own_process.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempDir;
using test::TempVault;

class SalvageTest : public testing::Test {
 protected:
  void SetUp() override {
    const Ino file = vault_.make_file(kRootIno, "file");
    vault_.write(file, 0, std::string(100'000, 'x'));
    ASSERT_TRUE(vault_.vault().close().ok());
    vault_.close();
  }
  Result<SalvageReport> salvage(const std::string& to) {
    return salvage_vault(vault_.directory(), to, TempVault::password(), {});
  }
  static bool is_empty(const std::string& directory) { return std::filesystem::is_empty(directory); }

  TempVault vault_{OpenOptions{.committer_thread = false}};
  TempDir place_;
  const std::string to_ = place_.path() + "/new";
};

TEST_F(SalvageTest, TheNewVaultStandsInItsPlaceAlone) {
  auto report = salvage(to_ + "/");
  ASSERT_TRUE(report.ok()) << report.error().message();

  EXPECT_EQ(report->entries, 2u);
  EXPECT_FALSE(std::filesystem::exists(to_ + ".unfinished"));
  OpenOptions options;
  options.read_only = true;
  auto opened = Vault::open(to_, options, TempVault::password());
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  EXPECT_EQ((*opened)->tree().lookup(kRootIno, "file")->size, 100'000u);
}

TEST_F(SalvageTest, AnEmptyDirectoryIsTakenAndAnotherIsNot) {
  std::filesystem::create_directory(to_);
  EXPECT_TRUE(salvage(to_).ok());

  EXPECT_TRUE(salvage(to_).is(Code::not_empty)) << "it is a vault now";
  EXPECT_TRUE(salvage(place_.path() + "/no/such/place").is(Code::not_found));
}

TEST_F(SalvageTest, AFailedRunLeavesNothing) {
  // As on a full disk: no file may grow to what the journal takes.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);

  const auto report = salvage(to_);

  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(report.ok());
  EXPECT_TRUE(is_empty(place_.path()));
  EXPECT_TRUE(salvage(to_).ok()) << "and is not in the way of the next";
}

TEST_F(SalvageTest, WhatAKilledRunLeftIsNamedAndNotTouched) {
  const std::string left = to_ + ".unfinished";
  std::filesystem::create_directory(left);

  const auto report = salvage(to_);

  ASSERT_TRUE(report.is(Code::exists));
  EXPECT_NE(report.error().message().find(left), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(left));
  EXPECT_FALSE(std::filesystem::exists(to_));
}

/// The exit code: passed when check finds nothing damaged, and salvage does not begin.
int look_without_aes(const std::string& directory, const std::string& to) {
  if (suite_available(Suite::aes_256_gcm)) return 1;
  const auto report = check_vault(directory, TempVault::password(), {});
  if (!report.ok()) return 2;
  for (const Finding& found : report->findings)
    if (found.end != 0 || found.what.find("lacks its cipher") == std::string::npos) return 3;
  if (report->findings.size() != 2) return 4;
  return salvage_vault(directory, to, TempVault::password(), {}).is(Code::suite_missing) ? test::kOwnProcessPassed : 5;
}

TEST(SalvageSuiteTest, WithoutAesNothingIsTakenForDamaged) {
  if (const char* directory = std::getenv("TAIN_TEST_VAULT"))
    std::exit(look_without_aes(directory, std::string(directory) + ".new"));
  if (!suite_available(Suite::aes_256_gcm)) GTEST_SKIP() << "this CPU has no AES to take away";
  TempVault temp({.committer_thread = false}, {.suite = Suite::aes_256_gcm, .kdf = test::kTestCost});
  temp.write(temp.make_file(kRootIno, "small"), 0, "old");
  temp.write(temp.make_file(kRootIno, "large"), 0, std::string(2'000'000, 'l'));  // with a map node
  ASSERT_TRUE(temp.vault().close().ok());
  temp.close();

  EXPECT_EQ(test::run_in_own_process("TAIN_TEST_NO_AES=1 TAIN_TEST_VAULT='" + temp.directory() + "'"),
            test::kOwnProcessPassed);
}

TEST_F(SalvageTest, AttributesAreKeptWhereTheInodeDoesNotKnowOfThem) {
  vault_.reopen();
  const Ino file = vault_.tree().lookup(kRootIno, "file").value().ino;
  ASSERT_TRUE(vault_.tree().set_xattr(file, "user.note", as_bytes("kept"), XattrMode::any).ok());
  ASSERT_TRUE(vault_.vault().close().ok());
  vault_.close();
  test::change_database(vault_.directory(), [&](Env& env, const Cipher& cipher) {
    Database database(env, cipher, 0);
    ReadTxn read = ReadTxn::begin(env).value();
    const State state = database.load_state(read).value();
    Inode inode = *database.load_inode(read, file).value();
    inode.flags = 0;
    Batch batch = Batch::begin(database, state).value();
    const auto key = ino_key(file);
    ASSERT_TRUE(batch.put_record(Table::inodes, key, Kind::inode, kInodeSchema, encode_inode(inode), false).ok());
    ASSERT_TRUE(std::move(batch).commit(state).ok());
  });

  ASSERT_TRUE(salvage(to_).ok());

  auto opened = Vault::open(to_, {.committer_thread = false}, TempVault::password()).value();
  const auto value = opened->tree().get_xattr(opened->tree().lookup(kRootIno, "file").value().ino, "user.note");
  ASSERT_TRUE(value.ok()) << value.error().message();
  EXPECT_EQ(as_text(*value), "kept");
}

/// What frames of the journal speak of, and the database has in part.
class SalvageJournalTest : public SalvageTest {
 protected:
  std::string content_of_new(const std::string& name, bool* is_damaged = nullptr) {
    auto opened = Vault::open(to_, {.committer_thread = false}, TempVault::password()).value();
    const auto attr = opened->tree().lookup(kRootIno, name);
    if (!attr.ok()) return attr.error().message();
    std::string out(attr->size, ' ');
    EXPECT_TRUE(opened->content().read(attr->ino, 0, {reinterpret_cast<uint8_t*>(out.data()), out.size()}).ok());
    if (is_damaged != nullptr) *is_damaged = opened->tree().get_xattr(attr->ino, kDamagedXattr).ok();
    return out;
  }
  std::string read_new(const std::string& name) {
    bool is_damaged = false;
    const std::string content = content_of_new(name, &is_damaged);
    return is_damaged ? "damaged" : content;
  }
};

TEST_F(SalvageJournalTest, AFileThatGotItsFirstNameInTheJournalIsWhole) {
  vault_.reopen();
  const std::string text(100'000, 'u');
  const Ino file = vault_.tree().make_unnamed(kRootIno, {.mode = S_IFREG | 0600, .symlink = {}}).value().ino;
  vault_.write(file, 0, text);
  ASSERT_TRUE(vault_.vault().sync().ok());
  ASSERT_TRUE(vault_.tree().link(file, kRootIno, "named").ok());
  ASSERT_TRUE(vault_.vault().fsync(kRootIno).ok());
  vault_.leave_crashed();

  ASSERT_TRUE(salvage(to_).ok());

  EXPECT_EQ(read_new("named"), text);
}

TEST_F(SalvageJournalTest, WhatOnlyTheJournalHasIsSaidToBeIncompleteAlsoWithoutTheStateRecord) {
  vault_.reopen();
  const Ino file = vault_.make_file(kRootIno, "changed");
  vault_.write(file, 0, std::string(100'000, 'c'));
  ASSERT_TRUE(vault_.vault().sync().ok());
  ASSERT_TRUE(vault_.tree().setattr(file, {.mode = 0600}).ok());
  ASSERT_TRUE(vault_.vault().fsync(file).ok());
  vault_.leave_crashed();
  test::remove_value(vault_.directory(), Table::inodes, ino_key(file));
  test::edit_value(vault_.directory(), Table::state, kStateKey, [](Bytes& value) { value[50] ^= 1; });

  auto report = salvage(to_);

  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ(report->files_incomplete, 1u);
  EXPECT_EQ(read_new("changed"), "damaged");
}

TEST_F(SalvageJournalTest, ItsOnlyFrameIsAppliedAlsoWhereOnlyAnOlderStateRecordIsFound) {
  vault_.reopen();
  for (const char* name : {"first", "second"}) {
    const Ino file = vault_.make_file(kRootIno, name);
    ASSERT_TRUE(vault_.vault().fsync(file).ok());
    ASSERT_TRUE(vault_.vault().sync().ok());
  }
  const Ino late = vault_.make_file(kRootIno, "late");
  vault_.write(late, 0, "only in the journal");
  ASSERT_TRUE(vault_.vault().fsync(late).ok());
  vault_.leave_crashed();
  const std::string database = vault_.directory() + "/data.mdb";
  {
    const LockedVault locked = LockedVault::open(vault_.directory(), TempVault::password()).value();
    const Survey survey = survey_database(database, *locked.cipher).value();
    ASSERT_EQ(survey.values(Table::state).size(), 1u);
    std::fstream file(database, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(survey.values(Table::state)[0].extent.offset + 50));
    file.write("damage", 6);
    ASSERT_TRUE(file.good());
  }

  auto report = salvage(to_);

  ASSERT_TRUE(report.ok()) << report.error().message();
  // Whether the database had more of it is not known, so it is called incomplete; but it is there.
  EXPECT_EQ(content_of_new("late"), "only in the journal");
  EXPECT_EQ(report->files_incomplete, 1u);
  EXPECT_EQ(read_new("second"), "");
}

}  // namespace
}  // namespace tain::store
