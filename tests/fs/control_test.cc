// SPDX-License-Identifier: Apache-2.0
#include "fs/control.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vector>

#include "tests/support/temp_directory.h"

namespace tain::fs {
namespace {

using nlohmann::json;

constexpr int kTimeoutMs = 10'000;

class ControlTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = ControlServer::start(path_, [this](const json& request) -> json {
      if (request.value("op", json()) == "echo") return {{"ok", true}, {"value", request["value"]}};
      if (request.value("op", json()) == "bad-bytes") return {{"ok", true}, {"path", "\xff"}};
      if (request.value("op", json()) == "big") return {{"ok", true}, {"value", std::string(60'000, 'x')}};
      (void)request.at("op").get<std::string>();  // throws for a number
      return reply_for(failure_);
    });
    ASSERT_TRUE(started.ok()) << started.error().message();
    server_ = std::move(started).value();
  }

  ControlClient client() {
    auto connected = ControlClient::connect(path_, ::getuid());
    EXPECT_TRUE(connected.ok()) << connected.error().message();
    return std::move(connected).value();
  }

  /// A connection that sends what it likes.
  UniqueFd raw_connection() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval timeout{kTimeoutMs / 1000, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    return fd;
  }

  /// Everything up to the end of the connection.
  static std::string drain(int fd) {
    std::string text;
    char buffer[4096];
    ssize_t n = 0;
    while ((n = ::recv(fd, buffer, sizeof buffer, 0)) > 0) text.append(buffer, static_cast<size_t>(n));
    EXPECT_TRUE(n == 0 || errno == ECONNRESET) << "the server did not close the connection";
    return text;
  }

  void expect_serving() {
    auto reply = client().request({{"op", "echo"}, {"value", 42}}, kTimeoutMs);
    ASSERT_TRUE(reply.ok()) << reply.error().message();
    EXPECT_EQ((*reply)["value"], 42);
  }

  test::TempDirectory directory_;
  std::string path_ = directory_.path("vault.sock");
  Error failure_ = Error(Code::no_space, "disk full").hint("free some");
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlTest, AnswersAndNamesItsProcess) {
  ControlClient one = client();

  expect_serving();
  EXPECT_EQ(one.pid(), ::getpid());
}

TEST_F(ControlTest, AnErrorCrossesTheSocketWhole) {
  auto reply = client().request({{"op", "sync"}}, kTimeoutMs);

  ASSERT_TRUE(reply.is(Code::no_space));
  EXPECT_EQ(reply.error().message(), "disk full");
  EXPECT_EQ(reply.error().hint(), "free some");
}

TEST_F(ControlTest, OnlyTheOwnerCanOpenTheSocket) {
  struct stat st {};

  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(ControlTest, ReplacesTheSocketOfADeadProcess) {
  auto second = ControlServer::start(path_, [](const json&) -> json { return {{"ok", true}, {"value", 42}}; });

  ASSERT_TRUE(second.ok());
  expect_serving();
}

TEST_F(ControlTest, GarbageIsAnsweredAndTheConnectionGoesOn) {
  UniqueFd fd = raw_connection();
  const std::string lines = "\n{\n[1]\n\"op\"\n\xff\xfe\n{\"op\":7}\n{\"op\":{\"op\":[]}}\n" + std::string(30'000, '[') + "\n";

  ASSERT_EQ(::send(fd.get(), lines.data(), lines.size(), MSG_NOSIGNAL), static_cast<ssize_t>(lines.size()));
  ::shutdown(fd.get(), SHUT_WR);

  const std::string replies = drain(fd.get());
  EXPECT_EQ(std::count(replies.begin(), replies.end(), '\n'), 8);
  EXPECT_EQ(replies.find("\"ok\":true"), std::string::npos);
  expect_serving();
}

TEST_F(ControlTest, ALineOverTheLimitEndsTheConnection) {
  UniqueFd fd = raw_connection();
  const std::string endless(kControlLineMax + 4096, 'a');

  (void)::send(fd.get(), endless.data(), endless.size(), MSG_NOSIGNAL);

  EXPECT_EQ(drain(fd.get()), "");
  expect_serving();
}

TEST_F(ControlTest, AClientThatNeverReadsIsDropped) {
  UniqueFd fd = raw_connection();
  const std::string line = "{\"op\":\"big\"}\n";

  // Until the server gives up on us; a server that buffers without bound would let this go on.
  int sent = 0;
  while (sent < 1000 && ::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) > 0) ++sent;

  EXPECT_LT(sent, 1000);
  expect_serving();
}

TEST_F(ControlTest, SilentClientsDoNotKeepOthersOut) {
  std::vector<UniqueFd> silent;
  for (size_t i = 0; i < 2 * kControlConnectionsMax; ++i) silent.push_back(raw_connection());

  expect_serving();
}

TEST_F(ControlTest, BytesThatAreNotUtf8AreReplaced) {
  auto reply = client().request({{"op", "bad-bytes"}}, kTimeoutMs);

  ASSERT_TRUE(reply.ok());
  EXPECT_EQ((*reply)["path"], "\xEF\xBF\xBD");
}

TEST_F(ControlTest, WaitersLearnHowTheLastCommitWent) {
  ControlClient good = client();
  ASSERT_TRUE(good.request({{"op", "wait_closed"}}, kTimeoutMs).ok());

  server_->finish(Error(Code::io, "flush failed"));

  auto event = good.next_line(kTimeoutMs);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ((*event)["event"], "closed");
  EXPECT_TRUE(error_in_reply(*event).is(Code::io));
  EXPECT_FALSE(ControlClient::connect(path_, ::getuid()).ok());
  server_.reset();
  EXPECT_FALSE(good.next_line(kTimeoutMs).ok());
}

TEST_F(ControlTest, AClientRefusesTheServerOfAStranger) {
  if (::getuid() == 0) GTEST_SKIP() << "a server of root is trusted by everybody";

  EXPECT_TRUE(ControlClient::connect(path_, ::getuid() + 1).is(Code::access_denied));
}

TEST(ControlPathTest, ATooLongPathIsAnErrorAndNotCut) {
  const std::string path = "/tmp/" + std::string(200, 'a');

  EXPECT_TRUE(ControlServer::start(path, [](const json&) { return json(); }).is(Code::name_too_long));
  EXPECT_TRUE(ControlClient::connect(path, 0).is(Code::name_too_long));
}

}  // namespace
}  // namespace tain::fs
