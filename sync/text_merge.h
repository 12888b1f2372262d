// SPDX-License-Identifier: Apache-2.0
// A merge of two texts that were made of a third one: by lines, and only where nothing is to be decided (ADR 20).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tain::sync {

inline constexpr size_t kMergeMax = size_t{1} << 20;  // bytes of each text
inline constexpr size_t kMergeChangesMax = 1000;      // lines taken away and added, on each side: 8 MB while it is looked at

/// `base` with what was changed on both sides. Nothing if that is not clear: where lines that were changed on one side
/// overlap or touch those of the other, unless both made the same of the same; if a text is not UTF-8, has a zero byte,
/// or is longer than kMergeMax; if too much was changed. A line is what it is with its end, so CRLF, LF and a missing
/// end of the last line are kept. Which side is which does not matter.
std::optional<std::string> merge_texts(std::string_view base, std::string_view ours, std::string_view theirs);

}  // namespace tain::sync
