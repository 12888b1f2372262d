// SPDX-License-Identifier: Apache-2.0
#include "fs/request_weight.h"

#include <linux/fuse.h>

#include <cstring>

namespace tain::fs {

namespace {

constexpr uint32_t kSyncfs = 50;  // FUSE_SYNCFS of protocol 7.34: the headers here may be older than the kernel

RequestWeight by_size(uint32_t size) {
  return size >= kHeavyTransfer ? RequestWeight::heavy : RequestWeight::light;
}

uint32_t read_size(ByteView request) {
  fuse_read_in read;
  if (request.size() < sizeof(fuse_in_header) + sizeof read) return 0;
  std::memcpy(&read, request.data() + sizeof(fuse_in_header), sizeof read);
  return read.size;
}

}  // namespace

RequestWeight weigh(ByteView request) {
  fuse_in_header header;
  if (request.size() < sizeof header) return RequestWeight::light;
  std::memcpy(&header, request.data(), sizeof header);
  switch (header.opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: return RequestWeight::note;
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case kSyncfs: return RequestWeight::heavy;
    case FUSE_READ: return by_size(read_size(request));
    case FUSE_WRITE: return by_size(header.len);
    default: return RequestWeight::light;
  }
}

}  // namespace tain::fs
