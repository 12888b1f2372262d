// SPDX-License-Identifier: Apache-2.0
#include "store/cipher.h"

#include <sodium.h>
#define XXH_INLINE_ALL  // streaming on the stack without depending on the library's state layout
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>

#include "base/check.h"
#include "base/counters.h"
#include "store/seal.h"

namespace tain::store {
namespace {

constexpr std::array kLabels{
    label::kHeaderMacKey, label::kKeyCheck,   label::kRecordKey,    label::kContentKey,       label::kJournalKey,
    label::kSetKey,       label::kHeaderMac,  label::kRecord,       label::kDirectoryHashKey, label::kExportWrapKey,
    label::kBlock,        label::kSetSummand, label::kJournalFrame, label::kDirectoryHash,    label::kSlotKey,
    label::kExportKey,    label::kWrap,       label::kExportWrap,   label::kRemoteName,       label::kHead,
    label::kLocal,        label::kRing,       label::kCells,         label::kOlderMaster,
    label::kRemoteBlob,   label::kObjectName, label::kAnnouncement,  label::kSegment,
    label::kContentHash,  label::kChunk,      label::kPackPadding,   label::kPackId,
};

constexpr size_t kBodyPrefixSize = 6;  // a record body's own schema and epoch
constexpr size_t kEpochOffset = 4;  // in every value
constexpr size_t kFrameEpochOffset = 12;
constexpr uint64_t kLaterCookies = uint64_t{1} << 62;  // of epochs after the first
constexpr unsigned kCookieEpochShift = 56;
static_assert(uint64_t{kEpochMax - 1} << kCookieEpochShift < kLaterCookies);
constexpr size_t kBlockClearSize = 24;  // kind, suite, schema, epoch, content id

static_assert(kKeySize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES && kKeySize == crypto_aead_aes256gcm_KEYBYTES);
static_assert(kTagSize == crypto_aead_xchacha20poly1305_ietf_ABYTES && kTagSize == crypto_aead_aes256gcm_ABYTES);
static_assert(sizeof(BlockRef::nonce) == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);

/// Table number and length of the database key: followed by the key, they name a value in every hash.
std::array<uint8_t, 3> key_prefix(Table table, ByteView key) {
  CHECK(key.size() <= UINT16_MAX);
  return {static_cast<uint8_t>(table), static_cast<uint8_t>(key.size()), static_cast<uint8_t>(key.size() >> 8)};
}

Secret subkey(const MasterKey& master, const VaultId& vault, uint32_t epoch, std::string_view label) {
  return derive(master.secret.view(), label, vault.bytes, little_endian(epoch), kKeySize);
}

bool aes_usable() {
  // Asked once: the answer cannot change, and getenv() is neither free nor safe against setenv().
  static const bool masked = std::getenv("TAIN_TEST_NO_AES") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  static const bool usable = !masked && crypto_aead_aes256gcm_is_available() != 0;
  return usable;
}

/// A table in messages.
std::string_view record_kind(Table table) {
  switch (table) {
    case Table::state: return "state";
    case Table::inodes: return "inode";
    case Table::dirents: return "directory entry";
    case Table::xattrs: return "extended attribute";
    case Table::blocks: return "block";
    case Table::orphans: return "orphan";
    case Table::versions: return "version";
    case Table::past_names: return "past name";
    case Table::marks: return "mark";
    case Table::notes: return "note";
  }
  return "unknown";
}

/// The error for a value that did not open: what the checksum says decides between rot and tampering.
Error damaged(Table table, ByteView key, ByteView value, Damage* damage) {
  const bool tampering = checksum_matches(table, key, value);
  if (damage != nullptr) *damage = tampering ? Damage::tampering : Damage::rot;
  const std::string what = std::string(record_kind(table)) + " record " + to_hex(key);
  if (tampering)
    return Error(Code::corrupt, what + " was altered or replaced: its checksum is right, its seal is not")
        .hint("somebody or some program wrote to the vault's files; restore this entry from another copy");
  return Error(Code::corrupt, what + " is damaged: neither its checksum nor its seal is right")
      .hint(
          "the storage returned other bytes than were written; check the disk and restore this entry from another "
          "copy");
}

/// Each epoch's cookies are above those of the ones before, so that a listing under way misses no name that is placed anew.
uint64_t hash_name(ByteView key, uint32_t epoch, Ino directory, std::string_view name) {
  std::array<uint8_t, 32> hash;
  kdf(hash, key, label::kDirectoryHash, kZeroSalt, {little_endian(raw(directory)), as_bytes(name)});
  const uint64_t number = Reader(hash).u64();
  if (epoch > 1) return kLaterCookies | uint64_t{epoch - 1} << kCookieEpochShift | ((number >> 8) & ~uint64_t{15});
  const uint64_t position = (number >> 2) & ~uint64_t{15};
  return position < 16 ? 16 : position;
}

Id32 block_ad(ByteView clear, const VaultId& vault, const BlockPlace& place, uint32_t length) {
  const auto writer = little_endian(place.id.writer);
  const auto number = little_endian(place.id.number);
  const auto level = little_endian(place.level);
  const auto index = little_endian(place.index);
  const auto size = little_endian(length);
  return hash_parts({as_bytes("TBLK"), clear, vault.bytes, writer, number, level, index, size});
}

/// The cells of one block: one key for the write, the cell's number as nonce.
class CellCipher {
 public:
  CellCipher(Suite suite, ByteView content_key, ByteView nonce, const Id32& ad) : suite_(suite) {
    kdf(keys_.bytes, content_key, label::kBlock, kZeroSalt, {nonce, ad});
    // Expanding the AES key once for all cells.
    if (suite_ == Suite::aes_256_gcm) crypto_aead_aes256gcm_beforenm(&aes_, keys_.bytes.data());
  }
  ~CellCipher() {
    if (suite_ == Suite::aes_256_gcm) sodium_memzero(&aes_, sizeof aes_);
  }
  CellCipher(const CellCipher&) = delete;
  CellCipher& operator=(const CellCipher&) = delete;

  void encrypt(size_t cell, ByteView plain, uint8_t* text, uint8_t* tag) const {
    const auto nonce = cell_nonce(cell);
    if (suite_ == Suite::aes_256_gcm)
      crypto_aead_aes256gcm_encrypt_detached_afternm(text, tag, nullptr, plain.data(), plain.size(), nullptr, 0, nullptr,
                                                     nonce.data(), &aes_);
    else
      crypto_aead_xchacha20poly1305_ietf_encrypt_detached(text, tag, nullptr, plain.data(), plain.size(), nullptr, 0,
                                                          nullptr, nonce.data(), keys_.bytes.data());
  }
  /// Verifies the tag before it writes the first byte of plaintext.
  bool decrypt(size_t cell, ByteView text, ByteView tag, uint8_t* plain) const {
    const auto nonce = cell_nonce(cell);
    if (suite_ == Suite::aes_256_gcm)
      return crypto_aead_aes256gcm_decrypt_detached_afternm(plain, nullptr, text.data(), text.size(), tag.data(),
                                                            nullptr, 0, nonce.data(), &aes_) == 0;
    return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(plain, nullptr, text.data(), text.size(), tag.data(),
                                                               nullptr, 0, nonce.data(), keys_.bytes.data()) == 0;
  }
  /// MAC over all cell tags: what a reference to the block holds.
  std::array<uint8_t, kTagSize> block_tag(ByteView cell_tags) const {
    Id32 mac;
    kdf(mac, ByteView(keys_.bytes).last(kKeySize), label::kCells, kZeroSalt, {cell_tags});
    std::array<uint8_t, kTagSize> out;
    std::memcpy(out.data(), mac.data(), out.size());
    return out;
  }

 private:
  /// 24 bytes for XChaCha20; AES-GCM takes the first 12. Both see the number little-endian.
  static std::array<uint8_t, 24> cell_nonce(size_t cell) {
    std::array<uint8_t, 24> nonce{};
    for (size_t i = 0; i < 8; ++i) nonce[i] = static_cast<uint8_t>(uint64_t{cell} >> (8 * i));
    return nonce;
  }

  const Suite suite_;
  MessageKey<64> keys_;  // encryption key, MAC key
  crypto_aead_aes256gcm_state aes_;
};

}  // namespace

std::string_view suite_name(Suite suite) {
  switch (suite) {
    case Suite::aes_256_gcm: return "aes-256-gcm";
    case Suite::xchacha20_poly1305: return "xchacha20-poly1305";
  }
  return "unknown";
}

bool suite_available(Suite suite) {
  return suite == Suite::xchacha20_poly1305 || (suite == Suite::aes_256_gcm && aes_usable());
}

std::span<const std::string_view> all_labels() {
  return kLabels;
}

Cipher::Keys::Keys(const MasterKey& master, const VaultId& vault, uint32_t epoch_of_it) : epoch(epoch_of_it) {
  record = subkey(master, vault, epoch, label::kRecordKey);
  content = subkey(master, vault, epoch, label::kContentKey);
  journal = subkey(master, vault, epoch, label::kJournalKey);
  set = subkey(master, vault, epoch, label::kSetKey);
  dirhash = subkey(master, vault, epoch, label::kDirectoryHashKey);
}

Cipher::Cipher(const MasterKey& master, const VaultId& vault, uint32_t epoch)
    : vault_(vault),
      keys_(master, vault, epoch),
      header_mac_(subkey(master, vault, epoch, label::kHeaderMacKey)),
      export_wrap_(subkey(master, vault, epoch, label::kExportWrapKey)) {
  kdf(key_check_, master.secret.view(), label::kKeyCheck, vault.bytes, {little_endian(epoch)});
}

void Cipher::accept_older(const MasterKey& master, uint32_t epoch) {
  CHECK(older_ == nullptr && epoch < keys_.epoch);
  older_ = std::make_unique<const Keys>(master, vault_, epoch);
  older_accepted_.store(true, std::memory_order_release);
}

uint32_t Cipher::older_epoch() const { return older_accepted_.load(std::memory_order_acquire) ? older_->epoch : 0; }

const Cipher::Keys* Cipher::keys_of(uint32_t epoch) const {
  if (epoch == keys_.epoch) return &keys_;
  return epoch != 0 && epoch == older_epoch() ? older_.get() : nullptr;
}

Bytes Cipher::seal_record(Table table, ByteView key, Kind kind, uint16_t schema, ByteView body) const {
  Bytes value;
  value.reserve(kRecordOverhead + kBodyPrefixSize + body.size());
  Writer out(value);
  out.u8(static_cast<uint8_t>(kind)).u8(static_cast<uint8_t>(Suite::xchacha20_poly1305)).u16(schema).u32(keys_.epoch);
  value.resize(kRecordHeaderSize + kSealTextOffset);
  out.u16(schema).u32(keys_.epoch).raw(body);
  value.resize(value.size() + kTagSize);

  const Id32 ad = hash_parts(
      {as_bytes("TREC"), ByteView(value).first(kRecordHeaderSize), vault_.bytes, key_prefix(table, key), key});
  seal_in_place(keys_.record.view(), label::kRecord, ad, ByteSpan(value).subspan(kRecordHeaderSize));
  out.raw(value_checksum(table, key, value));
  return value;
}

Result<Cipher::Record> Cipher::open_record(Table table, ByteView key, ByteView value, Damage* damage) const {
  if (damage != nullptr) *damage = Damage::none;
  if (value.size() < kRecordOverhead + kBodyPrefixSize) return damaged(table, key, value, damage);
  const ByteView clear = value.first(kRecordHeaderSize);
  const ByteView sealed = value.subspan(kRecordHeaderSize, value.size() - kRecordHeaderSize - kChecksumSize);
  const Id32 ad = hash_parts({as_bytes("TREC"), clear, vault_.bytes, key_prefix(table, key), key});
  const Keys* keys = keys_of(value_epoch(value));
  if (keys == nullptr) return damaged(table, key, value, damage);
  Bytes body(sealed.size() - kSealOverhead);
  if (!open_into(keys->record.view(), label::kRecord, ad, sealed, body)) return damaged(table, key, value, damage);

  Reader outer(clear);
  Record record;
  record.kind = Kind{outer.u8()};
  const Suite suite{outer.u8()};
  record.schema = outer.u16();
  const uint32_t epoch = outer.u32();
  Reader inner(body);
  const bool same = inner.u16() == record.schema && inner.u32() == epoch;
  if (!same || epoch != keys->epoch || suite != Suite::xchacha20_poly1305) return damaged(table, key, value, damage);
  body.erase(body.begin(), body.begin() + kBodyPrefixSize);
  record.body = std::move(body);
  if (damage != nullptr && !checksum_matches(table, key, value)) *damage = Damage::checksum_only;
  return record;
}

SealedBlock Cipher::seal_block(Suite suite, const BlockPlace& place, Kind kind, ByteView plain) const {
  SealedBlock block;
  block.value.resize(block_value_size(plain.size()));
  block.ref = seal_block_into(block.value, suite, place, kind, plain);
  return block;
}

BlockRef Cipher::seal_block_into(ByteSpan value, Suite suite, const BlockPlace& place, Kind kind,
                                 ByteView plain) const {
  return seal_block_with(value, kBlockSchema, suite, place, kind, random_array<24>(), plain);
}

Result<Bytes> Cipher::reseal_block(const BlockPlace& place, const BlockRef& ref, Kind kind, ByteView value) const {
  Bytes plain(ref.length);
  const auto opened = open_block(place, ref, kind, value, plain);
  Bytes out(value.size());
  // The key is another one and depends on the nonce. Should a crash undo this, it is done again with the same bytes.
  if (opened.ok()) seal_block_with(out, kBlockSchemaResealed, Suite{value[1]}, place, kind, ref.nonce, plain);
  wipe(plain);
  if (!opened.ok()) return opened.error();
  return out;
}

BlockRef Cipher::seal_block_with(ByteSpan value, uint16_t schema, Suite suite, const BlockPlace& place, Kind kind,
                                 const std::array<uint8_t, 24>& nonce, ByteView plain) const {
  CHECK(suite_available(suite) && plain.size() <= UINT32_MAX && value.size() == block_value_size(plain.size()));
  count(Work::bytes_sealed, plain.size());
  BlockRef ref{.id = place.id, .nonce = nonce, .tag = {}, .length = static_cast<uint32_t>(plain.size())};
  Bytes header;
  header.reserve(kBlockHeaderSize);
  Writer out(header);
  out.u8(static_cast<uint8_t>(kind)).u8(static_cast<uint8_t>(suite)).u16(schema).u32(keys_.epoch);
  out.raw(place.content.bytes).raw(ref.nonce);
  CHECK(header.size() == kBlockTagOffset);
  std::memcpy(value.data(), header.data(), header.size());

  const Id32 ad = block_ad(ByteView(value).first(kBlockClearSize), vault_, place, ref.length);
  const CellCipher cells(suite, keys_.content.view(), ref.nonce, ad);
  const size_t count = cell_count(plain.size());
  uint8_t* tags = value.data() + kBlockHeaderSize;
  uint8_t* text = tags + count * kTagSize;
  for (size_t i = 0; i < count; ++i) {
    const size_t start = i * kCellSize;
    const ByteView cell = plain.subspan(start, std::min(kCellSize, plain.size() - start));
    cells.encrypt(i, cell, text + start, tags + i * kTagSize);
  }
  ref.tag = cells.block_tag({tags, count * kTagSize});
  std::memcpy(value.data() + kBlockTagOffset, ref.tag.data(), kTagSize);
  const ByteSpan sealed = value.first(value.size() - kChecksumSize);
  const auto checksum = value_checksum(Table::blocks, block_key(place.id), sealed);
  std::memcpy(value.data() + sealed.size(), checksum.data(), checksum.size());
  return ref;
}

Result<> Cipher::open_cells(const BlockPlace& place, const BlockRef& ref, Kind kind, ByteView value, size_t first_cell,
                            ByteSpan out, Damage* damage) const {
  const size_t start = first_cell * kCellSize;
  CHECK(place.id == ref.id && start + out.size() <= ref.length &&
        (out.size() % kCellSize == 0 || start + out.size() == ref.length));
  count(Work::bytes_opened, out.size());
  if (damage != nullptr) *damage = Damage::none;
  const auto database_key = block_key(place.id);
  auto refuse = [&]() -> Error {
    wipe(out);
    return damaged(Table::blocks, database_key, value, damage);
  };

  if (value.size() != block_value_size(ref.length)) return refuse();
  Reader header(value.first(kBlockHeaderSize));
  const bool right_kind = header.u8() == static_cast<uint8_t>(kind);
  const Suite suite{header.u8()};
  const uint16_t schema = header.u16();
  const bool right_version = schema == kBlockSchema || schema == kBlockSchemaResealed;
  const Keys* keys = keys_of(header.u32());
  const bool right_content = header.array<16>() == place.content.bytes;
  const bool right_nonce = header.array<24>() == ref.nonce;
  const auto tag = header.array<16>();
  // A reference keeps the tag that its block was written with. Whoever sealed that anew compared it then, and the nonce,
  // of which there is one for each write, says that it is the same write (docs/format.md §4.3).
  const bool right_tag = schema == kBlockSchemaResealed || tag == ref.tag;
  if (!right_kind || !right_version || keys == nullptr || !right_content || !right_nonce || !right_tag) return refuse();
  if (!suite_available(suite)) {
    // A flipped bit of the suite byte must not pass for a missing cipher.
    if (suite != Suite::aes_256_gcm || !checksum_matches(Table::blocks, database_key, value)) return refuse();
    wipe(out);
    return Error(Code::suite_missing, "this block is sealed with aes-256-gcm, which this computer's processor lacks")
        .hint("names and files sealed with xchacha20-poly1305 stay usable; read this one on a processor with AES");
  }

  const Id32 ad = block_ad(value.first(kBlockClearSize), vault_, place, ref.length);
  const CellCipher cells(suite, keys->content.view(), ref.nonce, ad);
  const ByteView tags = value.subspan(kBlockHeaderSize, cell_count(ref.length) * kTagSize);
  // First the list of tags as the block tag knows it, then each cell against its tag.
  if (!equal_constant_time(cells.block_tag(tags), tag)) return refuse();
  const ByteView text = value.subspan(kBlockHeaderSize + tags.size() + start, out.size());
  for (size_t done = 0; done < out.size(); done += kCellSize) {
    const size_t i = first_cell + done / kCellSize;
    const ByteView cell = text.subspan(done, std::min(kCellSize, out.size() - done));
    if (!cells.decrypt(i, cell, tags.subspan(i * kTagSize, kTagSize), out.data() + done)) return refuse();
  }
  if (damage != nullptr && !checksum_matches(Table::blocks, database_key, value)) *damage = Damage::checksum_only;
  return {};
}

bool Cipher::is_sealed_for(const BlockPlace& place, Kind kind, uint32_t length, ByteView beginning) const {
  if (beginning.size() != kBlockHeaderSize + cell_count(length) * kTagSize) return false;
  Reader header(beginning.first(kBlockHeaderSize));
  const bool right_kind = header.u8() == static_cast<uint8_t>(kind);
  const Suite suite{header.u8()};
  const uint16_t schema = header.u16();
  const bool right_version = schema == kBlockSchema || schema == kBlockSchemaResealed;
  const Keys* keys = keys_of(header.u32());
  const bool right_content = header.array<16>() == place.content.bytes;
  const auto nonce = header.array<24>();
  const auto tag = header.array<16>();
  if (!right_kind || !right_version || keys == nullptr || !right_content || !suite_available(suite)) return false;
  const CellCipher cells(suite, keys->content.view(), nonce,
                         block_ad(beginning.first(kBlockClearSize), vault_, place, length));
  return equal_constant_time(cells.block_tag(beginning.subspan(kBlockHeaderSize)), tag);
}

Bytes Cipher::seal_frame(ByteView header, ByteView payload) const {
  CHECK(header.size() == kFrameHeaderSize);
  Bytes out;
  out.reserve(payload.size() + kSealOverhead);
  out.resize(kSealTextOffset);
  out.insert(out.end(), payload.begin(), payload.end());
  count(Work::bytes_copied, payload.size());
  out.resize(out.size() + kTagSize);
  seal_in_place(keys_.journal.view(), label::kJournalFrame, hash_parts({as_bytes("TJNL"), vault_.bytes, header}), out);
  return out;
}

Result<Bytes> Cipher::open_frame(ByteView header, ByteView sealed) const {
  CHECK(header.size() == kFrameHeaderSize);
  if (sealed.size() < kSealOverhead) return Error(Code::corrupt, "journal frame is too short");
  Bytes out(sealed.size() - kSealOverhead);
  const Id32 ad = hash_parts({as_bytes("TJNL"), vault_.bytes, header});
  const Keys* keys = keys_of(Reader(header.subspan(kFrameEpochOffset)).u32());
  if (keys == nullptr || !open_into(keys->journal.view(), label::kJournalFrame, ad, sealed, out))
    return Error(Code::corrupt, "journal frame does not open");
  return out;
}

uint64_t Cipher::name_hash(Ino directory, std::string_view name) const {
  return hash_name(keys_.dirhash.view(), keys_.epoch, directory, name);
}

std::optional<uint64_t> Cipher::older_name_hash(Ino directory, std::string_view name) const {
  const uint32_t epoch = older_epoch();
  if (epoch == 0) return std::nullopt;
  return hash_name(older_->dirhash.view(), epoch, directory, name);
}

Id32 Cipher::set_summand(Table table, ByteView key, ByteView checksum, uint32_t epoch) const {
  // A value whose epoch is damaged was most likely of this one.
  const Keys* keys = keys_of(epoch);
  Id32 out;
  kdf(out, (keys != nullptr ? *keys : keys_).set.view(), label::kSetSummand, kZeroSalt,
      {key_prefix(table, key), key, checksum});
  return out;
}

Id32 Cipher::header_mac(ByteView header) const {
  Id32 out;
  kdf(out, header_mac_.view(), label::kHeaderMac, kZeroSalt, {hash256(header)});
  return out;
}

std::array<uint8_t, kChecksumSize> value_checksum(Table table, ByteView key, ByteView value_without_checksum) {
  count(Work::bytes_hashed, value_without_checksum.size());
  const auto prefix = key_prefix(table, key);
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, prefix.data(), prefix.size());
  XXH3_128bits_update(&state, key.data(), key.size());
  XXH3_128bits_update(&state, value_without_checksum.data(), value_without_checksum.size());
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
  return std::to_array(canonical.digest);
}

bool checksum_matches(Table table, ByteView key, ByteView value) {
  if (value.size() < kChecksumSize) return false;
  const auto expected = value_checksum(table, key, value.first(value.size() - kChecksumSize));
  return std::memcmp(expected.data(), value.last(kChecksumSize).data(), kChecksumSize) == 0;
}

uint32_t value_epoch(ByteView value) {
  return value.size() < kRecordHeaderSize ? 0 : Reader(value.subspan(kEpochOffset)).u32();
}

uint32_t cookie_epoch(Cookie cookie) {
  if (raw(cookie) < kLaterCookies) return 1;
  return 1 + static_cast<uint32_t>((raw(cookie) - kLaterCookies) >> kCookieEpochShift);
}

std::array<uint8_t, 16> block_key(const BlockId& id) {
  std::array<uint8_t, 16> key;
  store_be64(key.data(), id.writer);
  store_be64(key.data() + 8, id.number);
  return key;
}

std::array<uint8_t, 16> xxh3_128(ByteView bytes) {
  count(Work::bytes_hashed, bytes.size());
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  return std::to_array(canonical.digest);
}

}  // namespace tain::store
