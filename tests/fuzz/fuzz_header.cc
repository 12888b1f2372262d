// SPDX-License-Identifier: Apache-2.0
// Any bytes as a header: an error, or a header whose encoding is those very bytes (but for MAC and hash).
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/check.h"
#include "base/secret.h"
#include "store/header.h"

using namespace tain;
using namespace tain::store;

namespace {

constexpr size_t kHashSize = 32;
constexpr size_t kTrailerSize = 64;  // MAC and hash

void check_header(ByteView bytes) {
  static const Cipher cipher(MasterKey{Secret(32)}, VaultId{}, 1);
  auto header = decode_header(bytes);
  if (!header.ok()) {
    CHECK(header.is(Code::not_a_vault) || header.is(Code::header_damaged) || header.is(Code::format_too_new) ||
          header.is(Code::format_too_old));
    return;
  }
  const Bytes again = encode_header(*header, cipher);
  CHECK(again.size() == bytes.size());
  CHECK(as_text(ByteView(again).first(again.size() - kTrailerSize)) ==
        as_text(bytes.first(bytes.size() - kTrailerSize)));
  CHECK(*decode_header(again) == *header);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool ready = init_crypto().ok();
  if (!ready) std::abort();
  const ByteView input(data, size);
  check_header(input);
  // No fuzzer finds a preimage: what stands behind the hash is reached by mending it.
  if (size < kHashSize) return 0;
  Bytes mended(input.begin(), input.end() - kHashSize);
  const Id32 hash = hash256(mended);
  mended.insert(mended.end(), hash.begin(), hash.end());
  check_header(mended);
  return 0;
}
