// SPDX-License-Identifier: Apache-2.0
// Which keys a survey may have missed.
#include "store/survey.h"

#include <gtest/gtest.h>

namespace tain::store {
namespace {

TEST(SurveyTest, KeysInAnyLostRangeMayBeLostAndNoOthers) {
  const auto key = [](uint64_t ino) { return encode_key(Table::inodes, {ino, 0}); };
  Survey survey;
  survey.snapshot = Snapshot();
  // Out of order, one inside another, two that touch, one of another table, one without an end.
  survey.lost = {{Table::inodes, {key(50), key(60)}, 1},  {Table::inodes, {key(10), key(40)}, 2},
                 {Table::inodes, {key(20), key(30)}, 3},  {Table::inodes, {key(60), key(70)}, 4},
                 {Table::orphans, {key(45), key(46)}, 5}, {Table::inodes, {key(90), {}}, 6}};
  survey.index_lost();

  for (uint64_t ino = 1; ino < 120; ++ino) {
    const bool wanted = (ino >= 10 && ino < 40) || (ino >= 50 && ino < 70) || ino >= 90;
    EXPECT_EQ(survey.may_have_lost(Table::inodes, {ino, 0}), wanted) << ino;
  }
  EXPECT_TRUE(survey.may_have_lost(Table::orphans, {45, 0}));
  EXPECT_FALSE(survey.may_have_lost(Table::orphans, {50, 0}));
  survey.snapshot.reset();
  EXPECT_TRUE(survey.may_have_lost(Table::inodes, {1, 0})) << "nothing is known of any table";
}

TEST(SurveyTest, ARangeWithoutABeginningHasTheFirstKey) {
  Survey survey;
  survey.snapshot = Snapshot();
  survey.lost = {{Table::inodes, {{}, encode_key(Table::inodes, {5, 0})}, 1}};
  survey.index_lost();

  EXPECT_TRUE(survey.may_have_lost(Table::inodes, {1, 0}));
  EXPECT_FALSE(survey.may_have_lost(Table::inodes, {5, 0}));
}

}  // namespace
}  // namespace tain::store
