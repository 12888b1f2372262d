// SPDX-License-Identifier: Apache-2.0
// The worked examples of docs/format.md and docs/remote-protocol.md, which tests make anew and compare.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace tain::test {

class FormatPage {
 public:
  /// `source`: the root of the source tree. A page that is missing or malformed is a failure of the test.
  explicit FormatPage(const std::string& source, const std::string& page = "docs/format.md");

  /// Fails, with the bytes for the page, if it does not have an example called `name` with just these.
  void expect_example(const std::string& name, ByteView bytes) const;
  const Bytes& example(const std::string& name) const { return examples_.at(name); }
  /// Of all examples, sorted.
  std::vector<std::string> names() const;

 private:
  std::string page_;
  std::map<std::string, Bytes> examples_;
};

}  // namespace tain::test
