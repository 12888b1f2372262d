// SPDX-License-Identifier: Apache-2.0
#include "cli/device_key.h"

#include <gtest/gtest.h>

#include "cli/credential.h"

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

}  // namespace
}  // namespace tain::cli
