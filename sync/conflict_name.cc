// SPDX-License-Identifier: Apache-2.0
#include "sync/conflict_name.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "store/types.h"

namespace tain::sync {

namespace {

constexpr std::string_view kOpening = " (conflict ";
constexpr std::string_view kDateForm = "dddd-dd-dd";
constexpr size_t kExtensionMax = 16;  // bytes, with the dot: what is longer is the end of a sentence
constexpr size_t kDeviceMax = 64;     // bytes; labels are no longer (docs/remote-protocol.md §3.2)

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

/// At most `size` bytes from the beginning, less where that would be inside a character. Names need not be UTF-8.
std::string_view cut(std::string_view text, size_t size) {
  if (text.size() <= size) return text;
  size_t end = size;
  while (end > 0 && size - end < 3 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80 ? size : end);
}

/// ".md" of "notes.md"; nothing of ".bashrc", "notes." and "v1. And so on".
std::string_view last_extension(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return {};
  const std::string_view extension = name.substr(dot);
  if (extension.size() > kExtensionMax || extension.find(' ') != std::string_view::npos) return {};
  return extension;
}

std::string_view extension_of(std::string_view name) {
  const std::string_view last = last_extension(name);
  const std::string_view before = name.substr(0, name.size() - last.size());
  if (!last.empty() && before.size() > 4 && before.ends_with(".tar")) return name.substr(before.size() - 4);
  return last;
}

/// "2026-11-29", perhaps with " 07af" after it.
bool is_date_and_tag(std::string_view text) {
  const auto fits = [](char c, char form) { return form == 'd' ? is_digit(c) : c == form; };
  if (text.size() < kDateForm.size()) return false;
  if (!std::ranges::equal(text.substr(0, kDateForm.size()), kDateForm, fits)) return false;
  text.remove_prefix(kDateForm.size());
  return text.empty() || (text.size() > 1 && text[0] == ' ' && std::ranges::all_of(text.substr(1), is_hex_digit));
}

/// `stem` without what conflict_name() added.
std::string_view without_parenthesis(std::string_view stem) {
  const size_t at = stem.rfind(kOpening);
  if (at == std::string_view::npos || at == 0 || !stem.ends_with(')')) return stem;
  const std::string_view inside = stem.substr(at + kOpening.size(), stem.size() - at - kOpening.size() - 1);
  for (size_t space = inside.find(' '); space != std::string_view::npos; space = inside.find(' ', space + 1))
    if (is_date_and_tag(inside.substr(space + 1))) return stem.substr(0, at);
  return stem;
}

/// What of a label may stand in a name.
std::string plain_label(std::string_view device) {
  std::string out(cut(device, kDeviceMax));
  for (char& c : out)
    if (c == '/' || c == '(' || c == ')' || static_cast<uint8_t>(c) < 0x20 || c == 0x7f) c = '-';
  return out.empty() ? "device" : out;
}

std::string date_of(int64_t seconds) {
  using namespace std::chrono;
  const year_month_day date(floor<days>(sys_seconds(std::chrono::seconds(seconds))));
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", std::min(static_cast<int>(date.year()), 9999),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text;
}

}  // namespace

std::string conflict_name(std::string_view name, std::string_view device, int64_t seconds, std::string_view tag) {
  const std::string_view extension = extension_of(name);
  const std::string_view stem = without_parenthesis(name.substr(0, name.size() - extension.size()));
  std::string end(kOpening);
  end += plain_label(device) + ' ' + date_of(seconds);
  if (!tag.empty()) end.append(" ").append(tag);
  end += ')';
  end += extension;
  return std::string(cut(stem, store::kNameMax - end.size())) + end;
}

}  // namespace tain::sync
