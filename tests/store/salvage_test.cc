// SPDX-License-Identifier: Apache-2.0
// Where tain salvage builds the new vault, and what a failed run leaves. What it saves is tested in damage_test.cc.
#include "store/salvage.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "store/carve.h"
#include "store/snapshot.h"
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

/// What the last commit changed, where the newest roots of the tables are lost and those of the commit before are
/// found.
class SalvageRootsTest : public SalvageJournalTest {
 protected:
  static constexpr size_t kPage = 4096;

  void SetUp() override {
    SalvageJournalTest::SetUp();
    vault_.reopen();
    for (const char* name : {"gone before", "changed", "moved", "unlinked", "replaced", "untouched"})
      vault_.write(vault_.make_file(kRootIno, name), 0, "as it was");
    const Ino folder = vault_.make_directory(kRootIno, "folder");
    for (const char* name : {"aaa", "zzz"}) vault_.make_directory(folder, name);
    ASSERT_TRUE(vault_.tree().set_xattr(ino_of("changed"), "user.note", as_bytes("old"), XattrMode::any).ok());
    ASSERT_TRUE(vault_.vault().sync().ok());
    const auto gone = vault_.tree().unlink(kRootIno, "gone before");
    ASSERT_TRUE(gone.ok() && vault_.tree().reap(gone->ino).ok());
    ASSERT_TRUE(vault_.vault().sync().ok());
  }

  Ino ino_of(const std::string& name) { return vault_.tree().lookup(kRootIno, name).value().ino; }
  void rename(Ino directory, const std::string& from, const std::string& to) {
    ASSERT_TRUE(vault_.tree().rename(directory, from, directory, to, RenameMode::replace).ok());
  }

  /// As if the disk had forgotten the newest page that has the roots of all tables.
  void lose_newest_roots() {
    vault_.leave_crashed();
    const std::string database = vault_.directory() + "/data.mdb";
    const LockedVault locked = LockedVault::open(vault_.directory(), TempVault::password()).value();
    const uint64_t newest_commit = survey_database(database, *locked.cipher).value().state.value().commit_number;
    std::fstream file(database, std::ios::in | std::ios::out | std::ios::binary);
    std::array<Bytes, 2> pages{Bytes(kPage), Bytes(kPage)};
    for (size_t i = 0; i < pages.size(); ++i) {
      file.seekg(static_cast<std::streamoff>(i * kPage));
      file.read(reinterpret_cast<char*>(pages[i].data()), kPage);
    }
    const MetaPage meta = newest_meta(parse_meta(pages[0], 0), parse_meta(pages[1], 1)).value();
    file.seekp(static_cast<std::streamoff>(meta.main.page * kPage));
    file.write(std::string(kPage, '\0').data(), kPage);
    file.close();
    ASSERT_TRUE(file.good());

    const Survey left = survey_database(database, *locked.cipher).value();
    ASSERT_TRUE(left.roots_searched && left.state.has_value());
    ASSERT_EQ(left.state->commit_number, newest_commit - 1);
  }
  static bool says(const SalvageReport& report, const std::string& text) {
    return std::any_of(report.remarks.begin(), report.remarks.end(),
                       [&](const std::string& remark) { return remark.find(text) != remark.npos; });
  }
};

TEST_F(SalvageRootsTest, WhatCameAfterTheCommitFoundIsTakenFromTheRawPages) {
  vault_.write(ino_of("changed"), 0, "as it became");
  vault_.write(vault_.make_file(kRootIno, "made"), 0, "new");
  rename(kRootIno, "moved", "moved on");
  rename(vault_.tree().lookup(kRootIno, "folder").value().ino, "zzz", "bbb");
  vault_.write(vault_.make_file(kRootIno, "draft"), 0, "instead");
  rename(kRootIno, "draft", "replaced");
  ASSERT_TRUE(vault_.tree().unlink(kRootIno, "unlinked").ok());  // and still in use
  ASSERT_TRUE(vault_.vault().sync().ok());
  lose_newest_roots();

  auto report = salvage(to_);

  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ(read_new("file"), std::string(100'000, 'x'));
  EXPECT_EQ(read_new("untouched"), "as it was");
  EXPECT_EQ(read_new("changed"), "as it became");
  EXPECT_EQ(read_new("made"), "new");
  EXPECT_EQ(read_new("moved on"), "as it was");
  EXPECT_EQ(read_new("replaced"), "instead");
  auto opened = Vault::open(to_, {.committer_thread = false}, TempVault::password()).value();
  for (const char* name : {"gone before", "moved", "unlinked", "draft"})
    EXPECT_TRUE(opened->tree().lookup(kRootIno, name).is(Code::not_found)) << name;
  const Ino folder = opened->tree().lookup(kRootIno, "folder").value().ino;
  EXPECT_TRUE(opened->tree().lookup(folder, "bbb").ok());
  EXPECT_TRUE(opened->tree().lookup(folder, "zzz").is(Code::not_found));
  ASSERT_EQ(report->damaged.size(), 1u);
  EXPECT_NE(report->damaged[0].what.find("an earlier commit"), std::string::npos) << report->damaged[0].what;
  EXPECT_TRUE(says(*report, "the name /moved is removed"));
  EXPECT_TRUE(says(*report, "the name /unlinked is removed"));
}

TEST_F(SalvageRootsTest, RemovalsThatNothingShowsAreCounted) {
  const auto unlinked = vault_.tree().unlink(kRootIno, "unlinked");
  ASSERT_TRUE(unlinked.ok() && vault_.tree().reap(unlinked->ino).ok());
  ASSERT_TRUE(vault_.vault().sync().ok());
  lose_newest_roots();

  auto report = salvage(to_);

  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ(read_new("unlinked"), "as it was") << "rather too much than too little";
  EXPECT_TRUE(says(*report, "/ has 1 more than its newest record says"));
}

TEST_F(SalvageRootsTest, ExtendedAttributesFollowTheNewestInode) {
  const Ino changed = ino_of("changed"), untouched = ino_of("untouched");
  ASSERT_TRUE(vault_.tree().remove_xattr(changed, "user.note").ok());
  ASSERT_TRUE(vault_.tree().set_xattr(untouched, "user.note", as_bytes("first"), XattrMode::any).ok());
  ASSERT_TRUE(vault_.vault().sync().ok());
  lose_newest_roots();

  ASSERT_TRUE(salvage(to_).ok());

  auto opened = Vault::open(to_, {.committer_thread = false}, TempVault::password()).value();
  EXPECT_TRUE(opened->tree().get_xattr(changed, "user.note").is(Code::no_attribute));
  const auto first = opened->tree().get_xattr(untouched, "user.note");
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(as_text(*first), "first");
}

TEST_F(SalvageRootsTest, AttributesThatMayBeOlderAreSaidToBe) {
  ASSERT_TRUE(vault_.tree().set_xattr(ino_of("changed"), "user.note", as_bytes("new"), XattrMode::any).ok());
  ASSERT_TRUE(vault_.vault().sync().ok());
  lose_newest_roots();

  auto report = salvage(to_);

  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_TRUE(says(*report, "/changed: which of several records of its extended attributes is the newest"));
}

TEST_F(SalvageRootsTest, WhereNothingOfTheNewestContentIsLeftTheOneBeforeStandsIn) {
  vault_.write(ino_of("changed"), 0, "as it became");
  ASSERT_TRUE(vault_.vault().sync().ok());
  lose_newest_roots();
  {
    const LockedVault locked = LockedVault::open(vault_.directory(), TempVault::password()).value();
    const std::string database = vault_.directory() + "/data.mdb";
    Survey survey = survey_database(database, *locked.cipher).value();
    const auto before = survey.values(Table::blocks);
    const std::vector<CarvedBlock> carved = carve(survey, *locked.cipher, {}).value();
    std::fstream file(database, std::ios::in | std::ios::out | std::ios::binary);
    size_t harmed = 0;
    for (const CarvedBlock& block : carved) {
      if (std::any_of(before.begin(), before.end(),
                      [&](const StoredValue& value) { return value.extent.offset == block.offset; }))
        continue;
      file.seekp(static_cast<std::streamoff>(block.offset + kBlockHeaderSize));
      file.write("damage", 6);
      ++harmed;
    }
    ASSERT_GT(harmed, 0u);
  }

  auto report = salvage(to_);

  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ(read_new("changed"), "as it was");
  EXPECT_TRUE(std::any_of(report->damaged.begin(), report->damaged.end(), [](const Finding& found) {
    return found.path == "/changed" && found.what.find("that of an earlier commit stands in") != found.what.npos;
  }));
}

TEST_F(SalvageRootsTest, TheJournalOfTheNewestCommitIsApplied) {
  vault_.write(ino_of("changed"), 0, "as it became");
  ASSERT_TRUE(vault_.vault().sync().ok());
  vault_.write(vault_.make_file(kRootIno, "late"), 0, "only in the journal");
  vault_.write(ino_of("changed"), 3, "IT");
  ASSERT_TRUE(vault_.vault().fsync(kRootIno).ok());
  lose_newest_roots();

  auto report = salvage(to_);

  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ(content_of_new("late"), "only in the journal");
  EXPECT_EQ(content_of_new("changed"), "as IT became");
}

}  // namespace
}  // namespace tain::store
