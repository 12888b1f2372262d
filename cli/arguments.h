// SPDX-License-Identifier: Apache-2.0
// Strict parsing of a command's options: what a command did not declare is an error.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tain::cli {

/// --name, perhaps -letter, perhaps with a value.
struct Option {
  std::string_view name;   // without the dashes
  char letter = 0;         // 0: none
  std::string_view value;  // what the value is called in the help; empty: the option takes none
  std::string_view help;
  bool repeatable = false;
};

/// What was given: options by their long name, and the rest in order.
class Arguments {
 public:
  /// "--" ends the options; "-xy" is "-x -y"; "-oVALUE" and "--name=VALUE" work. Errors: usage.
  static Result<Arguments> parse(const std::vector<Option>& options, const std::vector<std::string>& words);

  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  /// The option's value; the first one of a repeatable option.
  std::optional<std::string> value(std::string_view name) const;
  std::vector<std::string> values(std::string_view name) const;
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  Result<> take(const Option& option, std::string_view spelled, std::optional<std::string> value);
  std::multimap<std::string, std::string, std::less<>> values_;
  std::vector<std::string> positional_;
};

/// The candidate that `word` was probably meant to be; empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace tain::cli
