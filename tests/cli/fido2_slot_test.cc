// SPDX-License-Identifier: Apache-2.0
#include "cli/fido2_slot.h"

#include <gtest/gtest.h>

#include "tests/support/format_page.h"

namespace tain::cli {
namespace {

Fido2Slot example(size_t credential_size) {
  Fido2Slot out;
  out.asks_for_pin = true;
  for (size_t i = 0; i < out.salt.size(); ++i) out.salt[i] = static_cast<uint8_t>(i);
  out.credential = Bytes(credential_size, 0xc5);
  return out;
}

TEST(Fido2SlotTest, IsVersionFlagsSaltAndCredential) {
  const Bytes extra = encode(example(3)).value();

  test::FormatPage(TAIN_SOURCE_DIR).expect_example("extra of a FIDO2 slot", extra);
  EXPECT_EQ(parse_fido2_slot(extra).value(), example(3));

  Fido2Slot without_pin = example(3);
  without_pin.asks_for_pin = false;
  EXPECT_EQ(encode(without_pin).value()[1], 0);
  EXPECT_EQ(parse_fido2_slot(encode(without_pin).value()).value(), without_pin);
}

TEST(Fido2SlotTest, ACredentialIdHasToFit) {
  const Bytes longest = encode(example(kFido2CredentialMax)).value();

  EXPECT_EQ(longest.size(), store::kSlotExtraMax);
  EXPECT_EQ(parse_fido2_slot(longest).value(), example(kFido2CredentialMax));
  EXPECT_TRUE(encode(example(kFido2CredentialMax + 1)).is(Code::unsupported));
  EXPECT_TRUE(encode(example(0)).is(Code::unsupported));
}

TEST(Fido2SlotTest, EveryLengthThatIsTooShortOrTooLongIsRefused) {
  Bytes extra = encode(example(kFido2CredentialMax)).value();

  for (size_t size = 0; size < 35; ++size) EXPECT_TRUE(parse_fido2_slot(ByteView(extra).first(size)).is(Code::header_damaged)) << size;
  EXPECT_TRUE(parse_fido2_slot(ByteView(extra).first(35)).ok());
  extra.push_back(0);
  EXPECT_TRUE(parse_fido2_slot(extra).is(Code::header_damaged));
}

TEST(Fido2SlotTest, LaterVersionsAndUnknownFlagsAreRefused) {
  Bytes extra = encode(example(16)).value();

  extra[0] = 2;
  EXPECT_TRUE(parse_fido2_slot(extra).is(Code::format_too_new));
  EXPECT_TRUE(parse_fido2_slot(ByteView(extra).first(1)).is(Code::format_too_new)) << "of another layout";
  extra[0] = 1;
  extra[1] = 3;
  EXPECT_TRUE(parse_fido2_slot(extra).is(Code::format_too_new));
}

}  // namespace
}  // namespace tain::cli
