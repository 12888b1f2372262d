// SPDX-License-Identifier: Apache-2.0
#include "store/retention.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace tain::store {
namespace {

int64_t floor_divide(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

int64_t month_of(int64_t time_s) {
  const std::chrono::sys_days day{std::chrono::days{floor_divide(time_s, 86'400)}};
  const std::chrono::year_month_day date{day};
  return int64_t{static_cast<int>(date.year())} * 12 + static_cast<unsigned>(date.month());
}

constexpr int64_t kDay = 86'400;

constexpr RetentionPolicy uniform(int64_t age_s) {
  return {.states = {.all_s = age_s, .hourly_s = 0, .daily_s = 0, .monthly_s = 0}, .trash_s = age_s};
}

constexpr std::array<std::pair<std::string_view, RetentionPolicy>, 4> kPresets = {{
    {"default", {}},
    {"all", uniform(Retention::kForEver)},
    {"week", uniform(7 * kDay)},
    {"day", uniform(kDay)},
}};

}  // namespace

int64_t Retention::longest_s() const { return std::max({all_s, hourly_s, daily_s, monthly_s}); }

std::optional<RetentionPolicy> retention_preset(std::string_view name) {
  for (const auto& [known, policy] : kPresets)
    if (known == name) return policy;
  return std::nullopt;
}

std::string_view preset_name(const RetentionPolicy& policy) {
  for (const auto& [name, known] : kPresets)
    if (known == policy) return name;
  return {};
}

std::vector<bool> kept_by(const Retention& retention, std::span<const int64_t> ended_s, int64_t now_s) {
  struct Stage {
    int64_t until_s;
    int64_t (*period)(int64_t);
    std::optional<int64_t> last;
  };
  Stage stages[] = {
      {retention.hourly_s, [](int64_t t) { return floor_divide(t, 3600); }, {}},
      {retention.daily_s, [](int64_t t) { return floor_divide(t, 86'400); }, {}},
      {retention.monthly_s, month_of, {}},
  };
  std::vector<bool> out;
  out.reserve(ended_s.size());
  for (const int64_t ended : ended_s) {
    const int64_t age = now_s - ended;
    bool keep = age <= retention.all_s;
    // Every stage counts all states, so that the state which stands for a month is the one that stood for its last day.
    for (Stage& stage : stages) {
      const int64_t period = stage.period(ended);
      const bool is_last = stage.last != period;
      stage.last = period;
      if (is_last && age <= stage.until_s) keep = true;
    }
    out.push_back(keep);
  }
  return out;
}

}  // namespace tain::store
