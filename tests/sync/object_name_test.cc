// SPDX-License-Identifier: Apache-2.0
#include "sync/object_name.h"

#include <gtest/gtest.h>

#include <string>

#include "base/secret.h"

namespace tain::sync {
namespace {

Id32 counting() {
  Id32 out{};
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(i);
  return out;
}

// Computed with another program: python3 -c 'import base64; print(base64.b32encode(bytes(range(32))).decode().lower().rstrip("="))'
constexpr const char* kCounting = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq";

TEST(ObjectNameTest, Base32IsThatOfTheRfc) {
  EXPECT_EQ(base32(counting()), kCounting);
  EXPECT_EQ(base32(Id32{}), std::string(52, 'a'));
  EXPECT_EQ(parse_base32(kCounting), counting());
}

TEST(ObjectNameTest, PathsAreShardedOnlyWhereThereAreMany) {
  EXPECT_EQ((ObjectName{ObjectFolder::headers, counting()}).path(), std::string("k/") + kCounting);
  EXPECT_EQ((ObjectName{ObjectFolder::announcements, counting()}).path(), std::string("w/") + kCounting);
  EXPECT_EQ((ObjectName{ObjectFolder::objects, counting()}).path(), std::string("o/aa/") + kCounting);
}

TEST(ObjectNameTest, EveryNameIsReadBack) {
  for (const ObjectFolder folder : {ObjectFolder::headers, ObjectFolder::announcements, ObjectFolder::objects}) {
    for (int i = 0; i < 200; ++i) {
      ObjectName name{folder, {}};
      fill_random(name.id);

      EXPECT_EQ(ObjectName::parse(name.path()), name);
    }
  }
}

TEST(ObjectNameTest, NothingElseIsAName) {
  const std::string good = kCounting;
  for (const std::string& bad :
       {std::string(), std::string("k"), std::string("k/"), "x/" + good, good, "/k/" + good, "k//" + good, "k/" + good + "/",
        "k/" + good + "a", "k/" + good.substr(1), "K/" + good, "o/" + good, "o/ab/" + good, "o/aa" + good, "o/aa//" + good.substr(1),
        "o/aa/../" + good.substr(0, 49), "k/../" + good.substr(0, 49), "k/" + std::string(good).replace(0, 1, "A"),
        "k/" + std::string(good).replace(0, 1, "1"), "k/" + std::string(good).replace(3, 1, 1, '\0'),
        // The last character carries one bit: another one in its place would be a second name of the same object.
        "k/" + std::string(good).replace(51, 1, "b"), "k/" + std::string(good).replace(51, 1, "r"), "k/" + std::string(52, '=')})
    EXPECT_EQ(ObjectName::parse(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace tain::sync
