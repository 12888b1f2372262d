// SPDX-License-Identifier: Apache-2.0
// Recovery words: every secret comes back, whatever case and blanks, and no typing error passes for another secret.
#include "store/recovery_words.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace tain::store {
namespace {

std::string words_of(ByteView secret) { return std::string(as_text(encode_recovery_words(secret).view())); }

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out(1);
  for (char c : text) {
    if (c == ' ')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

std::string join(const std::vector<std::string>& words, const std::string& between = " ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

Bytes some_secret(uint8_t seed) {
  Bytes out(kRecoverySecretSize);
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(seed + 37 * i);
  return out;
}

TEST(RecoveryWordsTest, TheListIsSortedAndFourLettersAreEnough) {
  const auto& list = recovery_word_list();
  EXPECT_TRUE(std::is_sorted(list.begin(), list.end()));
  std::set<std::string_view> beginnings;
  for (std::string_view word : list) {
    EXPECT_TRUE(word.size() >= 3 && word.size() <= 8) << word;
    EXPECT_TRUE(std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; })) << word;
    EXPECT_TRUE(beginnings.insert(word.substr(0, 4)).second) << word;
  }
}

TEST(RecoveryWordsTest, EverySecretComesBack) {
  for (int seed = 0; seed < 256; ++seed) {
    const Bytes secret = some_secret(static_cast<uint8_t>(seed));
    auto decoded = decode_recovery_words(as_bytes(words_of(secret)));
    ASSERT_TRUE(decoded.ok()) << decoded.error().message();
    EXPECT_EQ(as_text(decoded->view()), as_text(secret));
  }
}

TEST(RecoveryWordsTest, BitsAreTakenFromTheTop) {
  // 11 zero bits are word 0; the last word ends in the check bits.
  const auto words = split(words_of(Bytes(kRecoverySecretSize, 0)));
  ASSERT_EQ(words.size(), kRecoveryWordCount);
  for (size_t i = 0; i + 1 < words.size(); ++i) EXPECT_EQ(words[i], "abandon");
  EXPECT_EQ(split(words_of(Bytes(kRecoverySecretSize, 0xff)))[0], "zoo");
  Bytes one(kRecoverySecretSize, 0);
  one[1] = 0x20;  // bit 10
  EXPECT_EQ(split(words_of(one))[0], "ability");
}

TEST(RecoveryWordsTest, CaseBlanksAndBeginningsDoNotMatter) {
  const Bytes secret = some_secret(5);
  std::vector<std::string> words = split(words_of(secret));
  for (std::string& word : words) {
    word.resize(std::min<size_t>(word.size(), 4));
    word[0] = static_cast<char>(word[0] - 'a' + 'A');
  }
  const std::string typed = "\n\t " + join(words, "  \r\n") + "  ";

  auto decoded = decode_recovery_words(as_bytes(typed));

  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  EXPECT_EQ(as_text(decoded->view()), as_text(secret));
}

TEST(RecoveryWordsTest, AWholeWordWinsOverALongerOne) {
  const auto act = find_recovery_word("act");
  ASSERT_TRUE(act.has_value());
  EXPECT_EQ(recovery_word_list()[*act], "act");
  EXPECT_EQ(recovery_word_list()[find_recovery_word("acti").value()], "action");
  EXPECT_EQ(find_recovery_word("ac"), std::nullopt) << "access, accident, …";
  EXPECT_EQ(find_recovery_word(""), std::nullopt);
  EXPECT_EQ(find_recovery_word("actions"), std::nullopt);
  EXPECT_EQ(find_recovery_word("zzzz"), std::nullopt);
  EXPECT_EQ(find_recovery_word(std::string(1000, 'a')), std::nullopt);
}

TEST(RecoveryWordsTest, AWrongWordIsNamedByItsNumberAndNotRepeated) {
  std::vector<std::string> words = split(words_of(some_secret(1)));
  words[6] = "qwertz";

  auto decoded = decode_recovery_words(as_bytes(join(words)));

  ASSERT_TRUE(decoded.is(Code::invalid_argument));
  EXPECT_EQ(decoded.error().message(), "recovery word 7 is not one of the list");
  EXPECT_FALSE(decoded.error().hint().empty());
}

TEST(RecoveryWordsTest, TooFewAndTooManyAreSaid) {
  std::vector<std::string> words = split(words_of(some_secret(1)));
  words.emplace_back("zoo");
  EXPECT_EQ(decode_recovery_words(as_bytes(join(words))).error().message(), "there are more than 15 recovery words");
  words.resize(14);
  EXPECT_EQ(decode_recovery_words(as_bytes(join(words))).error().message(),
            "there are 14 recovery words, and there should be 15");
  EXPECT_TRUE(decode_recovery_words({}).is(Code::invalid_argument));
}

TEST(RecoveryWordsTest, TheCheckFindsNearlyEveryOtherWord) {
  const std::vector<std::string> right = split(words_of(some_secret(9)));
  size_t passed = 0, tried = 0;
  for (size_t at = 0; at < right.size(); ++at) {
    for (size_t number = 0; number < kRecoveryListSize; number += 7) {
      std::vector<std::string> words = right;
      words[at] = recovery_word_list()[number];
      if (words == right) continue;
      ++tried;
      if (decode_recovery_words(as_bytes(join(words))).ok()) ++passed;
    }
  }
  // 5 check bits let 1 of 32 pass.
  EXPECT_LT(passed, tried / 24);
  EXPECT_GT(passed, tried / 44);
}

}  // namespace
}  // namespace tain::store
