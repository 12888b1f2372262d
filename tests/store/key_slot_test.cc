// SPDX-License-Identifier: Apache-2.0
// Each way in, what is refused, and how hostile headers fare: the right error, and never more than they may cost.
#include "store/key_slot.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <filesystem>
#include <functional>

#include "base/file.h"
#include "store/recovery_words.h"
#include "tests/support/kdf_memo.h"
#include "tests/support/long_run.h"
#include "tests/support/secret_of.h"
#include "tests/support/temp_directory.h"

namespace tain::store {
namespace {

using test::secret_of;

constexpr uint64_t kMadeAt = 1'790'000'000;
constexpr size_t kSlotsOffset = 112;
constexpr size_t kSlotSize = 48 + 2 * kWrapSize;  // without extra
constexpr size_t kWrapOffset = 48;

Secret filled(size_t size, uint8_t value) { return Secret::copy_of(Bytes(size, value)); }

Credential password() { return Credential(secret_of("right")); }
Credential with_keyfile() { return Credential::with_keyfile(secret_of("right"), filled(32, 7)); }
Credential words(uint8_t value = 9) { return Credential::from_recovery(filled(kRecoverySecretSize, value)); }
Credential of_device(SlotType type, uint8_t value, size_t size = kDeviceKeySize, Bytes extra = {}) {
  return Credential::from_device(type, SlotId{value}, filled(size, value), std::move(extra));
}

/// A header with a password, a password with a keyfile, and recovery words, made once: Argon2id is slow on purpose.
class KeySlotTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    made_ = new NewHeader(make_header(password(), Suite::xchacha20_poly1305, kKdfFloor, kMadeAt).value());
    Header& header = made_->header;
    for (const Credential& credential : {with_keyfile(), words()})
      header.slots.push_back(make_slot(header, made_->master, credential, kKdfFloor, kMadeAt).value());
  }
  static void TearDownTestSuite() { delete made_; }

  static Bytes encode(const Header& header) {
    return encode_header(header, Cipher(made_->master, header.vault, header.epoch));
  }
  static Result<Unlocked> unlock_header(const Header& header, const Credential& credential) {
    const Bytes bytes = encode(header);
    return unlock(decode_header(bytes).value(), bytes, credential);
  }
  /// What an attacker does after a change: makes the keyless hash right again.
  static Bytes rehashed(Bytes bytes) {
    bytes.resize(bytes.size() - 32);
    const Id32 hash = hash256(bytes);
    bytes.insert(bytes.end(), hash.begin(), hash.end());
    return bytes;
  }
  static Result<Unlocked> unlock_bytes(const Bytes& bytes, const Credential& credential) {
    const Header header = TRY(decode_header(bytes));
    return unlock(header, bytes, credential);
  }

  static NewHeader* made_;
};
NewHeader* KeySlotTest::made_ = nullptr;

TEST_F(KeySlotTest, EachCredentialOpensItsOwnSlot) {
  size_t slot = 0;
  for (const Credential& credential : {password(), with_keyfile(), words()}) {
    auto unlocked = unlock_header(made_->header, credential);
    ASSERT_TRUE(unlocked.ok()) << unlocked.error().message();
    EXPECT_EQ(unlocked->slot, slot++);
    EXPECT_TRUE(unlocked->master.secret.equals(made_->master.secret));
  }
}

TEST_F(KeySlotTest, RecoveryWordsTakeNoArgon2id) {
  const size_t before = test::kdf_runs();
  EXPECT_TRUE(unlock_header(made_->header, words()).ok());
  EXPECT_TRUE(unlock_header(made_->header, words(8)).is(Code::wrong_password));
  EXPECT_EQ(test::kdf_runs(), before);
}

TEST_F(KeySlotTest, WordsInThePlaceOfThePasswordAreRecognized) {
  Secret typed = encode_recovery_words(words().secret.view());
  const size_t before = test::kdf_runs();

  auto unlocked = unlock_header(made_->header, Credential(typed));

  ASSERT_TRUE(unlocked.ok()) << unlocked.error().message();
  EXPECT_EQ(unlocked->slot, 2u);
  EXPECT_EQ(test::kdf_runs(), before);
}

TEST_F(KeySlotTest, APasswordThatReadsAsOtherWordsIsStillAPassword) {
  const Secret typed = encode_recovery_words(words(8).secret.view());
  Header header = made_->header;
  header.slots = {made_->header.slots[2], make_slot(header, made_->master, Credential(typed), kKdfFloor, kMadeAt).value()};

  auto unlocked = unlock_header(header, Credential(typed));

  ASSERT_TRUE(unlocked.ok()) << unlocked.error().message();
  EXPECT_EQ(unlocked->slot, 1u);
}

TEST_F(KeySlotTest, PasswordAndKeyfileAreBothNeeded) {
  Header header = made_->header;
  header.slots = {made_->header.slots[1]};
  EXPECT_TRUE(unlock_header(header, Credential::with_keyfile(secret_of("wrong"), filled(32, 7))).is(Code::wrong_password));
  EXPECT_TRUE(unlock_header(header, Credential::with_keyfile(secret_of("right"), filled(32, 6))).is(Code::wrong_password));

  auto alone = unlock_header(header, password());
  ASSERT_TRUE(alone.is(Code::wrong_password));
  EXPECT_EQ(alone.error().hint(), "it opens with: a password with a keyfile");
}

TEST_F(KeySlotTest, TheHintNamesWhatElseTheVaultHas) {
  auto wrong = unlock_header(made_->header, Credential(secret_of("wrong")));
  ASSERT_TRUE(wrong.is(Code::wrong_password));
  EXPECT_NE(wrong.error().hint().find("--keyfile"), std::string::npos);
  EXPECT_NE(wrong.error().hint().find("--recovery"), std::string::npos);
}

TEST_F(KeySlotTest, ASlotThatIsLeftOutDoesNotOpen) {
  const Bytes bytes = encode(made_->header);
  const Header header = decode_header(bytes).value();
  EXPECT_TRUE(unlock(header, bytes, words(), header.slots[2].id).is(Code::wrong_password));
  EXPECT_TRUE(unlock(header, bytes, words(), header.slots[0].id).ok());
}

TEST_F(KeySlotTest, CredentialsOfWrongSizesAreRefused) {
  const Header& header = made_->header;
  const auto made = [&](const Credential& credential) { return make_slot(header, made_->master, credential, kKdfFloor, kMadeAt); };
  EXPECT_TRUE(made(Credential::from_recovery(filled(19, 1))).is(Code::invalid_argument));
  EXPECT_TRUE(made(Credential::with_keyfile(secret_of("x"), filled(31, 1))).is(Code::invalid_argument));
  EXPECT_TRUE(made(Credential::with_keyfile(Secret(), filled(32, 1))).is(Code::empty_password));
  EXPECT_TRUE(made(Credential(secret_of("\xff"))).is(Code::invalid_argument));
  EXPECT_TRUE(made(of_device(SlotType::tpm2, 1, 31)).is(Code::invalid_argument));
  EXPECT_TRUE(made(of_device(SlotType::fido2, 1, 32, Bytes(kSlotExtraMax + 1))).is(Code::invalid_argument));
  Credential nowhere = of_device(SlotType::keyring, 1);
  nowhere.slot.reset();
  EXPECT_TRUE(made(nowhere).is(Code::invalid_argument));
}

TEST_F(KeySlotTest, ADeviceOpensTheSlotThatItsKeyWasMadeForAndNoOther) {
  for (const SlotType type : {SlotType::fido2, SlotType::tpm2, SlotType::keyring}) {
    Header header = made_->header;
    const Bytes extra{1, 2, 3};
    for (const uint8_t value : {uint8_t{1}, uint8_t{2}}) {
      const Credential credential = of_device(type, value, kDeviceKeySize, extra);
      header.slots.push_back(make_slot(header, made_->master, credential, kKdfFloor, kMadeAt).value());
    }
    const size_t before = test::kdf_runs();
    const Bytes bytes = encode(header);
    const Header read = decode_header(bytes).value();
    EXPECT_EQ(slot_info(read.slots[4]).extra, extra);
    EXPECT_EQ(slot_info(read.slots[4]).id, of_device(type, 2).slot);
    EXPECT_EQ(unlock(read, bytes, of_device(type, 2)).value().slot, 4u);
    EXPECT_EQ(unlock(read, bytes, of_device(type, 1)).value().slot, 3u);
    Credential elsewhere = of_device(type, 2);
    elsewhere.slot = of_device(type, 1).slot;
    EXPECT_TRUE(unlock(read, bytes, elsewhere).is(Code::wrong_password)) << "the key of another slot";
    Credential other_type = of_device(type, 2);
    other_type.type = type == SlotType::tpm2 ? SlotType::fido2 : SlotType::tpm2;
    EXPECT_TRUE(unlock(read, bytes, other_type).is(Code::wrong_password));
    EXPECT_EQ(test::kdf_runs(), before) << "it is random already";

    // What the device is given back is bound to the slot.
    header.slots[4].extra[0] ^= 1;
    EXPECT_TRUE(unlock_header(header, of_device(type, 2)).is(Code::wrong_password));
  }
}

TEST_F(KeySlotTest, ACheapPasswordIsToldFromADearOne) {
  SlotInfo info = slot_info(made_->header.slots[0]);
  EXPECT_TRUE(info.is_below_default());
  info.cost = kKdfDefault;
  EXPECT_FALSE(info.is_below_default());
  EXPECT_FALSE(slot_info(made_->header.slots[2]).is_below_default()) << "random: nothing to guess";
}

// --- hostile headers ---

TEST_F(KeySlotTest, NoFlippedBitWithAMendedHashOpensAsIfNothingWere) {
  const Bytes good = encode(made_->header);
  const size_t before = test::kdf_runs();
  const size_t mac = good.size() - 64;
  // Five has no factor in common with eight: every byte is hit, and in time each of its bits.
  for (size_t bit = 0; bit < (good.size() - 32) * 8; bit += test::is_long_run() ? size_t{1} : size_t{5}) {
    Bytes bytes = good;
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    auto unlocked = unlock_bytes(rehashed(bytes), words());
    ASSERT_FALSE(unlocked.ok()) << "bit " << bit;
    const size_t in_slot = bit / 8 - (kSlotsOffset + 2 * kSlotSize);
    if (bit / 8 < 8) {
      EXPECT_TRUE(unlocked.is(Code::not_a_vault)) << "bit " << bit;
    } else if (bit / 8 >= mac || (bit / 8 >= kSlotsOffset && bit / 8 < kSlotsOffset + 2 * kSlotSize)) {
      // The MAC, and slots that this key does not open: damage, be it of structure or found by the MAC.
      EXPECT_TRUE(unlocked.is(Code::header_damaged)) << "bit " << bit << ": " << unlocked.error().message();
    } else if (in_slot >= kWrapOffset && in_slot < kWrapOffset + kWrapSize) {
      EXPECT_TRUE(unlocked.is(Code::wrong_password)) << "bit " << bit << " of the wrap";
    } else {
      EXPECT_TRUE(unlocked.is(Code::wrong_password) || unlocked.is(Code::header_damaged) || unlocked.is(Code::format_too_new) ||
                  unlocked.is(Code::format_too_old))
          << "bit " << bit;
    }
  }
  EXPECT_EQ(test::kdf_runs(), before) << "trying recovery words costs nothing, whatever the header says";
}

TEST_F(KeySlotTest, AnAlteredFieldOfAPasswordSlotCostsOneRunAtMost) {
  Header one = made_->header;
  one.slots.resize(1);
  const Bytes good = encode(one);
  for (size_t at = kSlotsOffset; at < kSlotsOffset + kWrapOffset; at += 3) {  // every field has one of these bytes
    for (uint8_t flip : {uint8_t{0x01}, uint8_t{0x80}}) {
      Bytes bytes = good;
      bytes[at] ^= flip;
      const size_t before = test::kdf_runs();
      auto unlocked = unlock_bytes(rehashed(bytes), password());
      EXPECT_TRUE(unlocked.is(Code::wrong_password) || unlocked.is(Code::header_damaged) || unlocked.is(Code::memory)) << at;
      EXPECT_LE(test::kdf_runs(), before + 1) << at;
    }
  }
}

TEST_F(KeySlotTest, SwappedWrapsDoNotOpen) {
  Header header = made_->header;
  std::swap(header.slots[0].wrap, header.slots[2].wrap);
  EXPECT_TRUE(unlock_header(header, words()).is(Code::wrong_password));
  header = made_->header;
  std::swap(header.slots[2].wrap, header.slots[2].export_wrap);
  EXPECT_TRUE(unlock_header(header, words()).is(Code::wrong_password));
}

TEST_F(KeySlotTest, ASlotOfAnotherVaultDoesNotOpen) {
  NewHeader other = make_header(words(), Suite::xchacha20_poly1305, kKdfFloor, kMadeAt).value();
  Header header = made_->header;
  header.slots[2] = other.header.slots[0];  // the same words, another vault
  EXPECT_TRUE(unlock_header(header, words()).is(Code::wrong_password));

  // And with all else of that vault but the master key, which is then not the one that wrote the header.
  other.header.slots[0] = make_slot(other.header, made_->master, words(), kKdfFloor, kMadeAt).value();
  const Bytes bytes = encode_header(other.header, Cipher(other.master, other.header.vault, other.header.epoch));
  EXPECT_TRUE(unlock(other.header, bytes, words()).is(Code::header_damaged));
}

TEST_F(KeySlotTest, ASlotFromAnOlderHeaderDoesNotComeBack) {
  const Bytes old = encode(made_->header);
  Header header = made_->header;
  header.slots.resize(2);
  Bytes bytes = encode(header);
  // The removed slot is put back, count and length set right, the hash mended: only the MAC tells.
  const auto slot = old.begin() + static_cast<ptrdiff_t>(kSlotsOffset + 2 * kSlotSize);
  bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(kSlotsOffset + 2 * kSlotSize), slot, slot + kSlotSize);
  bytes[45] = 3;
  bytes[8] = old[8];
  bytes[9] = old[9];
  auto unlocked = unlock_bytes(rehashed(bytes), words());
  ASSERT_TRUE(unlocked.is(Code::header_damaged));
  EXPECT_EQ(unlocked.error().message(), "the header was altered after it was written");
}

TEST_F(KeySlotTest, CountsAndLengthsBeyondTheirLimitsAreDamage) {
  const Bytes good = encode(made_->header);
  const size_t before = test::kdf_runs();
  for (int count : {0, 2, 4, 9, 255}) {
    Bytes bytes = good;
    bytes[45] = static_cast<uint8_t>(count);
    EXPECT_TRUE(unlock_bytes(rehashed(bytes), password()).is(Code::header_damaged)) << count;
  }
  for (unsigned extra : {1u, 257u, 65535u}) {
    Bytes bytes = good;
    bytes[kSlotsOffset + 46] = static_cast<uint8_t>(extra);
    bytes[kSlotsOffset + 47] = static_cast<uint8_t>(extra >> 8);
    EXPECT_TRUE(unlock_bytes(rehashed(bytes), password()).is(Code::header_damaged)) << extra;
  }
  EXPECT_EQ(test::kdf_runs(), before);
}

TEST_F(KeySlotTest, ManySlotsOfOneKindCostNoMoreThanThreeRuns) {
  Header header = made_->header;
  header.slots.assign(kSlotsMax, made_->header.slots[0]);
  for (size_t i = 0; i < kSlotsMax; ++i) header.slots[i].id[0] = static_cast<uint8_t>(i);
  const size_t before = test::kdf_runs();
  EXPECT_TRUE(unlock_header(header, Credential(secret_of("wrong"))).is(Code::wrong_password));
  EXPECT_EQ(test::kdf_runs(), before + 3);
}

TEST_F(KeySlotTest, Argon2idIsForPasswordsOnly) {
  for (SlotType type : {SlotType::recovery, SlotType::fido2, SlotType::tpm2, SlotType::keyring}) {
    Header header = made_->header;
    header.slots[2].type = type;
    header.slots[2].kdf = SlotKdf::argon2id;
    header.slots[2].cost = kKdfFloor;
    EXPECT_TRUE(decode_header(encode(header)).is(Code::header_damaged)) << static_cast<int>(type);
  }
}

TEST_F(KeySlotTest, TwoSlotsOfOneIdAreRefused) {
  Header header = made_->header;
  header.slots[2].id = header.slots[1].id;
  EXPECT_TRUE(decode_header(encode(header)).is(Code::header_damaged));
}

// --- keyfiles ---

TEST(KeyfileTest, TheWholeContentCounts) {
  const test::TempDirectory files;
  const std::string content(10'000, 'k');
  const Secret hash = hash_keyfile(files.file("a", content)).value();
  EXPECT_EQ(as_text(hash.view()), as_text(hash256(as_bytes(content))));
  EXPECT_FALSE(hash_keyfile(files.file("b", content + "k")).value().equals(hash));
}

TEST(KeyfileTest, WhatIsShortLongOrNoFileIsRefused) {
  const test::TempDirectory files;
  EXPECT_TRUE(hash_keyfile(files.file("short", std::string(31, 'x'))).is(Code::invalid_argument));
  EXPECT_TRUE(hash_keyfile(files.file("enough", std::string(32, 'x'))).ok());
  EXPECT_TRUE(hash_keyfile(files.path("none")).is(Code::not_found));
  EXPECT_TRUE(hash_keyfile(files.directory("folder")).is(Code::invalid_argument));
  ASSERT_EQ(::mkfifo(files.path("fifo").c_str(), 0600), 0);
  EXPECT_TRUE(hash_keyfile(files.path("fifo")).is(Code::invalid_argument)) << "and does not wait";
  const std::string large = files.file("large", "");
  std::filesystem::resize_file(large, kKeyfileSizeMax);
  EXPECT_TRUE(hash_keyfile(large).ok());
  std::filesystem::resize_file(large, kKeyfileSizeMax + 1);
  EXPECT_TRUE(hash_keyfile(large).is(Code::too_large));
}

}  // namespace
}  // namespace tain::store
