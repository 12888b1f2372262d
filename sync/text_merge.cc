// SPDX-License-Identifier: Apache-2.0
#include "sync/text_merge.h"

#include <algorithm>
#include <vector>

namespace tain::sync {

namespace {

using Lines = std::vector<std::string_view>;

/// Lines `begin` to `end` of the base became lines `from` to `to`. One of the ranges may be empty.
struct Change {
  size_t begin, end;
  size_t from, to;
};

/// Any sequence that RFC 3629 allows, without zero bytes.
bool is_text(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto at = [&](size_t k) { return i + k < text.size() ? static_cast<uint8_t>(text[i + k]) : uint8_t{0}; };
    const uint8_t c = at(0);
    if (c == 0 || (c >= 0x80 && c < 0xc2) || c > 0xf4) return false;
    const size_t size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    for (size_t k = 1; k < size; ++k)
      if ((at(k) & 0xc0) != 0x80) return false;
    if ((c == 0xe0 && at(1) < 0xa0) || (c == 0xed && at(1) > 0x9f)) return false;  // overlong; surrogates
    if ((c == 0xf0 && at(1) < 0x90) || (c == 0xf4 && at(1) > 0x8f)) return false;  // overlong; above 10FFFF
    i += size;
  }
  return true;
}

Lines split(std::string_view text) {
  Lines out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const size_t size = end == std::string_view::npos ? text.size() : end + 1;
    out.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return out;
}

void add_change(std::vector<Change>& changes, Change change) {
  if (!changes.empty() && changes.back().end == change.begin && changes.back().to == change.from) {
    changes.back().end = change.end;
    changes.back().to = change.to;
  } else {
    changes.push_back(change);
  }
}

/// The shortest way from `a` to `b`: E. Myers, An O(ND) Difference Algorithm and Its Variations, 1986. Nothing if it is
/// longer than kMergeChangesMax.
std::optional<std::vector<Change>> changes_between(const Lines& a, const Lines& b) {
  const auto rows = static_cast<std::ptrdiff_t>(a.size());
  const auto columns = static_cast<std::ptrdiff_t>(b.size());
  const std::ptrdiff_t limit = std::min(static_cast<std::ptrdiff_t>(kMergeChangesMax), rows + columns);
  // trace[d][d + k]: how far in `a` one gets with d changes on diagonal k = row − column.
  std::vector<std::vector<std::ptrdiff_t>> trace;
  const auto reached = [&](std::ptrdiff_t d, std::ptrdiff_t k) -> std::ptrdiff_t& {
    return trace[static_cast<size_t>(d)][static_cast<size_t>(d + k)];
  };
  // Whether the last of d changes added a line of `b`; otherwise it took one of `a`.
  const auto adds = [&](std::ptrdiff_t d, std::ptrdiff_t k) {
    return k == -d || (k != d && reached(d - 1, k - 1) < reached(d - 1, k + 1));
  };
  bool is_found = false;
  for (std::ptrdiff_t d = 0; d <= limit && !is_found; ++d) {
    trace.emplace_back(static_cast<size_t>(2 * d + 1), 0);
    for (std::ptrdiff_t k = -d; k <= d && !is_found; k += 2) {
      std::ptrdiff_t row = 0;
      if (d > 0) row = adds(d, k) ? reached(d - 1, k + 1) : reached(d - 1, k - 1) + 1;
      while (row < rows && row - k < columns && a[static_cast<size_t>(row)] == b[static_cast<size_t>(row - k)]) ++row;
      reached(d, k) = row;
      is_found = row >= rows && row - k >= columns;
    }
  }
  if (!is_found) return std::nullopt;

  std::vector<Change> steps;  // one line each, from the end
  std::ptrdiff_t k = rows - columns;
  for (auto d = static_cast<std::ptrdiff_t>(trace.size()) - 1; d > 0; --d) {
    const bool is_added = adds(d, k);
    k += is_added ? 1 : -1;
    const auto row = static_cast<size_t>(reached(d - 1, k));
    const auto column = static_cast<size_t>(reached(d - 1, k) - k);
    steps.push_back({row, row + (is_added ? 0 : 1), column, column + (is_added ? 1 : 0)});
  }
  std::vector<Change> out;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) add_change(out, *step);
  return out;
}

bool is_same_change(const Change& a, const Lines& ours, const Change& b, const Lines& theirs) {
  return a.begin == b.begin && a.end == b.end &&
         std::equal(ours.begin() + static_cast<std::ptrdiff_t>(a.from),
                    ours.begin() + static_cast<std::ptrdiff_t>(a.to),
                    theirs.begin() + static_cast<std::ptrdiff_t>(b.from),
                    theirs.begin() + static_cast<std::ptrdiff_t>(b.to));
}

void append(std::string& out, const Lines& lines, size_t from, size_t to) {
  for (size_t i = from; i < to; ++i) out += lines[i];
}

}  // namespace

std::optional<std::string> merge_texts(std::string_view base, std::string_view ours, std::string_view theirs) {
  for (const std::string_view text : {base, ours, theirs})
    if (text.size() > kMergeMax || !is_text(text)) return std::nullopt;
  const Lines old = split(base);
  const Lines left = split(ours);
  const Lines right = split(theirs);
  const auto left_changes = changes_between(old, left);
  const auto right_changes = changes_between(old, right);
  if (!left_changes.has_value() || !right_changes.has_value()) return std::nullopt;

  std::string out;
  size_t done = 0;  // lines of the base
  auto a = left_changes->begin();
  auto b = right_changes->begin();
  const auto take = [&](const Change& change, const Lines& lines) {
    append(out, old, done, change.begin);
    append(out, lines, change.from, change.to);
    done = change.end;
  };
  while (a != left_changes->end() || b != right_changes->end()) {
    const bool both = a != left_changes->end() && b != right_changes->end();
    if (both && a->begin <= b->end && b->begin <= a->end) {
      if (!is_same_change(*a, left, *b, right)) return std::nullopt;
      take(*a++, left);
      ++b;
    } else if (b == right_changes->end() || (both && a->begin < b->begin)) {
      take(*a++, left);
    } else {
      take(*b++, right);
    }
  }
  append(out, old, done, old.size());
  return out;
}

}  // namespace tain::sync
