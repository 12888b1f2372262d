// SPDX-License-Identifier: Apache-2.0
#include "tests/support/format_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace tain::test {
namespace {

/// The examples of the page by name: ```hex blocks of a name line and lines of bytes. `00*9` is a byte nine
/// times; what follows a semicolon is a comment.
std::map<std::string, Bytes> read_page(const std::string& path) {
  std::ifstream page(path);
  EXPECT_TRUE(page.good());
  std::map<std::string, Bytes> out;
  Bytes* example = nullptr;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("```")) {
      inside = line == "```hex";
      example = nullptr;
    } else if (inside && example == nullptr) {
      EXPECT_FALSE(out.contains(line)) << "two examples named " << line;
      example = &out[line];
    } else if (inside) {
      std::istringstream tokens(line.substr(0, line.find(';')));
      for (std::string token; tokens >> token;) {
        const size_t star = token.find('*');
        const auto bytes = from_hex(token.substr(0, star));
        if (!bytes.has_value()) {
          ADD_FAILURE() << "not hexadecimal: " << token;
          continue;
        }
        const int times = star == token.npos ? 1 : std::stoi(token.substr(star + 1));
        for (int i = 0; i < times; ++i) example->insert(example->end(), bytes->begin(), bytes->end());
      }
    }
  }
  return out;
}

std::string rows(ByteView bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 32)
    out += to_hex(bytes.subspan(i, std::min<size_t>(32, bytes.size() - i))) + "\n";
  return out;
}

}  // namespace

FormatPage::FormatPage(const std::string& source, const std::string& page)
    : page_(page), examples_(read_page(source + "/" + page)) {}

void FormatPage::expect_example(const std::string& name, ByteView bytes) const {
  const auto it = examples_.find(name);
  const bool same = it != examples_.end() && std::equal(bytes.begin(), bytes.end(), it->second.begin(), it->second.end());
  EXPECT_TRUE(same) << page_ << " should show for\n" << name << "\n" << rows(bytes);
}

std::vector<std::string> FormatPage::names() const {
  std::vector<std::string> out;
  for (const auto& [name, bytes] : examples_) out.push_back(name);
  return out;
}

}  // namespace tain::test
