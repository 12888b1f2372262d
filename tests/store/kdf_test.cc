// SPDX-License-Identifier: Apache-2.0
// Password to key: bounds before work, calibration, what counts as a password.
#include "store/kdf.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <string>

namespace tain::store {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;

TEST(KdfCostTest, BoundsAreThoseOfTheFormat) {
  EXPECT_TRUE(check_kdf_bounds(kKdfFloor).ok());
  EXPECT_TRUE(check_kdf_bounds(kKdfDefault).ok());
  EXPECT_TRUE(check_kdf_bounds({16, 4 * kGiB}).ok());
  EXPECT_TRUE(check_kdf_bounds({1024, 64 * kMiB}).ok());

  EXPECT_TRUE(check_kdf_bounds({0, 0}).is(Code::invalid_argument));
  EXPECT_TRUE(check_kdf_bounds({1, 64 * kMiB}).is(Code::invalid_argument));
  EXPECT_TRUE(check_kdf_bounds({2, 64 * kMiB - 1}).is(Code::invalid_argument));
  EXPECT_TRUE(check_kdf_bounds({2, 4 * kGiB + 1}).is(Code::invalid_argument));
  EXPECT_TRUE(check_kdf_bounds({17, 4 * kGiB}).is(Code::invalid_argument));
  EXPECT_TRUE(check_kdf_bounds({1025, 64 * kMiB}).is(Code::invalid_argument));
  constexpr uint32_t kMostPasses = std::numeric_limits<uint32_t>::max();
  EXPECT_TRUE(check_kdf_bounds({kMostPasses, 4 * kGiB}).is(Code::invalid_argument));
  EXPECT_TRUE(check_kdf_bounds({kMostPasses, std::numeric_limits<uint64_t>::max()}).is(Code::invalid_argument));
}

TEST(KdfCostTest, AtMostThreeQuartersOfTheAvailableMemory) {
  EXPECT_TRUE(check_kdf_cost({3, 768 * kMiB}, kGiB).ok());
  EXPECT_TRUE(check_kdf_cost({3, 769 * kMiB}, kGiB).is(Code::memory));
  EXPECT_TRUE(check_kdf_cost({1, 64 * kMiB}, kGiB).is(Code::invalid_argument));
  EXPECT_GT(available_memory_bytes(), kMiB);
}

TEST(KdfCalibrationTest, RaisesMemoryFirstAndPassesAfterIt) {
  const uint64_t plenty = 64 * kGiB;

  EXPECT_EQ(choose_kdf_cost(0, 1e9, plenty), kKdfFloor);
  EXPECT_EQ(choose_kdf_cost(-1, 1e9, plenty), kKdfFloor);
  EXPECT_EQ(choose_kdf_cost(1, 1e6, plenty), kKdfDefault) << "slow machine: never below the default";
  EXPECT_EQ(choose_kdf_cost(1, 1500.0 * kMiB, plenty), (KdfCost{3, 500 * kMiB}));
  EXPECT_EQ(choose_kdf_cost(1, 3072.0 * kMiB, plenty), (KdfCost{3, kGiB}));
  EXPECT_EQ(choose_kdf_cost(2, 3072.0 * kMiB, plenty), (KdfCost{6, kGiB}));
}

TEST(KdfCalibrationTest, StaysWithinMemoryAndBounds) {
  EXPECT_EQ(choose_kdf_cost(1, 3072.0 * kMiB, kGiB), (KdfCost{6, 512 * kMiB})) << "half of what is available";
  EXPECT_EQ(choose_kdf_cost(1, 3072.0 * kMiB, 400 * kMiB).memory_bytes, 256 * kMiB) << "the default fits in 75 %";
  EXPECT_EQ(choose_kdf_cost(1, 3072.0 * kMiB, 200 * kMiB).memory_bytes, 150 * kMiB);
  EXPECT_EQ(choose_kdf_cost(1, 3072.0 * kMiB, 10 * kMiB).memory_bytes, kKdfFloor.memory_bytes);
  for (uint64_t available : {10 * kMiB, 100 * kMiB, kGiB, 64 * kGiB, std::numeric_limits<uint64_t>::max()})
    for (double seconds : {0.0, 1e-9, 1.0, 1e6, 1e30})
      EXPECT_TRUE(check_kdf_bounds(choose_kdf_cost(seconds, 1e9, available)).ok()) << available << " " << seconds;
}

TEST(KdfCalibrationTest, MeasuresThisMachine) {
  EXPECT_EQ(calibrate_kdf(0), kKdfFloor);
  EXPECT_TRUE(check_kdf_cost(calibrate_kdf(0.001)).ok());
}

TEST(PasswordTest, OneTo1024BytesOfUtf8) {
  auto code = [](std::string_view text) {
    auto checked = check_password(as_bytes(text));
    return checked.ok() ? std::string("ok") : checked.is(Code::empty_password) ? "empty" : "invalid";
  };

  EXPECT_EQ(code(""), "empty");
  EXPECT_EQ(code("x"), "ok");
  EXPECT_EQ(code(std::string(1024, 'x')), "ok");
  EXPECT_EQ(code(std::string(1025, 'x')), "invalid");
  for (const char* valid : {"gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x94\x91", "\xed\x9f\xbf", "\xee\x80\x80",
                            "\xf4\x8f\xbf\xbf", "\xe0\xa0\x80", "\xf0\x90\x80\x80"})
    EXPECT_EQ(code(valid), "ok") << to_hex(as_bytes(valid));
  for (const char* invalid :
       {"\x80", "\xc3", "a\xc3(", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "ok\xe2\x82"})
    EXPECT_EQ(code(invalid), "invalid") << to_hex(as_bytes(invalid));
}

// The expected value is that of OpenSSL's Argon2id (version 1.3, one lane).
TEST(PasswordKeyTest, IsArgon2id) {
  std::array<uint8_t, 16> salt;
  std::iota(salt.begin(), salt.end(), uint8_t{0});

  auto key = derive_password_key(as_bytes("correct horse"), salt, kKdfFloor);

  ASSERT_TRUE(key.ok());
  EXPECT_EQ(to_hex(key->view()), "9aab5a81db651bf866ff7b6169794d2ad9bb00f3d95177925a5fca692a34dbd1");
}

TEST(PasswordKeyTest, RefusesACostOutOfBounds) {
  const std::array<uint8_t, 16> salt{};
  EXPECT_TRUE(derive_password_key(as_bytes("x"), salt, {1, 8192}).is(Code::invalid_argument));
  EXPECT_TRUE(derive_password_key(as_bytes("x"), salt, {4000000000u, 4 * kGiB}).is(Code::invalid_argument));
}

}  // namespace
}  // namespace tain::store
