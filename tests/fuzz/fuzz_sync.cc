// SPDX-License-Identifier: Apache-2.0
// Any bytes as what other devices tell: an error, or a value whose encoding is those very bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/check.h"
#include "base/secret.h"
#include "sync/known_writers.h"
#include "sync/record_codec.h"
#include "sync/text_merge.h"

using namespace tain;
using namespace tain::sync;

namespace {

bool same(ByteView a, ByteView b) { return as_text(a) == as_text(b); }

void check_record(ByteView bytes) {
  const auto record = decode_record(bytes);
  CHECK(record.ok() ? same(encode_record(*record), bytes) : record.is(Code::corrupt));
}

void check_list(ByteView bytes, uint8_t height) {
  const auto chunks = decode_chunks(bytes, height);
  CHECK(chunks.ok() ? same(encode_chunks(*chunks), bytes) : chunks.is(Code::corrupt));
}

void check_writer(ByteView bytes) {
  const auto writer = KnownWriters::decode(bytes);
  CHECK(writer.ok() ? same(KnownWriters::encode(*writer), bytes) : writer.is(Code::corrupt));
}

void check_name(ByteView bytes) {
  const auto name = ObjectName::parse(as_text(bytes));
  CHECK(!name.has_value() || same(as_bytes(name->path()), bytes));
}

/// Three texts, with zero bytes between them.
void check_merge(ByteView bytes) {
  const std::string_view text = as_text(bytes);
  const size_t first = text.find('\0'), second = first == text.npos ? text.npos : text.find('\0', first + 1);
  if (second == text.npos) return;
  const std::string_view base = text.substr(0, first), ours = text.substr(first + 1, second - first - 1), theirs = text.substr(second + 1);
  const auto merged = merge_texts(base, ours, theirs);
  CHECK(merged == merge_texts(base, theirs, ours));
  if (!merged.has_value()) return;
  CHECK(merge_texts(base, ours, base) == ours && merge_texts(base, *merged, *merged) == merged);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool ready = init_crypto().ok();
  if (!ready) std::abort();
  if (size == 0) return 0;
  // The first byte says what the rest is.
  const ByteView input(data + 1, size - 1);
  switch (data[0] % 5) {
    case 0: check_record(input); break;
    case 1: check_list(input, static_cast<uint8_t>(data[0] / 5 % 8)); break;
    case 2: check_writer(input); break;
    case 3: check_merge(input); break;
    default: check_name(input);
  }
  return 0;
}
