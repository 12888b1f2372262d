// SPDX-License-Identifier: Apache-2.0
#include "sync/segment.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "sync/record_codec.h"

namespace tain::sync {

namespace {

using store::ObjectKind;

Error bad_object(const std::string& what) { return Error(Code::corrupt, "malformed " + what); }

Id16 object_id(uint64_t a, uint64_t b) {
  Bytes bytes;
  Writer(bytes).u64(a).u64(b);
  Id16 id{};
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

Id32 name_of_announcement(const store::RemoteCipher& cipher, WriterId writer) {
  return cipher.object_name(ObjectKind::announcement, object_id(writer, 0));
}

Id32 name_of_segment(const store::RemoteCipher& cipher, WriterId writer, uint64_t n) {
  return cipher.object_name(ObjectKind::segment, object_id(writer, n));
}

void sign(const store::SigningKey& key, ObjectKind kind, Bytes& body) {
  const store::Signature signature = key.sign(kind, body);
  body.insert(body.end(), signature.begin(), signature.end());
}

struct Signed {
  ByteView body;  // without the signature
  store::Signature signature{};
};

/// A body begins with its version, and only of a known one anything else can be said.
Result<Signed> split(ByteView bytes, const std::string& what) {
  const uint16_t version = Reader(bytes).u16();
  if (version > kProtocolVersion)
    return Error(Code::format_too_new, what + " was written by a later version of tain").hint("update tain on this device");
  if (version == 0 || bytes.size() < store::kSignatureSize) return bad_object(what);
  Signed out{.body = bytes.first(bytes.size() - store::kSignatureSize), .signature = {}};
  std::copy(bytes.end() - store::kSignatureSize, bytes.end(), out.signature.begin());
  return out;
}

/// Text that a terminal shows as it is: UTF-8 without control characters.
bool is_label(std::string_view text) {
  return text.size() <= kLabelMax &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<Segment> decode_segment(ByteView body) {
  Reader in(body);
  in.u16();
  Segment segment;
  segment.writer = in.u64();
  segment.n = in.u64();
  segment.chain_before = in.array<32>();
  segment.hlc = in.u64();

  const size_t tips = in.u16();
  if (tips > kVectorMax) in.fail();
  for (size_t i = 0; i < tips && !in.failed(); ++i) {
    const Reached tip = get_reached(in);
    const bool fits = tip.n != 0 && tip.writer != segment.writer &&
                      (segment.vector.empty() || tip.writer > segment.vector.back().writer);
    if (!fits) in.fail();
    segment.vector.push_back(tip);
  }

  const size_t packs = in.u32();
  if (packs > kSegmentPacksMax) in.fail();
  for (size_t i = 0; i < packs && !in.failed(); ++i)
    segment.packs.push_back({.id = in.array<16>(), .size = in.u64(), .hash = in.array<32>()});

  const size_t records = in.u32();
  if (records > kSegmentRecordsMax) in.fail();
  for (size_t i = 0; i < records && !in.failed(); ++i) {
    const ByteView bytes = in.string32();
    if (in.failed()) break;
    segment.records.push_back(TRY(decode_record(bytes)));
    if (i > 0 && !(segment.records[i - 1].entry < segment.records[i].entry)) in.fail();
  }
  if (!in.done()) return bad_object("segment");
  return segment;
}

}  // namespace

void put_reached(Writer& out, const Reached& reached) { out.u64(reached.writer).u64(reached.n).raw(reached.chain); }

Reached get_reached(Reader& in) { return {.writer = in.u64(), .n = in.u64(), .chain = in.array<32>()}; }

void put_announcement(Writer& out, const Announcement& announcement) {
  out.u64(announcement.writer).raw(announcement.device).raw(announcement.key).string16(as_bytes(announcement.label));
  put_reached(out, announcement.before);
  out.u64(announcement.hlc);
}

Announcement get_announcement(Reader& in) {
  Announcement out;
  out.writer = in.u64();
  out.device = in.array<16>();
  out.key = in.array<store::kPublicKeySize>();
  out.label = std::string(as_text(in.string16()));
  out.before = get_reached(in);
  out.hlc = in.u64();
  const bool has_predecessor = out.before.writer != 0;
  const bool fits = out.writer != 0 && out.before.writer != out.writer && is_label(out.label) &&
                    (has_predecessor || out.before == Reached{});
  if (!fits) in.fail();
  return out;
}

ObjectName announcement_name(const store::RemoteCipher& cipher, WriterId writer) {
  return {.folder = ObjectFolder::announcements, .id = name_of_announcement(cipher, writer)};
}

ObjectName segment_name(const store::RemoteCipher& cipher, WriterId writer, uint64_t n) {
  return {.folder = ObjectFolder::objects, .id = name_of_segment(cipher, writer, n)};
}

ObjectName pack_name(const store::RemoteCipher& cipher, const PackId& id) {
  return {.folder = ObjectFolder::objects, .id = cipher.object_name(ObjectKind::pack, id)};
}

Bytes seal_announcement(const store::RemoteCipher& cipher, const store::SigningKey& key, const Announcement& announcement) {
  CHECK(is_label(announcement.label) && announcement.writer != 0);
  Bytes body;
  Writer out(body);
  out.u16(kProtocolVersion);
  put_announcement(out, announcement);
  sign(key, ObjectKind::announcement, body);
  return cipher.seal_object(ObjectKind::announcement, name_of_announcement(cipher, announcement.writer), body);
}

Result<Announcement> open_announcement(const store::RemoteCipher& cipher, const ObjectName& name, ByteView object) {
  if (object.size() > kAnnouncementObjectMax) return bad_object("announcement");
  const Bytes bytes = TRY(cipher.open_object(ObjectKind::announcement, name.id, object));
  const Signed parts = TRY(split(bytes, "announcement"));
  Reader in(parts.body);
  in.u16();
  Announcement out = get_announcement(in);
  if (!in.done() || name != announcement_name(cipher, out.writer)) return bad_object("announcement");
  if (!is_signed_by(out.key, ObjectKind::announcement, parts.body, parts.signature)) return bad_object("signature of an announcement");
  return out;
}

Bytes seal_segment(const store::RemoteCipher& cipher, const store::SigningKey& key, const Segment& segment) {
  CHECK(segment.n != 0 && segment.vector.size() <= kVectorMax && segment.packs.size() <= kSegmentPacksMax &&
        segment.records.size() <= kSegmentRecordsMax);
  Bytes body;
  Writer out(body);
  out.u16(kProtocolVersion).u64(segment.writer).u64(segment.n).raw(segment.chain_before).u64(segment.hlc);
  out.u16(static_cast<uint16_t>(segment.vector.size()));
  for (const Reached& tip : segment.vector) put_reached(out, tip);
  out.u32(static_cast<uint32_t>(segment.packs.size()));
  for (const PackEntry& pack : segment.packs) out.raw(pack.id).u64(pack.size).raw(pack.hash);
  out.u32(static_cast<uint32_t>(segment.records.size()));
  for (const EntryRecord& record : segment.records) out.string32(encode_record(record));
  sign(key, ObjectKind::segment, body);
  Bytes object = cipher.seal_object(ObjectKind::segment, name_of_segment(cipher, segment.writer, segment.n), body);
  CHECK(object.size() <= kSegmentObjectMax);
  return object;
}

Result<Segment> open_segment(const store::RemoteCipher& cipher, const store::PublicKey& key, WriterId writer, uint64_t n,
                             ByteView object) {
  if (object.size() > kSegmentObjectMax) return bad_object("segment");
  const Bytes bytes = TRY(cipher.open_object(ObjectKind::segment, name_of_segment(cipher, writer, n), object));
  const Signed parts = TRY(split(bytes, "segment"));
  if (!is_signed_by(key, ObjectKind::segment, parts.body, parts.signature))
    return Error(Code::not_permitted, "segment is not signed by its writer's device");
  Segment segment = TRY(decode_segment(parts.body));
  // The seal binds the name, and the name these two; a body that says otherwise is a writer's own mistake.
  if (segment.writer != writer || segment.n != n || (n == 1 && segment.chain_before != Id32{})) return bad_object("segment");
  return segment;
}

Id32 chain_value(ByteView object) { return store::hash256(object); }

}  // namespace tain::sync
