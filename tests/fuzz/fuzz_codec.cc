// SPDX-License-Identifier: Apache-2.0
// Any bytes as the body of any record: an error, or a value whose encoding is those very bytes.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "store/codec.h"

using namespace tain;
using namespace tain::store;

namespace {

template <class T, class Encode>
void check_body(ByteView body, const Result<T>& decoded, const Encode& encode) {
  if (!decoded.ok()) CHECK(decoded.is(Code::corrupt) || decoded.is(Code::format_too_old));
  else CHECK(as_text(encode(*decoded)) == as_text(body));
}

}  // namespace

/// The first byte chooses the kind of body.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView body(data + 1, size - 1);
  switch (data[0] % 8) {
    case 0: check_body(body, decode_inode(body), encode_inode); break;
    case 1: check_body(body, decode_dirent(body), encode_dirent); break;
    case 2:
      check_body(body, decode_xattrs(body), [](const InodeXattrs& x) { return encode_xattrs(x.ino, x.xattrs); });
      break;
    case 3: check_body(body, decode_refs(body, kMapFanout), encode_refs); break;
    case 4: check_body(body, decode_refs(body, kRootFanout), encode_refs); break;
    case 5: check_body(body, decode_version(body), encode_version); break;
    case 6: check_body(body, decode_past_name(body), encode_past_name); break;
    default: check_body(body, decode_state(body), encode_state);
  }
  return 0;
}
