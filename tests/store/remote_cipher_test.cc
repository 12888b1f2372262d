// SPDX-License-Identifier: Apache-2.0
#include "store/remote_cipher.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/fixed_random.h"

namespace tain::store {
namespace {

MasterKey counting_key() {
  MasterKey key{Secret(32)};
  std::iota(key.secret.span().begin(), key.secret.span().end(), uint8_t{0});
  return key;
}

class RemoteCipherTest : public testing::Test {
 protected:
  const RemoteCipher cipher_{counting_key(), VaultId{{1}}, 1};
};

TEST_F(RemoteCipherTest, SizesTellLittle) {
  EXPECT_EQ(padded_size(0), 512u);
  EXPECT_EQ(padded_size(512), 512u);
  // 9 = 1001b has four bits, so of 2^9 + … five bits are kept.
  EXPECT_EQ(padded_size(513), 544u);
  EXPECT_EQ(padded_size(1 << 20), 1u << 20);
  EXPECT_EQ(padded_size((1 << 20) + 1), (1u << 20) + (1u << 15));
  for (uint64_t size = 1; size < (1 << 22); size += 1 + size / 37) {
    const uint64_t padded = padded_size(size);
    EXPECT_GE(padded, size);
    EXPECT_LE(padded, std::max<uint64_t>(512, size + size * 12 / 100));
    EXPECT_EQ(padded_size(padded), padded);
  }
}

TEST_F(RemoteCipherTest, ObjectsHaveTheSizeOfTheirPadding) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{427}, size_t{428}, size_t{429}, size_t{5000}, size_t{100'000}}) {
    const Bytes body(size, 7);
    const Bytes object = cipher_.seal_object(ObjectKind::segment, Id32{1}, body);
    EXPECT_EQ(object.size(), padded_size(size + kSealOverhead + 4));
    EXPECT_EQ(*cipher_.open_object(ObjectKind::segment, Id32{1}, object), body);
    EXPECT_TRUE(cipher_.open_object(ObjectKind::announcement, Id32{1}, object).is(Code::corrupt));
    EXPECT_TRUE(cipher_.open_object(ObjectKind::segment, Id32{2}, object).is(Code::corrupt));
  }
}

TEST_F(RemoteCipherTest, NamesDependOnEverything) {
  const Id32 name = cipher_.object_name(ObjectKind::segment, Id16{1});
  EXPECT_EQ(name, cipher_.object_name(ObjectKind::segment, Id16{1}));
  EXPECT_NE(name, cipher_.object_name(ObjectKind::pack, Id16{1}));
  EXPECT_NE(name, cipher_.object_name(ObjectKind::segment, Id16{2}));
  EXPECT_NE(name, RemoteCipher(counting_key(), VaultId{{2}}, 1).object_name(ObjectKind::segment, Id16{1}));
  EXPECT_NE(name, RemoteCipher(counting_key(), VaultId{{1}}, 2).object_name(ObjectKind::segment, Id16{1}));
}

TEST_F(RemoteCipherTest, AChunkIsTheSameOnlyInTheSamePlace) {
  const Bytes bytes(1000, 'x');
  const Id32 hash = cipher_.content_hash(bytes);
  const Id16 pack = cipher_.pack_id(7, {{hash}});
  const Bytes sealed = cipher_.seal_chunk(hash, pack, 64, bytes);

  EXPECT_EQ(sealed, cipher_.seal_chunk(hash, pack, 64, bytes));
  EXPECT_EQ(sealed.size(), bytes.size() + kChunkOverhead);
  EXPECT_NE(sealed, cipher_.seal_chunk(hash, pack, 65, bytes));
  EXPECT_NE(sealed, cipher_.seal_chunk(hash, Id16{1}, 64, bytes));
  EXPECT_NE(pack, cipher_.pack_id(8, {{hash}}));
  EXPECT_EQ(*cipher_.open_chunk(hash, pack, 64, sealed), bytes);
}

TEST_F(RemoteCipherTest, AnythingElseThanTheChunkIsRefused) {
  const Bytes bytes(300, 'x');
  const Id32 hash = cipher_.content_hash(bytes);
  const Bytes sealed = cipher_.seal_chunk(hash, Id16{1}, 0, bytes);

  for (size_t i = 0; i < sealed.size(); ++i) {
    Bytes bad = sealed;
    bad[i] ^= 1;
    ASSERT_TRUE(cipher_.open_chunk(hash, Id16{1}, 0, bad).is(Code::corrupt));
  }
  EXPECT_TRUE(cipher_.open_chunk(hash, Id16{2}, 0, sealed).is(Code::corrupt));
  EXPECT_TRUE(cipher_.open_chunk(hash, Id16{1}, 1, sealed).is(Code::corrupt));
  EXPECT_TRUE(cipher_.open_chunk(hash, Id16{1}, 0, ByteView(sealed).first(15)).is(Code::corrupt));
  // Sealed for this place, but by the hash of something else.
  Id32 wrong = hash;
  wrong[0] ^= 1;
  EXPECT_TRUE(cipher_.open_chunk(wrong, Id16{1}, 0, cipher_.seal_chunk(wrong, Id16{1}, 0, bytes)).is(Code::corrupt));
}

TEST_F(RemoteCipherTest, PaddingMakesAPackAsLongAsOneOfManySizes) {
  for (const uint64_t size : {uint64_t{17}, uint64_t{495}, uint64_t{496}, uint64_t{497}, uint64_t{70'000}, uint64_t{16} << 20})
    EXPECT_EQ(size + cipher_.pack_padding(Id16{1}, size).size(), padded_size(size + kChunkOverhead));
}

TEST_F(RemoteCipherTest, SignaturesAreThoseOfRfc8032) {
  // RFC 8032, 7.1, test 1: the public key of that seed.
  const SigningKey key(*from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  EXPECT_EQ(to_hex(key.public_key()), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");

  const Bytes body(100, 1);
  const Signature signature = key.sign(ObjectKind::segment, body);
  EXPECT_TRUE(is_signed_by(key.public_key(), ObjectKind::segment, body, signature));
  EXPECT_FALSE(is_signed_by(key.public_key(), ObjectKind::announcement, body, signature));
  EXPECT_FALSE(is_signed_by(SigningKey(Bytes(32, 1)).public_key(), ObjectKind::segment, body, signature));
  EXPECT_FALSE(is_signed_by(key.public_key(), ObjectKind::segment, Bytes(100, 2), signature));
}

}  // namespace
}  // namespace tain::store
