// SPDX-License-Identifier: Apache-2.0
// Any changes to the bytes of a database file: the page reader never leaves the file, always ends, and yields what
// stands on its pages and nothing else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "store/database.h"

using namespace tain;
using namespace tain::store;

namespace {

constexpr uint64_t kStepsMax = 100'000;  // far above what the file can hold

/// The bytes of a small, sound database.
const Bytes& sound_file() {
  static const Bytes file = [] {
    std::string directory = (std::filesystem::temp_directory_path() / "tain-fuzz.XXXXXX").string();
    CHECK(::mkdtemp(directory.data()) != nullptr);
    {
      auto env = Env::open(directory + "/data.mdb", {.map_size_bytes = 1 << 24, .create = true}).value();
      for (uint64_t part = 0; part < 3; ++part) {
        WriteTxn txn = WriteTxn::begin(*env).value();
        for (uint64_t i = part; i < 200; i += 3) {
          CHECK(txn.put(Table::dirents, dirent_key(Ino{i / 20}, Cookie{i}), Bytes(30 + i, 1)).ok());
          if (i % 40 == 0) {
            CHECK(txn.put(Table::blocks, block_key({1, i}), Bytes(9000, 2)).ok());
          }
        }
        CHECK(std::move(txn).commit().ok());
      }
    }
    Bytes out = read_file(directory + "/data.mdb", size_t{1} << 24).value();
    std::filesystem::remove_all(directory);
    return out;
  }();
  return file;
}

void walk(const PageSource& source, const TreeRoot& root, uint64_t last_page, ByteView file) {
  TreeWalk walk(source, root, last_page);
  Bytes scratch;
  const uint8_t lowest = 0;
  uint64_t steps = 0;
  for (auto more = walk.seek({&lowest, 1});; more = walk.next()) {
    CHECK(++steps < kStepsMax);
    if (!more.ok()) {
      if (!more.is(Code::corrupt)) return;
      continue;
    }
    if (!*more) return;
    const auto before = walk.before();
    CHECK(!before || compare_keys(before->key, walk.node().key) < 0);
    auto value = walk.value(scratch);
    if (!value.ok() || value->empty()) continue;
    CHECK(value->data() >= file.data() && value->data() + value->size() <= file.data() + file.size());
    CHECK(walk.value_offset() == static_cast<uint64_t>(value->data() - file.data()));
    // The short way never leads elsewhere. A damaged page may hide a key from it, and a walk that went on behind a
    // damaged page sees keys that no search comes to.
    TreeWalk search(source, root, last_page);
    const auto found = search.seek(walk.node().key);
    if (!found.ok() || !*found || compare_keys(search.node().key, walk.node().key) != 0) continue;
    const auto short_way = find_value(source, root, last_page, walk.node().key);
    CHECK(!short_way.has_value() || short_way->data() == value->data());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes file = sound_file();
  Reader changes({data, size});
  const bool cut = (changes.u8() & 1) != 0;
  while (changes.remaining() >= 4) {  // page, place on it, byte
    const size_t at = (changes.u8() % (file.size() / kPageSize)) * kPageSize + changes.u16() % kPageSize;
    file[at] = changes.u8();
  }
  if (cut && changes.remaining() > 0) file.resize((2 + changes.u8() % (file.size() / kPageSize)) * kPageSize);
  if (file.size() < 2 * kPageSize) return 0;

  const PageSource source = PageSource::mapped(file.data(), kPageSize);
  for (const uint64_t number : {uint64_t{0}, uint64_t{1}}) {
    auto meta = parse_meta(ByteView(file).subspan(number * kPageSize), number);
    if (!meta.ok() || meta->page_size != kPageSize) continue;
    meta->last_page = std::min<uint64_t>(meta->last_page, file.size() / kPageSize - 1);
    static_cast<void>(read_free_list(source, meta->free_list, meta->last_page).ok());
    auto snapshot = read_snapshot(source, *meta);
    if (!snapshot.ok()) continue;
    for (Table table : kTables) walk(source, snapshot->root(table), meta->last_page, file);
    PathGuard guard(source, *snapshot);
    for (uint64_t i = 0; i < 200; i += 7)
      static_cast<void>(guard.check(Table::dirents, dirent_key(Ino{i / 20}, Cookie{i}), true).ok());
  }
  return 0;
}
