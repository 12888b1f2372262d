// SPDX-License-Identifier: Apache-2.0
#include "base/moment.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <optional>

namespace tain {
namespace {

constexpr int64_t kSecond_ms = 1000;
constexpr int kYearMin = 1970;
constexpr int kYearMax = 9999;
constexpr int64_t kCountMax = 100'000;  // of units: far before the epoch

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Reads a text from the left.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_any(std::string_view of) {
    if (rest_.empty() || of.find(rest_[0]) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip(std::string_view of) {
    while (take_any(of)) {}
  }
  /// A number of exactly `digits` digits.
  std::optional<int> number(size_t digits) {
    if (rest_.size() < digits) return std::nullopt;
    int value = 0;
    for (char c : rest_.substr(0, digits)) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }
  std::optional<int64_t> any_number() {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc() || value < 0) return std::nullopt;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }
  std::string word() {
    std::string out;
    while (!rest_.empty() && lower(rest_[0]) >= 'a' && lower(rest_[0]) <= 'z') {
      out.push_back(lower(rest_[0]));
      rest_.remove_prefix(1);
    }
    return out;
  }

 private:
  std::string_view rest_;
};

std::optional<tm> local(int64_t ms) {
  // Downwards, also before the epoch.
  const auto seconds = static_cast<time_t>(ms >= 0 ? ms / kSecond_ms : -((-ms + kSecond_ms - 1) / kSecond_ms));
  tm out{};
  if (::localtime_r(&seconds, &out) == nullptr) return std::nullopt;
  return out;
}

/// The last millisecond before `date`, whose fields may be out of their ranges.
std::optional<int64_t> end_before(tm date, bool is_utc) {
  date.tm_isdst = -1;
  const time_t seconds = is_utc ? ::timegm(&date) : ::mktime(&date);
  if (seconds <= 0) return std::nullopt;
  return int64_t{seconds} * kSecond_ms - 1;
}

/// 2026-11-01T10:00:30.250 and what of it may be missing at its end; nothing if it is something else.
std::optional<Moment> parse_date(Scanner in) {
  tm date{};
  const auto year = in.number(4);
  if (!year || *year < kYearMin || *year > kYearMax || !in.take('-')) return std::nullopt;
  date.tm_year = *year - 1900;
  const auto month = in.number(2);
  if (!month || *month < 1 || *month > 12) return std::nullopt;
  date.tm_mon = *month - 1;
  date.tm_mday = 1;
  int milliseconds = -1;
  const auto finish = [&]() -> std::optional<Moment> {
    const bool is_utc = in.take_any("Zz");
    if (!in.at_end()) return std::nullopt;
    const auto ms = end_before(date, is_utc);
    if (!ms) return std::nullopt;
    return Moment{.ms = milliseconds >= 0 ? *ms + 1 + milliseconds : *ms};
  };
  if (!in.take('-')) {
    ++date.tm_mon;
    return finish();
  }
  const auto day = in.number(2);
  if (!day || *day < 1 || *day > 31) return std::nullopt;
  date.tm_mday = *day;
  if (tm check = date; ::timegm(&check) == -1 || check.tm_mday != *day) return std::nullopt;  // 31 February
  if (!in.take_any("Tt _")) {
    ++date.tm_mday;
    return finish();
  }
  const auto hour = in.number(2);
  if (!hour || *hour > 23) return std::nullopt;
  date.tm_hour = *hour;
  if (!in.take_any(":.")) {
    ++date.tm_hour;
    return finish();
  }
  const auto minute = in.number(2);
  if (!minute || *minute > 59) return std::nullopt;
  date.tm_min = *minute;
  if (!in.take_any(":.")) {
    ++date.tm_min;
    return finish();
  }
  const auto second = in.number(2);
  if (!second || *second > 60) return std::nullopt;
  date.tm_sec = *second;
  if (!in.take_any(".,")) {
    ++date.tm_sec;
    return finish();
  }
  const auto fraction = in.number(3);
  if (!fraction) return std::nullopt;
  milliseconds = *fraction;
  return finish();
}

std::optional<Moment> parse_clock(Scanner in, int64_t now_ms) {
  auto date = local(now_ms);
  const auto hour = in.number(2);
  if (!date || !hour || *hour > 23 || !in.take(':')) return std::nullopt;
  const auto minute = in.number(2);
  if (!minute || *minute > 59 || !in.at_end()) return std::nullopt;
  date->tm_hour = *hour;
  date->tm_min = *minute + 1;
  date->tm_sec = 0;
  const auto ms = end_before(*date, false);
  if (!ms) return std::nullopt;
  return Moment{.ms = *ms, .is_relative = true};
}

std::optional<Moment> parse_ago(Scanner in, int64_t now_ms) {
  const auto count = in.any_number();
  if (!count || *count > kCountMax) return std::nullopt;
  constexpr std::string_view kGaps = " -_";
  in.skip(kGaps);
  std::string unit = in.word();
  in.skip(kGaps);
  if (in.word() != "ago" || !in.at_end()) return std::nullopt;
  if (unit.size() > 2 && unit.back() == 's') unit.pop_back();
  const auto back = [&](int64_t seconds) { return Moment{.ms = now_ms - *count * seconds * kSecond_ms, .is_relative = true}; };
  if (unit == "s" || unit == "sec" || unit == "second") return back(1);
  if (unit == "m" || unit == "min" || unit == "minute") return back(60);
  if (unit == "h" || unit == "hour") return back(3600);
  if (unit == "d" || unit == "day") return back(86400);
  if (unit == "w" || unit == "week") return back(7 * 86400);
  const bool is_month = unit == "month" || unit == "mo", is_year = unit == "y" || unit == "year";
  if (!is_month && !is_year) return std::nullopt;
  auto date = local(now_ms);
  if (!date) return std::nullopt;
  (is_month ? date->tm_mon : date->tm_year) -= static_cast<int>(*count);
  const auto ms = end_before(*date, false);
  if (!ms) return std::nullopt;
  return Moment{.ms = *ms + 1, .is_relative = true};
}

std::optional<Moment> parse_word(Scanner in, int64_t now_ms) {
  const std::string word = in.word();
  if (!in.at_end()) return std::nullopt;
  if (word == "now") return Moment{.ms = now_ms, .is_relative = true};
  auto date = local(now_ms);
  if (!date || (word != "today" && word != "yesterday")) return std::nullopt;
  date->tm_hour = date->tm_min = date->tm_sec = 0;
  if (word == "today") ++date->tm_mday;
  const auto ms = end_before(*date, false);
  if (!ms) return std::nullopt;
  return Moment{.ms = *ms, .is_relative = true};
}

}  // namespace

Result<Moment> parse_moment(std::string_view text, int64_t now_ms) {
  const Scanner in(text);
  if (Scanner unix_time = in; unix_time.take('@')) {
    const auto seconds = unix_time.any_number();
    if (seconds && unix_time.at_end() && *seconds < INT64_MAX / kSecond_ms / 2)
      return Moment{.ms = *seconds * kSecond_ms + kSecond_ms - 1};
  } else if (auto found = parse_date(in)) {
    return *found;
  } else if ((found = parse_clock(in, now_ms)) || (found = parse_ago(in, now_ms)) || (found = parse_word(in, now_ms))) {
    return *found;
  }
  return Error(Code::invalid_argument, "'" + std::string(text) + "' is not a time")
      .hint("for example 2026-11-01, 2026-11-01T10:00, yesterday or '3h ago'");
}

std::string moment_name(int64_t ms) {
  const auto date = local(ms);
  if (!date) return "@" + std::to_string(ms / kSecond_ms);
  char out[64];
  std::snprintf(out, sizeof out, "%04d-%02d-%02dT%02d.%02d.%02d.%03d", date->tm_year + 1900, date->tm_mon + 1, date->tm_mday,
                date->tm_hour, date->tm_min, date->tm_sec, static_cast<int>((ms % kSecond_ms + kSecond_ms) % kSecond_ms));
  return out;
}

std::string day_name(int64_t ms) { return moment_name(ms).substr(0, 10); }

}  // namespace tain
