// SPDX-License-Identifier: Apache-2.0
// The worked examples of docs/format.md §8, made anew and compared with the page byte by byte.
//
// When the format changes on purpose, a failure prints the bytes for the page.
#include <dirent.h>
#include <gtest/gtest.h>

#include <fstream>

#include "store/database.h"
#include "store/key_slot.h"
#include "store/journal.h"
#include "store/recovery_words.h"
#include "store/working_set.h"
#include "tests/support/fixed_random.h"
#include "tests/support/format_page.h"
#include "tests/support/temp_directory.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::FixedRandom;

/// `first`, `first` + 1, …
template <size_t N>
std::array<uint8_t, N> counting(uint8_t first) {
  std::array<uint8_t, N> out;
  for (size_t i = 0; i < N; ++i) out[i] = static_cast<uint8_t>(first + i);
  return out;
}

class FormatTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { page_ = new test::FormatPage(TAIN_SOURCE_DIR); }
  static void TearDownTestSuite() { delete page_; }

  static void expect_example(const std::string& name, ByteView bytes) { page_->expect_example(name, bytes); }
  /// What is sealed of a record: schema and epoch stand before the body.
  static Bytes with_prefix(uint16_t schema, ByteView body) {
    Bytes out;
    Writer(out).u16(schema).u32(1).raw(body);
    return out;
  }

  static MasterKey master_key() { return MasterKey{Secret::copy_of(counting<32>(0x00))}; }
  static MasterKey next_master_key() { return MasterKey{Secret::copy_of(counting<32>(0x80))}; }
  static VaultId vault_id() { return {counting<16>(0x20)}; }

  static Inode some_inode() {
    Inode inode;
    inode.ino = Ino{2};
    inode.entry.bytes = counting<16>(0x30);
    inode.mode = S_IFREG | 0644;
    inode.uid = inode.gid = 1000;
    inode.nlink = 1;
    inode.atime = inode.mtime = inode.ctime = inode.btime = {.seconds = 1'790'000'000, .nanoseconds = 5};
    inode.flags = kInodeHasXattrs;
    inode.time_lock = 1'798'761'600;
    inode.attribute_stamp = {.dot = {.writer = 7, .counter = 1}, .hlc = 9};
    inode.content_stamp = {.dot = {.writer = 7, .counter = 2}, .hlc = 10};
    inode.parents = {{.writer = 6, .counter = 8}};
    inode.content.id.bytes = counting<16>(0x40);
    inode.content.size = inode.content.allocated = 6;
    inode.content.root.emplace(uint8_t{0}, some_ref(1, 6));
    return inode;
  }
  static BlockRef some_ref(uint64_t number, uint32_t length) {
    return {.id = {.writer = 7, .number = number},
            .nonce = counting<24>(0x50),
            .tag = counting<16>(0x70),
            .length = length,
            .patches = {}};
  }
  static Dirent some_dirent(const Cipher& cipher) {
    return {.directory = kRootIno,
            .cookie = Cookie{cipher.name_hash(kRootIno, "a.md")},
            .child = Ino{2},
            .type = DT_REG,
            .location_stamp = {.dot = {.writer = 7, .counter = 3}, .hlc = 11},
            .name = "a.md"};
  }

  const Cipher cipher_{master_key(), vault_id(), 1};
  Cipher next_cipher_{next_master_key(), vault_id(), 2};
  static test::FormatPage* page_;
};
test::FormatPage* FormatTest::page_ = nullptr;

TEST_F(FormatTest, PageShowsTheseExamplesAndNoOthers) {
  EXPECT_EQ(page_->names(), (std::vector<std::string>{"block value, resealed", "block value, suite 1",
                                             "block value, suite 2", "directory entry body",
                                             "directory entry key", "directory entry key, epoch 2",
                                             "extra of a FIDO2 slot", "extra of a TPM2 slot", "header",
                                             "header, master key under change", "inode body", "journal chain value",
                                             "journal frame", "journal payload", "map node", "past name body",
                                             "past name key", "record value", "set summand", "state body",
                                             "version body", "version key", "xattrs body"}));
}

TEST_F(FormatTest, Header) {
  FixedRandom fixed;
  Header header;
  header.vault = vault_id();
  header.suite = Suite::aes_256_gcm;
  header.key_check = cipher_.key_check();
  const Secret password = Secret::copy_of(as_bytes("correct horse"));
  header.slots.push_back(make_slot(header, master_key(), password, kKdfFloor, 1'790'000'000).value());

  expect_example("header", encode_header(header, cipher_));
}

TEST_F(FormatTest, HeaderWhileTheMasterKeyIsChanged) {
  FixedRandom fixed;
  Header header;
  header.minor = kFormatMinorRotated;
  header.vault = vault_id();
  header.sequence = 2;
  header.epoch = 2;
  header.suite = Suite::aes_256_gcm;
  header.previous = hash256(page_->example("header"));
  header.key_check = next_cipher_.key_check();
  const Secret password = Secret::copy_of(as_bytes("correct horse"));
  header.slots.push_back(make_slot(header, next_master_key(), password, kKdfFloor, 1'790'000'000).value());
  header.older = wrap_older(header, next_master_key(), master_key(), 1);

  const Bytes bytes = encode_header(header, next_cipher_);

  expect_example("header, master key under change", bytes);
  EXPECT_TRUE(verify_header(decode_header(bytes).value(), bytes, next_master_key()).ok());
  EXPECT_EQ(make_cipher(header, next_master_key()).value()->older_epoch(), 1u);
}

TEST_F(FormatTest, RecoveryWords) {
  std::ifstream page(TAIN_SOURCE_DIR "/docs/format.md");
  std::string line, hex, words;
  while (std::getline(page, line) && line != "```words") {}
  ASSERT_TRUE(std::getline(page, hex) && std::getline(page, words)) << "no example of recovery words";

  const Bytes secret = from_hex(hex).value();
  EXPECT_EQ(as_text(encode_recovery_words(secret).view()), words);
  EXPECT_EQ(as_text(decode_recovery_words(as_bytes(words)).value().view()), as_text(secret));
}

TEST_F(FormatTest, InodeBody) { expect_example("inode body", with_prefix(kInodeSchema, encode_inode(some_inode()))); }

TEST_F(FormatTest, DirectoryEntryBodyAndKey) {
  const Dirent dirent = some_dirent(cipher_);
  expect_example("directory entry key", dirent_key(dirent.directory, dirent.cookie));
  expect_example("directory entry key, epoch 2",
                 dirent_key(dirent.directory, Cookie{next_cipher_.name_hash(kRootIno, dirent.name)}));
  expect_example("directory entry body", with_prefix(kDirentSchema, encode_dirent(dirent)));
}

TEST_F(FormatTest, XattrsBody) {
  const Xattrs xattrs = {{"user.mime", {'t', 'e', 'x', 't'}}};
  expect_example("xattrs body", with_prefix(kXattrsSchema, encode_xattrs(Ino{2}, xattrs)));
}

TEST_F(FormatTest, MapNode) {
  RefList refs{{0, some_ref(1, 65536)}, {127, some_ref(2, 100)}};
  refs[0].patches = {{.cells = 0b101, .id = {.writer = 7, .number = 3}, .nonce = counting<24>(0x80),
                      .tag = counting<16>(0x98), .length = 8192}};
  expect_example("map node", encode_refs(refs));
}

TEST_F(FormatTest, StateBody) {
  State state;
  state.next_ino = 3;
  state.commit_number = 1;
  state.commit_id = counting<16>(0x30);
  state.journal_sequence = 4;
  state.journal_chain = counting<32>(0x40);
  state.hlc = 11;
  state.device = counting<16>(0x60);
  state.sets[2] = {.count = 2, .sum = counting<32>(0x70)};
  state.content_bytes = 6;
  state.retired_inodes = 1;
  state.retired_content_bytes = 4;
  state.retention = RetentionPolicy{};
  state.age = {.aged_ms = 1'790'000'000'000, .doubted_ms = 1'790'090'000'000, .waited_ms = 3'600'000};
  expect_example("state body", with_prefix(kStateSchema, encode_state(state)));
}

TEST_F(FormatTest, PastNameBodyAndKey) {
  const PastName name{.ended_hlc = 0xc00, .why = NameEnd::removed, .dirent = some_dirent(cipher_)};
  expect_example("past name key", past_name_key(name.dirent.directory, name.ended_hlc));
  expect_example("past name body", with_prefix(kPastNameSchema, encode_past_name(name)));
}

TEST_F(FormatTest, VersionBodyAndKey) {
  Version version;
  version.ended_hlc = 0xc00;
  version.ended = {.seconds = 1'790'000'000, .nanoseconds = 5};
  version.inode.ino = Ino{3};
  version.inode.entry.bytes = counting<16>(0x30);
  version.inode.mode = S_IFLNK | 0777;
  version.inode.flags = kInodeHasPast | kInodeHasVersions;
  version.inode.symlink = "xfd";
  version.inode.past = {.previous = Ino{2}, .since = 0xa00, .floor = 0x900, .retired = 0xb00, .forked = 0xd00, .successors = 1};
  expect_example("version key", version_key(version.inode.ino, version.ended_hlc));
  expect_example("version body", with_prefix(kVersionSchema, encode_version(version)));
}

TEST_F(FormatTest, RecordValueAndItsSetSummand) {
  FixedRandom fixed;
  const Dirent dirent = some_dirent(cipher_);
  const auto key = dirent_key(dirent.directory, dirent.cookie);

  const Bytes value = cipher_.seal_record(Table::dirents, key, Kind::dirent, kDirentSchema, encode_dirent(dirent));

  expect_example("record value", value);
  expect_example("set summand", cipher_.set_summand(Table::dirents, key, ByteView(value).last(kChecksumSize), 1));
}

TEST_F(FormatTest, BlockValues) {
  const BlockPlace place{.content = {counting<16>(0x40)}, .id = {.writer = 7, .number = 1}, .level = 0, .index = 0};
  for (Suite suite : {Suite::aes_256_gcm, Suite::xchacha20_poly1305}) {
    if (!suite_available(suite)) continue;
    FixedRandom fixed;
    const SealedBlock sealed = cipher_.seal_block(suite, place, Kind::data_block, as_bytes("hello\n"));
    expect_example("block value, suite " + std::to_string(static_cast<int>(suite)), sealed.value);
    if (suite == Suite::aes_256_gcm) continue;
    next_cipher_.accept_older(master_key(), 1);
    expect_example("block value, resealed",
                   next_cipher_.reseal_block(place, sealed.ref, Kind::data_block, sealed.value).value());
  }
}

TEST_F(FormatTest, JournalPayloadHasAllKindsOfItems) {
  FixedRandom fixed;
  test::TempDirectory files;
  auto env = Env::open(files.path("data.mdb"), {.map_size_bytes = 1 << 20, .create = true}).value();
  Database database(*env, cipher_, 0);
  test::FakeClock clock;
  WorkingSet set(database, clock, {}, 7, {});
  std::lock_guard lock(set.mutex());
  Inode record;
  record.mode = S_IFREG | 0600;
  record.nlink = 1;
  CachedInode& removed = set.create(record);
  ASSERT_TRUE(set.add_name(kRootIno, "old", removed.record.ino, DT_REG).ok());
  static_cast<void>(set.snapshot_frame());  // the journal knows of it, so its removal has to be told

  CachedInode& file = set.create(record);
  ASSERT_TRUE(set.add_name(kRootIno, "a.md", file.record.ino, DT_REG).ok());
  file.xattrs = Xattrs{{"user.x", {'1'}}};
  file.record.flags = kInodeHasXattrs;
  set.touch_xattrs(file);
  set.touch(file, true);
  PendingBlock& block = set.writable_block(file, 0);
  block.data->write(0, as_bytes("hello\n"));
  set.block_changed(block, cells_touching(0, 6), 0);
  set.punch_block(file, 1);
  file.record.content.size = 6;
  set.remove_name(*set.find_name(kRootIno, "old").value());
  set.remove(removed);

  expect_example("journal payload", set.snapshot_frame());
}

TEST_F(FormatTest, JournalFrame) {
  FixedRandom fixed;
  test::TempDirectory files;
  const std::string path = files.file("journal", "");
  auto journal = Journal::open(path, cipher_).value();
  ASSERT_TRUE(journal->replay({.sequence = 4, .chain = counting<32>(0x40)}, [](ByteView) -> Result<> { return {}; }).ok());
  Bytes payload;
  Writer(payload).u8(2).u64(2);  // inode 2 was removed

  ASSERT_TRUE(journal->append(payload).ok());

  expect_example("journal frame", read_file(path, kJournalSize).value());
  expect_example("journal chain value", journal->position().chain);
}

}  // namespace
}  // namespace tain::store
