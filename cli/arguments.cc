// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.h"

#include <algorithm>
#include <numeric>

namespace tain::cli {
namespace {

Error usage(const std::string& message) { return Error(Code::usage, message); }

/// Number of single-character edits between two words (Levenshtein).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

Error unknown_option(const std::vector<Option>& options, std::string_view name) {
  std::vector<std::string_view> names;
  for (const Option& option : options) names.push_back(option.name);
  Error error = usage("unknown option --" + std::string(name));
  const std::string meant = nearest(name, names);
  return meant.empty() ? error : std::move(error).hint("did you mean --" + meant + "?");
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  size_t best_distance = word.size() / 3 + 2;  // farther away it would be a guess
  for (std::string_view candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return std::string(best);
}

Result<Arguments> Arguments::parse(const std::vector<Option>& options, const std::vector<std::string>& words) {
  Arguments arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto next_word = [&]() -> std::optional<std::string> {
      return i + 1 < words.size() ? std::optional(words[++i]) : std::nullopt;
    };
    if (word == "--") {
      arguments.positional_.insert(arguments.positional_.end(), words.begin() + static_cast<ptrdiff_t>(i) + 1, words.end());
      break;
    }
    if (word.starts_with("--")) {
      const size_t equals = word.find('=');
      const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
      const auto option = std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.name == name; });
      if (option == options.end()) return unknown_option(options, name);
      std::optional<std::string> value;
      if (equals != std::string::npos) value = word.substr(equals + 1);
      if (!option->value.empty() && !value) value = next_word();
      TRY(arguments.take(*option, "--" + name, std::move(value)));
      continue;
    }
    if (word.size() < 2 || word[0] != '-') {  // "-" alone is a word
      arguments.positional_.push_back(word);
      continue;
    }
    for (size_t at = 1; at < word.size(); ++at) {
      const auto option = std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.letter == word[at]; });
      const std::string spelled = std::string("-") + word[at];
      if (option == options.end()) return usage("unknown option " + spelled);
      std::optional<std::string> value;
      if (!option->value.empty()) {
        value = at + 1 < word.size() ? std::optional(word.substr(at + 1)) : next_word();
        at = word.size();
      }
      TRY(arguments.take(*option, spelled, std::move(value)));
    }
  }
  return arguments;
}

Result<> Arguments::take(const Option& option, std::string_view spelled, std::optional<std::string> value) {
  const std::string name(spelled);
  if (option.value.empty() && value) return usage("option " + name + " takes no value");
  if (!option.value.empty() && !value) return usage("option " + name + " needs " + std::string(option.value));
  if (has(option.name) && !option.repeatable) return usage("option " + name + " is given twice");
  values_.emplace(option.name, std::move(value).value_or(""));
  return {};
}

std::optional<std::string> Arguments::value(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> Arguments::values(std::string_view name) const {
  std::vector<std::string> out;
  for (auto [at, end] = values_.equal_range(name); at != end; ++at) out.push_back(at->second);
  return out;
}

}  // namespace tain::cli
