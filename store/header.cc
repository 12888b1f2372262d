// SPDX-License-Identifier: Apache-2.0
#include "store/header.h"

#include <algorithm>
#include <string>

#include "base/check.h"

namespace tain::store {
namespace {

constexpr std::string_view kHeaderMagic = "TAINVLT1";
constexpr uint16_t kMajor = 1;
constexpr size_t kLengthOffset = 8;
constexpr size_t kFixedSize = 112;  // all before the slots
constexpr size_t kMacSize = 32;
constexpr size_t kHashSize = 32;
constexpr size_t kTrailerSize = kMacSize + kHashSize;
constexpr size_t kSlotFixedSize = 1 + 8 + 1 + 4 + 8 + 16 + 8 + 2 + 2 * kWrapSize;
constexpr size_t kOlderSize = 1 + 4 + kWrapSize;
static_assert(kFixedSize + kSlotsMax * (kSlotFixedSize + kSlotExtraMax) + kOlderSize + 16 + 64 + kTrailerSize <=
              kHeaderSizeMax);

Error damaged(const std::string& what) {
  return Error(Code::header_damaged, "the header is damaged: " + what);
}

Error too_new(uint16_t major, uint16_t minor) {
  return Error(Code::format_too_new, "the vault has format " + std::to_string(major) + "." + std::to_string(minor) +
                                         ", and this version of tain knows " + std::to_string(kMajor) + "." +
                                         std::to_string(kFormatMinor))
      .hint("update tain");
}

Error too_old(uint16_t minor) {
  return Error(Code::format_too_old, "the vault has format " + std::to_string(kMajor) + "." + std::to_string(minor) +
                                         " of a development version, and this version of tain reads " +
                                         std::to_string(kMajor) + "." + std::to_string(kFormatMinorOldest) +
                                         " and later")
      .hint("mount it with the version of tain that made it, and copy its files into a new vault");
}

/// The slot from its type up to and including `extra`: what the wraps are bound to.
void write_public_fields(Writer& out, const KeySlot& slot) {
  CHECK(slot.extra.size() <= kSlotExtraMax);
  out.u8(static_cast<uint8_t>(slot.type)).raw(slot.id).u8(static_cast<uint8_t>(slot.kdf));
  out.u32(slot.cost.passes).u64(slot.cost.memory_bytes).raw(slot.salt).u64(slot.created).string16(slot.extra);
}

Result<KeySlot> read_slot(Reader& in) {
  KeySlot slot;
  slot.type = SlotType{in.u8()};
  slot.id = in.array<8>();
  slot.kdf = SlotKdf{in.u8()};
  slot.cost.passes = in.u32();
  slot.cost.memory_bytes = in.u64();
  slot.salt = in.array<16>();
  slot.created = in.u64();
  const ByteView extra = in.string16();
  if (extra.size() > kSlotExtraMax) return damaged("a key slot is too long");
  slot.extra.assign(extra.begin(), extra.end());
  slot.wrap = in.array<kWrapSize>();
  slot.export_wrap = in.array<kWrapSize>();
  if (in.failed()) return damaged("a key slot is cut short");

  if (slot.type < SlotType::password || slot.type > SlotType::keyring) return damaged("a key slot of an unknown type");
  // So that a header cannot ask for more runs of it than a password may take.
  const bool from_password = slot.type == SlotType::password || slot.type == SlotType::password_keyfile;
  if (!from_password && slot.kdf != SlotKdf::none) return damaged("recovery words or a device with a key derivation");
  switch (slot.kdf) {
    case SlotKdf::argon2id:
      if (auto bounds = check_kdf_bounds(slot.cost); !bounds.ok()) return damaged(bounds.error().message());
      break;
    case SlotKdf::none:
      if (from_password || slot.cost != KdfCost{} || slot.salt != Id16{})
        return damaged("a key slot without its key derivation");
      break;
    default: return damaged("a key slot with an unknown key derivation");
  }
  return slot;
}

Result<std::optional<OlderMaster>> read_older(Reader& in, uint32_t epoch) {
  const uint8_t count = in.u8();
  if (count > 1) return damaged("more than one older master key");
  if (count == 0) return std::optional<OlderMaster>();
  OlderMaster older;
  older.epoch = in.u32();
  older.wrap = in.array<kWrapSize>();
  if (older.epoch == 0 || older.epoch >= epoch) return damaged("an older master key that is not older");
  return std::optional<OlderMaster>(older);
}

/// What the older master key is sealed with, and what it is bound to.
Secret older_key(const Header& header, const MasterKey& master) {
  Bytes epoch;
  Writer(epoch).u32(header.epoch);
  return derive(master.secret.view(), label::kRing, header.vault.bytes, epoch, 32);
}

Bytes older_associated_data(const Header& header, uint32_t epoch) {
  Bytes out;
  Writer writer(out);
  writer.raw(as_bytes(kHeaderMagic)).u16(kMajor).u16(header.minor).raw(header.vault.bytes).u32(header.epoch).u32(epoch);
  return out;
}

/// Everything between the magic and the MAC, of a header with the right length and hash.
Result<Header> read_structure(ByteView bytes) {
  Reader in(bytes.first(bytes.size() - kTrailerSize));
  in.raw(kHeaderMagic.size() + 4 + 2);  // magic, length and major version have been looked at
  Header header;
  header.minor = in.u16();
  header.vault.bytes = in.array<16>();
  header.sequence = in.u64();
  header.epoch = in.u32();
  header.suite = Suite{in.u8()};
  const size_t slot_count = in.u8();
  const uint16_t reserved = in.u16();
  header.previous = in.array<32>();
  header.key_check = in.array<32>();
  if (header.sequence == 0 || header.epoch == 0 || reserved != 0) return damaged("a number is out of its range");
  if (header.suite != Suite::aes_256_gcm && header.suite != Suite::xchacha20_poly1305) return damaged("unknown cipher");
  if (slot_count < 1 || slot_count > kSlotsMax) return damaged("the number of key slots is not 1…8");
  for (size_t i = 0; i < slot_count; ++i) {
    KeySlot slot = TRY(read_slot(in));
    for (const KeySlot& other : header.slots)
      if (other.id == slot.id) return damaged("two key slots of one id");
    header.slots.push_back(std::move(slot));
  }
  if (header.minor >= kFormatMinorRotated) header.older = TRY(read_older(in, header.epoch));
  header.author = in.array<16>();
  header.signature = in.array<64>();
  if (!in.done()) return damaged("its parts do not add up to its length");
  return header;
}

}  // namespace

Bytes slot_associated_data(const Header& header, const KeySlot& slot) {
  Bytes out;
  Writer writer(out);
  writer.raw(as_bytes(kHeaderMagic)).u16(kMajor).u16(header.minor).raw(header.vault.bytes).u32(header.epoch);
  writer.u8(static_cast<uint8_t>(header.suite));
  write_public_fields(writer, slot);
  return out;
}

Bytes encode_header(const Header& header, const Cipher& cipher) {
  CHECK(!header.slots.empty() && header.slots.size() <= kSlotsMax);
  CHECK(!header.older.has_value() || header.minor >= kFormatMinorRotated);
  Bytes bytes;
  Writer out(bytes);
  out.raw(as_bytes(kHeaderMagic)).u32(0).u16(kMajor).u16(header.minor).raw(header.vault.bytes);
  out.u64(header.sequence).u32(header.epoch).u8(static_cast<uint8_t>(header.suite));
  out.u8(static_cast<uint8_t>(header.slots.size())).u16(0).raw(header.previous).raw(header.key_check);
  for (const KeySlot& slot : header.slots) {
    write_public_fields(out, slot);
    out.raw(slot.wrap).raw(slot.export_wrap);
  }
  if (header.minor >= kFormatMinorRotated) out.u8(header.older.has_value() ? 1 : 0);
  if (header.older.has_value()) out.u32(header.older->epoch).raw(header.older->wrap);
  out.raw(header.author).raw(header.signature);

  Bytes length;
  Writer(length).u32(static_cast<uint32_t>(bytes.size() + kTrailerSize));
  std::copy(length.begin(), length.end(), bytes.begin() + kLengthOffset);
  out.raw(cipher.header_mac(bytes));
  out.raw(hash256(bytes));
  return bytes;
}

Result<Header> decode_header(ByteView bytes) {
  if (bytes.size() < kHeaderMagic.size() || as_text(bytes.first(kHeaderMagic.size())) != kHeaderMagic)
    return Error(Code::not_a_vault, "it does not start like a tain header");
  if (bytes.size() < kFixedSize + kTrailerSize || bytes.size() > kHeaderSizeMax) return damaged("impossible length");
  Reader start(bytes.subspan(kLengthOffset));
  if (start.u32() != bytes.size()) return damaged("its length is not the one it names");
  const ByteView before_hash = bytes.first(bytes.size() - kHashSize);
  if (as_text(hash256(before_hash)) != as_text(bytes.last(kHashSize))) return damaged("its hash is wrong");
  const uint16_t major = start.u16();
  const uint16_t minor = start.u16();
  if (major > kMajor) return too_new(major, minor);
  if (major < kMajor) return damaged("unknown format version");
  if (minor < kFormatMinorOldest) return too_old(minor);
  auto header = read_structure(bytes);
  // What a later minor version adds may well be what we cannot read.
  if (!header.ok() && minor > kFormatMinor) return too_new(major, minor);
  return header;
}

Result<> verify_header(const Header& header, ByteView bytes, const MasterKey& master) {
  return verify_header(header, bytes, Cipher(master, header.vault, header.epoch));
}

Result<> verify_header(const Header& header, ByteView bytes, const Cipher& cipher) {
  CHECK(bytes.size() >= kFixedSize + kTrailerSize);
  const ByteView before_mac = bytes.first(bytes.size() - kTrailerSize);
  const ByteView mac = bytes.subspan(before_mac.size(), kMacSize);
  const bool authentic = equal_constant_time(cipher.key_check(), header.key_check) &&
                         equal_constant_time(cipher.header_mac(before_mac), mac);
  if (authentic) return {};
  return Error(Code::header_damaged, "the header was altered after it was written")
      .hint("the password is right, but somebody or some program changed the header: restore it from a backup");
}

OlderMaster wrap_older(const Header& header, const MasterKey& master, const MasterKey& older, uint32_t epoch) {
  OlderMaster out;
  out.epoch = epoch;
  const Secret key = older_key(header, master);
  const Bytes sealed =
      seal(key.view(), label::kOlderMaster, older_associated_data(header, epoch), older.secret.view());
  CHECK(sealed.size() == out.wrap.size());
  std::copy(sealed.begin(), sealed.end(), out.wrap.begin());
  return out;
}

Result<std::unique_ptr<Cipher>> make_cipher(const Header& header, const MasterKey& master) {
  auto cipher = std::make_unique<Cipher>(master, header.vault, header.epoch);
  if (!header.older.has_value()) return cipher;
  const uint32_t epoch = header.older->epoch;
  const Secret key = older_key(header, master);
  auto older = open_sealed(key.view(), label::kOlderMaster, older_associated_data(header, epoch), header.older->wrap);
  if (!older.ok()) return damaged("its older master key does not open");
  cipher->accept_older(MasterKey{std::move(*older)}, epoch);
  return cipher;
}

}  // namespace tain::store
