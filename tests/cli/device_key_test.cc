// SPDX-License-Identifier: Apache-2.0
#include "cli/device_key.h"

#include <gtest/gtest.h>

#include "cli/credential.h"
#include "tests/cli/fake_world.h"
#include "tests/support/secret_of.h"
#include "tests/support/temp_vault.h"

namespace tain::cli {
namespace {

Result<Arguments> given(std::vector<std::string> words) { return Arguments::parse(key_options(), std::move(words)); }

TEST(DeviceKeyTest, IsAskedForByName) {
  EXPECT_EQ(device_asked_for(given({}).value()).value(), std::nullopt);
  EXPECT_EQ(device_asked_for(given({"--keyring"}).value()).value(), store::SlotType::keyring);
  EXPECT_EQ(device_asked_for(given({"--tpm2"}).value()).value(), store::SlotType::tpm2);
  EXPECT_EQ(device_asked_for(given({"--fido2"}).value()).value(), store::SlotType::fido2);
  EXPECT_TRUE(device_asked_for(given({"--fido2", "--tpm2"}).value()).is(Code::usage));
}

TEST(DeviceKeyTest, EveryDeviceHasSomebodyWhoKnowsIt) {
  for (const auto type : {store::SlotType::keyring, store::SlotType::tpm2, store::SlotType::fido2}) EXPECT_NE(device_key(type), nullptr);
}

TEST(DeviceKeyTest, ASlotOfALaterVersionHidesNoneOfTheOthers) {
  using store::Credential, store::SlotId, store::Vault;
  FakeWorld fake;
  fake.environment["TAIN_TPM2_TCTI"] = "device:/nonexistent";
  const std::string vault = fake.directory.path("vault");
  const Credential password(test::secret_of("x"));
  ASSERT_TRUE(Vault::create(vault, {.suite = {}, .kdf = test::kTestCost}, password).ok());
  const auto add = [&](uint8_t number, Bytes extra) {
    const auto slot = Credential::from_device(store::SlotType::tpm2, SlotId{number}, Secret::random(store::kDeviceKeySize), std::move(extra));
    ASSERT_TRUE(Vault::add_slot(vault, password, slot, test::kTestCost).ok());
  };
  const auto open = [&] { return read_device_credential(fake.world, given({}).value(), vault, store::SlotType::tpm2); };
  EXPECT_TRUE(open().is(Code::wrong_password)) << "no slot";

  add(1, {2});
  const auto later = open();
  if (later.is(Code::unsupported)) GTEST_SKIP() << "built without TPMs";
  EXPECT_TRUE(later.is(Code::format_too_new));
  add(2, {1});
  EXPECT_TRUE(open().is(Code::header_damaged)) << "malformed, and looked at";
  add(3, {1, 1, 0, 7, 1, 0, 7});
  const auto device = open();
  ASSERT_FALSE(device.ok());
  EXPECT_TRUE(device.is(Code::not_found) || device.is(Code::unsupported)) << "well-formed: the TPM is asked, and is not there";
}

TEST(DeviceKeyTest, ABuildWithoutALibrarySaysWhichOneAndWhereItIs) {
  FakeWorld fake;
  const auto missing = missing_device("libthing, which things need", "libthing-dev");
  const auto opened = missing->open(fake.world, given({}).value(), {}, {});
  ASSERT_TRUE(opened.is(Code::unsupported));
  EXPECT_NE(opened.error().message().find("libthing, which things need"), std::string::npos);
  EXPECT_NE(opened.error().hint().find("libthing-dev"), std::string::npos);
}

}  // namespace
}  // namespace tain::cli
