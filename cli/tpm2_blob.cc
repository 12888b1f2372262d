// SPDX-License-Identifier: Apache-2.0
#include "cli/tpm2_blob.h"

#include "store/header.h"

namespace tain::cli {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kFrame = 1 + 2 + 2;  // version and two lengths

}  // namespace

Result<Bytes> encode_tpm2_blob(const Tpm2Blob& blob) {
  const size_t size = kFrame + blob.private_part.size() + blob.public_part.size();
  if (size > store::kSlotExtraMax)
    return Error(Code::unsupported, "what this TPM makes of a sealed key, " + std::to_string(size) + " bytes, does not fit into a key slot");
  Bytes out;
  Writer(out).u8(kVersion).string16(blob.private_part).string16(blob.public_part);
  return out;
}

Result<Tpm2Blob> parse_tpm2_blob(ByteView extra) {
  Reader in(extra);
  const uint8_t version = in.u8();
  if (version > kVersion) return Error(Code::format_too_new, "the key slot of the TPM was made by a later version of tain");
  Tpm2Blob out;
  out.private_part = in.string16();
  out.public_part = in.string16();
  if (version != kVersion || !in.done() || extra.size() > store::kSlotExtraMax || out.private_part.empty() || out.public_part.empty())
    return Error(Code::header_damaged, "the key slot of the TPM is malformed");
  return out;
}

}  // namespace tain::cli
