// SPDX-License-Identifier: Apache-2.0
#include "sync/text_merge.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <vector>

#include "tests/support/long_run.h"
#include "tests/support/temp_directory.h"

namespace tain::sync {
namespace {

using Lines = std::vector<std::string>;

std::string joined(const Lines& lines) {
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}

std::optional<std::string> merged(std::string_view base, std::string_view ours, std::string_view theirs) {
  const auto one = merge_texts(base, ours, theirs);
  EXPECT_EQ(one, merge_texts(base, theirs, ours)) << "not symmetric";
  return one;
}

TEST(TextMergeTest, ChangesOfDifferentParagraphsComeTogether) {
  EXPECT_EQ(merged("Monday\n\nrain\n\nTuesday\n", "Monday, late\n\nrain\n\nTuesday\n", "Monday\n\nrain\n\nTuesday, early\n"),
            "Monday, late\n\nrain\n\nTuesday, early\n");
  EXPECT_EQ(merged("a\nb\nc\n", "new\na\nb\nc\n", "a\nb\nc\nend\n"), "new\na\nb\nc\nend\n");
  EXPECT_EQ(merged("a\nb\nc\nd\ne\n", "a\nc\nd\ne\n", "a\nb\nc\nd\n"), "a\nc\nd\n");
}

TEST(TextMergeTest, ChangesOfOneLineAreLeftToAPerson) {
  EXPECT_EQ(merged("a\nb\nc\n", "a\nB\nc\n", "a\nbb\nc\n"), std::nullopt);
  EXPECT_EQ(merged("a\nb\nc\n", "a\nB\nc\n", "a\nc\n"), std::nullopt);
  EXPECT_EQ(merged("", "one\n", "other\n"), std::nullopt);
  // Both added something at the end: nobody knows in which order.
  EXPECT_EQ(merged("a\n", "a\none\n", "a\nother\n"), std::nullopt);
}

TEST(TextMergeTest, ChangesThatTouchAreLeftToAPerson) {
  EXPECT_EQ(merged("a\nb\nc\nd\n", "a\nB\nc\nd\n", "a\nb\nC\nd\n"), std::nullopt);
  EXPECT_EQ(merged("a\nb\nc\nd\n", "A\nb\nc\nd\n", "a\nb\nC\nd\n"), "A\nb\nC\nd\n");
}

TEST(TextMergeTest, TheSameChangeOnBothSidesIsMadeOnce) {
  EXPECT_EQ(merged("a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n"), "a\nB\nc\n");
  EXPECT_EQ(merged("a\nb\nc\nd\ne\n", "a\nB\nc\nd\ne, mine\n", "a\nB\nc\nd\ne\n"), "a\nB\nc\nd\ne, mine\n");
}

TEST(TextMergeTest, WhoChangedNothingHasNoSay) {
  for (const std::string text : {"", "a", "a\n", "x\ny\n"}) {
    EXPECT_EQ(merged("a\nb\n", text, "a\nb\n"), text);
    EXPECT_EQ(merged(text, text, text), text);
  }
}

TEST(TextMergeTest, EndsOfLinesAreKept) {
  EXPECT_EQ(merged("a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n"), "A\r\nb\r\nC\r\n");
  EXPECT_EQ(merged("a\nb\nc", "A\nb\nc", "a\nb\nc"), "A\nb\nc");
  EXPECT_EQ(merged("a\nb\nc", "A\nb\nc", "a\nb\nc\n"), "A\nb\nc\n");
  // An end that one side changed, and a line that the other did.
  EXPECT_EQ(merged("a\nb", "a\nb\n", "a\nB"), std::nullopt);
}

TEST(TextMergeTest, WhatIsNoTextIsNotMerged) {
  for (const std::string& bad : {std::string("a\0b\n", 4), std::string("\xff\n"), std::string("\xc0\x80\n"), std::string("\xed\xa0\x80\n"),
                                 std::string("\xf4\x90\x80\x80\n"), std::string("\xe2\x82")}) {
    EXPECT_EQ(merged(bad, bad, bad), std::nullopt);
    EXPECT_EQ(merged("a\n", "a\n", bad), std::nullopt);
  }
  EXPECT_EQ(merged("ä\n€\n𝄞\n", "Ä\n€\n𝄞\n", "ä\n€\n𝄞 da capo\n"), "Ä\n€\n𝄞 da capo\n");
}

TEST(TextMergeTest, WhatIsTooLargeOrTooDifferentIsNotMerged) {
  const std::string large(kMergeMax + 1, 'a');
  EXPECT_EQ(merged(large, large, large), std::nullopt);
  std::string many, others;
  for (size_t i = 0; i <= kMergeChangesMax; ++i) {
    many += "a" + std::to_string(i) + "\n";
    others += "b" + std::to_string(i) + "\n";
  }
  EXPECT_EQ(merged(many, others, many), std::nullopt);
}

// Lines that are all different, changed in regions that are known: so the right merge is known too.
TEST(TextMergeRandomTest, ApartChangesOfDifferentLinesMergeAsTheyMust) {
  std::mt19937_64 random(1);
  const auto below = [&](uint64_t limit) { return random() % limit; };
  for (int i = 0; i < 3000; ++i) {
    Lines base, ours, theirs, wanted;
    uint64_t number = 0;
    const auto fresh = [&] { return "line " + std::to_string(++number) + (below(5) == 0 ? "\r\n" : "\n"); };
    bool touch = false;
    for (uint64_t block = 0; block < 8; ++block) {
      // Some lines that nobody changes, then a region of one side, or of both alike.
      const uint64_t common = below(3);
      for (uint64_t k = 0; k < common; ++k) {
        const std::string line = fresh();
        for (Lines* text : {&base, &ours, &theirs, &wanted}) text->push_back(line);
      }
      const int changer = static_cast<int>(below(3));  // 0: ours, 1: theirs, 2: both
      Lines before, after;
      for (uint64_t k = below(3); k > 0; --k) before.push_back(fresh());
      for (uint64_t k = below(3); k > 0; --k) after.push_back(fresh());
      if (before.empty() && after.empty()) continue;
      // Nothing between it and the region before.
      touch = touch || (common == 0 && block > 0);
      base.insert(base.end(), before.begin(), before.end());
      const Lines& mine = changer == 1 ? before : after;
      const Lines& yours = changer == 0 ? before : after;
      ours.insert(ours.end(), mine.begin(), mine.end());
      theirs.insert(theirs.end(), yours.begin(), yours.end());
      wanted.insert(wanted.end(), after.begin(), after.end());
    }
    const auto got = merged(joined(base), joined(ours), joined(theirs));
    if (got.has_value()) {
      EXPECT_EQ(*got, joined(wanted)) << i;
    } else {
      EXPECT_TRUE(touch) << i;
    }
  }
}

// What another well-known program makes of texts with many equal lines. Where both merge the results agree, unless there
// are several shortest ways to read a change; then neither is wrong, and they are counted.
TEST(TextMergeRandomTest, AgreesWithGitWhereBothMerge) {
  if (std::system("git --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "git is not installed";
  test::TempDirectory folder;
  std::mt19937_64 random(2);
  const auto below = [&](uint64_t limit) { return random() % limit; };
  const auto text = [&](const Lines& lines, uint64_t edits) {
    Lines out = lines;
    for (; edits > 0; --edits) {
      const auto at = out.begin() + static_cast<std::ptrdiff_t>(below(out.size() + 1));
      if (below(2) == 0 || out.empty() || at == out.end()) out.insert(at, "w" + std::to_string(below(1000)) + "\n");
      else if (below(2) == 0) out.erase(at);
      else *at = "w" + std::to_string(below(1000)) + "\n";
    }
    return joined(out);
  };
  const auto write = [&](const char* name, const std::string& content) { std::ofstream(folder.path() + "/" + name) << content; };
  int compared = 0;
  for (int i = 0; i < (test::is_long_run() ? 3000 : 200); ++i) {
    Lines lines;
    for (uint64_t k = below(40); k > 0; --k) lines.push_back("w" + std::to_string(below(1000)) + "\n");
    const std::string base = joined(lines), ours = text(lines, below(4)), theirs = text(lines, below(4));
    write("base", base);
    write("ours", ours);
    write("theirs", theirs);
    std::FILE* pipe = ::popen(("cd '" + folder.path() + "' && git merge-file -p ours base theirs 2>/dev/null").c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string git;
    char buffer[4096];
    for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) git.append(buffer, got);
    const bool git_merges = ::pclose(pipe) == 0;
    const auto own = merged(base, ours, theirs);
    if (!own.has_value()) continue;
    ++compared;
    EXPECT_TRUE(git_merges) << i;
    EXPECT_EQ(*own, git) << i;
  }
  EXPECT_GT(compared, 100);
}

}  // namespace
}  // namespace tain::sync
