// SPDX-License-Identifier: Apache-2.0
#include "tests/support/audit.h"

#include <map>
#include <set>

#include "store/database.h"
#include "store/header_file.h"
#include "store/load_block.h"

namespace tain::test {
namespace {

using namespace store;

class Audit {
 public:
  Audit(Env& env, const Cipher& cipher) : cipher_(cipher), database_(env, cipher, uint64_t{1} << 20) {}

  Result<> run() {
    ReadTxn txn = TRY(ReadTxn::begin(database_.env()));
    const State state = TRY(database_.load_state(txn));
    for (Table table : kTables)
      if (table != Table::state) TRY(walk(txn, table, state));
    TRY(check_inodes(txn));
    check_names();
    for (const BlockId& id : blocks_) complain("block " + to_hex(block_key(id)) + " belongs to no file");
    uint64_t content_bytes = 0;
    for (const auto& [ino, inode] : inodes_) {
      content_bytes += inode.content.size;
      expect(ino < state.next_ino, ino, "its number is still to be given away");
    }
    if (content_bytes != state.content_bytes) complain("the state record's content bytes are wrong");
    return {};
  }

  std::vector<std::string> complaints;

 private:
  void complain(std::string text) { complaints.push_back(std::move(text)); }
  void expect(bool condition, uint64_t ino, const std::string& otherwise) {
    if (!condition) complain("inode " + std::to_string(ino) + ": " + otherwise);
  }

  /// Checksums, seals, count and digest of one table; collects what the other checks need.
  Result<> walk(const ReadTxn& txn, Table table, const State& state) {
    uint64_t count = 0;
    Id32 sum{};
    const uint8_t lowest = 0;
    Cursor cursor = TRY(Cursor::open(txn, table));
    for (auto item = TRY(cursor.seek({&lowest, 1})); item.has_value(); item = TRY(cursor.next())) {
      ++count;
      const ByteView checksum = item->value.last(kChecksumSize);
      const auto expected = value_checksum(table, item->key, item->value.first(item->value.size() - kChecksumSize));
      if (!std::equal(expected.begin(), expected.end(), checksum.begin()))
        complain("checksum of " + to_hex(item->key) + " in table " + std::to_string(static_cast<int>(table)));
      add(sum, cipher_.set_summand(table, item->key, checksum));
      TRY(collect(txn, table, *item));
    }
    const SetDigest& set = state.sets[static_cast<size_t>(table)];
    if (set.count != count || set.sum != sum)
      complain("count or digest of table " + std::to_string(static_cast<int>(table)));
    return {};
  }

  static void add(Id32& sum, const Id32& summand) {
    unsigned carry = 0;
    for (size_t i = 0; i < sum.size(); ++i) {
      carry += unsigned{sum[i]} + summand[i];
      sum[i] = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
  }

  Result<> collect(const ReadTxn& txn, Table table, const Cursor::Item& item) {
    const uint64_t first = load_be64(item.key.data());
    switch (table) {
      case Table::inodes: inodes_[first] = *TRY(database_.load_inode(txn, Ino{first})); break;
      case Table::dirents: {
        const Cookie cookie{load_be64(item.key.data() + 8)};
        auto found = TRY(database_.load_dirents(txn, Ino{first}, cookie, cookie, 1)).entries;
        dirents_.push_back(found.at(0));
        break;
      }
      case Table::xattrs:
        with_xattrs_.insert(first);
        if (TRY(database_.load_xattrs(txn, Ino{first})).empty()) complain("an empty attribute record");
        break;
      case Table::blocks: blocks_.insert({.writer = first, .number = load_be64(item.key.data() + 8)}); break;
      case Table::orphans: orphans_.insert(first); break;
      case Table::state: break;
    }
    return {};
  }

  void take_block(const BlockId& id) {
    if (blocks_.erase(id) == 0) complain("block " + to_hex(block_key(id)) + " is missing or used twice");
  }

  Result<> check_block(const ReadTxn& txn, const Inode& inode, const BlockRef& ref, uint64_t index,
                       uint64_t& allocated) {
    take_block(ref.id);
    auto value = TRY(txn.get(Table::blocks, block_key(ref.id)));
    if (!value.has_value()) return {};
    const BlockPlace place{.content = inode.content.id, .id = ref.id, .level = 0, .index = index};
    Bytes plain(ref.length);
    TRY(cipher_.open_block(place, ref, Kind::data_block, *value, plain));
    allocated += ref.length;
    return {};
  }

  Result<> check_map(const ReadTxn& txn, const Inode& inode, const RefList& list, uint8_t level, uint64_t base,
                     uint64_t& allocated) {
    for (const auto& [slot, ref] : list) {
      const uint64_t index = base + (uint64_t{slot} << (7 * level));
      const BlockPlace place{.content = inode.content.id, .id = ref.id, .level = level, .index = index};
      if (level == 0) {
        TRY(check_block(txn, inode, ref, index, allocated));
        for (const Patch& patch : ref.patches) TRY(check_block(txn, inode, stored_ref(patch), index, allocated));
        const bool inside = index * kBlockSize + block_length(ref) <= inode.content.size;
        expect(inside, raw(inode.ino), "data past the end of the file");
        continue;
      }
      take_block(ref.id);
      expect(ref.patches.empty(), raw(inode.ino), "a map node with patches");
      auto node = TRY(database_.read_node(txn, place, ref));
      expect(!node->empty(), raw(inode.ino), "an empty map node");
      TRY(check_map(txn, inode, *node, static_cast<uint8_t>(level - 1), index, allocated));
    }
    return {};
  }

  Result<> check_inodes(const ReadTxn& txn) {
    for (const auto& [ino, inode] : inodes_) {
      uint64_t allocated = 0;
      TRY(check_map(txn, inode, inode.content.root, inode.content.height, 0, allocated));
      expect(allocated == inode.content.allocated, ino, "allocated bytes are wrong");
      expect(((inode.flags & kInodeHasXattrs) != 0) == with_xattrs_.contains(ino), ino, "attribute flag is wrong");
      expect((inode.nlink == 0) == orphans_.contains(ino), ino, "orphan table is wrong");
    }
    for (const auto& table : {orphans_, with_xattrs_})
      for (uint64_t ino : table) expect(inodes_.contains(ino), ino, "a record without an inode");
    return {};
  }

  void check_names() {
    std::map<uint64_t, uint64_t> names, children, subdirectories;
    std::set<std::pair<uint64_t, std::string>> seen;
    for (const Dirent& dirent : dirents_) {
      const uint64_t directory = raw(dirent.directory), child = raw(dirent.child);
      expect(seen.emplace(directory, dirent.name).second, directory, "a name twice");
      expect(inodes_.contains(directory) && inodes_.contains(child), child, "a name without an inode");
      const uint64_t hash = cipher_.name_hash(dirent.directory, dirent.name);
      expect(raw(dirent.cookie) >= hash && raw(dirent.cookie) < hash + 16, directory, "a cookie of another name");
      const Inode& inode = inodes_[child];
      expect(dirent.type == dirent_type(inode.mode), child, "an entry with another type");
      ++names[child];
      ++children[directory];
      if (!inode.is_directory()) continue;
      ++subdirectories[directory];
      expect(inode.parent == dirent.directory, child, "another parent than the directory it is in");
    }
    for (const auto& [ino, inode] : inodes_) {
      if (!inode.is_directory()) {
        expect(inode.nlink == names[ino], ino, "link count is wrong");
        continue;
      }
      expect(names[ino] == (ino == raw(kRootIno) || inode.nlink == 0 ? 0 : 1), ino, "a directory with several names");
      expect(inode.children == children[ino], ino, "count of entries is wrong");
      expect(inode.nlink == 0 || inode.nlink == 2 + subdirectories[ino], ino, "link count is wrong");
    }
  }

  const Cipher& cipher_;
  Database database_;
  std::map<uint64_t, Inode> inodes_;
  std::vector<Dirent> dirents_;
  std::set<uint64_t> with_xattrs_, orphans_;
  std::set<BlockId> blocks_;
};

}  // namespace

std::vector<std::string> audit_store(const std::string& vault_directory, const Secret& password) {
  std::vector<std::string> complaints;
  auto done = [&]() -> Result<> {
    const LoadedHeader loaded = TRY(load_header(vault_directory));
    const Unlocked unlocked = TRY(unlock(loaded.header, loaded.bytes, password));
    const Cipher cipher(unlocked.master, loaded.header.vault, loaded.header.epoch);
    auto env = TRY(Env::open(vault_directory + "/data.mdb", {}));
    Audit audit(*env, cipher);
    auto run = audit.run();
    complaints = std::move(audit.complaints);
    return run;
  }();
  if (!done.ok()) complaints.push_back(done.error().message());
  return complaints;
}

}  // namespace tain::test
