// SPDX-License-Identifier: Apache-2.0
// The header: what it looks like, what unlocks it, and what becomes of damage and of forgery.
#include "store/key_slot.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "tests/support/secret_of.h"

namespace tain::store {
namespace {

using test::secret_of;

constexpr uint64_t kNow = 1'790'000'000;
constexpr size_t kSequenceOffset = 32;
constexpr size_t kSuiteOffset = 44;
constexpr size_t kSlotOffset = 112;
constexpr size_t kPassesOffset = kSlotOffset + 10;

/// One header for all tests: Argon2id is slow on purpose.
class HeaderTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    made_ = new NewHeader(make_header(secret_of("right"), Suite::xchacha20_poly1305, kKdfFloor, kNow).value());
    bytes_ = new Bytes(encode(made_->header));
  }
  static void TearDownTestSuite() {
    delete made_;
    delete bytes_;
  }

  static Bytes encode(const Header& header) {
    return encode_header(header, Cipher(made_->master, header.vault, header.epoch));
  }

  /// What an attacker does after a change: makes the keyless hash right again.
  static Bytes rehashed(Bytes bytes) {
    bytes.resize(bytes.size() - 32);
    const Id32 hash = hash256(bytes);
    bytes.insert(bytes.end(), hash.begin(), hash.end());
    return bytes;
  }

  /// The header with `change` applied to its bytes, and the hash mended.
  static Bytes forged(const std::function<void(Bytes&)>& change) {
    Bytes bytes = *bytes_;
    change(bytes);
    return rehashed(bytes);
  }

  static Result<Unlocked> unlock_bytes(const Bytes& bytes, std::string_view password) {
    const Header header = decode_header(bytes).value();
    return unlock(header, bytes, secret_of(password));
  }

  static NewHeader* made_;
  static Bytes* bytes_;
};
NewHeader* HeaderTest::made_ = nullptr;
Bytes* HeaderTest::bytes_ = nullptr;

TEST_F(HeaderTest, RoundTrips) {
  Header header = made_->header;
  header.sequence = 12;
  header.previous.fill(7);
  header.slots.push_back(header.slots[0]);
  header.slots[1].id[0] ^= 1;
  header.slots[1].type = SlotType::recovery;
  header.slots[1].kdf = SlotKdf::none;
  header.slots[1].cost = {};
  header.slots[1].salt = {};
  header.slots[1].extra = Bytes(kSlotExtraMax, 9);
  header.author.fill(1);
  header.signature.fill(2);

  auto decoded = decode_header(encode(header));

  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(*decoded, header);
}

TEST_F(HeaderTest, CarriesTheOlderMasterKeyWhileItIsNeeded) {
  const MasterKey older{Secret::random(32)};
  Header header = made_->header;
  header.minor = kFormatMinorRotated;
  header.epoch = 3;
  const Bytes without = encode(header);
  EXPECT_EQ(without.size(), bytes_->size() + 1);
  EXPECT_EQ(decode_header(without).value(), header);
  EXPECT_EQ(make_cipher(header, made_->master).value()->older_epoch(), 0u);

  header.older = wrap_older(header, made_->master, older, 2);
  const Bytes bytes = encode(header);

  EXPECT_EQ(bytes.size(), without.size() + 4 + kWrapSize);
  EXPECT_EQ(decode_header(bytes).value(), header);
  const Cipher before(older, header.vault, 2);
  const Bytes value = before.seal_record(Table::inodes, as_bytes("key"), Kind::inode, 1, as_bytes("body"));
  auto cipher = make_cipher(header, made_->master);
  ASSERT_TRUE(cipher.ok()) << cipher.error().message();
  EXPECT_EQ((*cipher)->older_epoch(), 2u);
  EXPECT_TRUE((*cipher)->open_record(Table::inodes, as_bytes("key"), value).ok());
}

TEST_F(HeaderTest, TheOlderMasterKeyOpensOnlyWhereItBelongs) {
  Header header = made_->header;
  header.minor = kFormatMinorRotated;
  header.epoch = 3;
  header.older = wrap_older(header, made_->master, MasterKey{Secret::random(32)}, 2);
  ASSERT_TRUE(make_cipher(header, made_->master).ok());

  EXPECT_TRUE(make_cipher(header, MasterKey{Secret::random(32)}).is(Code::header_damaged));
  Header other = header;
  other.vault.bytes[0] ^= 1;
  EXPECT_TRUE(make_cipher(other, made_->master).is(Code::header_damaged));
  other = header;
  other.epoch = 4;
  EXPECT_TRUE(make_cipher(other, made_->master).is(Code::header_damaged));
  other = header;
  other.older->epoch = 1;
  EXPECT_TRUE(make_cipher(other, made_->master).is(Code::header_damaged));
}

TEST_F(HeaderTest, RefusesAnOlderMasterKeyThatIsNotOlderAndMoreThanOne) {
  Header header = made_->header;
  header.minor = kFormatMinorRotated;
  header.epoch = 3;
  for (uint32_t epoch : {0u, 3u, 4u}) {
    header.older = OlderMaster{.epoch = epoch, .wrap = {}};
    EXPECT_TRUE(decode_header(encode(header)).is(Code::header_damaged)) << epoch;
  }
  header.older->epoch = 2;
  Bytes bytes = encode(header);
  ASSERT_TRUE(decode_header(bytes).ok());
  bytes[bytes.size() - 64 - 80 - kWrapSize - 4 - 1] = 2;
  EXPECT_TRUE(decode_header(rehashed(bytes)).is(Code::header_damaged));
}

TEST_F(HeaderTest, LaysItsFieldsOutAsDocumented) {
  Reader in(*bytes_);

  EXPECT_EQ(as_text(in.raw(8)), "TAINVLT1");
  EXPECT_EQ(in.u32(), 112u + 272u + 80u + 64u);
  EXPECT_EQ(in.u16(), 1);
  EXPECT_EQ(in.u16(), 1);
  EXPECT_EQ(in.array<16>(), made_->header.vault.bytes);
  EXPECT_EQ(in.u64(), 1u);
  EXPECT_EQ(in.u32(), 1u);
  EXPECT_EQ(in.u8(), 2);
  EXPECT_EQ(in.u8(), 1);
  EXPECT_EQ(in.u16(), 0);
  EXPECT_EQ(in.array<32>(), Id32{});
  EXPECT_EQ(in.array<32>(), made_->header.key_check);
  EXPECT_EQ(in.u8(), 1);
  in.raw(8);
  EXPECT_EQ(in.u8(), 1);
  EXPECT_EQ(in.u32(), 2u);
  EXPECT_EQ(in.u64(), uint64_t{64} << 20);
  in.raw(16);
  EXPECT_EQ(in.u64(), kNow);
  EXPECT_EQ(in.u16(), 0);
}

TEST_F(HeaderTest, EveryFlippedBitIsDamage) {
  for (size_t bit = 0; bit < bytes_->size() * 8; ++bit) {
    Bytes altered = *bytes_;
    altered[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    auto decoded = decode_header(altered);
    EXPECT_TRUE(decoded.is(bit < 64 ? Code::not_a_vault : Code::header_damaged)) << "bit " << bit;
  }
}

TEST_F(HeaderTest, EveryFlippedBitWithAMendedHashIsRefusedOrSeen) {
  for (size_t bit = 0; bit < (bytes_->size() - 32) * 8; ++bit) {
    const Bytes altered = forged([&](Bytes& bytes) { bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8)); });
    auto decoded = decode_header(altered);
    if (!decoded.ok()) {
      EXPECT_TRUE(decoded.is(Code::not_a_vault) || decoded.is(Code::header_damaged) ||
                  decoded.is(Code::format_too_new) || decoded.is(Code::format_too_old));
    } else if (bit / 8 < bytes_->size() - 64) {
      EXPECT_NE(*decoded, made_->header) << "bit " << bit << " means nothing";
    }
  }
}

TEST_F(HeaderTest, EveryCutAndEveryAdditionIsDamage) {
  for (size_t size = 8; size < bytes_->size(); ++size)
    EXPECT_TRUE(decode_header(ByteView(*bytes_).first(size)).is(Code::header_damaged)) << "size " << size;
  Bytes longer = *bytes_;
  longer.push_back(0);
  EXPECT_TRUE(decode_header(longer).is(Code::header_damaged));
  longer.resize(kHeaderSizeMax + 1);
  EXPECT_TRUE(decode_header(longer).is(Code::header_damaged));
  EXPECT_TRUE(decode_header({}).is(Code::not_a_vault));
}

TEST_F(HeaderTest, ALaterFormatIsNamedAsSuch) {
  auto next_major = decode_header(forged([](Bytes& bytes) { bytes[12] = 2; }));
  EXPECT_TRUE(next_major.is(Code::format_too_new));
  EXPECT_FALSE(next_major.error().hint().empty());
  EXPECT_TRUE(decode_header(forged([](Bytes& bytes) { bytes[12] = 0; })).is(Code::header_damaged));
  Header rotated = made_->header;
  rotated.minor = kFormatMinorRotated;
  Bytes later = encode(rotated);
  later[14] = 3;
  EXPECT_TRUE(decode_header(rehashed(later)).ok()) << "a later minor with nothing unknown";
  later[kSlotOffset] = 7;
  EXPECT_TRUE(decode_header(rehashed(later)).is(Code::format_too_new));
}

TEST_F(HeaderTest, AFormatOfADevelopmentVersionIsNamedAsSuch) {
  auto old = decode_header(forged([](Bytes& bytes) { bytes[14] = 0; }));
  EXPECT_TRUE(old.is(Code::format_too_old));
  EXPECT_NE(old.error().message().find("format 1.0"), std::string::npos);
  EXPECT_FALSE(old.error().hint().empty());
}

TEST_F(HeaderTest, CostsOutOfBoundsAreRefusedBeforeAnyWork) {
  auto with_cost = [&](uint32_t passes, uint64_t memory) {
    Header header = made_->header;
    header.slots[0].cost = {passes, memory};
    return decode_header(encode(header));
  };
  EXPECT_TRUE(with_cost(1, uint64_t{64} << 20).is(Code::header_damaged));
  EXPECT_TRUE(with_cost(2, (uint64_t{64} << 20) - 1).is(Code::header_damaged));
  EXPECT_TRUE(with_cost(0xffffffff, uint64_t{64} << 20).is(Code::header_damaged));
  EXPECT_TRUE(with_cost(2, uint64_t{5} << 30).is(Code::header_damaged));
  EXPECT_TRUE(with_cost(0, 0).is(Code::header_damaged));
}

TEST_F(HeaderTest, APasswordSlotCannotDoWithoutArgon2id) {
  Header header = made_->header;
  header.slots[0].kdf = SlotKdf::none;
  header.slots[0].cost = {};
  header.slots[0].salt = {};
  EXPECT_TRUE(decode_header(encode(header)).is(Code::header_damaged));
}

TEST_F(HeaderTest, TheRightPasswordUnlocks) {
  auto unlocked = unlock_bytes(*bytes_, "right");

  ASSERT_TRUE(unlocked.ok()) << unlocked.error().message();
  EXPECT_TRUE(unlocked->master.secret.equals(made_->master.secret));
  EXPECT_EQ(unlocked->slot, 0u);
}

TEST_F(HeaderTest, AnyOtherPasswordDoesNot) {
  auto unlocked = unlock_bytes(*bytes_, "wrong");
  EXPECT_TRUE(unlocked.is(Code::wrong_password));
  EXPECT_FALSE(unlocked.error().hint().empty());
  EXPECT_TRUE(unlock_bytes(*bytes_, "").is(Code::empty_password));
  EXPECT_TRUE(unlock_bytes(*bytes_, "\xff").is(Code::invalid_argument));
}

TEST_F(HeaderTest, AnAlteredCostBreaksTheWrap) {
  const Bytes bytes = forged([](Bytes& altered) { altered[kPassesOffset] = 3; });
  EXPECT_TRUE(unlock_bytes(bytes, "right").is(Code::wrong_password));
}

TEST_F(HeaderTest, AnAlteredCipherBreaksTheWrap) {
  const Bytes bytes = forged([](Bytes& altered) { altered[kSuiteOffset] = 1; });
  EXPECT_TRUE(unlock_bytes(bytes, "right").is(Code::wrong_password));
}

TEST_F(HeaderTest, OtherAlterationsAreFoundByTheMac) {
  auto unlocked = unlock_bytes(forged([](Bytes& altered) { altered[kSequenceOffset] = 9; }), "right");
  ASSERT_TRUE(unlocked.is(Code::header_damaged));
  EXPECT_EQ(unlocked.error().message(), "the header was altered after it was written");
}

TEST_F(HeaderTest, AForeignKeyCheckIsFound) {
  Header header = made_->header;
  header.key_check[0] ^= 1;
  EXPECT_TRUE(unlock_bytes(encode(header), "right").is(Code::header_damaged)) << "even under a good MAC";
}

TEST_F(HeaderTest, EachOfSeveralPasswordsUnlocksItsSlot) {
  Header header = made_->header;
  header.slots.push_back(make_slot(header, made_->master, secret_of("second"), kKdfFloor, kNow).value());
  const Bytes bytes = encode(header);

  EXPECT_EQ(unlock_bytes(bytes, "right")->slot, 0u);
  auto second = unlock_bytes(bytes, "second");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->slot, 1u);
  EXPECT_TRUE(second->master.secret.equals(made_->master.secret));
}

TEST_F(HeaderTest, TriesNoMoreThanThreeSlots) {
  Header header = made_->header;
  std::vector<KeySlot> duds(3, header.slots[0]);
  for (size_t i = 0; i < duds.size(); ++i) duds[i].id[0] ^= static_cast<uint8_t>(i + 1);  // no longer what its wrap is bound to
  header.slots = {duds[0], duds[1], duds[2], made_->header.slots[0]};
  EXPECT_TRUE(unlock_bytes(encode(header), "right").is(Code::wrong_password));
  header.slots = {duds[0], duds[1], made_->header.slots[0], duds[2]};
  EXPECT_EQ(unlock_bytes(encode(header), "right")->slot, 2u);
}

TEST_F(HeaderTest, AnUnlockedVaultKnowsItsExportKey) {
  const Header& header = made_->header;
  const KeySlot& slot = header.slots[0];
  const Cipher cipher(made_->master, header.vault, header.epoch);

  auto export_key =
      open_sealed(cipher.export_wrap_key(), "tain1.xwrap", slot_associated_data(header, slot), slot.export_wrap);

  // The same key by the other way, from the password alone (docs/format.md §4).
  const Secret password_key = derive_password_key(as_bytes("right"), slot.salt, slot.cost).value();
  Bytes info;
  Writer(info).raw(slot.id).raw(hash256({}));
  const Secret slot_key = derive(password_key.view(), "tain1.kek", header.vault.bytes, info, 32);
  const Secret expected = derive(slot_key.view(), "tain1.export", header.vault.bytes, slot.id, 32);
  ASSERT_TRUE(export_key.ok());
  EXPECT_TRUE(export_key->equals(expected));
}

TEST_F(HeaderTest, NoTwoHeadersShareSaltIdOrKey) {
  const NewHeader other = make_header(secret_of("right"), Suite::xchacha20_poly1305, kKdfFloor, kNow).value();
  EXPECT_NE(other.header.vault, made_->header.vault);
  EXPECT_NE(other.header.slots[0].salt, made_->header.slots[0].salt);
  EXPECT_NE(other.header.slots[0].id, made_->header.slots[0].id);
  EXPECT_FALSE(other.master.secret.equals(made_->master.secret));
}

int make_aes_header_without_aes() {
  setenv("TAIN_TEST_NO_AES", "1", 1);
  return make_header(secret_of("right"), Suite::aes_256_gcm, kKdfFloor, kNow).is(Code::suite_missing) ? 0 : 1;
}

TEST(HeaderDeathTest, AVaultThatTheCpuCannotReadIsNotMade) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a fresh process: the CPU's answer is cached
  EXPECT_EXIT(std::exit(make_aes_header_without_aes()), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tain::store
