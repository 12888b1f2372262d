// SPDX-License-Identifier: Apache-2.0
#include "sync/remote_url.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace tain::sync {
namespace {

using std::string_literals::operator""s;

/// The parsed URL, in which something may be wrong that the test then sees.
RemoteUrl parsed(const std::string& text) {
  auto url = parse_remote_url(text);
  if (url.ok()) return *std::move(url);
  ADD_FAILURE() << text << ": " << url.error().message();
  return FileUrl{};
}

/// The error that the text must give, and all that it says.
std::string refusal(const std::string& text) {
  auto url = parse_remote_url(text);
  if (url.ok()) {
    ADD_FAILURE() << text << " is taken for " << to_string(*url);
    return "";
  }
  EXPECT_EQ(url.code(), Code::usage) << text;
  EXPECT_FALSE(url.error().hint().empty()) << text;
  return url.error().message() + "; " + url.error().hint();
}

TEST(RemoteUrlTest, ADirectory) {
  EXPECT_EQ(parsed("file:///media/stick"), RemoteUrl(FileUrl{"/media/stick"}));
  EXPECT_EQ(parsed("FILE:///media/stick/"), RemoteUrl(FileUrl{"/media/stick"}));
  EXPECT_EQ(parsed("file:///with%20space/50%25/a%3Fb/%23/j:r@k"), RemoteUrl(FileUrl{"/with space/50%/a?b/#/j:r@k"}));
  EXPECT_EQ(parsed("file:///with space/\xc3\xbc"), RemoteUrl(FileUrl{"/with space/\xc3\xbc"}));
  EXPECT_EQ(parsed("file:///%C3%BC/%ff"), RemoteUrl(FileUrl{"/\xc3\xbc/\xff"}));
}

TEST(RemoteUrlTest, PercentEncodingIsUndoneOnce) {
  EXPECT_EQ(parsed("file:///a%2525/%252e%252e/%252F"), RemoteUrl(FileUrl{"/a%25/%2e%2e/%2F"}));
}

TEST(RemoteUrlTest, WebDav) {
  EXPECT_EQ(parsed("webdavs://cloud.example/remote.php/dav/files/me/tain"),
            RemoteUrl(WebDavUrl{{true, "cloud.example", 443}, "", "/remote.php/dav/files/me/tain"}));
  EXPECT_EQ(parsed("webdavs://me@Cloud.Example:8443/d/"), RemoteUrl(WebDavUrl{{true, "cloud.example", 8443}, "me", "/d"}));
  EXPECT_EQ(parsed("webdav://localhost"), RemoteUrl(WebDavUrl{{false, "localhost", 80}, "", ""}));
  EXPECT_EQ(parsed("webdav://localhost:80/"), RemoteUrl(WebDavUrl{{false, "localhost", 80}, "", ""}));
  EXPECT_EQ(parsed("webdavs://me%40home%2Fx@h/a%40b"), RemoteUrl(WebDavUrl{{true, "h", 443}, "me@home/x", "/a@b"}));
  EXPECT_EQ(parsed("webdavs://me@h/a@b"), RemoteUrl(WebDavUrl{{true, "h", 443}, "me", "/a@b"}));
  EXPECT_EQ(parsed("webdavs://DOMAIN\\me@h/x"), RemoteUrl(WebDavUrl{{true, "h", 443}, "DOMAIN\\me", "/x"}));
  EXPECT_EQ(parsed("webdavs://3par/x"), RemoteUrl(WebDavUrl{{true, "3par", 443}, "", "/x"}));
  EXPECT_EQ(parsed("webdavs://xn--bcher-kva.example/x"), RemoteUrl(WebDavUrl{{true, "xn--bcher-kva.example", 443}, "", "/x"}));
}

TEST(RemoteUrlTest, Addresses) {
  EXPECT_EQ(parsed("webdav://127.0.0.1:8080/x"), RemoteUrl(WebDavUrl{{false, "127.0.0.1", 8080}, "", "/x"}));
  EXPECT_EQ(parsed("webdavs://[2001:DB8:0:0::1]/x"), RemoteUrl(WebDavUrl{{true, "2001:db8::1", 443}, "", "/x"}));
  EXPECT_EQ(parsed("webdavs://me@[::1]:1234/x"), RemoteUrl(WebDavUrl{{true, "::1", 1234}, "me", "/x"}));
}

TEST(RemoteUrlTest, S3) {
  EXPECT_EQ(parsed("s3://bucket"), RemoteUrl(S3Url{"bucket", "", {}, ""}));
  EXPECT_EQ(parsed("s3://my.bucket-1/a/b%20c/?region=eu-central-1"), RemoteUrl(S3Url{"my.bucket-1", "a/b c", {}, "eu-central-1"}));
  EXPECT_EQ(parsed("s3://bucket/p?endpoint=https://s3.example:9000&region=auto"), RemoteUrl(S3Url{"bucket", "p", Origin{true, "s3.example", 9000}, "auto"}));
  EXPECT_EQ(parsed("s3://bucket?region=RegionOne&endpoint=http%3A%2F%2F%5B%3A%3A1%5D%3A7480%2F"), RemoteUrl(S3Url{"bucket", "", Origin{false, "::1", 7480}, "RegionOne"}));
  EXPECT_EQ(parsed("s3://bucket?endpoint=s3.example"), RemoteUrl(S3Url{"bucket", "", Origin{true, "s3.example", 443}, ""}));
}

TEST(RemoteUrlTest, OnlyAddressesOfThisMachineAreLoopback) {
  for (const char* host : {"localhost", "127.0.0.1", "127.255.0.9", "::1"}) EXPECT_TRUE((Origin{false, host, 80}).is_loopback()) << host;
  for (const char* host : {"localhost.example", "notlocalhost", "128.0.0.1", "127.0.0.1.example", "::2", "2001:db8::1", "", "127"})
    EXPECT_FALSE((Origin{false, host, 80}).is_loopback()) << host;
}

TEST(RemoteUrlTest, ARelativeDirectoryIsToldTheRightForm) {
  for (const char* text : {"file://relative", "file://./x", "file:relative", "file:/dir", "/dir", "file://localhost/dir", "file://"})
    EXPECT_NE(refusal(text).find("file:///dir"), std::string::npos) << text;
}

TEST(RemoteUrlTest, APasswordIsRefusedAndNotRepeated) {
  for (const char* text : {"webdavs://me:hunter2@host/x", "webdavs://me:hunter2:x@host", "webdavs://:hunter2@host", "webdavs://me:a@hunter2@host/x",
                           "s3://key:hunter2@bucket/x", "s3://hunter2@bucket", "s3://bucket?endpoint=https://key:hunter2@host",
                           "webdavs://me%3Ahunter2@host/x"}) {
    const std::string said = refusal(text);
    EXPECT_NE(said.find("the password is asked for"), std::string::npos) << text << ": " << said;
    EXPECT_EQ(said.find("hunter2"), std::string::npos) << said;
  }
}

TEST(RemoteUrlTest, APasswordThatTheSyntaxHidesIsNotRepeatedEither) {
  for (const char* text : {"webdavs://me:1/hunter2@host/x", "webdavs://me:hunter2/1@host/x", "webdavs://me:hunter2", "webdavs://me:hunter2#@host",
                           "webdavs://me:?hunter2@host", "s3://bucket?secret=hunter2", "s3://bucket?endpoint=x&hunter2=1", "s3://bucket?password=hunter2",
                           "https://me:hunter2@host", "hunter2", "hunter2://x", "webdavs://host?password=hunter2", "file://me:hunter2@host/x",
                           "webdavs://me@ho%st:hunter2/"})
    EXPECT_EQ(refusal(text).find("hunter2"), std::string::npos) << text;
}

TEST(RemoteUrlTest, NothingElseIsAUrl) {
  const std::string long_name(256, 'a');
  for (const std::string& text :
       {""s, ":"s, "://"s, "file"s, "file:"s, "file:///"s, "file:////"s, "file:////x"s, "file:///a//b"s, "file:///a/../b"s, "file:///a/./b"s, "file:///.."s,
        "file:///a/%2e%2e/b"s, "file:///a/%2E"s, "file:///a%2fb"s, "file:///a%00b"s, "file:///a\0b"s, "file:///a\nb"s, "file:///a%0ab"s, "file:///a%7f"s,
        "file:///a%"s, "file:///a%4"s, "file:///a%zz"s, "file:///a%+1"s, "file:///a?x"s, "file:///a#x"s, "file:///" + long_name, "ftp://host/x"s,
        "sftp://host/x"s, "http://host/x"s, "davs://host/x"s, " file:///x"s, "webdavs://"s, "webdavs:///x"s, "webdavs://@host/x"s, "webdavs://me@/x"s,
        "webdavs://host:/x"s, "webdavs://host:0/x"s, "webdavs://host:65536/x"s, "webdavs://host:-1/x"s, "webdavs://host:+1/x"s, "webdavs://host:99999999999999999999/x"s,
        "webdavs://host:1a/x"s, "webdavs://host: 1/x"s, "webdavs://ho st/x"s, "webdavs://-host/x"s, "webdavs://host-/x"s, "webdavs://host./x"s,
        "webdavs://.host/x"s, "webdavs://ho..st/x"s, "webdavs://h%6fst/x"s, "webdavs://b\xc3\xbc" "cher.example/x"s, "webdavs://" + std::string(64, 'a') + "/x",
        "webdavs://127.1/x"s, "webdavs://2130706433/x"s, "webdavs://0177.0.0.1/x"s, "webdavs://0x7f.1/x"s, "webdavs://0x7f000001/x"s, "webdavs://1.2.3.4.5/x"s,
        "webdavs://256.1.1.1/x"s, "webdavs://::1/x"s, "webdavs://[::1/x"s, "webdavs://[]/x"s, "webdavs://[::1]x/x"s, "webdavs://[127.0.0.1]/x"s,
        "webdavs://[fe80::1%25eth0]/x"s, "webdavs://[:::]/x"s, "webdavs://host/a/../b"s, "webdavs://host//a"s, "webdavs://host/a?b=c"s, "webdavs://host/a#b"s,
        "webdavs://host?x"s, "webdavs://host,evil/x"s, "webdavs://a\tb/x"s, "s3://"s, "s3:///x"s, "s3://ab"s,
        "s3://" + std::string(64, 'b'), "s3://-bucket"s, "s3://bucket."s, "s3://buc..ket"s, "s3://buc%6bet"s, "s3://bucket:443/x"s, "s3://bucket/a/../b"s,
        "s3://bucket//a"s, "s3://bucket?"s, "s3://bucket?x=1"s, "s3://bucket?endpoint"s, "s3://bucket?endpoint="s, "s3://bucket?region="s,
        "s3://bucket?region=a&region=b"s, "s3://bucket?region=a&"s, "s3://bucket?region=a/b"s, "s3://bucket?region=a%0d%0ab"s,
        "s3://bucket?endpoint=h&endpoint=h"s, "s3://bucket?endpoint=ftp://h"s, "s3://bucket?endpoint=https://h/path"s, "s3://bucket?endpoint=https://h?x"s,
        "s3://bucket?endpoint=https%253A%252F%252Fh"s, "s3://bucket?ENDPOINT=h"s, "s3://bucket?region=" + std::string(65, 'r')})
    refusal(text);
}

TEST(RemoteUrlTest, ItsLengthHasABoundAlsoWhenItIsEncoded) {
  std::string path = "file://";
  while (path.size() + 101 < kRemoteUrlMax) path += "/" + std::string(100, 'a');
  EXPECT_EQ(to_string(parsed(path)), path);

  refusal(path + "/" + std::string(101, 'a'));
  refusal("file:///" + std::string(1, 'a') + std::string(4096, '/'));
  std::string umlauts = "file://";
  while (umlauts.size() < 2000) umlauts += "/" + std::string(100, '\xfc');
  refusal(umlauts);
}

TEST(RemoteUrlTest, WhatIsWrittenIsReadBack) {
  for (const RemoteUrl& url : std::vector<RemoteUrl>{
           FileUrl{"/media/stick"}, FileUrl{"/a b/%41/?#/@:&=+/\xc3\xbc\xff~"}, WebDavUrl{{true, "h", 443}, "", ""}, WebDavUrl{{false, "h", 443}, "", ""},
           WebDavUrl{{true, "h", 80}, "m/e@%41?#", "/a@b/c:d?e#f/%2e%2e"}, WebDavUrl{{false, "2001:db8::1", 8080}, "me", "/x"},
           WebDavUrl{{true, "192.0.2.1", 1}, "", "/x"}, S3Url{"bucket", "", {}, ""}, S3Url{"Bucket_1", "a/b c/&=", {}, "auto"},
           S3Url{"bucket", "", Origin{false, "::1", 80}, ""}, S3Url{"bucket", "p", Origin{true, "h.example", 9000}, "us-east-1"}}) {
    EXPECT_EQ(parsed(to_string(url)), url) << to_string(url);
    EXPECT_EQ(to_string(parsed(to_string(url))), to_string(url));
  }
  EXPECT_EQ(to_string(FileUrl{"/a b"}), "file:///a%20b");
  EXPECT_EQ(to_string(WebDavUrl{{true, "::1", 8443}, "me", "/x"}), "webdavs://me@[::1]:8443/x");
  EXPECT_EQ(to_string(S3Url{"bucket", "p", Origin{true, "h", 443}, "auto"}), "s3://bucket/p?endpoint=https://h&region=auto");
}

TEST(RemoteUrlTest, WhateverIsAcceptedIsReadBackAndHasNoControlCharacter) {
  std::mt19937_64 random(20261129);
  const std::vector<std::string> seeds{"file:///media/stick", "webdavs://me@host.example:8443/a/b%20c", "webdav://[::1]:80/x",
                                       "s3://bucket/a/b?endpoint=https://h:1&region=auto"};
  const std::string alphabet = "/:@?#[]%&=.-_ 0aZ\\\n\x7f\xc3\xbc,;";
  int accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text = seeds[random() % seeds.size()];
    for (uint64_t changes = 1 + random() % 3; changes > 0; --changes) {
      const size_t at = random() % text.size();
      const char c = alphabet[random() % alphabet.size()];
      if (random() % 3 == 0) text.erase(at, 1 + random() % 4);
      else if (random() % 2 == 0) text.insert(at, 1, c);
      else text[at] = c;
      if (text.empty()) text = "x";
    }
    auto url = parse_remote_url(text);
    if (!url.ok()) continue;
    ++accepted;
    const std::string own = to_string(*url);
    auto again = parse_remote_url(own);
    ASSERT_TRUE(again.ok()) << text << " became " << own;
    ASSERT_TRUE(*again == *url) << text << " became " << own;
    for (const char c : own) ASSERT_TRUE(c > 0x20 && c < 0x7f) << text;
  }
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace tain::sync
