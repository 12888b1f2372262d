// SPDX-License-Identifier: Apache-2.0
#include "store/recovery_words.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "store/cipher.h"

namespace tain::store {
namespace {

constexpr unsigned kBitsPerWord = 11;
constexpr unsigned kCheckBits = 5;
static_assert(kRecoverySecretSize * 8 + kCheckBits == kRecoveryWordCount * kBitsPerWord);
static_assert(kRecoveryListSize == 1u << kBitsPerWord);
constexpr size_t kWordSizeMax = 8;  // of the list

constexpr bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// The secret and, in the last byte, its check bits at the upper end: 165 bits, most significant first.
Secret with_check_bits(ByteView secret) {
  CHECK(secret.size() == kRecoverySecretSize);
  Secret out(kRecoverySecretSize + 1);
  std::copy(secret.begin(), secret.end(), out.span().begin());
  out.span()[kRecoverySecretSize] = static_cast<uint8_t>(hash256(secret)[0] & (0xff << (8 - kCheckBits)));
  return out;
}

Error wrong(const std::string& what) {
  return Error(Code::invalid_argument, what).hint("compare it with what you wrote down, and type it again");
}

}  // namespace

std::optional<uint16_t> find_recovery_word(std::string_view typed) {
  if (typed.empty() || typed.size() > kWordSizeMax) return std::nullopt;
  std::array<char, kWordSizeMax> buffer{};
  std::transform(typed.begin(), typed.end(), buffer.begin(), lower);
  const std::string_view word(buffer.data(), typed.size());
  const auto& list = recovery_word_list();
  const auto found = std::lower_bound(list.begin(), list.end(), word);  // the first that is it or may begin with it
  std::optional<uint16_t> out;
  if (found != list.end() && found->starts_with(word)) {
    const auto next = std::next(found);
    const bool is_unique = next == list.end() || !next->starts_with(word);
    if (*found == word || is_unique) out = static_cast<uint16_t>(found - list.begin());
  }
  wipe({reinterpret_cast<uint8_t*>(buffer.data()), buffer.size()});
  return out;
}

Secret encode_recovery_words(ByteView secret) {
  const Secret bits = with_check_bits(secret);
  Secret text(kRecoveryTextMax);
  size_t size = 0;
  for (size_t word = 0; word < kRecoveryWordCount; ++word) {
    unsigned number = 0;
    for (size_t bit = word * kBitsPerWord; bit < (word + 1) * kBitsPerWord; ++bit)
      number = number << 1 | (bits.view()[bit / 8] >> (7 - bit % 8) & 1u);
    if (word > 0) text.span()[size++] = ' ';
    for (char c : recovery_word_list()[number]) text.span()[size++] = static_cast<uint8_t>(c);
  }
  text.shrink(size);
  return text;
}

Result<Secret> decode_recovery_words(ByteView bytes) {
  const std::string_view text = as_text(bytes);
  Secret bits(kRecoverySecretSize + 1);
  size_t words = 0;
  for (size_t at = 0;;) {
    while (at < text.size() && is_blank(text[at])) ++at;
    if (at == text.size()) break;
    size_t end = at;
    while (end < text.size() && !is_blank(text[end])) ++end;
    if (words == kRecoveryWordCount) return wrong("there are more than 15 recovery words");
    const auto number = find_recovery_word(text.substr(at, end - at));
    if (!number) return wrong("recovery word " + std::to_string(words + 1) + " is not one of the list");
    for (unsigned i = 0; i < kBitsPerWord; ++i) {
      const size_t bit = words * kBitsPerWord + i;
      const unsigned value = *number >> (kBitsPerWord - 1 - i) & 1u;
      bits.span()[bit / 8] = static_cast<uint8_t>(bits.view()[bit / 8] | value << (7 - bit % 8));
    }
    ++words;
    at = end;
  }
  if (words < kRecoveryWordCount)
    return wrong("there are " + std::to_string(words) + " recovery words, and there should be 15");
  Secret secret = Secret::copy_of(bits.view().first(kRecoverySecretSize));
  if (!with_check_bits(secret.view()).equals(bits))
    return wrong("the recovery words do not fit together: one of them is another word, or two have changed places");
  return secret;
}

}  // namespace tain::store
