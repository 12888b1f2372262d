// SPDX-License-Identifier: Apache-2.0
#include "cli/tpm2_blob.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "store/header.h"
#include "tests/support/format_page.h"

namespace tain::cli {
namespace {

const Bytes kPrivate(126, 0xAB);
const Bytes kPublic(46, 0xCD);

Bytes example() { return encode_tpm2_blob({kPrivate, kPublic}).value(); }

TEST(Tpm2BlobTest, IsTheBytesOfTheFormat) {
  const Bytes extra = encode_tpm2_blob({Bytes{1, 2, 3}, Bytes{4, 5}}).value();
  EXPECT_EQ(extra, (Bytes{1, 3, 0, 1, 2, 3, 2, 0, 4, 5}));
  test::FormatPage(TAIN_SOURCE_DIR).expect_example("extra of a TPM2 slot", extra);
}

TEST(Tpm2BlobTest, ComesBackAsItWas) {
  const Bytes extra = example();

  const Tpm2Blob blob = parse_tpm2_blob(extra).value();

  EXPECT_TRUE(std::ranges::equal(blob.private_part, kPrivate));
  EXPECT_TRUE(std::ranges::equal(blob.public_part, kPublic));
}

TEST(Tpm2BlobTest, FitsAKeySlotOrIsRefused) {
  const size_t room = store::kSlotExtraMax - 5 - kPublic.size();

  EXPECT_EQ(encode_tpm2_blob({Bytes(room, 1), kPublic}).value().size(), store::kSlotExtraMax);
  EXPECT_TRUE(encode_tpm2_blob({Bytes(room + 1, 1), kPublic}).is(Code::unsupported));
}

TEST(Tpm2BlobTest, EveryOtherLengthIsMalformed) {
  const Bytes extra = example();
  for (size_t size = 0; size < extra.size(); ++size)
    EXPECT_TRUE(parse_tpm2_blob(ByteView(extra).first(size)).is(Code::header_damaged)) << size;
  Bytes longer = extra;
  longer.push_back(0);
  EXPECT_TRUE(parse_tpm2_blob(longer).is(Code::header_damaged));
}

TEST(Tpm2BlobTest, LengthsThatLieAreMalformed) {
  for (const size_t at : {1u, 2u, 129u, 130u}) {
    for (const uint8_t value : {uint8_t{1}, uint8_t{0x7F}, uint8_t{0xFF}}) {
      Bytes extra = example();
      if (extra[at] == value) continue;
      extra[at] = value;
      EXPECT_TRUE(parse_tpm2_blob(extra).is(Code::header_damaged)) << at << " = " << int{value};
    }
  }
}

TEST(Tpm2BlobTest, EmptyPartsAreMalformed) {
  EXPECT_TRUE(parse_tpm2_blob(encode_tpm2_blob({{}, kPublic}).value()).is(Code::header_damaged));
  EXPECT_TRUE(parse_tpm2_blob(encode_tpm2_blob({kPrivate, {}}).value()).is(Code::header_damaged));
}

TEST(Tpm2BlobTest, LaterLayoutsAreNamedAsSuch) {
  Bytes extra = example();

  extra[0] = 2;
  EXPECT_TRUE(parse_tpm2_blob(extra).is(Code::format_too_new));
  extra[0] = 0;
  EXPECT_TRUE(parse_tpm2_blob(extra).is(Code::header_damaged));
}

}  // namespace
}  // namespace tain::cli
