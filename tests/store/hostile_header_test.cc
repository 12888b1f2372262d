// SPDX-License-Identifier: Apache-2.0
// Every single bit of a header with slots of every kind, flipped: the right error, for at most one run of Argon2id, and with
// no more memory than the limits allow. Once as a disk does it, and once as an attacker does, who mends the keyless hash.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "store/key_slot.h"
#include "store/recovery_words.h"
#include "tests/support/allocations.h"
#include "tests/support/kdf_memo.h"
#include "tests/support/long_run.h"
#include "tests/support/secret_of.h"

namespace tain::store {
namespace {

using test::secret_of;

constexpr uint64_t kCreatedAt = 1'790'000'000;
constexpr size_t kPlainHashSize = 32;
constexpr size_t kFirstSlotOffset = 112;
constexpr size_t kWays = 6;
constexpr uint64_t kShortWork = uint64_t{512} << 20;  // passes × bytes
constexpr uint64_t kLongWork = uint64_t{8} << 30;

/// Where a field of the header lies. `slot`: -1 for what belongs to none.
struct Field {
  std::string name;
  int slot = -1;
  size_t at = 0, size = 0;
};

/// docs/format.md §3, written down again.
std::vector<Field> fields_of(const Header& header) {
  std::vector<Field> out;
  size_t at = 0;
  const auto add = [&](const std::string& name, size_t size, int slot = -1) {
    out.push_back({name, slot, at, size});
    at += size;
  };
  add("magic", 8), add("length", 4), add("major", 2), add("minor", 2), add("vault", 16), add("sequence", 8), add("epoch", 4);
  add("suite", 1), add("count", 1), add("zero", 2), add("previous", 32), add("kcv", 32);
  EXPECT_EQ(at, kFirstSlotOffset);
  for (int i = 0; i < static_cast<int>(header.slots.size()); ++i) {
    add("type", 1, i), add("id", 8, i), add("kdf", 1, i), add("passes", 4, i), add("memory", 8, i), add("salt", 16, i);
    add("created", 8, i), add("extra length", 2, i), add("extra", header.slots[static_cast<size_t>(i)].extra.size(), i);
    add("wrap", kWrapSize, i), add("xwrap", kWrapSize, i);
  }
  if (header.minor >= kFormatMinorRotated) add("older count", 1);
  if (header.older) add("older epoch", 4), add("older wrap", kWrapSize);
  add("author", 16), add("signature", 64), add("MAC", 32);
  return out;
}

Secret repeated(size_t size, uint8_t value) { return Secret::copy_of(Bytes(size, value)); }

/// A way in for each type of slot. The ids of the devices' slots are far apart: no flipped bit makes two the same.
std::vector<Credential> every_way() {
  std::vector<Credential> out;
  out.emplace_back(secret_of("right"));
  out.push_back(Credential::with_keyfile(secret_of("right"), repeated(32, 7)));
  out.push_back(Credential::from_recovery(repeated(kRecoverySecretSize, 9)));
  out.push_back(Credential::from_device(SlotType::fido2, SlotId{0x11, 0x11}, repeated(kDeviceKeySize, 4), Bytes(98, 0x24)));
  out.push_back(Credential::from_device(SlotType::tpm2, SlotId{0x22, 0x22}, repeated(kDeviceKeySize, 5), Bytes(kSlotExtraMax, 0x25)));
  out.push_back(Credential::from_device(SlotType::keyring, SlotId{0x44, 0x44}, repeated(kDeviceKeySize, 6)));
  return out;
}

bool takes_argon2id(const Credential& way) { return way.type == SlotType::password || way.type == SlotType::password_keyfile; }

class HostileHeaderTest : public testing::TestWithParam<bool> {
 protected:
  /// GetParam: of a vault whose master key is being changed.
  void SetUp() override {
    NewHeader made = make_header(every_way()[0], Suite::xchacha20_poly1305, kKdfFloor, kCreatedAt).value();
    header_ = std::move(made.header);
    if (GetParam()) {
      header_.minor = kFormatMinorRotated;
      header_.epoch = 3;
      header_.older = wrap_older(header_, made.master, MasterKey{Secret::random(32)}, 2);
    } else {
      header_.sequence = 5;
    }
    const Cipher cipher(made.master, header_.vault, header_.epoch);
    header_.key_check = cipher.key_check();
    header_.slots.clear();
    for (const Credential& way : every_way())
      header_.slots.push_back(make_slot(header_, made.master, way, kKdfFloor, kCreatedAt).value());
    bytes_ = encode_header(header_, cipher);
  }

  static Bytes flipped(Bytes bytes, size_t bit) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    return bytes;
  }
  static Bytes rehashed(Bytes bytes) {
    bytes.resize(bytes.size() - kPlainHashSize);
    const Id32 hash = hash256(bytes);
    bytes.insert(bytes.end(), hash.begin(), hash.end());
    return bytes;
  }

  /// What opening by `way`, whose slot is number `own`, must say of the mended header with that bit flipped.
  Code expected(const Field& field, size_t bit, const Credential& way, int own) const {
    const Bytes altered = flipped(bytes_, bit);
    const auto number = [&] { return load(altered, field); };
    if (field.name == "magic") return Code::not_a_vault;
    if (field.name == "major") return number() > 1 ? Code::format_too_new : Code::header_damaged;
    if (field.name == "minor") {
      if (number() == 0) return Code::format_too_old;
      // One without the byte that counts older keys is of another length; one with it is only bound to another number.
      const bool had_count = header_.minor >= kFormatMinorRotated, has_count = number() >= kFormatMinorRotated;
      if (had_count == has_count) return Code::wrong_password;
      return number() > kFormatMinor ? Code::format_too_new : Code::header_damaged;
    }
    if (field.name == "vault") return Code::wrong_password;
    if (field.name == "epoch") {
      const bool in_order = number() != 0 && (!header_.older || number() > header_.older->epoch);
      return in_order ? Code::wrong_password : Code::header_damaged;
    }
    if (field.slot != own) return Code::header_damaged;  // of structure, or found by the MAC once the slot has opened

    if (field.name == "type") {
      const bool is_another = number() >= 3 && number() <= 6 && !takes_argon2id(way);
      return is_another ? Code::wrong_password : Code::header_damaged;
    }
    for (const char* bound : {"id", "created", "extra", "wrap"})
      if (field.name == bound) return Code::wrong_password;
    if (field.name == "salt" && takes_argon2id(way)) return Code::wrong_password;
    if ((field.name == "passes" || field.name == "memory") && takes_argon2id(way)) {
      KdfCost cost = header_.slots[static_cast<size_t>(own)].cost;
      if (field.name == "passes") cost.passes = static_cast<uint32_t>(number());
      else cost.memory_bytes = number();
      return check_kdf_bounds(cost).ok() ? Code::wrong_password : Code::header_damaged;
    }
    return Code::header_damaged;
  }

  /// Whether it would take long to try: a cost within the bounds, but far above the floor.
  bool is_slow(const Field& field, size_t bit) const {
    const Bytes altered = flipped(bytes_, bit);
    KdfCost cost = kKdfFloor;
    if (field.name == "passes") cost.passes = static_cast<uint32_t>(load(altered, field));
    if (field.name == "memory") cost.memory_bytes = load(altered, field);
    return check_kdf_bounds(cost).ok() && cost.passes * cost.memory_bytes > (test::is_long_run() ? kLongWork : kShortWork);
  }

  /// In the short run: each bit of a slot by that slot, each other one by one of the ways, and some by all.
  static bool is_chosen(const Field& field, size_t bit, int own) {
    constexpr size_t kSome = 61;
    if (bit % kSome == 0) return true;
    if (field.slot >= 0) return own == field.slot && (!GetParam() || bit % 8 == field.at % 8);
    return static_cast<int>(bit % kWays) == own;
  }

  static uint64_t load(const Bytes& bytes, const Field& field) {
    uint64_t out = 0;
    for (size_t i = field.size; i-- > 0;) out = out << 8 | bytes[field.at + i];
    return out;
  }

  Header header_;
  Bytes bytes_;
};

TEST_P(HostileHeaderTest, EveryWayOpensItAsItIs) {
  int own = 0;
  for (const Credential& way : every_way())
    EXPECT_EQ(unlock(decode_header(bytes_).value(), bytes_, way).value().slot, static_cast<size_t>(own++));
  const auto fields = fields_of(header_);
  EXPECT_EQ(fields.back().at + fields.back().size, bytes_.size() - kPlainHashSize) << "the list of fields is that of the format";
}

TEST_P(HostileHeaderTest, EveryBitThatRotsIsDamageBeforeAnyWork) {
  const size_t before = test::kdf_runs();
  for (size_t bit = 0; bit < bytes_.size() * 8; ++bit) {
    const Bytes altered = flipped(bytes_, bit);
    const test::LargestAllocation largest;
    const auto decoded = decode_header(altered);
    EXPECT_TRUE(decoded.is(bit < 64 ? Code::not_a_vault : Code::header_damaged)) << "bit " << bit;
    EXPECT_LE(largest.bytes(), kHeaderSizeMax) << "bit " << bit;
  }
  EXPECT_EQ(test::kdf_runs(), before);
}

TEST_P(HostileHeaderTest, EveryBitThatAnAttackerFlipsHasItsErrorAndItsPrice) {
  const std::vector<Credential> ways = every_way();
  // Each of these is a run of Argon2id of its own; all others ask for one that the test program remembers.
  const auto is_dear = [](const Field& field) { return field.name == "passes" || field.name == "memory" || field.name == "salt"; };
  for (int own = 0; own < static_cast<int>(ways.size()); ++own) {
    const Credential& way = ways[static_cast<size_t>(own)];
    for (const Field& field : fields_of(header_)) {
      for (size_t bit = field.at * 8; bit < (field.at + field.size) * 8; ++bit) {
        if (!test::is_long_run() && !is_chosen(field, bit, own)) continue;
        const bool is_dear_here = field.slot == own && takes_argon2id(way) && is_dear(field);
        if (is_dear_here && field.name == "salt" && !test::is_long_run() && bit % 29 != 0) continue;
        if (is_dear_here && is_slow(field, bit)) continue;
        const Bytes altered = rehashed(flipped(bytes_, bit));
        const Code code = expected(field, bit, way, own);
        const size_t runs = test::kdf_runs();
        const test::LargestAllocation largest;

        const auto decoded = decode_header(altered);
        const auto unlocked = decoded.ok() ? unlock(*decoded, altered, way) : Result<Unlocked>(decoded.error());

        const std::string place = "bit " + std::to_string(bit) + ", " + field.name + " of slot " + std::to_string(field.slot) +
                                  ", by slot " + std::to_string(own);
        ASSERT_FALSE(unlocked.ok()) << place;
        // What is within the bounds may still be more than this machine has at the moment.
        const bool is_too_much = is_dear_here && field.name == "memory" && code == Code::wrong_password && unlocked.is(Code::memory);
        EXPECT_TRUE(unlocked.is(code) || is_too_much) << place << ": " << unlocked.error().message();
        EXPECT_LE(test::kdf_runs(), runs + (takes_argon2id(way) ? 1u : 0u)) << place;
        EXPECT_LE(largest.bytes(), kHeaderSizeMax) << place;
        if (testing::Test::HasFailure()) return;  // one of thousands says enough
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vaults, HostileHeaderTest, testing::Bool(),
                         [](const auto& tested) { return tested.param ? "WhileTheMasterKeyChanges" : "Usual"; });

}  // namespace
}  // namespace tain::store
