// SPDX-License-Identifier: Apache-2.0
// What a slot of type tpm2 remembers of the object that its TPM has sealed (docs/format.md §3).
#pragma once

#include "base/bytes.h"
#include "base/result.h"

namespace tain::cli {

/// The two parts of a sealed object, as the TPM makes them. Views into what they were taken from, which outlives them.
struct Tpm2Blob {
  ByteView private_part;  // TPM2B_PRIVATE without its length: encrypted and authenticated by the TPM
  ByteView public_part;   // TPMT_PUBLIC, in the big-endian bytes of the TPM
};

/// A slot's extra of it. Errors: unsupported (more than store::kSlotExtraMax bytes).
Result<Bytes> encode_tpm2_blob(const Tpm2Blob& blob);
/// The parts of a slot's extra, which need not mean anything to a TPM.
/// Errors: format_too_new (of a later layout), header_damaged (malformed).
Result<Tpm2Blob> parse_tpm2_blob(ByteView extra);

}  // namespace tain::cli
