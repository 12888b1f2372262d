// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.h"

#include <gtest/gtest.h>

namespace tain::cli {
namespace {

const std::vector<Option> kOptions = {
    {"json", 0, "", ""}, {"foreground", 'f', "", ""}, {"long", 'l', "", ""}, {"options", 'o', "OPTIONS", "", true}, {"passfile", 0, "FILE", ""}};

Result<Arguments> parse(const std::vector<std::string>& words) { return Arguments::parse(kOptions, words); }

TEST(ArgumentsTest, OptionsAndWordsInAnyOrder) {
  auto arguments = parse({"vault", "--json", "-o", "ro", "mnt", "--passfile=a=b", "-oallow_other"});

  ASSERT_TRUE(arguments.ok());
  EXPECT_EQ(arguments->positional(), (std::vector<std::string>{"vault", "mnt"}));
  EXPECT_TRUE(arguments->has("json"));
  EXPECT_FALSE(arguments->has("foreground"));
  EXPECT_EQ(arguments->value("passfile"), "a=b");
  EXPECT_EQ(arguments->values("options"), (std::vector<std::string>{"ro", "allow_other"}));
}

TEST(ArgumentsTest, LettersMayStandTogether) {
  auto arguments = parse({"-flo", "ro"});

  ASSERT_TRUE(arguments.ok());
  EXPECT_TRUE(arguments->has("foreground"));
  EXPECT_TRUE(arguments->has("long"));
  EXPECT_EQ(arguments->value("options"), "ro");
}

TEST(ArgumentsTest, DoubleDashEndsTheOptions) {
  auto arguments = parse({"-f", "--", "--json", "-x", "--"});

  ASSERT_TRUE(arguments.ok());
  EXPECT_FALSE(arguments->has("json"));
  EXPECT_EQ(arguments->positional(), (std::vector<std::string>{"--json", "-x", "--"}));
}

TEST(ArgumentsTest, ADashAloneAndAnEmptyWordAreWords) {
  EXPECT_EQ(parse({"-", ""})->positional(), (std::vector<std::string>{"-", ""}));
}

TEST(ArgumentsTest, RefusesEverythingElse) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"--nope"}, {"-x"}, {"-fx"}, {"--json=1"}, {"--json", "--json"}, {"--passfile"}, {"-o"}, {"--passfile", "a", "--passfile", "b"}, {"--jso"}}) {
    EXPECT_TRUE(parse(words).is(Code::usage)) << words[0];
  }
}

TEST(ArgumentsTest, SuggestsWhatWasMeant) {
  EXPECT_EQ(parse({"--passfil", "x"}).error().hint(), "did you mean --passfile?");
  EXPECT_EQ(parse({"--zzzzzzzzzz"}).error().hint(), "");
}

TEST(NearestTest, OnlyNearWordsAreSuggested) {
  const std::vector<std::string_view> names = {"mount", "unmount", "status", "ls"};

  EXPECT_EQ(nearest("mout", names), "mount");
  EXPECT_EQ(nearest("stauts", names), "status");
  EXPECT_EQ(nearest("frobnicate", names), "");
  EXPECT_EQ(nearest("xy", names), "");
}

}  // namespace
}  // namespace tain::cli
