// SPDX-License-Identifier: Apache-2.0
// Byte spans, bounds-checked little-endian reading and writing, and text encodings.
//
// Every format of tain is little-endian with fixed-width integers (docs/format.md). A Reader never
// reads outside its span: after the first short read it is `failed()` and yields zeros, so a parser
// may read a whole structure and check once.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tain {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;
using ByteSpan = std::span<uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string to_hex(ByteView bytes);
/// Nothing when `text` has an odd length or a character that is not a hexadecimal digit.
std::optional<Bytes> from_hex(std::string_view text);

/// Appends little-endian integers and byte strings to a growing buffer.
class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  Writer& u8(uint8_t v) { out_.push_back(v); return *this; }
  Writer& u16(uint16_t v) { return integer(v); }
  Writer& u32(uint32_t v) { return integer(v); }
  Writer& u64(uint64_t v) { return integer(v); }
  Writer& i64(int64_t v) { return integer(static_cast<uint64_t>(v)); }
  Writer& raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); return *this; }
  /// A byte string with a u16 or u32 length before it. The caller has bounded the length.
  Writer& string16(ByteView bytes) { return u16(static_cast<uint16_t>(bytes.size())).raw(bytes); }
  Writer& string32(ByteView bytes) { return u32(static_cast<uint32_t>(bytes.size())).raw(bytes); }

 private:
  template <class T>
  Writer& integer(T v) {
    uint8_t le[sizeof(T)];
    for (size_t i = 0; i < sizeof(T); ++i) le[i] = static_cast<uint8_t>(v >> (8 * i));
    out_.insert(out_.end(), le, le + sizeof(T));
    return *this;
  }
  Bytes& out_;
};

/// Reads what Writer wrote. Foreign bytes are welcome: nothing is read past the end.
class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}

  uint8_t u8() { return integer<uint8_t>(); }
  uint16_t u16() { return integer<uint16_t>(); }
  uint32_t u32() { return integer<uint32_t>(); }
  uint64_t u64() { return integer<uint64_t>(); }
  int64_t i64() { return static_cast<int64_t>(integer<uint64_t>()); }
  /// A view into the input; empty after a failure.
  ByteView raw(size_t size) {
    if (failed_ || size > in_.size()) { failed_ = true; return {}; }
    ByteView head = in_.first(size);
    in_ = in_.subspan(size);
    return head;
  }
  ByteView string16() { return raw(u16()); }
  ByteView string32() { return raw(u32()); }
  template <size_t N>
  std::array<uint8_t, N> array() {
    std::array<uint8_t, N> out{};
    ByteView bytes = raw(N);
    if (bytes.size() == N) std::memcpy(out.data(), bytes.data(), N);
    return out;
  }

  size_t remaining() const { return in_.size(); }
  bool failed() const { return failed_; }
  /// A parser has succeeded when nothing failed and nothing is left over.
  bool done() const { return !failed_ && in_.empty(); }
  void fail() { failed_ = true; }

 private:
  template <class T>
  T integer() {
    ByteView bytes = raw(sizeof(T));
    T v = 0;
    for (size_t i = 0; i < bytes.size(); ++i) v = static_cast<T>(v | (static_cast<T>(bytes[i]) << (8 * i)));
    return v;
  }
  ByteView in_;
  bool failed_ = false;
};

inline void store_be64(uint8_t* out, uint64_t v) {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(v >> (56 - 8 * i));
}
inline uint64_t load_be64(const uint8_t* in) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = (v << 8) | in[i];
  return v;
}

}  // namespace tain
