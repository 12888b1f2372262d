// SPDX-License-Identifier: Apache-2.0
// What a FUSE request is likely to cost, by its first bytes.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace tain::fs {

enum class RequestWeight : uint8_t {
  note,   // nobody waits for an answer: FORGET, INTERRUPT
  light,  // from memory, or a few pages away
  heavy,  // waits for the disk, or moves many bytes
};

/// Transfers of so many bytes are heavy.
inline constexpr uint32_t kHeavyTransfer = 64 << 10;

/// `request` as the kernel wrote it; one that is cut short is light. Source: the kernel's linux/fuse.h.
RequestWeight weigh(ByteView request);

}  // namespace tain::fs
