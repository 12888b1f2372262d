// SPDX-License-Identifier: Apache-2.0
#include "store/scrub_record.h"

#include <algorithm>

#include "base/file.h"
#include "store/cipher.h"

namespace tain::store {
namespace {

constexpr std::string_view kRecordMagic = "TAINSCR1";
constexpr uint16_t kVersion = 1;
constexpr size_t kFileMax = 4096;  // bytes

void put(Writer& out, const ScrubCounts& counts) {
  out.u64(counts.bytes).u64(counts.entries).u64(counts.records).u64(counts.blocks).u64(counts.lost);
}

ScrubCounts take_counts(Reader& in) {
  ScrubCounts counts;
  counts.bytes = in.u64();
  counts.entries = in.u64();
  counts.records = in.u64();
  counts.blocks = in.u64();
  counts.lost = in.u64();
  return counts;
}

}  // namespace

Bytes encode_scrub_record(const ScrubRecord& record) {
  Bytes bytes;
  Writer out(bytes);
  out.raw(as_bytes(kRecordMagic)).u16(kVersion).raw(record.vault.bytes);
  out.i64(record.started_s).u64(raw(record.place.ino)).u8(static_cast<uint8_t>(record.place.stage));
  out.u64(record.place.at);
  put(out, record.counts);
  out.i64(record.last_started_s).i64(record.last_ended_s);
  put(out, record.last);
  out.u64(record.last_damaged);
  const size_t listed = std::min(record.damaged.size(), kScrubDamagedMax);
  out.u16(static_cast<uint16_t>(listed));
  for (size_t i = 0; i < listed; ++i) out.u64(record.damaged[i]);
  out.raw(xxh3_128(bytes));
  return bytes;
}

Result<ScrubRecord> decode_scrub_record(ByteView bytes) {
  const Error damaged(Code::corrupt, "the record of the last scrub is damaged");
  if (bytes.size() < kChecksumSize) return damaged;
  const ByteView body = bytes.first(bytes.size() - kChecksumSize);
  const auto sum = xxh3_128(body);
  if (!std::equal(sum.begin(), sum.end(), bytes.last(kChecksumSize).begin())) return damaged;
  Reader in(body);
  if (as_text(in.raw(kRecordMagic.size())) != kRecordMagic) return damaged;
  if (in.u16() != kVersion) return Error(Code::format_too_new, "the record of the last scrub is of a newer version");
  ScrubRecord record;
  record.vault.bytes = in.array<16>();
  record.started_s = in.i64();
  record.place.ino = Ino{in.u64()};
  const uint8_t stage = in.u8();
  record.place.stage = ScrubPlace::Stage{stage};
  record.place.at = in.u64();
  record.counts = take_counts(in);
  record.last_started_s = in.i64();
  record.last_ended_s = in.i64();
  record.last = take_counts(in);
  record.last_damaged = in.u64();
  const size_t listed = in.u16();
  if (listed > kScrubDamagedMax || stage > static_cast<uint8_t>(ScrubPlace::Stage::notes)) return damaged;
  for (size_t i = 0; i < listed; ++i) record.damaged.push_back(in.u64());
  if (!in.done() || !std::is_sorted(record.damaged.begin(), record.damaged.end())) return damaged;
  return record;
}

std::optional<ScrubRecord> read_scrub_record(const std::string& directory, const VaultId& vault) {
  auto bytes = read_file(directory + "/" + kScrubFileName, kFileMax);
  if (!bytes.ok()) return std::nullopt;
  auto record = decode_scrub_record(*bytes);
  if (!record.ok() || record->vault != vault) return std::nullopt;
  return *std::move(record);
}

Result<> write_scrub_record(const std::string& directory, const ScrubRecord& record) {
  return replace_file(directory + "/" + kScrubFileName, encode_scrub_record(record));
}

}  // namespace tain::store
