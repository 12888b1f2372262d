// SPDX-License-Identifier: Apache-2.0
#include "store/check.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "store/database.h"
#include "store/repair.h"
#include "store/salvage.h"
#include "tests/store/vault_edits.h"
#include "tests/support/audit.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempVault;

/// A small vault, closed, whose values the tests change behind tain's back.
class CheckTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = temp_.make_file(kRootIno, "file");
    temp_.write(file_, 0, std::string(10000, 'x'));
    folder_ = temp_.make_directory(kRootIno, "folder");
    inner_ = temp_.make_file(folder_, "inner");
    temp_.write(inner_, 0, "some text");
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    ASSERT_TRUE(check().findings.empty());
  }
  CheckReport check() {
    auto report = check_vault(temp_.directory(), TempVault::password(), {});
    EXPECT_TRUE(report.ok()) << report.error().message();
    return report.ok() ? *std::move(report) : CheckReport();
  }
  RepairReport repair() {
    auto report = repair_vault(temp_.directory(), TempVault::password(), {});
    EXPECT_TRUE(report.ok()) << report.error().message();
    return report.ok() ? *std::move(report) : RepairReport();
  }
  /// Runs `change` on the open database, with the keys. Digests stay as they were unless it uses a Batch.
  void change(const std::function<void(Env&, const Cipher&)>& change) {
    LockedVault vault = LockedVault::open(temp_.directory(), TempVault::password()).value();
    auto env = Env::open(temp_.directory() + "/data.mdb", {.map_size_bytes = uint64_t{1} << 28}).value();
    change(*env, *vault.cipher);
  }
  /// The stored bytes of one value, changed by `edit` and put back.
  void edit_value(Table table, ByteView key, const std::function<void(Bytes&)>& edit) {
    change([&](Env& env, const Cipher&) {
      WriteTxn txn = WriteTxn::begin(env).value();
      const ByteView stored = *txn.get(table, key).value();
      Bytes value(stored.begin(), stored.end());
      edit(value);
      ASSERT_TRUE(txn.put(table, key, value).ok());
      ASSERT_TRUE(std::move(txn).commit().ok());
    });
  }
  void edit_inode(Ino ino, const std::function<void(Inode&)>& edit) {
    change([&](Env& env, const Cipher& cipher) {
      Database database(env, cipher, 0);
      ReadTxn read = ReadTxn::begin(env).value();
      const State state = database.load_state(read).value();
      Inode inode = *database.load_inode(read, ino).value();
      edit(inode);
      Batch batch = Batch::begin(database, state).value();
      ASSERT_TRUE(
          batch.put_record(Table::inodes, ino_key(ino), Kind::inode, kInodeSchema, encode_inode(inode), false).ok());
      ASSERT_TRUE(std::move(batch).commit(state).ok());
    });
  }
  void remove_name(Ino directory, const std::string& name) {
    change([&](Env& env, const Cipher& cipher) {
      Database database(env, cipher, 0);
      ReadTxn read = ReadTxn::begin(env).value();
      const auto names = database.load_dirents(read, directory, Cookie{0}, Cookie{kNoBlock}, 10).value();
      WriteTxn txn = WriteTxn::begin(env).value();
      for (const Dirent& dirent : names.entries)
        if (dirent.name == name) {
          ASSERT_TRUE(txn.remove(Table::dirents, dirent_key(directory, dirent.cookie)).value());
        }
      ASSERT_TRUE(std::move(txn).commit().ok());
    });
  }
  void add_name(Ino directory, const std::string& name, Ino child, uint32_t mode) {
    change([&](Env& env, const Cipher& cipher) {
      Database database(env, cipher, 0);
      const State state = database.load_state(ReadTxn::begin(env).value()).value();
      const Cookie cookie{cipher.name_hash(directory, name)};
      const Dirent dirent{.directory = directory,
                          .cookie = cookie,
                          .child = child,
                          .type = dirent_type(mode),
                          .location_stamp = {},
                          .name = name};
      Batch batch = Batch::begin(database, state).value();
      ASSERT_TRUE(batch
                      .put_record(Table::dirents, dirent_key(directory, cookie), Kind::dirent, kDirentSchema,
                                  encode_dirent(dirent), true)
                      .ok());
      ASSERT_TRUE(std::move(batch).commit(state).ok());
    });
  }
  static bool mentions(const std::vector<Finding>& findings, const std::string& path, const std::string& what) {
    return std::any_of(findings.begin(), findings.end(), [&](const Finding& found) {
      return found.path == path && found.what.find(what) != std::string::npos;
    });
  }
  static bool says(const std::vector<Finding>& findings, const std::string& what) {
    return std::any_of(findings.begin(), findings.end(),
                       [&](const Finding& found) { return found.what.find(what) != std::string::npos; });
  }
  std::vector<std::string> audit() { return test::audit_store(temp_.directory(), TempVault::password()); }

  TempVault temp_{OpenOptions{.committer_thread = false}};
  Ino file_{}, folder_{}, inner_{};
};

TEST_F(CheckTest, TellsRotFromTamperingFromADamagedChecksum) {
  const auto key = ino_key(inner_);
  const auto seal_checksum = [&](Bytes& value) {
    const auto checksum = value_checksum(Table::inodes, key, ByteView(value).first(value.size() - kChecksumSize));
    std::copy(checksum.begin(), checksum.end(), value.end() - kChecksumSize);
  };
  const auto diagnosis = [&] {
    for (const Finding& found : check().findings)
      if (found.part == Part::record && found.ino == inner_) return found.damage;
    return Damage::none;
  };

  edit_value(Table::inodes, key, [](Bytes& value) { value.back() ^= 1; });
  EXPECT_EQ(diagnosis(), Damage::checksum_only);
  edit_value(Table::inodes, key, [](Bytes& value) { value[100] ^= 1; });
  EXPECT_EQ(diagnosis(), Damage::rot);
  edit_value(Table::inodes, key, [&](Bytes& value) { seal_checksum(value); });
  EXPECT_EQ(diagnosis(), Damage::tampering);
}

TEST_F(CheckTest, APastThatADevelopmentVersionWroteIsRefusedByAll) {
  edit_inode(file_, [](Inode& inode) { inode.flags |= 16; });

  EXPECT_TRUE(check_vault(temp_.directory(), TempVault::password(), {}).is(Code::format_too_old));
  EXPECT_TRUE(repair_vault(temp_.directory(), TempVault::password(), {}).is(Code::format_too_old));
  EXPECT_TRUE(salvage_vault(temp_.directory(), temp_.directory() + ".salvaged", TempVault::password(), {}).is(Code::format_too_old));
  temp_.reopen();
  EXPECT_TRUE(temp_.tree().getattr(file_).is(Code::format_too_old));
}

TEST_F(CheckTest, NamesTheBytesOfAFileThatCannotBeRead) {
  BlockId id;
  change([&](Env& env, const Cipher& cipher) {
    Database database(env, cipher, 0);
    ReadTxn txn = ReadTxn::begin(env).value();
    id = database.load_inode(txn, file_).value()->content.root.begin()->second.id;
  });
  // 10 000 bytes are three cells; the middle one is hit.
  edit_value(Table::blocks, block_key(id), [](Bytes& value) { value[kBlockHeaderSize + 3 * 16 + 5000] ^= 1; });

  const CheckReport report = check();

  ASSERT_TRUE(mentions(report.findings, "/file", "bytes 4096 to 8191"));
  const auto found =
      std::find_if(report.findings.begin(), report.findings.end(), [](const Finding& f) { return f.end != 0; });
  EXPECT_EQ(found->begin, 4096u);
  EXPECT_EQ(found->end, 8192u);
  EXPECT_EQ(found->damage, Damage::rot);
  EXPECT_FALSE(found->repairable);
}

TEST_F(CheckTest, AnImpossibleSizeDoesNotMarkThePagesBehind) {
  const std::string path = temp_.directory() + "/data.mdb";
  std::string file;
  {
    std::ifstream in(path, std::ios::binary);
    file.assign(std::istreambuf_iterator<char>(in), {});
  }
  BlockId id;
  change([&](Env& env, const Cipher& cipher) {
    Database database(env, cipher, 0);
    ReadTxn txn = ReadTxn::begin(env).value();
    id = database.load_inode(txn, file_).value()->content.root.begin()->second.id;
  });
  // The node: 4 bytes of size, 2 of flags (the value lies elsewhere), 2 of the key's length, and the key.
  const auto key = block_key(id);
  const std::string node = std::string("\1\0\x10\0", 4) + std::string(key.begin(), key.end());
  size_t at = file.find(node), count = 0;
  for (; at != std::string::npos; at = file.find(node, at + 1), ++count) file[at - 1] = '\x7f';
  ASSERT_GT(count, 0u);
  std::ofstream(path, std::ios::binary).write(file.data(), static_cast<std::streamsize>(file.size()));

  const CheckReport report = check();

  EXPECT_TRUE(report.structure_damaged);
  EXPECT_FALSE(says(report.findings, "used twice"));
}

TEST_F(CheckTest, RepairMakesCountsRightAndKeepsACopy) {
  edit_inode(folder_, [](Inode& inode) { inode.children = 7; });
  edit_inode(inner_, [](Inode& inode) { inode.nlink = 3; });
  edit_inode(file_, [](Inode& inode) { inode.content.allocated = 1; });
  ASSERT_TRUE(mentions(check().findings, "/folder/inner", "link count"));

  const RepairReport report = repair();

  EXPECT_TRUE(report.remaining.empty());
  EXPECT_TRUE(std::filesystem::exists(report.kept));
  EXPECT_EQ(audit(), std::vector<std::string>());
}

TEST_F(CheckTest, RepairGivesNamelessEntriesANameInLostAndFound) {
  remove_name(kRootIno, "folder");
  ASSERT_FALSE(check().findings.empty());

  EXPECT_TRUE(repair().remaining.empty());

  EXPECT_EQ(audit(), std::vector<std::string>());
  temp_.reopen();
  const Ino found = temp_.tree().lookup(kRootIno, "lost+found").value().ino;
  const Ino folder = temp_.tree().lookup(found, std::to_string(raw(folder_))).value().ino;
  EXPECT_EQ(temp_.read(temp_.tree().lookup(folder, "inner").value().ino), "some text");
}

TEST_F(CheckTest, RepairAppliesTheJournalBeforeItGivesNumbersAway) {
  // A file that only the journal has, under the number that the database would give away next.
  temp_.reopen();
  const Ino fresh = temp_.make_file(kRootIno, "fresh");
  temp_.write(fresh, 0, "only in the journal");
  ASSERT_TRUE(temp_.vault().fsync(fresh).ok());
  temp_.leave_crashed();
  remove_name(kRootIno, "file");

  const RepairReport report = repair();

  EXPECT_TRUE(report.remaining.empty());
  EXPECT_TRUE(std::filesystem::exists(report.kept));
  EXPECT_EQ(audit(), std::vector<std::string>());
  temp_.reopen();
  EXPECT_EQ(temp_.read(temp_.tree().lookup(kRootIno, "fresh").value().ino), "only in the journal");
  const Ino found = temp_.tree().lookup(kRootIno, "lost+found").value().ino;
  EXPECT_NE(found, fresh);
  EXPECT_EQ(temp_.read(temp_.tree().lookup(found, std::to_string(raw(file_))).value().ino), std::string(10000, 'x'));
}

TEST_F(CheckTest, RepairRemovesANameWhoseInodeIsGoneAndSaysSo) {
  change([&](Env& env, const Cipher&) {
    WriteTxn txn = WriteTxn::begin(env).value();
    ASSERT_TRUE(txn.remove(Table::inodes, ino_key(inner_)).value());
    ASSERT_TRUE(std::move(txn).commit().ok());
  });

  const RepairReport report = repair();

  EXPECT_TRUE(report.remaining.empty());
  EXPECT_TRUE(std::any_of(report.done.begin(), report.done.end(),
                          [](const std::string& line) { return line.find("/folder/inner") == 0; }));
  EXPECT_EQ(audit(), std::vector<std::string>());
}

TEST_F(CheckTest, RepairBringsBackDirectoriesThatAreInsideOneAnother) {
  temp_.reopen();
  const Ino outer = temp_.make_directory(kRootIno, "outer");
  const Ino middle = temp_.make_directory(outer, "middle");
  temp_.write(temp_.make_file(temp_.make_directory(middle, "deep"), "text"), 0, "still here");
  ASSERT_TRUE(temp_.vault().close().ok());
  temp_.close();
  remove_name(kRootIno, "outer");
  add_name(middle, "outer", outer, S_IFDIR);
  ASSERT_TRUE(says(check().findings, "inside itself"));

  const RepairReport report = repair();

  EXPECT_TRUE(report.remaining.empty());
  EXPECT_EQ(audit(), std::vector<std::string>());
  temp_.reopen();
  const Ino found = temp_.tree().lookup(kRootIno, "lost+found").value().ino;
  Ino at = temp_.tree().lookup(found, std::to_string(raw(outer))).value().ino;
  for (const char* name : {"middle", "deep", "text"}) at = temp_.tree().lookup(at, name).value().ino;
  EXPECT_EQ(temp_.read(at), "still here");
}

TEST_F(CheckTest, RepairMovesWhatIsInSomethingThatIsNoDirectory) {
  remove_name(kRootIno, "folder");
  add_name(file_, "folder", folder_, S_IFDIR);
  ASSERT_TRUE(says(check().findings, "no directory"));

  const RepairReport report = repair();

  EXPECT_TRUE(report.remaining.empty());
  EXPECT_TRUE(std::any_of(report.done.begin(), report.done.end(), [](const std::string& line) {
    return line.find("the name /file/folder is removed") != std::string::npos;
  }));
  EXPECT_EQ(audit(), std::vector<std::string>());
  temp_.reopen();
  const Ino found = temp_.tree().lookup(kRootIno, "lost+found").value().ino;
  const Ino folder = temp_.tree().lookup(found, std::to_string(raw(folder_))).value().ino;
  EXPECT_TRUE(temp_.tree().lookup(folder, "inner").ok());
}

TEST_F(CheckTest, OfTwoNamesOfADirectoryTheOneInItsParentStays) {
  temp_.reopen();
  const Ino other = temp_.make_directory(kRootIno, "other");
  const Ino child = temp_.make_directory(folder_, "child");
  const Ino second = temp_.make_directory(other, "second");
  ASSERT_TRUE(temp_.vault().close().ok());
  temp_.close();
  add_name(other, "child again", child, S_IFDIR);
  add_name(folder_, "second again", second, S_IFDIR);

  const RepairReport report = repair();

  EXPECT_TRUE(report.remaining.empty());
  EXPECT_EQ(audit(), std::vector<std::string>());
  temp_.reopen();
  EXPECT_TRUE(temp_.tree().lookup(folder_, "child").ok());
  EXPECT_TRUE(temp_.tree().lookup(other, "second").ok());
  EXPECT_TRUE(temp_.tree().lookup(other, "child again").is(Code::not_found));
  EXPECT_TRUE(temp_.tree().lookup(folder_, "second again").is(Code::not_found));
}

TEST_F(CheckTest, ARootMadeAnewBelongsToWhomTheEntriesBelong) {
  for (Ino ino : {file_, folder_, inner_}) edit_inode(ino, [](Inode& inode) { inode.uid = 1000, inode.gid = 100; });
  test::remove_value(temp_.directory(), Table::inodes, ino_key(kRootIno));
  remove_name(folder_, "inner");

  const RepairReport report = repair();

  EXPECT_TRUE(report.remaining.empty());
  EXPECT_TRUE(std::any_of(report.done.begin(), report.done.end(),
                          [](const std::string& line) { return line.find("owned by 1000:100") != std::string::npos; }));
  temp_.reopen();
  for (Ino ino : {kRootIno, temp_.tree().lookup(kRootIno, "lost+found").value().ino}) {
    EXPECT_EQ(temp_.tree().getattr(ino)->uid, 1000u);
    EXPECT_EQ(temp_.tree().getattr(ino)->gid, 100u);
  }
}

TEST_F(CheckTest, RepairKeepsTheNameOfAnInodeThatIsOnlyUnreadable) {
  edit_value(Table::inodes, ino_key(inner_), [](Bytes& value) { value[100] ^= 1; });
  edit_inode(folder_, [](Inode& inode) { inode.children = 7; });

  const RepairReport report = repair();

  EXPECT_TRUE(mentions(report.remaining, "?", "inode record is damaged"));
  EXPECT_FALSE(mentions(report.remaining, "/folder", "count of entries"));
  temp_.reopen();
  EXPECT_TRUE(temp_.tree().lookup(folder_, "inner").is(Code::corrupt));
}

TEST_F(CheckTest, RepairRewritesDamagedChecksums) {
  edit_value(Table::inodes, ino_key(inner_), [](Bytes& value) { value.back() ^= 1; });

  EXPECT_TRUE(repair().remaining.empty());
  EXPECT_EQ(audit(), std::vector<std::string>());
}

TEST_F(CheckTest, ACopyThatFailsLeavesNothingAndChangesNothing) {
  edit_inode(folder_, [](Inode& inode) { inode.children = 7; });
  const auto copies = [&] {
    const std::filesystem::directory_iterator all(temp_.directory());
    return std::count_if(begin(all), end(all), [](const auto& entry) {
      return entry.path().filename().string().find("before-repair") != std::string::npos;
    });
  };
  // As on a full disk: no file may grow beyond a page.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);

  const auto report = repair_vault(temp_.directory(), TempVault::password(), {});

  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(copies(), 0);
  EXPECT_TRUE(mentions(check().findings, "/folder", "count of entries"));
}

TEST_F(CheckTest, RepairOfASoundVaultChangesNothing) {
  const RepairReport report = repair();

  EXPECT_TRUE(report.before.findings.empty());
  EXPECT_TRUE(report.done.empty());
  EXPECT_TRUE(report.kept.empty());
}

TEST_F(CheckTest, ADamagedStructureIsLeftToSalvage) {
  const uint64_t size = std::filesystem::file_size(temp_.directory() + "/data.mdb");
  std::filesystem::resize_file(temp_.directory() + "/data.mdb", size - 100);

  const RepairReport report = repair();

  EXPECT_TRUE(report.before.structure_damaged);
  EXPECT_FALSE(report.remaining.empty());
  EXPECT_TRUE(report.kept.empty());
  EXPECT_EQ(std::filesystem::file_size(temp_.directory() + "/data.mdb"), size - 100) << "the damaged file is evidence";
}

}  // namespace
}  // namespace tain::store
