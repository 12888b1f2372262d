// SPDX-License-Identifier: Apache-2.0
#include "cli/fido2_slot.h"

namespace tain::cli {
namespace {

constexpr uint8_t kLayout = 1;
constexpr uint8_t kAsksForPin = 1;

Error too_new() {
  return Error(Code::format_too_new, "the key slot of a FIDO2 token was made by a later version of tain").hint("install that one");
}

}  // namespace

Result<Bytes> encode(const Fido2Slot& slot) {
  if (slot.credential.empty() || slot.credential.size() > kFido2CredentialMax)
    return Error(Code::unsupported, "the FIDO2 token made a credential id of " + std::to_string(slot.credential.size()) +
                                        " bytes; a key slot has room for 1 to " + std::to_string(kFido2CredentialMax))
        .hint("another model of token may do, or another kind of key");
  Bytes out;
  Writer(out).u8(kLayout).u8(slot.asks_for_pin ? kAsksForPin : 0).raw(slot.salt).raw(slot.credential);
  return out;
}

Result<Fido2Slot> parse_fido2_slot(ByteView extra) {
  Reader in(extra);
  const uint8_t version = in.u8();
  if (!in.failed() && version != kLayout) return too_new();
  const uint8_t flags = in.u8();
  Fido2Slot out;
  out.salt = in.array<32>();
  const ByteView credential = in.raw(in.remaining());
  if (in.failed() || credential.empty() || credential.size() > kFido2CredentialMax)
    return Error(Code::header_damaged, "the key slot of a FIDO2 token is malformed").hint("a password or recovery words open the vault, too");
  if ((flags & ~kAsksForPin) != 0) return too_new();
  out.asks_for_pin = (flags & kAsksForPin) != 0;
  out.credential.assign(credential.begin(), credential.end());
  return out;
}

}  // namespace tain::cli
