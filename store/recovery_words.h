// SPDX-License-Identifier: Apache-2.0
// Recovery words: 160 random bits as 15 words that a person can write down and type (docs/format.md §4.4).
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace tain::store {

inline constexpr size_t kRecoverySecretSize = 20;  // bytes
inline constexpr size_t kRecoveryWordCount = 15;
inline constexpr size_t kRecoveryListSize = 2048;
inline constexpr size_t kRecoveryTextMax = 15 * 9;  // bytes of what encode_recovery_words() yields

/// Ascending; the first four letters of each are its own.
const std::array<std::string_view, kRecoveryListSize>& recovery_word_list();

/// The number of the word that somebody typed: in any case, and perhaps only as much of it as no other word begins with.
std::optional<uint16_t> find_recovery_word(std::string_view typed);

/// `secret` (kRecoverySecretSize bytes) as words with a blank between.
Secret encode_recovery_words(ByteView secret);

/// The secret that the words stand for. Words may be typed as find_recovery_word() allows, with any white space between.
/// Errors: invalid_argument, which says which word is wrong, but does not repeat it; or that there are too few or too many;
/// or that some word is another than was written down.
Result<Secret> decode_recovery_words(ByteView text);

}  // namespace tain::store
