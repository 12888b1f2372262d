// SPDX-License-Identifier: Apache-2.0
// Sealing: known answers for every label and construction, and what becomes of each altered byte.
//
// The known answers come from an independent implementation: Python's hashlib.blake2b for H and KDF, the
// `cryptography` package for AES-GCM and ChaCha20-Poly1305, and libxxhash's one-shot XXH3 for checksums.
#include "store/cipher.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <cstdlib>
#include <functional>
#include <map>
#include <numeric>
#include <set>

namespace tain::store {
namespace {

constexpr uint32_t kEpoch = 7;
constexpr Suite kSuites[] = {Suite::aes_256_gcm, Suite::xchacha20_poly1305};

/// `size` bytes counting up from `first`.
template <size_t N>
std::array<uint8_t, N> counting(uint8_t first) {
  std::array<uint8_t, N> out;
  std::iota(out.begin(), out.end(), first);
  return out;
}

Bytes hex(std::string_view text) {
  return from_hex(text).value();
}

std::string text_of(ByteView bytes) {
  return std::string(as_text(bytes));
}

MasterKey test_master(uint8_t first = 0) {
  return {Secret::copy_of(counting<32>(first))};
}

const VaultId kVault{counting<16>(0x20)};
const BlockPlace kPlace{.content = {counting<16>(0x60)}, .id = {3, 4}, .level = 0, .index = 9};

Cipher test_cipher() {
  return Cipher(test_master(), kVault, kEpoch);
}

/// Of a frame of that epoch.
std::array<uint8_t, kFrameHeaderSize> frame_header() {
  auto header = counting<kFrameHeaderSize>(0);
  for (size_t i = 0; i < 4; ++i) header[12 + i] = static_cast<uint8_t>(kEpoch >> (8 * i));
  return header;
}

Bytes database_key(uint64_t number) {
  Bytes key(8);
  store_be64(key.data(), number);
  return key;
}

Bytes database_key(const BlockId& id) {
  Bytes key(16);
  store_be64(key.data(), id.writer);
  store_be64(key.data() + 8, id.number);
  return key;
}

/// What an attacker does after changing a value: makes the keyless checksum right again.
Bytes with_new_checksum(Table table, ByteView key, Bytes value) {
  value.resize(value.size() - kChecksumSize);
  const auto checksum = value_checksum(table, key, value);
  value.insert(value.end(), checksum.begin(), checksum.end());
  return value;
}

/// The reference that a block value answers to.
BlockRef ref_of(const BlockPlace& place, ByteView value) {
  Reader in(value.subspan(24));
  BlockRef ref{.id = place.id, .nonce = in.array<24>(), .tag = in.array<16>(), .length = 0};
  size_t length = value.size() - kBlockHeaderSize - kChecksumSize;
  length -= (length + kCellSize + 15) / (kCellSize + 16) * 16;
  ref.length = static_cast<uint32_t>(length);
  return ref;
}

const std::map<Suite, std::string_view> kBlockVectors{
    {Suite::aes_256_gcm,
     "0501010007000000606162636465666768696a6b6c6d6e6f808182838485868788898a8b8c8d8e8f90919293949596974209"
     "4d764a70f364df5eb9d145eb6b9334925ae6392149dbfc6a8f7c0368c541b0ca371d6dff92a1e7df51a58889f33e086c3b17"
     "6883b3e5a0c5"},
    {Suite::xchacha20_poly1305,
     "0502010007000000606162636465666768696a6b6c6d6e6f808182838485868788898a8b8c8d8e8f90919293949596979307"
     "3a257f535545a504a5fe0059375841a2c6d0140ced5e6ce0fe4e0ac97afb66b4775e468d811e06ab113205ba70cdad13acdb"
     "3f3296ade5e1"},
};

TEST(CipherVectorsTest, EveryLabelHasItsKnownSubkey) {
  const std::map<std::string_view, std::string_view> expected{
      {"tain1.hdrmac", "ad181ae4a4ce1baf67c7804509c7a7f0d26722f0ad1d87a0e0218493e0944023"},
      {"tain1.kcv", "b2ae34c8ea06c09b0fa7addcd22918182790447e186c75b77217328ecfe68ba2"},
      {"tain1.record", "b30bdfc0a06ed2eeccbc730dc87701f8105d92a75eb793c60d117f12548c09d4"},
      {"tain1.content", "9c3ac035dd3e433150e2906d69d334ae552abf8aad2247118cc51d8d80702e23"},
      {"tain1.journal", "1aa317a8147bb6826461df9e353c2cca7decba4787a365497169b577696c4f98"},
      {"tain1.set", "488768b1a724706fb658b3f7fda0d70a49affded96f1f71c98682f6d0a37f373"},
      {"tain1.dirhash", "cb854fddb2fb5fcdaf20180d7364414d2ae8b897cf1e09589981e3a6816887a7"},
      {"tain1.xk", "8b3c7db84d5e13750d6e8403423a9f067815626bb012d7dbb9ffd8e4711eb9f6"},
      {"tain1.hm", "8502cad7b6eaae1da9d648f5c167be47f5bf4370e6df9aa1ab5ef348feda205b"},
      {"tain1.rec", "d03d33284d712ad539fc107c971b1a3eb5cecc77456e7f2be6ca827ca7bd322a"},
      {"tain1.blk", "34312c631823ca206864b012482dcf7fd84e051bc0f67bae41502401ad3e805b"},
      {"tain1.jrn", "473dae9c6903139c1c1674fb0b659ad0123f4cc1c90da029b2c97643420c38c9"},
      {"tain1.sd", "5f5359639dccb6e76fc90116ecd2149dae889da7cebe385b8f5972f404aaa0a5"},
      {"tain1.dh", "58d0062dc64d24ee313763d6304e69ac05602c4672e8a2d99e2f42a3255a37e6"},
      {"tain1.kek", "ab6b7bf9002574768ed6e647c5f7741c329b30eaa9fa05efedbbe16e081f3cc6"},
      {"tain1.export", "f300c99199793255540d2745afdbd116e06b88f63dc164227aca2e5c7af03d5b"},
      {"tain1.wrap", "de15fc8ca90189f74e46340af2110ddc9a6d90b64e19a8fa0aec4f7c05a23288"},
      {"tain1.xwrap", "0a5072c927d3537932abdc629040237cbc2d63ba727474b945b1cc1889ce897a"},
      {"tain1.name", "47ead8f4a33108cfa54aa1474a793e90e24b042f80259546abec3c5b16041bc5"},
      {"tain1.head", "4a2bfe1751606a30ee96339c406f368d483e173aa3fa0a2f7696cbed04f410a5"},
      {"tain1.local", "eb89175d3858643595d5611e00ec516f4872fe70c52a8543320ef5d88a6a14ae"},
      {"tain1.cells", "5c53a293a6c65913c84502a546f8a46f759c58debf624451dd7cef0f47a5a387"},
      {"tain1.older", "4f2103da60cd607534be0217517ce54935bd2c0258a7e1550dc60672c258282b"},
      {"tain1.ring", "f9a0d9561b5371b39a519983d03b899be367867ffeadfe837b70dc4bd5841d45"},
      {"tain1.blob", "2c81ef7d49e69a5ab201e203ebb2e2a2154340a3ff5ace566ebf4567c2ff6cd1"},
      {"tain1.obj", "49c963b329121071c1af0d8057be368b58d4ace05ff2b2d685bbb1911f9af731"},
      {"tain1.ann", "e35847f90cd4d8e2e331e5217f9f95ce08378112eb873e447e483947d93c9098"},
      {"tain1.seg", "51e5a08dbf701f2277756259c7e546924bfb6a19fcfa6575bf682aa3fb2a8188"},
      {"tain1.cid", "6b5163d83253d0f323dfdbf1b7710e155b255c687aab45f8435d141abeb4b9b4"},
      {"tain1.chunk", "4c89b8c47600abddda28de8346b63ac3c9d9aae88bfc76e08815dccd3f153f70"},
      {"tain1.pad", "5aaf9fb98124b34ca2b26060483603101464deccc96d73224cfb5ebba44ee563"},
      {"tain1.pack", "f0b7454e0ef28b3471d35ade0d34c4f27bf0126dc5fa711b17759c9da5b4555e"},
  };
  const Bytes epoch{kEpoch, 0, 0, 0};

  std::set<std::string_view> seen;
  for (std::string_view label : all_labels()) {
    EXPECT_LE(label.size(), 16u) << label;
    EXPECT_TRUE(seen.insert(label).second) << label << " is listed twice";
    ASSERT_TRUE(expected.contains(label)) << label << " has no known answer here";
    EXPECT_EQ(to_hex(derive(test_master().secret.view(), label, kVault.bytes, epoch, 32).view()), expected.at(label))
        << label;
  }

  EXPECT_EQ(seen.size(), expected.size());
  EXPECT_EQ(to_hex(test_cipher().key_check()), expected.at("tain1.kcv"));
  EXPECT_EQ(to_hex(test_cipher().export_wrap_key()), expected.at("tain1.xk"));
}

TEST(CipherVectorsTest, HashesAndMacs) {
  EXPECT_EQ(to_hex(hash256(as_bytes("abc"))), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_EQ(to_hex(xxh3_128(as_bytes("abc"))), "06b05ab6733a618578af5f94892f3950");
  Bytes value(1000);
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<uint8_t>(i * 7);
  EXPECT_EQ(to_hex(value_checksum(Table::blocks, as_bytes("key"), value)), "c8c8fd9dd3d8cb48b34c2279df16b395");

  EXPECT_EQ(test_cipher().name_hash(kRootIno, "entry.md"), 0x46a59945399d19f0u);
  EXPECT_EQ(Cipher(test_master(), kVault, 1).name_hash(kRootIno, "entry.md") >> 62, 0u);
  EXPECT_EQ(to_hex(test_cipher().header_mac(as_bytes("header bytes"))),
            "62df8f717d4b61036287aaa663e66cfafd19086ff8a0aa65097ab60fb53127ae");
}

TEST(CipherVectorsTest, SealOpens) {
  auto opened = open_sealed(
      counting<32>(0), "tain1.wrap", as_bytes("associated"),
      hex("404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5fe9d361a412e178d20951d522b3d0a2eb2d58"
          "c016136b0bdaa9fabc3678d22303bfa5495f2e4d3d1588cf23ff64c816a62b219222167f9f"));

  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(text_of(opened->view()), "message");
}

TEST(CipherVectorsTest, RecordOpens) {
  const Bytes value =
      hex("0102010007000000404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f06f8d93ad8dd4a2bfe37"
          "b664a33ca30cfccdcda44fdfed23712502956f65833cd3838be53fa24ef79b71c11d088aa30e1fdfe83b578714d8204a5bf1"
          "d14bbf0ab72cdcd4cf65ccf629674f39586be1bf");
  Damage damage{};

  auto record = test_cipher().open_record(Table::inodes, database_key(5), value, &damage);

  ASSERT_TRUE(record.ok()) << record.error().message();
  EXPECT_EQ(damage, Damage::none);
  EXPECT_EQ(record->kind, Kind::inode);
  EXPECT_EQ(record->schema, 1);
  EXPECT_EQ(text_of(record->body), "inode body");
  EXPECT_EQ(
      to_hex(test_cipher().set_summand(Table::inodes, database_key(5), ByteView(value).last(kChecksumSize), kEpoch)),
            "35569bfa77d5bd054ad169e2a48a07d61d7f6e20cd45e9c5e262b6d732806707");
}

TEST(CipherVectorsTest, BlocksOpen) {
  for (const auto& [suite, vector] : kBlockVectors) {
    if (!suite_available(suite)) continue;
    const Bytes value = hex(vector);
    Bytes out(10);
    Damage damage{};

    auto opened = test_cipher().open_block(kPlace, ref_of(kPlace, value), Kind::data_block, value, out, &damage);

    ASSERT_TRUE(opened.ok()) << opened.error().message();
    EXPECT_EQ(damage, Damage::none);
    EXPECT_EQ(text_of(out), "block text");
  }
}

TEST(CipherVectorsTest, FrameOpens) {
  auto payload = test_cipher().open_frame(
      frame_header(),
      hex("404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f1f19e939814c496fb297d588e2c812caedfe"
          "9a19532c8d699288afb00570e9144f22094803a632ca0a54da6606d7f304e890dc2e5a339a"));

  ASSERT_TRUE(payload.ok());
  EXPECT_EQ(text_of(*payload), "payload");
}

TEST(SealTest, OpensOnlyWithTheSameKeyLabelAndAssociatedData) {
  const auto key = counting<32>(1);
  const Bytes sealed = seal(key, label::kWrap, as_bytes("ad"), as_bytes("secret"));

  EXPECT_EQ(sealed.size(), 6 + kSealOverhead);
  EXPECT_NE(sealed, seal(key, label::kWrap, as_bytes("ad"), as_bytes("secret")));
  EXPECT_EQ(text_of(open_sealed(key, label::kWrap, as_bytes("ad"), sealed)->view()), "secret");
  EXPECT_TRUE(open_sealed(counting<32>(2), label::kWrap, as_bytes("ad"), sealed).is(Code::corrupt));
  EXPECT_TRUE(open_sealed(key, label::kExportWrap, as_bytes("ad"), sealed).is(Code::corrupt));
  EXPECT_TRUE(open_sealed(key, label::kWrap, as_bytes("da"), sealed).is(Code::corrupt));
}

TEST(SealTest, RefusesEveryFlippedBitAndEveryCut) {
  const auto key = counting<32>(1);
  const Bytes sealed = seal(key, label::kWrap, {}, as_bytes("secret"));

  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes altered = sealed;
    altered[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_TRUE(open_sealed(key, label::kWrap, {}, altered).is(Code::corrupt)) << "bit " << bit;
  }
  for (size_t size = 0; size < sealed.size(); ++size)
    EXPECT_TRUE(open_sealed(key, label::kWrap, {}, ByteView(sealed).first(size)).is(Code::corrupt)) << "size " << size;
}

TEST(RecordTest, RoundTripsAndNeverRepeatsItself) {
  const Cipher cipher = test_cipher();
  for (size_t size : {size_t{0}, size_t{1}, size_t{200}, size_t{70000}}) {
    const Bytes body(size, 'b');

    const Bytes value = cipher.seal_record(Table::dirents, database_key(1), Kind::dirent, 3, body);
    auto record = cipher.open_record(Table::dirents, database_key(1), value);

    ASSERT_TRUE(record.ok());
    EXPECT_EQ(record->kind, Kind::dirent);
    EXPECT_EQ(record->schema, 3);
    EXPECT_EQ(record->body, body);
    EXPECT_EQ(value.size(), kRecordOverhead + 6 + size);
    EXPECT_NE(value, cipher.seal_record(Table::dirents, database_key(1), Kind::dirent, 3, body));
  }
}

TEST(RecordTest, IsBoundToItsKeyTableVaultEpochAndMasterKey) {
  const Bytes value = test_cipher().seal_record(Table::inodes, database_key(1), Kind::inode, 1, as_bytes("body"));
  auto damage_of = [&](const Cipher& cipher, Table table, uint64_t key) {
    // The attacker moves the value and mends the checksum.
    const Bytes moved = with_new_checksum(table, database_key(key), value);
    Damage damage{};
    return cipher.open_record(table, database_key(key), moved, &damage).is(Code::corrupt) ? damage : Damage::none;
  };

  EXPECT_EQ(damage_of(test_cipher(), Table::inodes, 1), Damage::none);
  EXPECT_EQ(damage_of(test_cipher(), Table::inodes, 2), Damage::tampering);
  EXPECT_EQ(damage_of(test_cipher(), Table::xattrs, 1), Damage::tampering);
  EXPECT_EQ(damage_of(Cipher(test_master(), {counting<16>(1)}, kEpoch), Table::inodes, 1), Damage::tampering);
  EXPECT_EQ(damage_of(Cipher(test_master(), kVault, kEpoch + 1), Table::inodes, 1), Damage::tampering);
  EXPECT_EQ(damage_of(Cipher(test_master(1), kVault, kEpoch), Table::inodes, 1), Damage::tampering);
}

/// A later master key's cipher, which accepts what test_cipher() sealed.
std::unique_ptr<Cipher> next_cipher() {
  auto cipher = std::make_unique<Cipher>(test_master(1), kVault, kEpoch + 1);
  cipher->accept_older(test_master(), kEpoch);
  return cipher;
}

TEST(RecordTest, OfTheEpochBeforeOpensWhileThatIsAccepted) {
  const Bytes key = database_key(1);
  const Bytes old = test_cipher().seal_record(Table::inodes, key, Kind::inode, 1, as_bytes("body"));
  const auto cipher = next_cipher();

  EXPECT_EQ(cipher->older_epoch(), kEpoch);
  EXPECT_EQ(text_of(cipher->open_record(Table::inodes, key, old).value().body), "body");
  const Bytes anew = cipher->seal_record(Table::inodes, key, Kind::inode, 1, as_bytes("body"));
  EXPECT_EQ(value_epoch(old), kEpoch);
  EXPECT_EQ(value_epoch(anew), kEpoch + 1);
  EXPECT_EQ(text_of(cipher->open_record(Table::inodes, key, anew).value().body), "body");
  EXPECT_TRUE(test_cipher().open_record(Table::inodes, key, anew).is(Code::corrupt));

  cipher->refuse_older();
  Damage damage{};
  EXPECT_TRUE(cipher->open_record(Table::inodes, key, old, &damage).is(Code::corrupt));
  EXPECT_EQ(damage, Damage::tampering);
  EXPECT_TRUE(cipher->open_record(Table::inodes, key, anew).ok());
}

TEST(RecordTest, OfOneEpochDoesNotPassForOneOfAnother) {
  const Bytes key = database_key(1);
  Bytes value = test_cipher().seal_record(Table::inodes, key, Kind::inode, 1, as_bytes("body"));
  value[4] = kEpoch + 1;
  EXPECT_TRUE(next_cipher()->open_record(Table::inodes, key, with_new_checksum(Table::inodes, key, value)).is(Code::corrupt));
  value[4] = kEpoch - 1;
  EXPECT_TRUE(next_cipher()->open_record(Table::inodes, key, with_new_checksum(Table::inodes, key, value)).is(Code::corrupt));
}

TEST(SetSummandTest, IsThatOfTheValuesOwnEpoch) {
  const auto cipher = next_cipher();
  const Bytes key = database_key(1);
  const auto checksum = counting<16>(0);

  EXPECT_EQ(cipher->set_summand(Table::inodes, key, checksum, kEpoch),
            test_cipher().set_summand(Table::inodes, key, checksum, kEpoch));
  EXPECT_NE(cipher->set_summand(Table::inodes, key, checksum, kEpoch + 1),
            test_cipher().set_summand(Table::inodes, key, checksum, kEpoch));
}

TEST(RecordTest, DiagnosesEveryFlippedBit) {
  const Cipher cipher = test_cipher();
  const Bytes key = database_key(1);
  const Bytes value = cipher.seal_record(Table::inodes, key, Kind::inode, 1, as_bytes("body"));

  for (size_t bit = 0; bit < value.size() * 8; ++bit) {
    Bytes altered = value;
    altered[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    Damage damage{};
    auto record = cipher.open_record(Table::inodes, key, altered, &damage);
    if (bit / 8 >= value.size() - kChecksumSize) {
      EXPECT_TRUE(record.ok() && damage == Damage::checksum_only) << "bit " << bit;
      continue;
    }
    EXPECT_TRUE(record.is(Code::corrupt) && damage == Damage::rot) << "bit " << bit;
    record = cipher.open_record(Table::inodes, key, with_new_checksum(Table::inodes, key, altered), &damage);
    EXPECT_TRUE(record.is(Code::corrupt) && damage == Damage::tampering) << "bit " << bit;
  }
}

TEST(RecordTest, RefusesEveryCut) {
  const Cipher cipher = test_cipher();
  const Bytes value = cipher.seal_record(Table::orphans, database_key(1), Kind::orphan, 1, {});
  for (size_t size = 0; size < value.size(); ++size) {
    Damage damage{};
    EXPECT_TRUE(
        cipher.open_record(Table::orphans, database_key(1), ByteView(value).first(size), &damage).is(Code::corrupt));
    EXPECT_EQ(damage, Damage::rot) << "size " << size;
  }
}

TEST(RecordTest, BelievesTheSchemaAndEpochInsideTheSeal) {
  const Bytes epoch{kEpoch, 0, 0, 0};
  const Secret key = derive(test_master().secret.view(), label::kRecordKey, kVault.bytes, epoch, 32);
  auto opens = [&](uint16_t inner_schema, uint32_t inner_epoch) {
    // Built by hand from docs/format.md §4.2: the clear schema is 1, the clear epoch kEpoch.
    Bytes value, ad, body;
    Writer(value).u8(static_cast<uint8_t>(Kind::state)).u8(2).u16(1).u32(kEpoch);
    Writer(ad).raw(as_bytes("TREC")).raw(value).raw(kVault.bytes).u8(1).string16(as_bytes("k"));
    Writer(body).u16(inner_schema).u32(inner_epoch).raw(as_bytes("body"));
    Writer(value).raw(seal(key.view(), label::kRecord, ad, body));
    Writer(value).raw(value_checksum(Table::state, as_bytes("k"), value));
    return test_cipher().open_record(Table::state, as_bytes("k"), value).ok();
  };

  EXPECT_TRUE(opens(1, kEpoch));
  EXPECT_FALSE(opens(2, kEpoch));
  EXPECT_FALSE(opens(1, kEpoch + 1));
}

class BlockTest : public testing::TestWithParam<Suite> {
 protected:
  void SetUp() override {
    if (!suite_available(GetParam())) GTEST_SKIP() << suite_name(GetParam()) << " needs a CPU with AES";
  }
  const Cipher cipher_ = test_cipher();
};

TEST_P(BlockTest, RoundTripsEveryLength) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{4096}, size_t{4097}, size_t{kBlockSize}}) {
    const Bytes plain(size, 'p');

    const SealedBlock block = cipher_.seal_block(GetParam(), kPlace, Kind::data_block, plain);
    Bytes out(size);
    Damage damage{};
    auto opened = cipher_.open_block(kPlace, block.ref, Kind::data_block, block.value, out, &damage);

    ASSERT_TRUE(opened.ok()) << opened.error().message();
    EXPECT_EQ(damage, Damage::none);
    EXPECT_EQ(out, plain);
    EXPECT_EQ(block.ref, ref_of(kPlace, block.value));
    EXPECT_EQ(block.value.size(), block_value_size(size));
  }
}

TEST_P(BlockTest, SealedAnewStillIsWhatItsReferenceSpeaksOf) {
  const auto cipher = next_cipher();
  for (size_t size : {size_t{1}, size_t{4097}, size_t{kBlockSize}}) {
    const Bytes plain(size, 'p');
    const SealedBlock old = cipher_.seal_block(GetParam(), kPlace, Kind::data_block, plain);
    Bytes out(size);
    ASSERT_TRUE(cipher->open_block(kPlace, old.ref, Kind::data_block, old.value, out).ok());

    const Bytes anew = cipher->reseal_block(kPlace, old.ref, Kind::data_block, old.value).value();

    EXPECT_EQ(anew.size(), old.value.size());
    EXPECT_EQ(value_epoch(anew), kEpoch + 1);
    EXPECT_EQ(anew, cipher->reseal_block(kPlace, old.ref, Kind::data_block, old.value).value());
    Damage damage{};
    EXPECT_TRUE(cipher->open_block(kPlace, old.ref, Kind::data_block, anew, out, &damage).ok());
    EXPECT_EQ(damage, Damage::none);
    EXPECT_EQ(out, plain);
    EXPECT_TRUE(cipher->is_sealed_for(kPlace, Kind::data_block, static_cast<uint32_t>(size),
                                      ByteView(anew).first(block_text_offset(size))));
    EXPECT_TRUE(cipher_.open_block(kPlace, old.ref, Kind::data_block, anew, out).is(Code::corrupt));

    // Sealed once more by the key after that one.
    Cipher third(test_master(2), kVault, kEpoch + 2);
    third.accept_older(test_master(1), kEpoch + 1);
    const Bytes again = third.reseal_block(kPlace, old.ref, Kind::data_block, anew).value();
    EXPECT_TRUE(third.open_block(kPlace, old.ref, Kind::data_block, again, out).ok());
    EXPECT_TRUE(third.open_block(kPlace, old.ref, Kind::data_block, old.value, out).is(Code::corrupt)) << "two epochs old";
  }
}

TEST_P(BlockTest, SealedAnewIsBoundToItsWriteAndItsPlace) {
  const auto cipher = next_cipher();
  const Bytes plain(5000, 'p');
  const SealedBlock old = cipher_.seal_block(GetParam(), kPlace, Kind::data_block, plain);
  const SealedBlock other = cipher_.seal_block(GetParam(), kPlace, Kind::data_block, Bytes(5000, 'q'));
  const Bytes anew = cipher->reseal_block(kPlace, old.ref, Kind::data_block, old.value).value();
  Bytes out(plain.size());

  EXPECT_TRUE(cipher->open_block(kPlace, other.ref, Kind::data_block, anew, out).is(Code::corrupt)) << "another write";
  BlockPlace place = kPlace;
  place.index += 1;
  EXPECT_TRUE(cipher->open_block(place, old.ref, Kind::data_block, anew, out).is(Code::corrupt));
  EXPECT_TRUE(cipher->open_block(kPlace, old.ref, Kind::map_node, anew, out).is(Code::corrupt));
  // A block as it was written does not pass for one that was sealed anew, nor the other way round.
  for (const auto& [value, schema] : {std::pair{&old.value, uint8_t{2}}, std::pair{&anew, uint8_t{1}}}) {
    Bytes altered = *value;
    altered[2] = schema;
    altered = with_new_checksum(Table::blocks, database_key(kPlace.id), std::move(altered));
    EXPECT_TRUE(cipher->open_block(kPlace, old.ref, Kind::data_block, altered, out).is(Code::corrupt));
  }
  // One whose tag is not its reference's is not sealed anew.
  BlockRef forged = old.ref;
  forged.tag[0] ^= 1;
  EXPECT_TRUE(cipher->reseal_block(kPlace, forged, Kind::data_block, old.value).is(Code::corrupt));

  cipher->refuse_older();
  EXPECT_TRUE(cipher->open_block(kPlace, old.ref, Kind::data_block, old.value, out).is(Code::corrupt));
  EXPECT_TRUE(cipher->open_block(kPlace, old.ref, Kind::data_block, anew, out).ok());
}

TEST_P(BlockTest, SealedAnewDiagnosesEveryFlippedBit) {
  const auto cipher = next_cipher();
  const Bytes plain(40, 'p');
  const SealedBlock old = cipher_.seal_block(GetParam(), kPlace, Kind::data_block, plain);
  const Bytes anew = cipher->reseal_block(kPlace, old.ref, Kind::data_block, old.value).value();
  for (size_t bit = 0; bit < (anew.size() - kChecksumSize) * 8; ++bit) {
    Bytes altered = anew;
    altered[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    altered = with_new_checksum(Table::blocks, database_key(kPlace.id), std::move(altered));
    Bytes out(plain.size(), 'x');
    EXPECT_TRUE(cipher->open_block(kPlace, old.ref, Kind::data_block, altered, out).is(Code::corrupt)) << "bit " << bit;
    EXPECT_EQ(out, Bytes(plain.size())) << "bit " << bit;
  }
}

TEST_P(BlockTest, DiagnosesEveryFlippedBitAndYieldsNoPlaintext) {
  const Bytes plain(40, 'p');
  const SealedBlock block = cipher_.seal_block(GetParam(), kPlace, Kind::data_block, plain);
  const Bytes key = database_key(kPlace.id);

  for (size_t bit = 0; bit < block.value.size() * 8; ++bit) {
    Bytes altered = block.value;
    altered[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    Bytes out(plain.size(), 'x');
    Damage damage{};
    auto opened = cipher_.open_block(kPlace, block.ref, Kind::data_block, altered, out, &damage);
    if (bit / 8 >= altered.size() - kChecksumSize) {
      EXPECT_TRUE(opened.ok() && damage == Damage::checksum_only && out == plain) << "bit " << bit;
      continue;
    }
    EXPECT_TRUE(opened.is(Code::corrupt) && damage == Damage::rot) << "bit " << bit;
    EXPECT_EQ(out, Bytes(plain.size())) << "bit " << bit;

    out.assign(plain.size(), 'x');
    altered = with_new_checksum(Table::blocks, key, altered);
    opened = cipher_.open_block(kPlace, block.ref, Kind::data_block, altered, out, &damage);
    EXPECT_TRUE(opened.is(Code::corrupt) && damage == Damage::tampering) << "bit " << bit;
    EXPECT_EQ(out, Bytes(plain.size())) << "bit " << bit;
  }
}

TEST_P(BlockTest, OpensAnyRunOfCellsAndNothingElse) {
  Bytes plain(3 * kCellSize + 100);
  for (size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<uint8_t>(i * 7 + i / 256);
  SealedBlock block = cipher_.seal_block(GetParam(), kPlace, Kind::data_block, plain);
  auto part = [&](size_t first, size_t size) {
    Bytes out(size, 'x');
    auto opened = cipher_.open_cells(kPlace, block.ref, Kind::data_block, block.value, first, out);
    return std::pair(opened.ok(), out);
  };

  for (size_t first = 0; first < 4; ++first) {
    const size_t start = first * kCellSize;
    const size_t size = std::min(kCellSize, plain.size() - start);
    const Bytes expected(plain.begin() + static_cast<ptrdiff_t>(start), plain.begin() + static_cast<ptrdiff_t>(start + size));
    EXPECT_EQ(part(first, size), std::pair(true, expected)) << first;
  }
  EXPECT_TRUE(part(1, 2 * kCellSize + 100).first);

  // Two cells and their tags exchanged: each is genuine, its place is not.
  uint8_t* tags = block.value.data() + kBlockHeaderSize;
  uint8_t* text = tags + 4 * 16;
  std::swap_ranges(text, text + kCellSize, text + kCellSize);
  EXPECT_FALSE(part(0, kCellSize).first);
  std::swap_ranges(tags, tags + 16, tags + 16);
  EXPECT_EQ(part(0, kCellSize), std::pair(false, Bytes(kCellSize)));
  EXPECT_FALSE(part(2, kCellSize).first) << "the list of tags is proven as a whole";
}

TEST_P(BlockTest, AnOlderBlockOfTheSamePlaceIsRefused) {
  const SealedBlock older = cipher_.seal_block(GetParam(), kPlace, Kind::data_block, as_bytes("balance 100"));
  const SealedBlock newer = cipher_.seal_block(GetParam(), kPlace, Kind::data_block, as_bytes("balance 000"));
  Bytes out(11);
  Damage damage{};

  auto opened = cipher_.open_block(kPlace, newer.ref, Kind::data_block, older.value, out, &damage);

  EXPECT_TRUE(opened.is(Code::corrupt));
  EXPECT_EQ(damage, Damage::tampering);
  EXPECT_EQ(out, Bytes(11));
}

TEST_P(BlockTest, IsBoundToEveryPartOfItsPlaceAndToItsLength) {
  const SealedBlock block = cipher_.seal_block(GetParam(), kPlace, Kind::map_node, as_bytes("references"));
  auto opens = [&](const std::function<void(BlockPlace&)>& change, Kind kind, uint32_t length) {
    BlockPlace place = kPlace;
    change(place);
    BlockRef ref = block.ref;
    ref.id = place.id;
    ref.length = length;
    Bytes out(length);
    const Bytes moved = with_new_checksum(Table::blocks, database_key(place.id), block.value);
    return cipher_.open_block(place, ref, kind, moved, out).ok();
  };
  auto same = [](BlockPlace&) {};

  EXPECT_TRUE(opens(same, Kind::map_node, 10));
  EXPECT_FALSE(opens(same, Kind::data_block, 10));
  EXPECT_FALSE(opens(same, Kind::map_node, 9));
  EXPECT_FALSE(opens(same, Kind::map_node, 11));
  EXPECT_FALSE(opens([](BlockPlace& place) { place.content.bytes[0] ^= 1; }, Kind::map_node, 10));
  EXPECT_FALSE(opens([](BlockPlace& place) { place.id.writer ^= 1; }, Kind::map_node, 10));
  EXPECT_FALSE(opens([](BlockPlace& place) { place.id.number ^= 1; }, Kind::map_node, 10));
  EXPECT_FALSE(opens([](BlockPlace& place) { place.level ^= 1; }, Kind::map_node, 10));
  EXPECT_FALSE(opens([](BlockPlace& place) { place.index ^= 1; }, Kind::map_node, 10));
}

INSTANTIATE_TEST_SUITE_P(Suites, BlockTest, testing::ValuesIn(kSuites),
                         [](const auto& suite) { return suite.param == Suite::aes_256_gcm ? "Aes" : "XChaCha"; });

/// Runs in a process of its own, whose CPU has no AES; returns what went wrong, 0 when nothing did.
int read_without_aes() {
  setenv("TAIN_TEST_NO_AES", "1", 1);
  if (suite_available(Suite::aes_256_gcm) || !suite_available(Suite::xchacha20_poly1305)) return 1;
  Bytes value = hex(kBlockVectors.at(Suite::aes_256_gcm));
  Bytes out(10, 'x');
  const BlockRef ref = ref_of(kPlace, value);
  const Cipher cipher = test_cipher();
  auto opened = cipher.open_block(kPlace, ref, Kind::data_block, value, out);
  if (!opened.is(Code::suite_missing) || opened.error().hint().empty() || out != Bytes(10)) return 2;
  value[value.size() - 20] ^= 1;  // what is damaged as well must be called damaged
  return cipher.open_block(kPlace, ref, Kind::data_block, value, out).is(Code::corrupt) ? 0 : 3;
}

TEST(SuiteDeathTest, ABlockThatTheCpuCannotReadIsNamedAsSuch) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a fresh process: the CPU's answer is cached
  EXPECT_EXIT(std::exit(read_without_aes()), testing::ExitedWithCode(0), "");
}

TEST(FrameTest, IsBoundToItsHeader) {
  const Cipher cipher = test_cipher();
  auto header = frame_header();
  const Bytes sealed = cipher.seal_frame(header, as_bytes("payload"));

  EXPECT_EQ(text_of(*cipher.open_frame(header, sealed)), "payload");
  EXPECT_TRUE(cipher.open_frame(header, ByteView(sealed).first(kSealOverhead - 1)).is(Code::corrupt));
  header[16] ^= 1;
  EXPECT_TRUE(cipher.open_frame(header, sealed).is(Code::corrupt));
}

TEST(FrameTest, OfTheEpochBeforeOpensWhileThatIsAccepted) {
  Bytes header;
  Writer(header).raw(as_bytes("TAINJNL1")).u32(87).u32(kEpoch).u64(1).raw(Id32{});
  const Bytes sealed = test_cipher().seal_frame(header, as_bytes("payload"));
  const auto cipher = next_cipher();

  EXPECT_EQ(text_of(*cipher->open_frame(header, sealed)), "payload");
  cipher->refuse_older();
  EXPECT_TRUE(cipher->open_frame(header, sealed).is(Code::corrupt));
}

TEST(NameHashTest, EachEpochsCookiesAreAboveThoseOfTheOnesBefore) {
  uint64_t highest = 0;
  for (uint32_t epoch : {1u, 2u, 3u, kEpochMax}) {
    const Cipher cipher(test_master(), kVault, epoch);
    uint64_t lowest_here = UINT64_MAX, highest_here = 0;
    for (int name = 0; name < 100; ++name) {
      const uint64_t hash = cipher.name_hash(kRootIno, std::to_string(name));
      EXPECT_EQ(hash % 16, 0u);
      EXPECT_EQ(cookie_epoch(Cookie{hash}), epoch);
      EXPECT_EQ(cookie_epoch(Cookie{hash + 15}), epoch);
      lowest_here = std::min(lowest_here, hash);
      highest_here = std::max(highest_here, hash);
    }
    EXPECT_GT(lowest_here, highest);
    EXPECT_LT(highest_here, uint64_t{1} << 63) << "an offset of readdir is not negative";
    highest = highest_here;
  }
  EXPECT_EQ(next_cipher()->older_name_hash(kRootIno, "entry.md"), test_cipher().name_hash(kRootIno, "entry.md"));
  EXPECT_FALSE(test_cipher().older_name_hash(kRootIno, "entry.md").has_value());
}

TEST(NameHashTest, LeavesTheLowBitsFreeAndDependsOnDirectoryAndName) {
  const Cipher cipher(test_master(), kVault, 1);
  std::set<uint64_t> seen;
  for (uint64_t directory = 1; directory <= 10; ++directory) {
    for (int name = 0; name < 100; ++name) {
      const uint64_t hash = cipher.name_hash(Ino{directory}, std::to_string(name));
      EXPECT_EQ(hash % 16, 0u);
      EXPECT_GE(hash, 16u);
      EXPECT_LT(hash, uint64_t{1} << 62);
      seen.insert(hash);
    }
  }
  EXPECT_EQ(seen.size(), 1000u);
}

}  // namespace
}  // namespace tain::store
