// SPDX-License-Identifier: Apache-2.0
#include "store/notes.h"

#include <array>
#include <string>

#include "base/check.h"
#include "store/codec.h"
#include "store/committer.h"
#include "store/database.h"
#include "store/working_set.h"

namespace tain::store {

namespace {

constexpr uint8_t kRemoved = 1, kHasName = 2;

using PairKey = std::array<uint8_t, 16>;

PairKey pair_key(uint64_t first, uint64_t second) {
  PairKey key;
  store_be64(key.data(), first);
  store_be64(key.data() + 8, second);
  return key;
}

PairKey key_of(const Mark& mark) { return pair_key(raw(mark.ino), raw(mark.cookie)); }

Error unreadable(const char* what) { return Error(Code::corrupt, std::string("a ") + what + " has an impossible structure"); }

Result<Mark> open_mark(const Cipher& cipher, ByteView key, ByteView value) {
  const auto record = TRY(cipher.open_record(Table::marks, key, value));
  if (record.kind != Kind::mark || record.schema != kMarkSchema || key.size() != 16) return unreadable("mark");
  return decode_mark(Ino{load_be64(key.data())}, Cookie{load_be64(key.data() + 8)}, record.body);
}

Result<Bytes> open_note(const Cipher& cipher, ByteView key, ByteView value) {
  auto record = TRY(cipher.open_record(Table::notes, key, value));
  if (record.kind != Kind::note || record.schema != kNoteSchema) return unreadable("note");
  return std::move(record.body);
}

Result<> put_mark(Batch& batch, const Mark& mark) {
  return batch.put_record(Table::marks, key_of(mark), Kind::mark, kMarkSchema, encode_mark(mark), false);
}

}  // namespace

Bytes encode_mark(const Mark& mark) {
  Bytes body;
  Writer out(body);
  const int flags = (mark.removed ? kRemoved : 0) | (mark.name.has_value() ? kHasName : 0);
  out.u64(mark.commit).raw(mark.entry.bytes).u8(static_cast<uint8_t>(flags));
  if (mark.name.has_value()) out.string16(encode_dirent(*mark.name));
  return body;
}

Result<Mark> decode_mark(Ino ino, Cookie cookie, ByteView body) {
  Reader in(body);
  Mark mark{.ino = ino, .cookie = cookie, .commit = 0, .entry = {}, .name = {}, .removed = false};
  mark.commit = in.u64();
  mark.entry.bytes = in.array<16>();
  const uint8_t flags = in.u8();
  mark.removed = (flags & kRemoved) != 0;
  if ((flags & kHasName) != 0) {
    const ByteView bytes = in.string16();
    if (in.failed()) return unreadable("mark");
    mark.name = TRY(decode_dirent(bytes));
    if (mark.name->child != ino || mark.name->cookie != cookie) return unreadable("mark");
  }
  if (!in.done() || (flags & ~(kRemoved | kHasName)) != 0 || mark.name.has_value() == (raw(cookie) == 0)) return unreadable("mark");
  return mark;
}

Result<> put_marks(Batch& batch, const Frozen& frozen, uint64_t commit_number) {
  for (const Frozen::File& file : frozen.files) {
    // That it was read is nobody else's affair.
    if (!file.changed) continue;
    const Inode& inode = file.inode;
    TRY(put_mark(batch, {.ino = inode.ino, .cookie = {}, .commit = commit_number, .entry = inode.entry, .name = {}, .removed = inode.is_retired() || inode.nlink == 0}));
  }
  for (const Frozen::Removed& removed : frozen.removed)
    TRY(put_mark(batch, {.ino = removed.inode.ino, .cookie = {}, .commit = commit_number, .entry = removed.inode.entry, .name = {}, .removed = true}));
  for (const auto& [dirent, was_removed] : frozen.dirents)
    TRY(put_mark(batch, {.ino = dirent.child, .cookie = dirent.cookie, .commit = commit_number, .entry = {}, .name = dirent, .removed = was_removed}));
  return {};
}

Result<> Notes::mark_changes(bool wanted) {
  if (read_only_) return Error(Code::read_only, "the vault is open for reading only");
  return committer_.set_marks_changes(wanted);
}

bool Notes::marks_changes() const { return committer_.state().marks_changes; }

Result<std::vector<Mark>> Notes::marks(size_t limit) const {
  const ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
  Cursor cursor = TRY(Cursor::open(txn, Table::marks));
  std::vector<Mark> out;
  for (auto item = TRY(cursor.seek(pair_key(0, 0))); item.has_value() && out.size() < limit; item = TRY(cursor.next()))
    out.push_back(TRY(open_mark(database_.cipher(), item->key, item->value)));
  return out;
}

Result<std::optional<Bytes>> Notes::find(NoteKey key) const {
  const ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
  const PairKey stored_key = pair_key(key.first, key.second);
  const auto value = TRY(txn.get(Table::notes, stored_key));
  if (!value.has_value()) return std::optional<Bytes>();
  return std::optional<Bytes>(TRY(open_note(database_.cipher(), stored_key, *value)));
}

Result<std::vector<std::pair<NoteKey, Bytes>>> Notes::list(NoteKey from, size_t limit) const {
  const ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
  Cursor cursor = TRY(Cursor::open(txn, Table::notes));
  std::vector<std::pair<NoteKey, Bytes>> out;
  for (auto item = TRY(cursor.seek(pair_key(from.first, from.second))); item.has_value() && out.size() < limit;
       item = TRY(cursor.next())) {
    if (item->key.size() != 16) return unreadable("note");
    const NoteKey key{.first = load_be64(item->key.data()), .second = load_be64(item->key.data() + 8)};
    out.emplace_back(key, TRY(open_note(database_.cipher(), item->key, item->value)));
  }
  return out;
}

Result<> Notes::change(const std::vector<Change>& changes, const std::vector<Mark>& done) {
  if (read_only_) return Error(Code::read_only, "the vault is open for reading only");
  if (changes.empty() && done.empty()) return {};
  return committer_.rewrite([&](Batch& batch) -> Result<> {
    for (const Change& change : changes) {
      const PairKey key = pair_key(change.key.first, change.key.second);
      if (!change.value.has_value()) {
        TRY(batch.remove(Table::notes, key));
        continue;
      }
      CHECK(change.value->size() <= kNoteSizeMax);
      TRY(batch.put_record(Table::notes, key, Kind::note, kNoteSchema, *change.value, false));
    }
    for (const Mark& mark : done) {
      const PairKey key = key_of(mark);
      const auto stored = TRY(batch.get(Table::marks, key));
      if (!stored.has_value()) continue;
      const auto now = open_mark(database_.cipher(), key, *stored);
      // Changed again since: that is for the next look.
      if (now.ok() && now->commit != mark.commit) continue;
      TRY(batch.remove(Table::marks, key));
    }
    return {};
  });
}

}  // namespace tain::store
