// SPDX-License-Identifier: Apache-2.0
// All sealing of the vault's data: the key hierarchy below the master key, records, blocks, frames.
//
// The layouts are docs/format.md §1, §4 and §7. With base/secret and store/kdf this is the only unit that
// calls libsodium. Every key encrypts one message, so no nonce state exists anywhere: copies of a vault,
// restored backups and several devices cannot collide.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/seal.h"
#include "store/types.h"

namespace tain::store {

/// Content encryption algorithm, stored with every object. The numbers are the format's.
enum class Suite : uint8_t { aes_256_gcm = 1, xchacha20_poly1305 = 2 };

/// "aes-256-gcm" or "xchacha20-poly1305".
std::string_view suite_name(Suite suite);
/// Whether this CPU can run `suite`. Setting TAIN_TEST_NO_AES to anything masks AES, for tests.
bool suite_available(Suite suite);

/// Domain separation: each use of KDF and Seal has a label of its own, of at most 16 bytes.
namespace label {
// Subkeys of the master key.
inline constexpr std::string_view kHeaderMacKey = "tain1.hdrmac";
inline constexpr std::string_view kKeyCheck = "tain1.kcv";
inline constexpr std::string_view kRecordKey = "tain1.record";
inline constexpr std::string_view kContentKey = "tain1.content";
inline constexpr std::string_view kJournalKey = "tain1.journal";
inline constexpr std::string_view kSetKey = "tain1.set";
inline constexpr std::string_view kDirectoryHashKey = "tain1.dirhash";
inline constexpr std::string_view kExportWrapKey = "tain1.xk";
inline constexpr std::string_view kRing = "tain1.ring";
// What is made with them.
inline constexpr std::string_view kHeaderMac = "tain1.hm";
inline constexpr std::string_view kRecord = "tain1.rec";
inline constexpr std::string_view kBlock = "tain1.blk";
inline constexpr std::string_view kCells = "tain1.cells";
inline constexpr std::string_view kJournalFrame = "tain1.jrn";
inline constexpr std::string_view kSetSummand = "tain1.sd";
inline constexpr std::string_view kDirectoryHash = "tain1.dh";
// Key slots.
inline constexpr std::string_view kSlotKey = "tain1.kek";
inline constexpr std::string_view kExportKey = "tain1.export";
inline constexpr std::string_view kWrap = "tain1.wrap";
inline constexpr std::string_view kExportWrap = "tain1.xwrap";
// The master key before this one, while it is still needed.
inline constexpr std::string_view kOlderMaster = "tain1.older";
// Objects of a remote (store/remote_cipher.h): subkeys, and what is made with them.
inline constexpr std::string_view kRemoteName = "tain1.name";
inline constexpr std::string_view kHead = "tain1.head";
inline constexpr std::string_view kRemoteBlob = "tain1.blob";
inline constexpr std::string_view kObjectName = "tain1.obj";
inline constexpr std::string_view kAnnouncement = "tain1.ann";
inline constexpr std::string_view kSegment = "tain1.seg";
inline constexpr std::string_view kContentHash = "tain1.cid";
inline constexpr std::string_view kChunk = "tain1.chunk";
inline constexpr std::string_view kPackPadding = "tain1.pad";
inline constexpr std::string_view kPackId = "tain1.pack";
// Reserved, so that nothing else takes it.
inline constexpr std::string_view kLocal = "tain1.local";
}  // namespace label

/// All of the above, for the tests.
std::span<const std::string_view> all_labels();

/// Distinct types so that one key cannot stand in for another.
template <class Purpose>
struct Key {
  Secret secret;  // 32 bytes
};
using MasterKey = Key<struct MasterPurpose>;
using SlotKey = Key<struct SlotPurpose>;      // KEK of one key slot
using ExportKey = Key<struct ExportPurpose>;  // K_exp of one key slot

/// What kinds of value there are (docs/format.md §5). The numbers are the format's.
enum class Kind : uint8_t { inode = 1, dirent = 2, xattrs = 3, map_node = 4, data_block = 5, state = 6, orphan = 7,
                            version = 8, past_name = 12, mark = 13, note = 14 };

/// Tables of the database; the numbers are the format's.
enum class Table : uint8_t { state = 1, inodes = 2, dirents = 3, xattrs = 4, blocks = 5, orphans = 6,
                             versions = 7, past_names = 8, marks = 9, notes = 10 };
inline constexpr size_t kTableCount = 10;
inline constexpr size_t kTableCountOldest = 8;  // of vaults that were last written by a tain without sync

inline constexpr size_t kRecordHeaderSize = 8;  // kind, suite, schema, epoch
inline constexpr size_t kBlockHeaderSize = 64;
inline constexpr uint16_t kBlockSchema = 1;
inline constexpr uint16_t kBlockSchemaResealed = 2;  // under another master key than it was written with
/// Of the master key. The names of each epoch have cookies of their own, and there are no more.
inline constexpr uint32_t kEpochMax = 64;
inline constexpr size_t kBlockNonceOffset = 24, kBlockTagOffset = 48;  // in a block value
inline constexpr size_t kChecksumSize = 16;
inline constexpr size_t kFrameHeaderSize = 56;
inline constexpr size_t kRecordOverhead = kRecordHeaderSize + kSealOverhead + kChecksumSize;

/// A block is encrypted in cells, so that a small read decrypts what it needs and no more.
constexpr size_t cell_count(size_t plain_size) { return (plain_size + kCellSize - 1) / kCellSize; }
/// Where the first cell of a block stands in its value: behind the header and the cells' tags.
constexpr size_t block_text_offset(size_t plain_size) { return kBlockHeaderSize + cell_count(plain_size) * 16; }
/// Size of a block value: header, cell tags, ciphertext, checksum.
constexpr size_t block_value_size(size_t plain_size) {
  return block_text_offset(plain_size) + plain_size + kChecksumSize;
}

/// What is wrong with a stored value; for the user's diagnosis (docs/format.md §4.2).
enum class Damage {
  none,
  rot,            // neither checksum nor seal match: the storage changed it
  tampering,      // the checksum matches what the seal does not: somebody changed it, or a bug did
  checksum_only,  // the seal is good: the value is intact and only its checksum was damaged
};

/// Where a block stands in its file: part of its associated data.
struct BlockPlace {
  ContentId content;
  BlockId id;
  uint8_t level = 0;   // 0 = data block, else height of the map node
  uint64_t index = 0;  // data block index, or the first one under the map node
};

/// A sealed block ready for the database, and the reference that finds and proves it.
struct SealedBlock {
  BlockRef ref;
  Bytes value;
};

/// The keys of one unlocked vault, and everything that is sealed with them. While its master key is changed (ADR 16),
/// what was sealed under the one before opens too; nothing is sealed under it any more.
/// Threads: all const methods may run concurrently, also with refuse_older().
class Cipher {
 public:
  /// Derives the subkeys. The master key itself stays with the caller.
  Cipher(const MasterKey& master, const VaultId& vault, uint32_t epoch);

  /// Values of `epoch`, an earlier one, open as well. Before anybody else has this Cipher.
  void accept_older(const MasterKey& master, uint32_t epoch);
  /// From now on they do not.
  void refuse_older() { older_accepted_.store(false, std::memory_order_release); }
  /// The epoch that is accepted besides epoch(); 0: none is.
  uint32_t older_epoch() const;

  const VaultId& vault_id() const { return vault_; }
  uint32_t epoch() const { return keys_.epoch; }

  /// A whole record value for `key` in `table`. `body` is without the leading schema and epoch:
  /// they are added here, inside the seal.
  Bytes seal_record(Table table, ByteView key, Kind kind, uint16_t schema, ByteView body) const;

  struct Record {
    Kind kind{};
    uint16_t schema = 0;
    Bytes body;  // without the leading schema and epoch
  };
  /// Errors: corrupt (the message says rot or tampering). A damaged checksum over a good seal is not an
  /// error. `*damage`, when given, is always set. The kind is authentic but may be any: the caller compares.
  Result<Record> open_record(Table table, ByteView key, ByteView value, Damage* damage = nullptr) const;

  /// Seals `plain` (at most kBlockSize bytes, or a map node) as a block value under a fresh nonce.
  /// `suite` must be available.
  SealedBlock seal_block(Suite suite, const BlockPlace& place, Kind kind, ByteView plain) const;
  /// The same straight into its place in the database: `value` has block_value_size(plain.size()) bytes, of any content.
  BlockRef seal_block_into(ByteSpan value, Suite suite, const BlockPlace& place, Kind kind, ByteView plain) const;
  /// Decrypts `value` into `out` (exactly ref.length bytes) if it is the very block `ref` speaks of.
  /// After an error `out` holds zeros. `*damage`, when given, is always set; without it the checksum of a
  /// block that opens is not looked at, because the seal says more.
  /// Errors: corrupt, suite_missing (the value is intact, but this CPU cannot read it).
  Result<> open_block(const BlockPlace& place, const BlockRef& ref, Kind kind, ByteView value, ByteSpan out,
                      Damage* damage = nullptr) const {
    return open_cells(place, ref, kind, value, 0, out, damage);
  }
  /// The same for part of a block: the bytes from `first_cell` on. `out` ends with a cell or with the block.
  Result<> open_cells(const BlockPlace& place, const BlockRef& ref, Kind kind, ByteView value, size_t first_cell,
                      ByteSpan out, Damage* damage = nullptr) const;

  /// The very block `ref` speaks of, sealed under an older master key, as it is to be under this one: with the same nonce
  /// and as long, so that it takes its place and every reference to it still holds. Errors: those of open_block.
  Result<Bytes> reseal_block(const BlockPlace& place, const BlockRef& ref, Kind kind, ByteView value) const;

  /// Whether a block value of which only the beginning is known, its header and cell tags, is one of `length` bytes of
  /// plaintext that was sealed for `place`. For who tries many places: reads no cell, and knows no reference.
  bool is_sealed_for(const BlockPlace& place, Kind kind, uint32_t length, ByteView beginning) const;

  /// A journal payload; `header` is the frame's kFrameHeaderSize clear bytes.
  Bytes seal_frame(ByteView header, ByteView payload) const;
  /// Errors: corrupt.
  Result<Bytes> open_frame(ByteView header, ByteView sealed) const;

  /// Hash of `name` in `directory` with its low 4 bits zero, at least 16 (docs/format.md §6.2).
  uint64_t name_hash(Ino directory, std::string_view name) const;
  /// The same of names that the older master key placed; nothing when none is accepted.
  std::optional<uint64_t> older_name_hash(Ino directory, std::string_view name) const;
  /// One value's summand of its table's set digest. `epoch`: the value's.
  Id32 set_summand(Table table, ByteView key, ByteView checksum, uint32_t epoch) const;
  /// MAC over a header's bytes: all before the MAC.
  Id32 header_mac(ByteView header) const;
  /// Public commitment to the master key.
  const Id32& key_check() const { return key_check_; }
  /// K_xk: wraps the export keys of the slots. Valid as long as this Cipher.
  ByteView export_wrap_key() const { return export_wrap_.view(); }

 private:
  /// What is sealed under one master key needs these.
  struct Keys {
    Keys(const MasterKey& master, const VaultId& vault, uint32_t epoch_of_it);
    uint32_t epoch;
    Secret record, content, journal, set, dirhash;
  };
  /// Null: values of that epoch are not accepted.
  const Keys* keys_of(uint32_t epoch) const;
  BlockRef seal_block_with(ByteSpan value, uint16_t schema, Suite suite, const BlockPlace& place, Kind kind,
                           const std::array<uint8_t, 24>& nonce, ByteView plain) const;

  VaultId vault_;
  Keys keys_;
  std::unique_ptr<const Keys> older_;  // set before the first use
  std::atomic<bool> older_accepted_{false};
  Secret header_mac_, export_wrap_;
  Id32 key_check_{};
};

/// The epoch that a value of any table says it is of; 0 when it is too short to say.
uint32_t value_epoch(ByteView value);
/// Which epoch's key placed the name with this cookie (docs/format.md §6.2).
uint32_t cookie_epoch(Cookie cookie);

/// Checksum of a value under its key (docs/format.md §4.2). Needs no key.
std::array<uint8_t, kChecksumSize> value_checksum(Table table, ByteView key, ByteView value_without_checksum);
/// Whether the checksum at the end of `value` is right for this key and table.
bool checksum_matches(Table table, ByteView key, ByteView value);
/// The key of a block in the database, which its seal binds.
std::array<uint8_t, 16> block_key(const BlockId& id);
/// XXH3-128, canonical form.
std::array<uint8_t, 16> xxh3_128(ByteView bytes);

}  // namespace tain::store
