// SPDX-License-Identifier: Apache-2.0
// main() of every test program: readies the cryptographic library once.
#include <gtest/gtest.h>

#include "base/secret.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!tain::init_crypto().ok()) return 1;
  return RUN_ALL_TESTS();
}
