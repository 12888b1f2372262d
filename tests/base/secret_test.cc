// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <gtest/gtest.h>

namespace tain {
namespace {

TEST(SecretTest, ComparesEveryByteWhateverTheSize) {
  for (const size_t size : {size_t{1}, size_t{16}, size_t{31}, size_t{32}, size_t{33}, size_t{64}}) {
    Bytes one(size);
    for (size_t i = 0; i < size; ++i) one[i] = static_cast<uint8_t>(i * 7 + 1);
    EXPECT_TRUE(equal_constant_time(one, Bytes(one))) << size;

    for (size_t i = 0; i < size; ++i) {
      Bytes other = one;
      other[i] ^= 0x80;
      EXPECT_FALSE(equal_constant_time(one, other)) << size << ", byte " << i;
    }
  }
}

TEST(SecretTest, WhatIsOfAnotherSizeIsNotEqual) {
  const Bytes zeros(33);

  EXPECT_FALSE(equal_constant_time(ByteView(zeros).first(32), zeros));
  EXPECT_FALSE(equal_constant_time(ByteView(zeros).first(0), zeros));
  EXPECT_TRUE(equal_constant_time({}, {}));
}

}  // namespace
}  // namespace tain
