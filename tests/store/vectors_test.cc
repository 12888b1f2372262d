// SPDX-License-Identifier: Apache-2.0
// What tain seals, against answers that were computed independently (tests/vectors/make_vectors.py).
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "store/key_slot.h"
#include "tests/support/fixed_random.h"

namespace tain::store {
namespace {

using test::FixedRandom;

constexpr uint64_t kNow = 1'790'000'000;
constexpr size_t kShownMax = 1024;  // bytes; what is longer stands there as its hash

template <size_t N>
std::array<uint8_t, N> counting(uint8_t first) {
  std::array<uint8_t, N> out;
  for (size_t i = 0; i < N; ++i) out[i] = static_cast<uint8_t>(first + i);
  return out;
}

Bytes pattern(size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(i * 7 + i / 251);
  return out;
}

class VectorsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::ifstream file(TAIN_SOURCE_DIR "/tests/vectors/vectors.txt");
    answers_ = new std::map<std::string, std::string>();
    for (std::string line; std::getline(file, line);) {
      const size_t colon = line.rfind(": ");
      if (line.starts_with('#') || colon == std::string::npos) continue;
      EXPECT_TRUE(answers_->emplace(line.substr(0, colon), line.substr(colon + 2)).second) << line;
    }
  }
  static void TearDownTestSuite() { delete answers_; }

  void compare_labels();
  void compare_hashes();
  void compare_headers();
  void compare_headers_with_devices();
  void compare_records();
  void compare_blocks();
  void compare_frames();
  void compare_hashed_names();
  static void expect(const std::string& name, ByteView value) {
    asked_[name] = true;
    const auto answer = answers_->find(name);
    ASSERT_NE(answer, answers_->end()) << name;
    const std::string shown = value.size() <= kShownMax
                                  ? to_hex(value)
                                  : "hash " + std::to_string(value.size()) + " " + to_hex(hash256(value));
    EXPECT_EQ(shown, answer->second) << name;
  }

  static MasterKey master() { return MasterKey{Secret::copy_of(counting<32>(0x00))}; }
  static MasterKey next_master() { return MasterKey{Secret::copy_of(counting<32>(0x80))}; }
  static VaultId vault() { return {counting<16>(0x20)}; }
  Header header_of(Suite suite) const {
    Header header;
    header.vault = vault();
    header.suite = suite;
    header.key_check = cipher_.key_check();
    return header;
  }
  static Credential words() { return Credential::from_recovery(Secret::copy_of(counting<20>(0x60))); }

  const Cipher cipher_{master(), vault(), 1};
  Cipher next_cipher_{next_master(), vault(), 2};
  static std::map<std::string, std::string>* answers_;
  static inline std::map<std::string, bool> asked_;
};
std::map<std::string, std::string>* VectorsTest::answers_ = nullptr;

void VectorsTest::compare_labels() {
  const MasterKey key = master();
  EXPECT_EQ(all_labels().size(), 32u);
  for (std::string_view label : all_labels()) {
    for (size_t size : {size_t{32}, size_t{64}})
      expect("kdf " + std::to_string(size) + " " + std::string(label),
             derive(key.secret.view(), label, vault().bytes, as_bytes("some info"), size).view());
    const FixedRandom fixed;
    expect("seal " + std::string(label),
           seal(key.secret.view(), label, as_bytes("some associated data"), as_bytes("a message")));
  }
}

void VectorsTest::compare_hashes() {
  expect("hash of nothing", hash256({}));
  expect("hash", hash256(as_bytes("some bytes")));
  expect("password key", derive_password_key(as_bytes("correct horse"), counting<16>(0), kKdfFloor)->view());
}

void VectorsTest::compare_headers() {
  const Secret password = Secret::copy_of(as_bytes("correct horse"));
  const Secret keyfile = Secret::copy_of(hash256(Bytes(32, 'k')));
  const auto add = [&](Header& header, const Credential& credential) {
    header.slots.push_back(make_slot(header, master(), credential, kKdfFloor, kNow).value());
  };
  {
    const FixedRandom fixed;
    Header header = header_of(Suite::aes_256_gcm);
    add(header, Credential(password));
    expect("header, password", encode_header(header, cipher_));
    add(header, Credential::with_keyfile(password, keyfile));
    add(header, words());
    expect("header, three slots", encode_header(header, cipher_));
  }
  {
    const FixedRandom fixed;
    Header header = header_of(Suite::xchacha20_poly1305);
    add(header, words());
    expect("header, suite 2, recovery words", encode_header(header, cipher_));
  }
  const FixedRandom fixed;
  Header header = header_of(Suite::aes_256_gcm);
  header.minor = kFormatMinorRotated;
  header.epoch = 2;
  header.key_check = next_cipher_.key_check();
  header.slots.push_back(make_slot(header, next_master(), Credential(password), kKdfFloor, kNow).value());
  header.older = wrap_older(header, next_master(), master(), 1);
  expect("header, master key under change", encode_header(header, next_cipher_));
  header.older.reset();
  expect("header, master key changed", encode_header(header, next_cipher_));
}

/// A slot of a device of each type. What the devices remember in them is laid out as docs/format.md §3 says.
void VectorsTest::compare_headers_with_devices() {
  Bytes fido2, tpm2;
  Writer(fido2).u8(1).u8(1).raw(counting<32>(0xc0)).raw(pattern(64));
  Writer(tpm2).u8(1).string16(pattern(96)).string16(pattern(90));
  const auto add_devices = [&](Header& header, const MasterKey& key) {
    const std::array devices{
        Credential::from_device(SlotType::fido2, counting<8>(0x70), Secret::copy_of(counting<32>(0x40)), fido2),
        Credential::from_device(SlotType::tpm2, counting<8>(0x78), Secret::copy_of(counting<32>(0x50)), tpm2),
        Credential::from_device(SlotType::keyring, counting<8>(0x80), Secret::copy_of(counting<32>(0x60)))};
    for (const Credential& device : devices) header.slots.push_back(make_slot(header, key, device, kKdfFloor, kNow).value());
  };
  for (Suite suite : {Suite::aes_256_gcm, Suite::xchacha20_poly1305}) {
    const FixedRandom fixed;
    Header header = header_of(suite);
    add_devices(header, master());
    expect("header, suite " + std::to_string(static_cast<int>(suite)) + ", devices", encode_header(header, cipher_));
  }
  {
    const FixedRandom fixed;
    Header header = header_of(Suite::aes_256_gcm);
    const Credential password(Secret::copy_of(as_bytes("correct horse")));
    header.slots.push_back(make_slot(header, master(), password, kKdfFloor, kNow).value());
    add_devices(header, master());
    expect("header, password and devices", encode_header(header, cipher_));
  }
  const FixedRandom fixed;
  Header header = header_of(Suite::aes_256_gcm);
  header.minor = kFormatMinorRotated;
  header.epoch = 2;
  header.key_check = next_cipher_.key_check();
  add_devices(header, next_master());
  expect("header, devices, master key changed", encode_header(header, next_cipher_));
}

void VectorsTest::compare_records() {
  const FixedRandom fixed;
  Bytes key(8, 0);
  key[7] = 2;
  const Bytes value = cipher_.seal_record(Table::inodes, key, Kind::inode, 1, as_bytes("the body of a record"));
  expect("record", ByteView(value).first(value.size() - kChecksumSize));
}

void VectorsTest::compare_blocks() {
  for (Suite suite : {Suite::aes_256_gcm, Suite::xchacha20_poly1305}) {
    const std::string number = std::to_string(static_cast<int>(suite));
    const auto sealed = [&](const BlockPlace& place, Kind kind, size_t size) {
      const FixedRandom fixed;
      Bytes value = cipher_.seal_block(suite, place, kind, pattern(size)).value;
      value.resize(value.size() - kChecksumSize);
      return value;
    };
    if (!suite_available(suite)) continue;
    BlockPlace place{.content = {counting<16>(0x40)}, .id = {.writer = 7, .number = 1}, .level = 0, .index = 3};
    for (size_t size : {0u, 1u, 4095u, 4096u, 4097u, 10'000u}) {
      const std::string described = ", suite " + number + ", " + std::to_string(size) + " bytes";
      expect("block" + described, sealed(place, Kind::data_block, size));
      const FixedRandom fixed;
      const SealedBlock old = cipher_.seal_block(suite, place, Kind::data_block, pattern(size));
      Bytes value = next_cipher_.reseal_block(place, old.ref, Kind::data_block, old.value).value();
      value.resize(value.size() - kChecksumSize);
      expect("resealed block" + described, value);
    }
    place = {.content = {counting<16>(0x40)}, .id = {.writer = 7, .number = 2}, .level = 1, .index = 128};
    expect("map node, suite " + number, sealed(place, Kind::map_node, 63));
  }
}

void VectorsTest::compare_frames() {
  const FixedRandom fixed;
  expect("frame payload", cipher_.seal_frame(counting<kFrameHeaderSize>(0), as_bytes("the changes")));
}

void VectorsTest::compare_hashed_names() {
  for (const std::string& name : {std::string("a.md"), std::string(), std::string("Tagebuch ä"), std::string(255, 'x')}) {
    Bytes hash;
    Writer(hash).u64(cipher_.name_hash(kRootIno, name));
    const std::string shown = name.empty() ? "of nothing" : to_hex(as_bytes(name));
    expect("name hash " + shown, hash);
    hash.clear();
    Writer(hash).u64(next_cipher_.name_hash(kRootIno, name));
    expect("name hash of epoch 2, " + shown, hash);
  }
  expect("set summand", cipher_.set_summand(Table::dirents, as_bytes("a key"), counting<16>(0), 1));
}

TEST_F(VectorsTest, EveryAnswerIsWhatTainMakes) {
  next_cipher_.accept_older(master(), 1);
  compare_labels();
  compare_hashes();
  compare_headers();
  compare_headers_with_devices();
  compare_records();
  compare_blocks();
  compare_frames();
  compare_hashed_names();

  if (!suite_available(Suite::aes_256_gcm)) return;
  for (const auto& [name, answer] : *answers_) EXPECT_TRUE(asked_.contains(name)) << "nothing is compared with " << name;
}

}  // namespace
}  // namespace tain::store
