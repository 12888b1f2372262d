// SPDX-License-Identifier: Apache-2.0
#include "store/codec.h"

#include <bit>

#include "base/check.h"

namespace tain::store {
namespace {

constexpr uint32_t kStateMarksChanges = 1;  // a flag of the state

void put_time(Writer& w, const Time& t) { w.i64(t.seconds).u32(t.nanoseconds); }
Time get_time(Reader& r) {
  Time t;
  t.seconds = r.i64();
  t.nanoseconds = r.u32();
  if (t.nanoseconds >= 1'000'000'000) r.fail();
  return t;
}

void put_dot(Writer& w, const Dot& dot) { w.u64(dot.writer).u64(dot.counter); }
Dot get_dot(Reader& r) {
  Dot dot;
  dot.writer = r.u64();
  dot.counter = r.u64();
  return dot;
}

void put_stamp(Writer& w, const Stamp& stamp) {
  put_dot(w, stamp.dot);
  w.u64(stamp.hlc);
}
Stamp get_stamp(Reader& r) {
  Stamp stamp;
  stamp.dot = get_dot(r);
  stamp.hlc = r.u64();
  return stamp;
}

/// The part that a block and a patch have in common.
template <class Ref>
void put_stored(Writer& w, const Ref& ref) {
  w.u64(ref.id.writer).u64(ref.id.number).raw(ref.nonce).raw(ref.tag).u32(ref.length);
}
template <class Ref>
void get_stored(Reader& r, Ref& ref) {
  ref.id.writer = r.u64();
  ref.id.number = r.u64();
  ref.nonce = r.array<24>();
  ref.tag = r.array<16>();
  ref.length = r.u32();
}

std::vector<Patch> get_patches(Reader& r) {
  const size_t count = r.u8();
  if (count > kPatchesMax) r.fail();
  std::vector<Patch> out;
  for (size_t i = 0; i < count && !r.failed(); ++i) {
    Patch patch;
    patch.cells = r.u16();
    get_stored(r, patch);
    const auto cells = static_cast<size_t>(std::popcount(patch.cells));
    if (cells == 0 || cell_count(patch.length) != cells) r.fail();
    out.push_back(patch);
  }
  return out;
}

void put_refs(Writer& w, const RefList& refs) {
  w.u8(static_cast<uint8_t>(refs.size()));
  for (const auto& [slot, ref] : refs) {
    put_stored(w.u8(slot), ref);
    w.u8(static_cast<uint8_t>(ref.patches.size()));
    for (const Patch& patch : ref.patches) put_stored(w.u16(patch.cells), patch);
  }
}
RefList get_refs(Reader& r, uint32_t fanout) {
  RefList refs;
  const uint32_t count = r.u8();
  if (count > fanout) r.fail();
  int previous = -1;
  for (uint32_t i = 0; i < count && !r.failed(); ++i) {
    const uint8_t slot = r.u8();
    BlockRef ref;
    get_stored(r, ref);
    ref.patches = get_patches(r);
    if (slot >= fanout || int{slot} <= previous || ref.length > kBlockSize) r.fail();
    previous = slot;
    refs.emplace_hint(refs.end(), slot, std::move(ref));
  }
  return refs;
}

constexpr uint32_t kInodeFlags =
    kInodeHasXattrs | kInodeHasPast | kInodeHasVersions | kInodeUnversioned | kInodeTrashed | kInodeAltered;
// A past as it was before inodes counted who came after them: in its place and with its flags nothing else may ever stand.
constexpr uint32_t kDevelopmentPast = 4 | 16 | 128;

bool valid_name(ByteView name) {
  if (name.empty() || name.size() > kNameMax || as_text(name) == "." || as_text(name) == "..") return false;
  for (uint8_t c : name)
    if (c == 0 || c == '/') return false;
  return true;
}

Error bad(const char* what) { return Error(Code::corrupt, std::string(what) + " record has an impossible structure"); }

Error development_past() {
  return Error(Code::format_too_old, "the vault has a past that a development version of tain wrote")
      .hint("mount it with the version of tain that made it, and copy its files into a new vault");
}

}  // namespace

Bytes encode_inode(const Inode& inode) {
  Bytes out;
  out.reserve(320 + inode.content.root.size() * 62 + inode.symlink.size());
  Writer w(out);
  w.u64(raw(inode.ino)).raw(inode.entry.bytes).u32(inode.mode).u32(inode.uid).u32(inode.gid).u32(inode.nlink);
  w.u64(inode.rdev);
  put_time(w, inode.atime);
  put_time(w, inode.mtime);
  put_time(w, inode.ctime);
  put_time(w, inode.btime);
  CHECK((inode.flags & kInodeHasPast) != 0 || inode.past == Past{});
  w.u32(inode.flags).u64(inode.children).u64(raw(inode.parent)).i64(inode.time_lock);
  put_stamp(w, inode.attribute_stamp);
  put_stamp(w, inode.content_stamp);
  w.u8(static_cast<uint8_t>(inode.parents.size()));
  for (const Dot& dot : inode.parents) put_dot(w, dot);
  w.string16(as_bytes(inode.symlink));
  if ((inode.flags & kInodeHasPast) != 0) {
    const Past& past = inode.past;
    w.u64(raw(past.previous)).u64(past.since).u64(past.floor).u64(past.retired).u64(past.forked).u32(past.successors);
  }
  const ContentRecord& content = inode.content;
  w.raw(content.id.bytes).u64(content.size).u64(content.allocated).u8(kBlockShift).u8(content.height);
  put_refs(w, content.root);
  return out;
}

Result<Inode> decode_inode(ByteView body) {
  Reader r(body);
  Inode inode;
  inode.ino = Ino{r.u64()};
  inode.entry.bytes = r.array<16>();
  inode.mode = r.u32();
  inode.uid = r.u32();
  inode.gid = r.u32();
  inode.nlink = r.u32();
  inode.rdev = r.u64();
  inode.atime = get_time(r);
  inode.mtime = get_time(r);
  inode.ctime = get_time(r);
  inode.btime = get_time(r);
  inode.flags = r.u32();
  inode.children = r.u64();
  inode.parent = Ino{r.u64()};
  inode.time_lock = r.i64();
  inode.attribute_stamp = get_stamp(r);
  inode.content_stamp = get_stamp(r);
  const size_t parents = r.u8();
  if (parents > kParentsMax) r.fail();
  for (size_t i = 0; i < parents && !r.failed(); ++i) inode.parents.push_back(get_dot(r));
  inode.symlink = std::string(as_text(r.string16()));
  if (!r.failed() && (inode.flags & kDevelopmentPast) != 0) return development_past();
  if ((inode.flags & kInodeHasPast) != 0) {
    inode.past.previous = Ino{r.u64()};
    inode.past.since = r.u64();
    inode.past.floor = r.u64();
    inode.past.retired = r.u64();
    inode.past.forked = r.u64();
    inode.past.successors = r.u32();
    if (inode.past == Past{} || inode.past.previous == inode.ino) r.fail();
  }
  inode.content.id.bytes = r.array<16>();
  inode.content.size = r.u64();
  inode.content.allocated = r.u64();
  const uint8_t shift = r.u8();
  inode.content.height = r.u8();
  inode.content.root = get_refs(r, kRootFanout);
  if (!r.done() || shift != kBlockShift || inode.content.height > kMapHeightMax ||
      inode.content.size > kFileSizeMax || inode.symlink.size() > kSymlinkMax || raw(inode.ino) == 0 ||
      (inode.flags & ~(kInodeFlags | (inode.ino == kRootIno ? kRootKnowsAcls : 0))) != 0)
    return bad("inode");
  return inode;
}

Bytes encode_dirent(const Dirent& dirent) {
  CHECK(valid_name(as_bytes(dirent.name)));
  Bytes out;
  out.reserve(64 + dirent.name.size());
  Writer w(out);
  w.u64(raw(dirent.directory)).u64(raw(dirent.cookie)).u64(raw(dirent.child)).u8(dirent.type);
  put_stamp(w, dirent.location_stamp);
  w.string16(as_bytes(dirent.name));
  return out;
}

Result<Dirent> decode_dirent(ByteView body) {
  Reader r(body);
  Dirent dirent;
  dirent.directory = Ino{r.u64()};
  dirent.cookie = Cookie{r.u64()};
  dirent.child = Ino{r.u64()};
  dirent.type = r.u8();
  dirent.location_stamp = get_stamp(r);
  dirent.name = std::string(as_text(r.string16()));
  if (!r.done() || !valid_name(as_bytes(dirent.name)) || raw(dirent.child) == 0) return bad("directory entry");
  return dirent;
}

Bytes encode_xattrs(Ino ino, const Xattrs& xattrs) {
  Bytes out;
  Writer w(out);
  w.u64(raw(ino)).u16(static_cast<uint16_t>(xattrs.size()));
  for (const auto& [name, value] : xattrs) w.string16(as_bytes(name)).string32(value);
  return out;
}

size_t xattrs_body_size(const Xattrs& xattrs) {
  size_t size = 8 + 2;
  for (const auto& [name, value] : xattrs) size += 2 + name.size() + 4 + value.size();
  return size;
}

Result<InodeXattrs> decode_xattrs(ByteView body) {
  Reader r(body);
  InodeXattrs out;
  out.ino = Ino{r.u64()};
  const size_t count = r.u16();
  if (count > kXattrCountMax || body.size() > kXattrTotalMax + kXattrCountMax * 6 + 64) r.fail();
  std::string previous;
  for (size_t i = 0; i < count && !r.failed(); ++i) {
    std::string name(as_text(r.string16()));
    ByteView value = r.string32();
    if (name.empty() || name.size() > kXattrNameMax || value.size() > kXattrValueMax || name <= previous) r.fail();
    previous = name;
    out.xattrs.emplace_hint(out.xattrs.end(), std::move(name), Bytes(value.begin(), value.end()));
  }
  if (!r.done()) return bad("extended attribute");
  return out;
}

Bytes encode_version(const Version& version) {
  Bytes out;
  Writer w(out);
  w.u64(version.ended_hlc);
  put_time(w, version.ended);
  w.string32(encode_inode(version.inode));
  if ((version.inode.flags & kInodeHasXattrs) != 0) w.string32(encode_xattrs(version.inode.ino, version.xattrs));
  return out;
}

Result<Version> decode_version(ByteView body) {
  Reader r(body);
  Version out;
  out.ended_hlc = r.u64();
  out.ended = get_time(r);
  const ByteView inode = r.string32();
  if (r.failed()) return bad("version");
  out.inode = TRY(decode_inode(inode));
  if ((out.inode.flags & kInodeHasXattrs) != 0) {
    const ByteView xattrs = r.string32();
    if (r.failed()) return bad("version");
    InodeXattrs decoded = TRY(decode_xattrs(xattrs));
    if (decoded.ino != out.inode.ino) return bad("version");
    out.xattrs = std::move(decoded.xattrs);
  }
  if (!r.done()) return bad("version");
  return out;
}

Bytes encode_past_name(const PastName& name) {
  Bytes out;
  Writer w(out);
  w.u64(name.ended_hlc).u8(static_cast<uint8_t>(name.why)).raw(encode_dirent(name.dirent));
  return out;
}

Result<PastName> decode_past_name(ByteView body) {
  Reader r(body);
  PastName out;
  out.ended_hlc = r.u64();
  const uint8_t why = r.u8();
  if (r.failed() || why > static_cast<uint8_t>(NameEnd::removed)) return bad("past name");
  out.why = static_cast<NameEnd>(why);
  out.dirent = TRY(decode_dirent(body.subspan(9)));
  return out;
}

Bytes encode_refs(const RefList& refs) {
  Bytes out;
  out.reserve(1 + refs.size() * 62);
  Writer w(out);
  put_refs(w, refs);
  return out;
}

Result<RefList> decode_refs(ByteView body, uint32_t fanout) {
  Reader r(body);
  RefList refs = get_refs(r, fanout);
  if (!r.done()) return bad("map node");
  return refs;
}

Bytes encode_state(const State& state) {
  Bytes out;
  Writer w(out);
  w.u64(state.next_ino).u64(state.commit_number).raw(state.commit_id).u64(state.journal_sequence);
  w.raw(state.journal_chain).u64(state.hlc).raw(state.device).u8(kTableCount - 1);
  for (uint8_t table = 2; table <= kTableCount; ++table) w.u8(table).u64(state.sets[table].count).raw(state.sets[table].sum);
  w.u64(state.content_bytes).u64(state.retired_inodes).u64(state.retired_content_bytes);
  const RetentionPolicy& retention = state.retention;
  w.i64(retention.states.all_s).i64(retention.states.hourly_s).i64(retention.states.daily_s);
  w.i64(retention.states.monthly_s).i64(retention.trash_s);
  w.i64(state.age.aged_ms).i64(state.age.doubted_ms).i64(state.age.waited_ms);
  w.u32(state.marks_changes ? kStateMarksChanges : 0);
  return out;
}

Result<State> decode_state(ByteView body, uint16_t schema) {
  Reader r(body);
  State state;
  state.next_ino = r.u64();
  state.commit_number = r.u64();
  state.commit_id = r.array<16>();
  state.journal_sequence = r.u64();
  state.journal_chain = r.array<32>();
  state.hlc = r.u64();
  state.device = r.array<16>();
  const size_t tables = schema >= 3 ? kTableCount : kTableCountOldest;
  if (r.u8() != tables - 1) r.fail();
  for (uint8_t table = 2; table <= tables; ++table) {
    if (r.u8() != table) r.fail();
    state.sets[table].count = r.u64();
    state.sets[table].sum = r.array<32>();
  }
  state.content_bytes = r.u64();
  state.retired_inodes = r.u64();
  state.retired_content_bytes = r.u64();
  if (schema >= 2) {
    RetentionPolicy& retention = state.retention;
    for (int64_t* age : {&retention.states.all_s, &retention.states.hourly_s, &retention.states.daily_s,
                         &retention.states.monthly_s, &retention.trash_s}) {
      *age = r.i64();
      if (*age < 0) r.fail();
    }
  }
  if (schema >= 3) {
    for (int64_t* time : {&state.age.aged_ms, &state.age.doubted_ms, &state.age.waited_ms}) {
      *time = r.i64();
      if (*time < 0) r.fail();
    }
    const uint32_t flags = r.u32();
    if ((flags & ~kStateMarksChanges) != 0) r.fail();
    state.marks_changes = (flags & kStateMarksChanges) != 0;
  } else {
    state.age.aged_ms = static_cast<int64_t>(state.hlc >> 16);
  }
  if (!r.done() || state.next_ino <= raw(kRootIno)) return bad("state");
  // The inodes would say so, too, but one by one, and only when somebody asks for them.
  if (schema < 3 && state.retired_inodes != 0) return development_past();
  return state;
}

std::array<uint8_t, 8> ino_key(Ino ino) {
  std::array<uint8_t, 8> key;
  store_be64(key.data(), raw(ino));
  return key;
}

std::array<uint8_t, 16> dirent_key(Ino directory, Cookie cookie) {
  std::array<uint8_t, 16> key;
  store_be64(key.data(), raw(directory));
  store_be64(key.data() + 8, raw(cookie));
  return key;
}

std::array<uint8_t, 16> version_key(Ino ino, uint64_t ended_hlc) {
  std::array<uint8_t, 16> key;
  store_be64(key.data(), raw(ino));
  store_be64(key.data() + 8, ~ended_hlc);
  return key;
}

std::array<uint8_t, 16> past_name_key(Ino directory, uint64_t ended_hlc) {
  std::array<uint8_t, 16> key;
  store_be64(key.data(), raw(directory));
  store_be64(key.data() + 8, ended_hlc);
  return key;
}

}  // namespace tain::store
