// SPDX-License-Identifier: Apache-2.0
#include "fs/compact_request.h"

#include <gtest/gtest.h>

#include "tests/support/temp_vault.h"

namespace tain::fs {
namespace {

using nlohmann::json;

TEST(CompactRequestTest, AStepAndItsReplyGoTogether) {
  test::TempVault vault;
  const Ino file = vault.make_file(kRootIno, "file");
  vault.write(file, 0, std::string(1 << 20, 'x'));
  ASSERT_TRUE(vault.vault().sync().ok());
  ASSERT_TRUE(vault.tree().unlink(kRootIno, "file").ok());
  ASSERT_TRUE(vault.tree().reap(file).ok());

  uint64_t returned = 0;
  json request = {{"op", "compact"}};
  for (;;) {
    const json reply = answer_compact(vault.vault(), json::parse(request.dump()));
    ASSERT_EQ(reply["ok"], true) << reply;
    const store::CompactStep step = compact_step_in(reply).value();
    returned += step.returned_bytes;
    if (step.next == 0) break;
    request["from"] = step.next;
  }
  EXPECT_GE(returned, uint64_t{1} << 20);
}

TEST(CompactRequestTest, WhatIsNoPageIsRefused) {
  test::TempVault vault;
  for (const char* from : {"-1", "\"2\"", "1.5", "null", "[]"}) {
    const json reply = answer_compact(vault.vault(), json::parse(std::string(R"({"from":)") + from + "}"));
    EXPECT_EQ(reply["ok"], false) << from;
    EXPECT_EQ(reply["code"], "bad_request") << from;
  }
}

TEST(CompactRequestTest, ErrorsCrossWithTheirHint) {
  test::TempVault vault({.read_only = true});
  const json reply = answer_compact(vault.vault(), json::object());
  EXPECT_EQ(reply["code"], "read_only");
  EXPECT_TRUE(reply.contains("hint"));
}

TEST(CompactRequestTest, AReplyThatSaysSomethingElseIsAnError) {
  for (const char* reply : {R"({"ok":true})", R"({"last_page":"3","returned_bytes":0})", R"({"last_page":3})"})
    EXPECT_TRUE(compact_step_in(json::parse(reply)).is(Code::io)) << reply;
  EXPECT_EQ(compact_step_in(json::parse(R"({"last_page":3,"returned_bytes":5,"next":2})")).value().next, 2u);
}

}  // namespace
}  // namespace tain::fs
