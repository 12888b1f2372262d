// SPDX-License-Identifier: Apache-2.0
// A vault as a whole: making, opening, locking, passwords, ciphers, and damage to its files.
#include "store/vault.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/support/own_process.h"
#include "tests/support/secret_of.h"
#include "tests/support/temp_directory.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::secret_of;

using test::TempDirectory;
using test::TempVault;

/// All files of a directory with their bytes, without LMDB's reader table and the lock.
std::map<std::string, std::string> lasting_files(const std::string& directory) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name == "data.mdb-lock" || name == "lock") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    out[name] = std::string(std::istreambuf_iterator<char>(in), {});
  }
  return out;
}

void flip_byte(const std::string& path, uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(byte);
}

/// A vault with one file, closed; tests change its files and open it.
class VaultTest : public testing::Test {
 protected:
  VaultTest() {
    file_ = temp_.make_file(kRootIno, "file");
    temp_.write(file_, 0, "content");
    EXPECT_TRUE(temp_.vault().close().ok());
    temp_.close();
  }

  Result<std::unique_ptr<Vault>> open(std::string_view password = "correct horse", bool read_only = false) {
    OpenOptions options;
    options.read_only = read_only;
    options.committer_thread = false;
    options.warn = [this](const std::string& line) { warnings_.push_back(line); };
    return Vault::open(directory_, options, secret_of(password));
  }
  std::string content_of(Vault& vault) {
    std::string out(100, '\0');
    auto size = vault.content().read(file_, 0, {reinterpret_cast<uint8_t*>(out.data()), out.size()});
    if (!size.ok()) return size.error().message();
    out.resize(*size);
    return out;
  }
  void expect_content() {
    auto vault = open();
    ASSERT_TRUE(vault.ok()) << vault.error().message();
    EXPECT_EQ(content_of(**vault), "content");
  }

  TempVault temp_{{.committer_thread = false}};
  const std::string directory_ = temp_.directory();
  Ino file_{};
  std::vector<std::string> warnings_;
};

TEST(VaultCreateTest, MakesAPrivateDirectoryThatOpens) {
  TempDirectory root;
  const std::string directory = root.path("vault");
  ASSERT_TRUE(Vault::create(directory, {.suite = {}, .kdf = test::kTestCost}, secret_of("pw")).ok());

  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(directory).permissions(), perms::owner_all);
  for (const char* name : {"header", "header.bak", "data.mdb", "journal"})
    EXPECT_EQ(std::filesystem::status(directory + "/" + name).permissions(), perms::owner_read | perms::owner_write)
        << name;
  auto vault = Vault::open(directory, {}, secret_of("pw"));
  ASSERT_TRUE(vault.ok()) << vault.error().message();
  EXPECT_TRUE(S_ISDIR((*vault)->tree().getattr(kRootIno)->mode));
}

TEST(VaultCreateTest, TakesAnEmptyDirectoryAndNoOther) {
  TempDirectory root;
  const CreateOptions options{.suite = {}, .kdf = test::kTestCost};
  EXPECT_TRUE(Vault::create(root.directory("empty"), options, secret_of("pw")).ok());
  EXPECT_TRUE(Vault::create(root.path("empty"), options, secret_of("pw")).is(Code::not_empty)) << "a vault is in it";

  const std::string foreign = root.directory("foreign");
  root.file("foreign/letter.txt", "dear");
  EXPECT_TRUE(Vault::create(foreign, options, secret_of("pw")).is(Code::not_empty));
  EXPECT_EQ(lasting_files(foreign), (std::map<std::string, std::string>{{"letter.txt", "dear"}}));
  EXPECT_TRUE(Vault::create(foreign + "/letter.txt", options, secret_of("pw")).is(Code::not_directory));
  EXPECT_TRUE(Vault::create(root.path("no/such"), options, secret_of("pw")).is(Code::not_found));
}

TEST(VaultCreateTest, RefusesAnEmptyPasswordAndACheapKdfBeforeMakingAnything) {
  TempDirectory root;
  EXPECT_TRUE(Vault::create(root.path("v"), {.suite = {}, .kdf = test::kTestCost}, Secret()).is(Code::empty_password));
  EXPECT_FALSE(std::filesystem::exists(root.path("v")));
  EXPECT_TRUE(Vault::create(root.path("v"), {.suite = {}, .kdf = {1, 1024}}, secret_of("pw")).is(Code::invalid_argument));
  EXPECT_TRUE(lasting_files(root.directory("v")).empty()) << "a second try must find the directory empty";
}

TEST_F(VaultTest, WrongAndEmptyPasswordsAreRefused) {
  EXPECT_TRUE(open("wrong horse").is(Code::wrong_password));
  EXPECT_TRUE(open("").is(Code::empty_password));
  expect_content();
}

TEST_F(VaultTest, SecondOpenNamesTheProcessAndTheMountpoint) {
  OpenOptions options;
  options.mountpoint = "/mnt/journal";
  auto first = Vault::open(directory_, options, TempVault::password());
  ASSERT_TRUE(first.ok());

  auto second = open();

  ASSERT_TRUE(second.is(Code::in_use));
  EXPECT_NE(second.error().message().find("process " + std::to_string(::getpid())), std::string::npos);
  EXPECT_NE(second.error().message().find("/mnt/journal"), std::string::npos);
  auto holder = Vault::holder(directory_).value();
  ASSERT_TRUE(holder.has_value());
  EXPECT_EQ(holder->pid, ::getpid());
  EXPECT_EQ(holder->mountpoint, "/mnt/journal");
  first->reset();
  EXPECT_FALSE(Vault::holder(directory_).value().has_value());
  expect_content();
}

TEST_F(VaultTest, InUseComesBeforeThePassword) {
  auto first = open();
  EXPECT_TRUE(open("wrong horse").is(Code::in_use)) << "no second of Argon2id for a vault that cannot be opened";
}

TEST(VaultOpenTest, WhatIsNoVaultIsSaidToBeNone) {
  TempDirectory root;
  EXPECT_TRUE(Vault::open(root.path("none"), {}, secret_of("pw")).is(Code::not_a_vault));
  EXPECT_TRUE(Vault::inspect(root.path()).is(Code::not_a_vault));
  EXPECT_TRUE(lasting_files(root.path()).empty()) << "looking must not leave a lock file";
}

TEST_F(VaultTest, DamagedFirstHeaderIsServedByTheCopyAndRepaired) {
  flip_byte(directory_ + "/header", 100);
  EXPECT_TRUE(Vault::inspect(directory_)->copy_used);

  expect_content();

  EXPECT_EQ(warnings_.size(), 1u);
  const auto files = lasting_files(directory_);
  EXPECT_EQ(files.at("header"), files.at("header.bak"));
  EXPECT_FALSE(Vault::inspect(directory_)->copy_used);
}

TEST_F(VaultTest, MissingSecondHeaderIsWrittenAgain) {
  std::filesystem::remove(directory_ + "/header.bak");
  expect_content();
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/header.bak"));
}

TEST_F(VaultTest, HeaderIsNotRepairedForAWrongPassword) {
  flip_byte(directory_ + "/header", 100);
  const auto before = lasting_files(directory_);
  EXPECT_TRUE(open("wrong horse").is(Code::wrong_password));
  EXPECT_EQ(lasting_files(directory_), before) << "an unproven header must not overwrite anything";
}

TEST_F(VaultTest, TwoDamagedHeadersAreSaidToBeDamaged) {
  flip_byte(directory_ + "/header", 100);
  flip_byte(directory_ + "/header.bak", 200);
  EXPECT_TRUE(open().is(Code::header_damaged));
}

TEST_F(VaultTest, MissingDatabaseIsNotMadeAnew) {
  std::filesystem::remove(directory_ + "/data.mdb");
  auto opened = open();
  EXPECT_FALSE(opened.ok());
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/data.mdb"));
}

TEST_F(VaultTest, TruncatedDatabaseIsCorrupt) {
  std::filesystem::resize_file(directory_ + "/data.mdb", 8192);
  EXPECT_TRUE(open().is(Code::corrupt));
}

TEST_F(VaultTest, MissingJournalLosesOnlyWhatWasInIt) {
  std::filesystem::remove(directory_ + "/journal");
  expect_content();
}

TEST_F(VaultTest, JournalOfAnotherVaultIsNotApplied) {
  TempVault other({.committer_thread = false});
  const Ino stranger = other.make_file(kRootIno, "stranger");
  other.write(stranger, 0, "not yours");
  ASSERT_TRUE(other.vault().fsync(stranger).ok());
  std::filesystem::copy_file(other.directory() + "/journal", directory_ + "/journal",
                             std::filesystem::copy_options::overwrite_existing);

  auto vault = open();

  ASSERT_TRUE(vault.ok()) << vault.error().message();
  EXPECT_EQ(content_of(**vault), "content");
  EXPECT_TRUE((*vault)->tree().lookup(kRootIno, "stranger").is(Code::not_found));
}

TEST_F(VaultTest, DamagedJournalIsKeptReportedOnceAndDoesNotComeBack) {
  {
    // Three frames, as a crash leaves them.
    TempVault crashing({.committer_thread = false});
    for (const char* name : {"one", "two", "three"}) {
      ASSERT_TRUE(crashing.vault().fsync(crashing.make_file(kRootIno, name)).ok());
    }
    for (const char* name : {"header", "header.bak", "data.mdb", "journal"})
      std::filesystem::copy_file(crashing.directory() + "/" + name, directory_ + "/" + name,
                                 std::filesystem::copy_options::overwrite_existing);
    std::filesystem::remove(directory_ + "/data.mdb-lock");
  }
  flip_byte(directory_ + "/journal", 4096 + 100);

  auto vault = open();
  ASSERT_TRUE(vault.ok()) << vault.error().message();
  EXPECT_TRUE((*vault)->tree().lookup(kRootIno, "one").ok());
  EXPECT_FALSE((*vault)->tree().lookup(kRootIno, "two").ok());
  EXPECT_FALSE((*vault)->tree().lookup(kRootIno, "three").ok()) << "a later change without the one before it";
  EXPECT_EQ(warnings_.size(), 1u);
  size_t kept = 0;
  for (const auto& [name, bytes] : lasting_files(directory_)) kept += name.starts_with("journal.damaged-") ? 1u : 0u;
  EXPECT_EQ(kept, 1u);

  vault->reset();
  vault = open();
  ASSERT_TRUE(vault.ok()) << vault.error().message();
  EXPECT_EQ(warnings_.size(), 1u) << "the same damage again: " << warnings_.back();
}

TEST_F(VaultTest, ReadOnlyOpenShowsTheJournalAndChangesNothing) {
  TempVault crashing({.committer_thread = false});
  const Ino ino = crashing.make_file(kRootIno, "in the journal");
  crashing.write(ino, 0, "fresh");
  ASSERT_TRUE(crashing.vault().fsync(ino).ok());
  TempDirectory copy;
  for (const char* name : {"header", "header.bak", "data.mdb", "journal"})
    std::filesystem::copy_file(crashing.directory() + "/" + name, copy.path(name));
  const auto before = lasting_files(copy.path());

  {
    OpenOptions options;
    options.read_only = true;
    auto vault = Vault::open(copy.path(), options, TempVault::password());
    ASSERT_TRUE(vault.ok()) << vault.error().message();
    EXPECT_TRUE((*vault)->read_only());
    EXPECT_TRUE((*vault)->tree().lookup(kRootIno, "in the journal").ok());
    std::string text(5, '\0');
    EXPECT_EQ((*vault)->content().read(ino, 0, {reinterpret_cast<uint8_t*>(text.data()), 5}).value(), 5u);
    EXPECT_EQ(text, "fresh");
    EXPECT_TRUE((*vault)->sync().ok());
    EXPECT_TRUE((*vault)->close().ok());
  }

  EXPECT_TRUE(lasting_files(copy.path()) == before);
}

TEST_F(VaultTest, ReadOnlyOpenWorksWithoutAJournalAndMakesNone) {
  std::filesystem::remove(directory_ + "/journal");
  auto vault = open("correct horse", true);
  ASSERT_TRUE(vault.ok()) << vault.error().message();
  EXPECT_EQ(content_of(**vault), "content");
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/journal"));
}

TEST_F(VaultTest, ChangedPasswordReplacesTheOldOne) {
  const uint64_t sequence = Vault::inspect(directory_)->header_sequence;
  ASSERT_TRUE(Vault::change_password(directory_, secret_of("correct horse"), secret_of("new"), test::kTestCost).ok());

  EXPECT_TRUE(open("correct horse").is(Code::wrong_password));
  auto vault = open("new");
  ASSERT_TRUE(vault.ok()) << vault.error().message();
  EXPECT_EQ(content_of(**vault), "content");
  EXPECT_EQ(Vault::inspect(directory_)->header_sequence, sequence + 1);
  EXPECT_EQ(Vault::inspect(directory_)->slots.size(), 1u);
  const auto files = lasting_files(directory_);
  EXPECT_EQ(files.at("header"), files.at("header.bak")) << "no copy still opens with the old password";
}

TEST_F(VaultTest, RefusedPasswordChangeChangesNothing) {
  const auto before = lasting_files(directory_);
  const auto change = [&](std::string_view from, std::string_view to) {
    return Vault::change_password(directory_, secret_of(from), secret_of(to), test::kTestCost);
  };
  EXPECT_TRUE(change("wrong", "new").is(Code::wrong_password));
  EXPECT_TRUE(change("correct horse", "").is(Code::empty_password));
  EXPECT_TRUE(change("", "new").is(Code::empty_password));
  EXPECT_TRUE(lasting_files(directory_) == before);
}

TEST_F(VaultTest, PasswordChangesWhileTheVaultIsOpen) {
  {
    auto vault = open();
    ASSERT_TRUE(vault.ok());
    ASSERT_TRUE(Vault::change_password(directory_, secret_of("correct horse"), secret_of("new"), test::kTestCost).ok());
    ASSERT_TRUE((*vault)->content().write(file_, 0, as_bytes("CONTENT")).ok());
    ASSERT_TRUE((*vault)->close().ok());
  }
  EXPECT_TRUE(open("correct horse").is(Code::wrong_password)) << "closing must not bring the old header back";
  auto vault = open("new");
  ASSERT_TRUE(vault.ok());
  EXPECT_EQ(content_of(**vault), "CONTENT");
}

TEST(VaultSuiteTest, BothSuitesRoundTrip) {
  for (Suite suite : {Suite::aes_256_gcm, Suite::xchacha20_poly1305}) {
    if (!suite_available(suite)) continue;
    SCOPED_TRACE(suite_name(suite));
    TempVault temp({.committer_thread = false}, {.suite = suite, .kdf = test::kTestCost});
    EXPECT_EQ(temp.vault().info().suite, suite);
    const Ino ino = temp.make_file(kRootIno, "file");
    temp.write(ino, 0, std::string(200'000, 's'));
    temp.reopen();
    EXPECT_EQ(temp.read(ino), std::string(200'000, 's'));
  }
}

/// Runs in a process of its own that believes the CPU has no AES. The exit code.
int use_without_aes(const std::string& directory) {
  std::vector<std::string> warnings;
  OpenOptions options;
  options.committer_thread = false;
  options.warn = [&](const std::string& line) { warnings.push_back(line); };
  auto vault = Vault::open(directory, options, TempVault::password());
  if (!vault.ok() || warnings.size() != 1) return 1;
  // Names and attributes are readable, old content says precisely why not.
  auto old = (*vault)->tree().lookup(kRootIno, "old");
  if (!old.ok()) return 2;
  Bytes bytes(3);
  if (!(*vault)->content().read(old->ino, 0, bytes).is(Code::suite_missing)) return 3;
  auto made = (*vault)->tree().make(kRootIno, "new", {.mode = S_IFREG | 0600, .symlink = {}});
  if (!made.ok() || !(*vault)->content().write(made->ino, 0, as_bytes("new")).ok()) return 4;
  if (!(*vault)->close().ok()) return 5;
  TempDirectory root;
  if (!Vault::create(root.path("aes"), {.suite = Suite::aes_256_gcm, .kdf = test::kTestCost}, TempVault::password())
           .is(Code::suite_missing))
    return 6;
  if (!Vault::create(root.path("any"), {.suite = {}, .kdf = test::kTestCost}, TempVault::password()).ok()) return 7;
  return Vault::inspect(root.path("any"))->suite == Suite::xchacha20_poly1305 ? test::kOwnProcessPassed : 8;
}

TEST(VaultSuiteTest, WithoutAesTheVaultStaysUsable) {
  if (const char* directory = std::getenv("TAIN_TEST_VAULT")) std::exit(use_without_aes(directory));
  if (!suite_available(Suite::aes_256_gcm)) GTEST_SKIP() << "this CPU has no AES to take away";
  TempVault temp({.committer_thread = false}, {.suite = Suite::aes_256_gcm, .kdf = test::kTestCost});
  const Ino old_file = temp.make_file(kRootIno, "old");
  temp.write(old_file, 0, "old");
  ASSERT_TRUE(temp.vault().close().ok());
  temp.close();

  EXPECT_EQ(test::run_in_own_process("TAIN_TEST_NO_AES=1 TAIN_TEST_VAULT='" + temp.directory() + "'"),
            test::kOwnProcessPassed);

  temp.reopen();
  EXPECT_EQ(temp.read(old_file), "old");
  EXPECT_EQ(temp.read(temp.tree().lookup(kRootIno, "new")->ino), "new");
}

}  // namespace
}  // namespace tain::store
