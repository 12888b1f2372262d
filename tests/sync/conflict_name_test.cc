// SPDX-License-Identifier: Apache-2.0
#include "sync/conflict_name.h"

#include <gtest/gtest.h>

#include "store/types.h"
#include "tests/sync/dice.h"

namespace tain::sync {
namespace {

constexpr int64_t kDay = 1'795'953'600;  // 2026-11-29 12:00 UTC

std::string named(std::string_view name, std::string_view tag = "") { return conflict_name(name, "laptop", kDay, tag); }

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<uint8_t>(text[i]);
    const size_t size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if ((c & 0xc0) == 0x80 || i + size > text.size()) return false;
    for (size_t k = 1; k < size; ++k)
      if ((static_cast<uint8_t>(text[i + k]) & 0xc0) != 0x80) return false;
    i += size;
  }
  return true;
}

TEST(ConflictNameTest, SaysDeviceAndDateBeforeTheExtension) {
  EXPECT_EQ(named("notes.md"), "notes (conflict laptop 2026-11-29).md");
  EXPECT_EQ(named("notes"), "notes (conflict laptop 2026-11-29)");
  EXPECT_EQ(named("notes.md", "07af"), "notes (conflict laptop 2026-11-29 07af).md");
}

TEST(ConflictNameTest, KnowsWhatIsAnExtension) {
  EXPECT_EQ(named(".bashrc"), ".bashrc (conflict laptop 2026-11-29)");
  EXPECT_EQ(named(".config.json"), ".config (conflict laptop 2026-11-29).json");
  EXPECT_EQ(named("site.tar.gz"), "site (conflict laptop 2026-11-29).tar.gz");
  EXPECT_EQ(named(".tar.gz"), ".tar (conflict laptop 2026-11-29).gz");
  EXPECT_EQ(named("the end."), "the end. (conflict laptop 2026-11-29)");
  EXPECT_EQ(named("1. a plan"), "1. a plan (conflict laptop 2026-11-29)");
  EXPECT_EQ(named("v1.averyveryverylongend"), "v1.averyveryverylongend (conflict laptop 2026-11-29)");
}

TEST(ConflictNameTest, DoesNotGrowFromOneConflictToTheNext) {
  const std::string once = named("notes.md");

  EXPECT_EQ(named(once), once);
  EXPECT_EQ(named(once, "07af"), "notes (conflict laptop 2026-11-29 07af).md");
  EXPECT_EQ(conflict_name(named(once, "07af"), "my phone", kDay + 86400, ""),
            "notes (conflict my phone 2026-11-30).md");
  EXPECT_EQ(named("notes (conflict my old phone 2026-11-30 ffff)"), "notes (conflict laptop 2026-11-29)");
}

TEST(ConflictNameTest, LeavesWhatAPersonWroteInParentheses) {
  EXPECT_EQ(named("war (conflict of 1914).txt"), "war (conflict of 1914) (conflict laptop 2026-11-29).txt");
  EXPECT_EQ(named(" (conflict laptop 2026-11-29)"), " (conflict laptop 2026-11-29) (conflict laptop 2026-11-29)");
}

TEST(ConflictNameTest, IsCutBetweenCharactersAndKeepsTheExtension) {
  for (size_t size = 200; size <= store::kNameMax; ++size) {
    std::string name(size % 4, 'x');
    while (name.size() + 4 + 3 <= size) name += "\xF0\x9F\x93\x93";
    name += ".md";

    const std::string got = named(name);

    ASSERT_LE(got.size(), store::kNameMax);
    ASSERT_TRUE(is_utf8(got)) << got;
    ASSERT_TRUE(got.ends_with(" (conflict laptop 2026-11-29).md")) << got;
    ASSERT_GT(got.size(), std::min(size + 29, store::kNameMax) - 4);  // nothing is cut without need
  }
}

TEST(ConflictNameTest, LongNamesThatDifferAtTheirEndOnlyMayMeet) {
  const std::string a = named(std::string(251, 'a') + ".md");

  EXPECT_EQ(a, named(std::string(250, 'a') + "b.md"));  // so whoever asks has a tag for one of them
  EXPECT_NE(a, named(std::string(251, 'a') + ".md", "07af"));
}

TEST(ConflictNameTest, AnyBytesGiveAName) {
  test::Dice dice(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string name(1 + dice.below(store::kNameMax), '\0');
    for (char& c : name) {
      c = static_cast<char>(1 + dice.below(255));
      if (dice.chance(30) || c == '/') c = ".( )-\x80\xbf\xf0"[dice.below(8)];
    }
    std::string device(dice.below(90), '\0');
    for (char& c : device) c = static_cast<char>(dice.below(256));


    const std::string got = conflict_name(name, device, static_cast<int64_t>(dice.next() >> 16) / 1000, "07af");

    ASSERT_LE(got.size(), store::kNameMax);
    ASSERT_GT(got.size(), 0u);
    ASSERT_EQ(got.find('/'), std::string::npos);
    ASSERT_EQ(got.find('\0'), std::string::npos);
  }
}

TEST(ConflictNameTest, DevicesWithoutALabelAndLabelsThatAreNoNames) {
  EXPECT_EQ(conflict_name("a", "", kDay, ""), "a (conflict device 2026-11-29)");
  EXPECT_EQ(conflict_name("a", "x/y (z)\n", kDay, ""), "a (conflict x-y -z-- 2026-11-29)");
}

TEST(ConflictNameTest, ClocksOfAnyYear) {
  EXPECT_EQ(conflict_name("a", "x", 0, ""), "a (conflict x 1970-01-01)");
  EXPECT_EQ(conflict_name("a", "x", int64_t{1} << 38, ""), "a (conflict x 9999-07-14)");
  EXPECT_EQ(conflict_name(conflict_name("a", "x", int64_t{1} << 38, ""), "x", 0, ""), "a (conflict x 1970-01-01)");
}

}  // namespace
}  // namespace tain::sync
