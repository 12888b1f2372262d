// SPDX-License-Identifier: Apache-2.0
#include "fs/request_weight.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <cstring>

namespace tain::fs {
namespace {

/// A request of `size` bytes in all, as the kernel would begin it.
Bytes request(uint32_t opcode, size_t size = sizeof(fuse_in_header)) {
  Bytes out(size);
  fuse_in_header header{};
  header.opcode = opcode;
  header.len = static_cast<uint32_t>(size);
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

Bytes read_request(uint32_t wanted) {
  Bytes out = request(FUSE_READ, sizeof(fuse_in_header) + sizeof(fuse_read_in));
  fuse_read_in read{};
  read.size = wanted;
  std::memcpy(out.data() + sizeof(fuse_in_header), &read, sizeof read);
  return out;
}

TEST(RequestWeightTest, NobodyWaitsForNotes) {
  EXPECT_EQ(weigh(request(FUSE_FORGET)), RequestWeight::note);
  EXPECT_EQ(weigh(request(FUSE_BATCH_FORGET)), RequestWeight::note);
  EXPECT_EQ(weigh(request(FUSE_INTERRUPT)), RequestWeight::note);
}

TEST(RequestWeightTest, NamesAndAttributesAreLight) {
  for (uint32_t opcode : {FUSE_LOOKUP, FUSE_GETATTR, FUSE_SETATTR, FUSE_MKNOD, FUSE_UNLINK, FUSE_RENAME, FUSE_READDIRPLUS})
    EXPECT_EQ(weigh(request(opcode)), RequestWeight::light) << opcode;
  EXPECT_EQ(weigh(request(4096)), RequestWeight::light) << "unknown";
}

TEST(RequestWeightTest, FlushesAndCopiesAreHeavy) {
  for (uint32_t opcode : {FUSE_FSYNC, FUSE_FSYNCDIR, FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE})
    EXPECT_EQ(weigh(request(opcode)), RequestWeight::heavy) << opcode;
  EXPECT_EQ(weigh(request(50)), RequestWeight::heavy) << "SYNCFS";
}

TEST(RequestWeightTest, TransfersWeighTheirSize) {
  EXPECT_EQ(weigh(read_request(4096)), RequestWeight::light);
  EXPECT_EQ(weigh(read_request(kHeavyTransfer)), RequestWeight::heavy);
  EXPECT_EQ(weigh(request(FUSE_WRITE, 4096)), RequestWeight::light);
  EXPECT_EQ(weigh(request(FUSE_WRITE, kHeavyTransfer)), RequestWeight::heavy);
}

TEST(RequestWeightTest, WhatIsCutShortIsLight) {
  const Bytes whole = read_request(1 << 20);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(weigh(ByteView(whole).first(size)), RequestWeight::light) << size;
}

}  // namespace
}  // namespace tain::fs
