// SPDX-License-Identifier: Apache-2.0
// Adding, removing and replacing key slots of a vault, and putting its header back.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/file.h"
#include "store/content.h"
#include "store/header_file.h"
#include "store/recovery_words.h"
#include "store/tree.h"
#include "store/vault.h"
#include "tests/support/secret_of.h"
#include "tests/support/temp_directory.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::secret_of;

using test::kTestCost;

Credential password(std::string_view text) { return Credential(secret_of(text)); }
Credential words(uint8_t value = 1) { return Credential::from_recovery(Secret::copy_of(Bytes(kRecoverySecretSize, value))); }
Credential with_keyfile(std::string_view text, uint8_t value = 7) {
  return Credential::with_keyfile(secret_of(text), Secret::copy_of(Bytes(32, value)));
}
Credential token(uint8_t value = 5) {
  return Credential::from_device(SlotType::tpm2, SlotId{value}, Secret::copy_of(Bytes(kDeviceKeySize, value)), Bytes{1});
}

class VaultKeysTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Vault::create(vault_, {.suite = {}, .kdf = kTestCost}, password("first")).ok());
    auto vault = Vault::open(vault_, quiet(), password("first")).value();
    ASSERT_TRUE(vault->tree().make(kRootIno, "diary", {.mode = S_IFREG | 0600, .symlink = {}}).ok());
    ASSERT_TRUE(vault->close().ok());
  }

  static OpenOptions quiet() {
    OpenOptions options;
    options.committer_thread = false;
    return options;
  }
  /// ok, or why not; and if it opens, that the content is there.
  Result<> opens(const Credential& credential) const {
    auto vault = Vault::open(vault_, quiet(), credential);
    if (!vault.ok()) return std::move(vault).error();
    TRY((*vault)->tree().lookup(kRootIno, "diary"));
    return (*vault)->close();
  }
  std::vector<SlotInfo> slots() const { return Vault::inspect(vault_)->slots; }
  Bytes header(const char* name = kHeaderName) const { return read_file(vault_ + "/" + name, kHeaderSizeMax).value(); }
  SlotInfo add(const Credential& existing, const Credential& added) {
    auto slot = Vault::add_slot(vault_, existing, added, kTestCost);
    EXPECT_TRUE(slot.ok()) << slot.error().message();
    return slot.ok() ? *slot : SlotInfo();
  }

  test::TempDirectory files_;
  const std::string vault_ = files_.path("vault");
};

TEST_F(VaultKeysTest, EveryKindOfSlotOpensTheVaultAlone) {
  add(password("first"), with_keyfile("second"));
  add(with_keyfile("second"), words());
  const SlotId first = slots()[0].id, second = slots()[1].id;
  ASSERT_TRUE(Vault::remove_slot(vault_, first, words()).ok());
  EXPECT_TRUE(opens(with_keyfile("second")).ok());
  EXPECT_TRUE(opens(password("first")).is(Code::wrong_password));

  ASSERT_TRUE(Vault::remove_slot(vault_, second, words()).ok());

  EXPECT_EQ(slots().size(), 1u);
  EXPECT_TRUE(opens(words()).ok());
  EXPECT_TRUE(opens(with_keyfile("second")).is(Code::wrong_password));
}

TEST_F(VaultKeysTest, AnOpenVaultKnowsWhatOpenedIt) {
  const SlotInfo slot = add(password("first"), words());
  auto vault = Vault::open(vault_, quiet(), words()).value();
  EXPECT_EQ(vault->info().opened_with, slot);
  EXPECT_EQ(slot.type, SlotType::recovery);
  EXPECT_EQ(Vault::check_key(vault_, password("first"))->id, slots()[0].id);
  EXPECT_TRUE(Vault::check_key(vault_, password("no")).is(Code::wrong_password));
}

TEST_F(VaultKeysTest, HeadersAreNumberedAndChained) {
  const Bytes before = header();
  const uint64_t sequence = decode_header(before)->sequence;

  const SlotInfo slot = add(password("first"), words());

  const Header after = decode_header(header()).value();
  EXPECT_EQ(after.sequence, sequence + 1);
  EXPECT_EQ(after.previous, hash256(before));
  EXPECT_EQ(header(), header(kHeaderCopyName));
  const Bytes middle = header();
  ASSERT_TRUE(Vault::remove_slot(vault_, slot.id, password("first")).ok());
  EXPECT_EQ(decode_header(header())->sequence, sequence + 2);
  EXPECT_EQ(decode_header(header())->previous, hash256(middle));
  EXPECT_EQ(header(), header(kHeaderCopyName)) << "no copy still opens with the removed slot";
}

TEST_F(VaultKeysTest, TheOldSlotsStayAsTheyAre) {
  const KeySlot before = decode_header(header())->slots[0];
  add(password("first"), words());
  EXPECT_EQ(decode_header(header())->slots[0], before);
}

TEST_F(VaultKeysTest, WhatIsRefusedChangesNothing) {
  add(password("first"), words());
  const Bytes before = header();
  const SlotId first = slots()[0].id, recovery = slots()[1].id;

  EXPECT_TRUE(Vault::add_slot(vault_, password("wrong"), words(2), kTestCost).is(Code::wrong_password));
  EXPECT_TRUE(Vault::add_slot(vault_, password("first"), password(""), kTestCost).is(Code::empty_password));
  EXPECT_TRUE(Vault::add_slot(vault_, password("first"), password("x"), {1, 1}).is(Code::invalid_argument));
  EXPECT_TRUE(Vault::remove_slot(vault_, {}, password("first")).is(Code::not_found));
  EXPECT_TRUE(Vault::remove_slot(vault_, first, password("first")).is(Code::wrong_password)) << "proves the very slot that goes";
  EXPECT_TRUE(Vault::remove_slot(vault_, recovery, words()).is(Code::wrong_password));
  EXPECT_TRUE(Vault::remove_slot(vault_, recovery, password("wrong")).is(Code::wrong_password));
  EXPECT_TRUE(Vault::add_slot(files_.path("none"), password("first"), words(), kTestCost).is(Code::not_a_vault));

  EXPECT_EQ(header(), before);
  EXPECT_EQ(header(kHeaderCopyName), before);
}

TEST_F(VaultKeysTest, TheLastSlotStays) {
  const Bytes before = header();
  auto removed = Vault::remove_slot(vault_, slots()[0].id, password("first"));
  ASSERT_TRUE(removed.is(Code::not_permitted));
  EXPECT_FALSE(removed.error().hint().empty());
  EXPECT_EQ(header(), before);
}

TEST_F(VaultKeysTest, ADeviceOpensTheVaultAndIsNeverTheOnlyWayIn) {
  const SlotInfo slot = add(password("first"), token());
  EXPECT_EQ(slot.id, *token().slot);
  EXPECT_TRUE(opens(token()).ok());
  EXPECT_TRUE(opens(token(6)).is(Code::wrong_password));
  EXPECT_TRUE(Vault::remove_slot(vault_, slots()[0].id, token()).is(Code::not_permitted));
  EXPECT_TRUE(Vault::start_rotation(vault_, token()).is(Code::not_permitted));
  EXPECT_TRUE(opens(password("first")).ok());

  // It may stand in for a forgotten password.
  ASSERT_TRUE(Vault::change_password(vault_, token(), secret_of("second"), kTestCost).ok());
  EXPECT_TRUE(opens(password("second")).ok());
  EXPECT_TRUE(opens(password("first")).is(Code::wrong_password));
  EXPECT_TRUE(opens(token()).ok());
  ASSERT_TRUE(Vault::remove_slot(vault_, slot.id, password("second")).ok());
  EXPECT_TRUE(opens(token()).is(Code::wrong_password));
}

TEST_F(VaultKeysTest, SlotsHaveAnEnd) {
  add(password("first"), password("second"));
  add(password("first"), password("third"));
  EXPECT_TRUE(Vault::add_slot(vault_, password("first"), password("fourth"), kTestCost).is(Code::too_big)) << "it would not be tried";
  add(password("first"), words(1));
  for (uint8_t i = 2; i <= 5; ++i) add(words(1), words(i));
  EXPECT_EQ(slots().size(), kSlotsMax);
  EXPECT_TRUE(Vault::add_slot(vault_, words(5), words(6), kTestCost).is(Code::too_big));
  EXPECT_TRUE(opens(password("third")).ok());
  EXPECT_TRUE(opens(words(5)).ok());
}

TEST_F(VaultKeysTest, ANewPasswordKeepsTheKeyfile) {
  add(password("first"), with_keyfile("second"));
  ASSERT_TRUE(Vault::change_password(vault_, with_keyfile("second"), secret_of("new"), kTestCost).ok());
  EXPECT_TRUE(opens(with_keyfile("new")).ok());
  EXPECT_TRUE(opens(with_keyfile("second")).is(Code::wrong_password));
  EXPECT_TRUE(opens(password("first")).ok());
  EXPECT_TRUE(opens(password("new")).is(Code::wrong_password));
}

TEST_F(VaultKeysTest, RecoveryWordsReplaceAForgottenPasswordAndStay) {
  add(password("first"), words());
  ASSERT_TRUE(Vault::change_password(vault_, words(), secret_of("new"), kTestCost).ok());
  EXPECT_TRUE(opens(password("new")).ok());
  EXPECT_TRUE(opens(password("first")).is(Code::wrong_password));
  EXPECT_TRUE(opens(words()).ok());

  add(words(), password("another"));
  const Bytes before = header();
  EXPECT_TRUE(Vault::change_password(vault_, words(), secret_of("newer"), kTestCost).is(Code::invalid_argument)) << "which one?";
  EXPECT_EQ(header(), before);
}

TEST_F(VaultKeysTest, SlotsChangeWhileTheVaultIsOpen) {
  auto vault = Vault::open(vault_, quiet(), password("first")).value();
  add(password("first"), words());
  ASSERT_TRUE(Vault::remove_slot(vault_, slots()[0].id, words()).ok());
  ASSERT_TRUE(vault->close().ok());
  vault.reset();
  EXPECT_TRUE(opens(words()).ok());
  EXPECT_TRUE(opens(password("first")).is(Code::wrong_password)) << "closing must not bring the old header back";
}

// --- header backup and restore ---

class HeaderBackupTest : public VaultKeysTest {
 protected:
  void SetUp() override {
    VaultKeysTest::SetUp();
    ASSERT_TRUE(Vault::backup_header(vault_, backup_).ok());
  }
  void lose_header() const {
    std::filesystem::remove(vault_ + "/header");
    std::filesystem::remove(vault_ + "/header.bak");
  }
  Result<> restore(const Credential& credential, bool force = false) const {
    return Vault::restore_header(vault_, backup_, credential, force);
  }
  size_t kept_files() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(vault_))
      if (entry.path().filename().string().find(".replaced-") != std::string::npos) ++count;
    return count;
  }
  const std::string backup_ = files_.path("backup");
};

TEST_F(HeaderBackupTest, ABackupIsForItsOwnerAndNeverOverwrites) {
  struct stat st {};
  ASSERT_EQ(::stat(backup_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777u, 0600u);
  EXPECT_EQ(read_file(backup_, kHeaderSizeMax).value(), header());
  EXPECT_TRUE(Vault::backup_header(vault_, backup_).is(Code::exists));
}

TEST_F(HeaderBackupTest, ALostHeaderComesBack) {
  lose_header();
  ASSERT_TRUE(opens(password("first")).is(Code::not_a_vault));

  auto restored = restore(password("first"));

  ASSERT_TRUE(restored.ok()) << restored.error().message();
  EXPECT_TRUE(opens(password("first")).ok());
  EXPECT_EQ(header(), header(kHeaderCopyName));
  EXPECT_EQ(kept_files(), 0u);
}

TEST_F(HeaderBackupTest, TwoDamagedCopiesAreReplacedAndKept) {
  ASSERT_TRUE(replace_file(vault_ + "/header", Bytes(100, 'x')).ok());
  ASSERT_TRUE(replace_file(vault_ + "/header.bak", Bytes(kHeaderSizeMax + 1, 'y')).ok());
  ASSERT_TRUE(opens(password("first")).is(Code::header_damaged));

  auto restored = restore(password("first"));

  ASSERT_TRUE(restored.ok()) << restored.error().message();
  EXPECT_TRUE(opens(password("first")).ok());
  EXPECT_EQ(kept_files(), 2u);
}

TEST_F(HeaderBackupTest, WithoutTheRightPasswordNothingIsReplaced) {
  lose_header();
  EXPECT_TRUE(restore(password("wrong")).is(Code::wrong_password));
  EXPECT_FALSE(std::filesystem::exists(vault_ + "/header"));
  ASSERT_TRUE(replace_file(backup_, Bytes(300, 'x')).ok());
  EXPECT_TRUE(restore(password("first")).is(Code::not_a_vault));
  EXPECT_FALSE(std::filesystem::exists(vault_ + "/header"));
}

TEST_F(HeaderBackupTest, AnAlteredBackupIsRefused) {
  lose_header();
  Bytes bytes = read_file(backup_, kHeaderSizeMax).value();
  bytes[32] = 9;  // the sequence number, and the hash mended
  bytes.resize(bytes.size() - 32);
  const Id32 hash = hash256(bytes);
  bytes.insert(bytes.end(), hash.begin(), hash.end());
  ASSERT_TRUE(replace_file(backup_, bytes).ok());
  EXPECT_TRUE(restore(password("first")).is(Code::header_damaged));
  EXPECT_FALSE(std::filesystem::exists(vault_ + "/header"));
}

TEST_F(HeaderBackupTest, TheHeaderOfAnotherVaultIsRefused) {
  const std::string other = files_.path("other");
  ASSERT_TRUE(Vault::create(other, {.suite = {}, .kdf = kTestCost}, password("first")).ok());
  std::filesystem::remove(backup_);
  ASSERT_TRUE(Vault::backup_header(other, backup_).ok());
  EXPECT_TRUE(restore(password("first"), true).is(Code::not_permitted)) << "a header is there to compare with";

  lose_header();
  EXPECT_TRUE(restore(password("first")).is(Code::corrupt)) << "it does not open this vault's data";
  EXPECT_FALSE(std::filesystem::exists(vault_ + "/header"));
}

TEST_F(HeaderBackupTest, AnIntactHeaderStaysUnlessForced) {
  ASSERT_TRUE(Vault::change_password(vault_, password("first"), secret_of("new"), kTestCost).ok());
  const Bytes newer = header();
  EXPECT_TRUE(restore(password("first")).is(Code::exists));
  EXPECT_EQ(header(), newer);

  auto restored = restore(password("first"), true);

  ASSERT_TRUE(restored.ok()) << restored.error().message();
  EXPECT_TRUE(opens(password("first")).ok());
  EXPECT_TRUE(opens(password("new")).is(Code::wrong_password));
  EXPECT_EQ(kept_files(), 2u);
}

TEST_F(HeaderBackupTest, AnOpenVaultIsLeftAlone) {
  auto vault = Vault::open(vault_, quiet(), password("first")).value();
  lose_header();
  EXPECT_TRUE(restore(password("first")).is(Code::in_use));
  ASSERT_TRUE(vault->close().ok());
}

}  // namespace
}  // namespace tain::store
