// SPDX-License-Identifier: Apache-2.0
#include "sync/record_codec.h"

#include <dirent.h>

#include <algorithm>
#include <string_view>

#include "base/check.h"

namespace tain::sync {

namespace {

constexpr uint8_t kEntryRecord = 1;
constexpr uint8_t kHasLocation = 1, kHasContent = 2, kHasAttributes = 4;
constexpr uint32_t kPermissionBits = 07777;
constexpr uint8_t kInline = 0, kChunks = 1;
constexpr uint32_t kNanosecondsMax = 999'999'999;
constexpr uint32_t kPackSizeMax = uint32_t{32} << 20;  // bytes, padding included

Error malformed(std::string_view what) { return Error(Code::corrupt, "malformed " + std::string(what)); }

bool has_content(uint8_t type) { return type == DT_REG || type == DT_LNK; }

bool is_type(uint8_t type) {
  return type == DT_REG || type == DT_DIR || type == DT_LNK || type == DT_FIFO || type == DT_SOCK || type == DT_CHR ||
         type == DT_BLK;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= store::kNameMax && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

void put_time(Writer& out, const store::Time& time) { out.i64(time.seconds).u32(time.nanoseconds); }

store::Time get_time(Reader& in) {
  const store::Time time{.seconds = in.i64(), .nanoseconds = in.u32()};
  if (time.nanoseconds > kNanosecondsMax) in.fail();
  return time;
}

void put_dot(Writer& out, const Dot& dot) { out.u64(dot.writer).u64(dot.counter); }

Dot get_dot(Reader& in) {
  const Dot dot{.writer = in.u64(), .counter = in.u64()};
  if (dot.counter == 0) in.fail();
  return dot;
}

void put_dots(Writer& out, const std::vector<Dot>& dots, size_t most) {
  CHECK(dots.size() <= most);
  out.u8(static_cast<uint8_t>(dots.size()));
  for (const Dot& dot : dots) put_dot(out, dot);
}

/// Whether each is above the one before, as every list here is: so a set has one encoding.
template <class T>
bool is_ascending(const std::vector<T>& values) {
  return std::adjacent_find(values.begin(), values.end(), [](const T& a, const T& b) { return !(a < b); }) == values.end();
}

std::vector<Dot> get_dots(Reader& in, size_t most) {
  std::vector<Dot> dots;
  const size_t count = in.u8();
  if (count > most) in.fail();
  for (size_t i = 0; i < count && !in.failed(); ++i) dots.push_back(get_dot(in));
  if (!is_ascending(dots)) in.fail();
  return dots;
}

void put_links(Writer& out, const std::vector<Link>& links) {
  CHECK(links.size() <= kLinksMax);
  out.u16(static_cast<uint16_t>(links.size()));
  for (const Link& link : links) out.raw(link.directory.bytes).string16(as_bytes(link.name));
}

std::vector<Link> get_links(Reader& in) {
  std::vector<Link> links;
  const size_t count = in.u16();
  if (count > kLinksMax) in.fail();
  for (size_t i = 0; i < count && !in.failed(); ++i) {
    Link link{.directory = {in.array<16>()}, .name = std::string(as_text(in.string16()))};
    if (!is_name(link.name)) in.fail();
    links.push_back(std::move(link));
  }
  if (!is_ascending(links)) in.fail();
  return links;
}

void put_chunk(Writer& out, const Chunk& chunk) {
  out.u64(chunk.index).raw(chunk.hash).raw(chunk.pack).u32(chunk.offset).u32(chunk.length);
}

Chunk get_chunk(Reader& in) {
  return {.index = in.u64(), .hash = in.array<32>(), .pack = in.array<16>(), .offset = in.u32(), .length = in.u32()};
}

constexpr size_t kChunkEncodedSize = 8 + 32 + 16 + 4 + 4;
constexpr size_t kListBytesMax = 2 + kListMax * kChunkEncodedSize;

std::vector<Chunk> get_chunks(Reader& in, uint8_t height) {
  std::vector<Chunk> chunks;
  const size_t count = in.u16();
  if (count > kListMax) in.fail();
  const uint64_t step = chunks_covered(height);
  const size_t longest = height == 0 ? kChunkSize : kListBytesMax;
  for (size_t i = 0; i < count && !in.failed(); ++i) {
    const Chunk chunk = get_chunk(in);
    const bool fits = chunk.length != 0 && chunk.length <= longest && chunk.offset <= kPackSizeMax &&
                      chunk.index % step == 0 && chunk.index < store::kFileSizeMax / kChunkSize &&
                      (chunks.empty() || chunk.index > chunks.back().index);
    if (!fits) in.fail();
    chunks.push_back(chunk);
  }
  return chunks;
}

void put_chunks(Writer& out, const std::vector<Chunk>& chunks) {
  CHECK(chunks.size() <= kListMax);
  out.u16(static_cast<uint16_t>(chunks.size()));
  for (const Chunk& chunk : chunks) put_chunk(out, chunk);
}

FileContent get_file(Reader& in) {
  FileContent file;
  file.size = in.u64();
  file.mtime = get_time(in);
  file.hash = in.array<32>();
  const uint8_t form = in.u8();
  if (form == kInline) {
    const ByteView bytes = in.string32();
    if (file.size > kInlineMax || bytes.size() != file.size) in.fail();
    file.data = Bytes(bytes.begin(), bytes.end());
  } else if (form == kChunks) {
    ChunkList list{.height = in.u8(), .chunks = {}};
    if (list.height > kListHeightMax || file.size <= kInlineMax || file.size > store::kFileSizeMax) in.fail();
    if (!in.failed()) list.chunks = get_chunks(in, list.height);
    // A chunk past the end of the file would be shown by nobody, and hidden from whoever compares two contents.
    for (const Chunk& chunk : list.chunks)
      if (chunk.index * kChunkSize >= file.size || (list.height == 0 && chunk.index * kChunkSize + chunk.length > file.size)) in.fail();
    file.data = std::move(list);
  } else {
    in.fail();
  }
  return file;
}

void put_file(Writer& out, const FileContent& file) {
  out.u64(file.size);
  put_time(out, file.mtime);
  out.raw(file.hash);
  if (const Bytes* bytes = std::get_if<Bytes>(&file.data)) {
    out.u8(kInline).string32(*bytes);
  } else {
    const auto& list = std::get<ChunkList>(file.data);
    out.u8(kChunks).u8(list.height);
    put_chunks(out, list.chunks);
  }
}

template <class Value>
void put_version(Writer& out, const Version<Value>& version) {
  put_dot(out, version.dot);
  out.u64(version.hlc);
  put_dots(out, version.parents, kParentsMax);
  out.string32(encode_value(version.value));
}

/// `decode` makes the value of its bytes.
template <class Value, class Decode>
Result<std::optional<Version<Value>>> get_version(Reader& in, const Decode& decode) {
  Version<Value> version;
  version.dot = get_dot(in);
  version.hlc = in.u64();
  version.parents = get_dots(in, kParentsMax);
  const ByteView bytes = in.string32();
  if (in.failed()) return malformed("version");
  // A version that replaces itself would never be a head.
  if (std::binary_search(version.parents.begin(), version.parents.end(), version.dot)) return malformed("parents");
  version.value = TRY(decode(bytes));
  return std::optional(std::move(version));
}

}  // namespace

Bytes encode_value(const Location& value) {
  Bytes bytes;
  Writer out(bytes);
  put_links(out, value.links);
  put_links(out, value.taken);
  if (value.is_removal()) put_dots(out, value.seen, kSeenMax);
  return bytes;
}

Result<Location> decode_location(ByteView bytes) {
  Reader in(bytes);
  Location value;
  value.links = get_links(in);
  value.taken = get_links(in);
  if (value.is_removal()) value.seen = get_dots(in, kSeenMax);
  if (!in.done()) return malformed("location");
  return value;
}

Bytes encode_value(const Content& value) {
  Bytes bytes;
  Writer out(bytes);
  if (const auto* file = std::get_if<FileContent>(&value)) {
    put_file(out, *file);
  } else {
    const auto& link = std::get<SymlinkContent>(value);
    put_time(out, link.mtime);
    out.string16(as_bytes(link.target));
  }
  return bytes;
}

Result<Content> decode_content(uint8_t type, ByteView bytes) {
  Reader in(bytes);
  Content value;
  if (type == DT_REG) {
    value = get_file(in);
  } else {
    SymlinkContent link;
    link.mtime = get_time(in);
    link.target = std::string(as_text(in.string16()));
    if (type != DT_LNK || link.target.empty() || link.target.size() > store::kSymlinkMax || link.target.find('\0') != std::string::npos)
      in.fail();
    value = std::move(link);
  }
  if (!in.done()) return malformed("content");
  return value;
}

Bytes encode_value(const Attributes& value) {
  CHECK(value.xattrs.size() <= store::kXattrCountMax);
  Bytes bytes;
  Writer out(bytes);
  out.u32(value.mode).u32(value.uid).u32(value.gid).u64(value.rdev);
  put_time(out, value.btime);
  out.i64(value.time_lock).u16(static_cast<uint16_t>(value.xattrs.size()));
  for (const auto& [name, data] : value.xattrs) out.string16(as_bytes(name)).string32(data);
  return bytes;
}

Result<Attributes> decode_attributes(ByteView bytes) {
  Reader in(bytes);
  Attributes value;
  value.mode = in.u32();
  value.uid = in.u32();
  value.gid = in.u32();
  value.rdev = in.u64();
  value.btime = get_time(in);
  value.time_lock = in.i64();
  const size_t count = in.u16();
  if (count > store::kXattrCountMax || (value.mode & ~kPermissionBits) != 0) in.fail();
  size_t total = 0;
  for (size_t i = 0; i < count && !in.failed(); ++i) {
    std::string name(as_text(in.string16()));
    const ByteView data = in.string32();
    total += name.size() + data.size();
    const bool fits = !name.empty() && name.size() <= store::kXattrNameMax && name.find('\0') == std::string::npos &&
                      data.size() <= store::kXattrValueMax && total <= store::kXattrTotalMax &&
                      (value.xattrs.empty() || name > value.xattrs.rbegin()->first);
    if (!fits) in.fail();
    value.xattrs.emplace_hint(value.xattrs.end(), std::move(name), Bytes(data.begin(), data.end()));
  }
  if (!in.done()) return malformed("attributes");
  return value;
}

Bytes encode_chunks(const std::vector<Chunk>& chunks) {
  Bytes bytes;
  Writer out(bytes);
  put_chunks(out, chunks);
  return bytes;
}

Result<std::vector<Chunk>> decode_chunks(ByteView bytes, uint8_t height) {
  if (height > kListHeightMax) return malformed("list of chunks");
  Reader in(bytes);
  std::vector<Chunk> chunks = get_chunks(in, height);
  if (!in.done()) return malformed("list of chunks");
  return chunks;
}

Bytes encode_record(const EntryRecord& record) {
  Bytes bytes;
  Writer out(bytes);
  const uint8_t registers = static_cast<uint8_t>((record.location ? kHasLocation : 0) | (record.content ? kHasContent : 0) |
                                                 (record.attributes ? kHasAttributes : 0));
  CHECK(registers != 0);
  out.u8(kEntryRecord).raw(record.entry.bytes).u8(record.type).u8(registers);
  if (record.location) put_version(out, *record.location);
  if (record.content) put_version(out, *record.content);
  if (record.attributes) put_version(out, *record.attributes);
  return bytes;
}

Result<EntryRecord> decode_record(ByteView bytes) {
  Reader in(bytes);
  EntryRecord record;
  const uint8_t kind = in.u8();
  record.entry.bytes = in.array<16>();
  record.type = in.u8();
  const uint8_t registers = in.u8();
  const bool is_root = record.entry == kRootEntry;
  const bool fits = kind == kEntryRecord && is_type(record.type) && registers != 0 &&
                    (registers & ~(kHasLocation | kHasContent | kHasAttributes)) == 0 &&
                    ((registers & kHasContent) == 0 || has_content(record.type)) &&
                    (!is_root || (record.type == DT_DIR && (registers & kHasLocation) == 0));
  if (in.failed() || !fits) return malformed("record");
  if ((registers & kHasLocation) != 0) {
    record.location = TRY(get_version<Location>(in, decode_location));
    const Location& value = record.location->value;
    const size_t links_max = record.type == DT_DIR ? 1 : kLinksMax;
    const size_t taken_max = record.type == DT_DIR ? 1 : value.is_removal() ? kLinksMax : 0;
    if (value.links.size() > links_max || value.taken.size() > taken_max) return malformed("location");
  }
  if ((registers & kHasContent) != 0)
    record.content = TRY(get_version<Content>(in, [&](ByteView value) { return decode_content(record.type, value); }));
  if ((registers & kHasAttributes) != 0) record.attributes = TRY(get_version<Attributes>(in, decode_attributes));
  if (!in.done()) return malformed("record");
  return record;
}

}  // namespace tain::sync
