// SPDX-License-Identifier: Apache-2.0
// Where a remote is, as people write it:
//
//     file:///dir                                  a directory
//     webdavs://user@host:port/path                WebDAV over TLS; webdav:// without
//     s3://bucket/prefix?endpoint=…&region=…       S3; without an endpoint, that of AWS
//
// A URL holds no secret: it is stored, shown and logged. One with a password in it is refused, and no message repeats any part
// of a URL, as the part may be the password. Percent-encoding is undone once, after the URL is cut into its parts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace tain::sync {

inline constexpr size_t kRemoteUrlMax = 4096;  // bytes

/// A server: what credentials and connections belong to.
struct Origin {
  bool is_tls = true;
  std::string host;    // a name in lower case, or an address; IPv6 without brackets
  uint16_t port = 443;
  bool operator==(const Origin&) const = default;

  /// Whether nothing leaves this machine on the way there, as far as the host says.
  bool is_loopback() const;
};

struct FileUrl {
  std::string directory;  // absolute
  bool operator==(const FileUrl&) const = default;
};

struct WebDavUrl {
  Origin origin;
  std::string user;  // empty: comes with the password
  std::string path;  // decoded; "" or "/a/b"
  bool operator==(const WebDavUrl&) const = default;
};

struct S3Url {
  std::string bucket;
  std::string prefix;              // decoded; "" or "a/b"
  std::optional<Origin> endpoint;  // none: that of AWS for the region
  std::string region;              // empty: the endpoint's default
  bool operator==(const S3Url&) const = default;
};

using RemoteUrl = std::variant<FileUrl, WebDavUrl, S3Url>;

/// Any bytes may come in. Errors: usage, with the right form as the hint.
Result<RemoteUrl> parse_remote_url(std::string_view url);
/// The one form in which it is stored and compared; parse_remote_url() reads it back.
std::string to_string(const RemoteUrl& url);

}  // namespace tain::sync
