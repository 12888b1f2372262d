// SPDX-License-Identifier: Apache-2.0
#include "sync/remote_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace tain::sync {

namespace {

constexpr size_t kPathNameMax = 255;   // bytes of a name in a path
constexpr size_t kHostMax = 253;       // RFC 1035
constexpr size_t kHostLabelMax = 63;   // of a host's name
constexpr size_t kUserMax = 255;
constexpr size_t kBucketMin = 3;
constexpr size_t kBucketMax = 63;
constexpr size_t kRegionMax = 64;
constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kHttpsPort = 443;

constexpr const char* kFileForm = "file:///dir: three slashes, the directory from the root on";
constexpr const char* kWebDavForm = "webdavs://user@host/path, or webdav:// without TLS";
constexpr const char* kS3Form = "s3://bucket/prefix?endpoint=https://host&region=name";
constexpr const char* kAllForms = "file:///dir, webdavs://user@host/path or s3://bucket/prefix?endpoint=https://host";
constexpr const char* kCredentials = "leave it out: a URL is stored and shown; the password is asked for, or comes from a file or a command";

Error bad(const std::string& what, const char* hint) { return Error(Code::usage, "remote's URL: " + what).hint(hint); }

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kAlphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool is_alphanumeric(char c) { return kAlphanumeric.find(c) != std::string_view::npos; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool has_control(std::string_view text) { return std::any_of(text.begin(), text.end(), is_control); }

/// Whether all characters are letters, digits or in `others`.
bool consists_of(std::string_view text, std::string_view others) {
  return std::all_of(text.begin(), text.end(), [&](char c) { return is_alphanumeric(c) || others.find(c) != std::string_view::npos; });
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

/// Undoes percent-encoding, once; nothing if a % is not followed by two hexadecimal digits, or hides a control character.
std::optional<std::string> decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto byte = from_hex(text.substr(i + 1, 2));
    if (!byte.has_value() || byte->size() != 1) return std::nullopt;
    out += static_cast<char>((*byte)[0]);
    i += 2;
  }
  if (has_control(out)) return std::nullopt;
  return out;
}

std::string encode(std::string_view text, std::string_view also_plain = "") {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_alphanumeric(c) || std::string_view("-._~").find(c) != std::string_view::npos || also_plain.find(c) != std::string_view::npos) out += c;
    else ((out += '%') += kHex[byte >> 4]) += kHex[byte & 15];
  }
  return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

/// "/a/b/" as "/a/b", decoded; "" for nothing and "/".
Result<std::string> parse_path(std::string_view text, const char* form) {
  if (text.ends_with('/')) text.remove_suffix(1);
  if (text.empty()) return std::string();
  std::string out;
  for (const std::string_view part : split(text.substr(1), '/')) {
    const auto name = decode(part);
    if (!name.has_value()) return bad("a % that encodes nothing, or a control character", form);
    if (name->empty()) return bad("two slashes in a row in its path", form);
    if (*name == "." || *name == "..") return bad(". and .. are not allowed in its path", form);
    if (name->find('/') != std::string::npos) return bad("an encoded slash in its path", form);
    if (name->size() > kPathNameMax) return bad("a name of more than 255 bytes in its path", form);
    (out += '/') += *name;
  }
  return out;
}

/// The one text of an address that the system's parser takes; nothing if it does not.
template <class Address>
std::optional<std::string> canonical_address(int family, const std::string& text) {
  Address address{};
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (::inet_pton(family, text.c_str(), &address) != 1) return std::nullopt;
  if (::inet_ntop(family, &address, out.data(), out.size()) == nullptr) return std::nullopt;
  return std::string(out.data());
}

Result<std::string> parse_host_name(std::string_view text, const char* form) {
  std::string host = lower_case(text);
  if (host.empty()) return bad("no host", form);
  if (host.size() > kHostMax) return bad("a host of more than 253 characters", form);
  const auto labels = split(host, '.');
  for (const std::string_view label : labels)
    if (label.empty() || label.size() > kHostLabelMax || !consists_of(label, "-_") || label.front() == '-' || label.back() == '-')
      return bad("no name of a host (one with other letters is written as xn--…)", form);
  // What ends in a number is an address, and not every program reads 0177.1 or 0x7f.1 alike.
  const std::string_view last = labels.back();
  if (last.starts_with("0x") || std::ranges::all_of(last, [](char c) { return kDigits.find(c) != std::string_view::npos; })) {
    auto address = canonical_address<in_addr>(AF_INET, host);
    if (!address.has_value()) return bad("no address of a host: four numbers, as in 192.0.2.1", form);
    return *std::move(address);
  }
  return host;
}

/// "host", "host:port", "[address]:port".
Result<Origin> parse_origin(std::string_view text, bool is_tls, const char* form) {
  Origin origin{is_tls, "", is_tls ? kHttpsPort : kHttpPort};
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return bad("a [ without a ]", form);
    auto address = canonical_address<in6_addr>(AF_INET6, std::string(text.substr(1, end - 1)));
    if (!address.has_value() || text.substr(1, end - 1).find('\0') != std::string_view::npos) return bad("no IPv6 address in the brackets", form);
    origin.host = *std::move(address);
    port = text.substr(end + 1);
    if (!port.empty() && port.front() != ':') return bad("something after the ]", form);
  } else {
    const size_t colon = text.find(':');
    if (colon != text.rfind(':')) return bad("an IPv6 address belongs into brackets, as in [2001:db8::1]", form);
    origin.host = TRY(parse_host_name(text.substr(0, colon), form));
    if (colon != std::string_view::npos) port = text.substr(colon);
  }
  if (port.empty()) return origin;
  port.remove_prefix(1);
  uint32_t number = 0;
  for (const char c : port.substr(0, 6)) {
    if (kDigits.find(c) == std::string_view::npos) return bad("no number of a port", form);
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  if (port.size() > 5 || number == 0 || number > UINT16_MAX) return bad("no number of a port: 1 to 65535", form);
  origin.port = static_cast<uint16_t>(number);
  return origin;
}

Result<RemoteUrl> parse_file(std::string_view rest) {
  if (!rest.starts_with('/')) return bad("its directory is not absolute, or on another host", kFileForm);
  if (rest.find('?') != std::string_view::npos) return bad("a ? in a name is written %3F", kFileForm);
  std::string directory = TRY(parse_path(rest, kFileForm));
  if (directory.empty()) return bad("no directory", kFileForm);
  return RemoteUrl(FileUrl{std::move(directory)});
}

Result<RemoteUrl> parse_webdav(std::string_view rest, bool is_tls) {
  if (rest.find('?') != std::string_view::npos) return bad("WebDAV has no parameters; a ? in a name is written %3F", kWebDavForm);
  std::string_view authority = rest.substr(0, rest.find('/'));
  const std::string_view path = rest.substr(authority.size());
  WebDavUrl url;
  // The last @: one in a password must not make the password's end a host to ask for.
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = authority.substr(0, at);
    authority.remove_prefix(at + 1);
    if (user.find(':') != std::string_view::npos) return bad("it holds a password", kCredentials);
    if (user.find('@') != std::string_view::npos) return bad("an @ in a name is written %40", kWebDavForm);
    const auto decoded = decode(user);
    if (!decoded.has_value()) return bad("a % that encodes nothing, or a control character", kWebDavForm);
    if (decoded->empty()) return bad("nothing before the @", kWebDavForm);
    if (decoded->size() > kUserMax) return bad("a user of more than 255 bytes", kWebDavForm);
    // HTTP takes what follows a colon for the password.
    if (decoded->find(':') != std::string::npos) return bad("a colon in the user", kCredentials);
    url.user = *decoded;
  } else if (path.find('@') != std::string_view::npos) {
    // A password with a slash in it would have been cut there.
    return bad("an @ after its host is written %40", kWebDavForm);
  }
  url.origin = TRY(parse_origin(authority, is_tls, kWebDavForm));
  url.path = TRY(parse_path(path, kWebDavForm));
  return RemoteUrl(std::move(url));
}

Result<Origin> parse_endpoint(std::string_view text) {
  bool is_tls = true;
  if (const size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    const std::string name = lower_case(text.substr(0, scheme));
    if (name != "https" && name != "http") return bad("its endpoint is neither https:// nor http://", kS3Form);
    is_tls = name == "https";
    text.remove_prefix(scheme + 3);
  }
  if (text.find('@') != std::string_view::npos) return bad("its endpoint holds credentials", kCredentials);
  if (text.ends_with('/')) text.remove_suffix(1);
  if (text.find('/') != std::string_view::npos) return bad("its endpoint has a path", kS3Form);
  return parse_origin(text, is_tls, kS3Form);
}

Result<> parse_s3_parameters(std::string_view query, S3Url& url) {
  bool has_region = false;
  for (const std::string_view parameter : split(query, '&')) {
    const size_t equals = parameter.find('=');
    const std::string_view name = parameter.substr(0, equals);
    if (name != "endpoint" && name != "region") return bad("an unknown parameter: there are endpoint and region; keys and tokens do not belong there", kS3Form);
    if (equals == std::string_view::npos) return bad("a parameter without a value", kS3Form);
    const auto value = decode(parameter.substr(equals + 1));
    if (!value.has_value()) return bad("a % that encodes nothing, or a control character", kS3Form);
    if (name == "endpoint") {
      if (url.endpoint.has_value()) return bad("two endpoints", kS3Form);
      url.endpoint = TRY(parse_endpoint(*value));
    } else {
      if (std::exchange(has_region, true)) return bad("two regions", kS3Form);
      if (value->empty() || value->size() > kRegionMax || !consists_of(*value, "-_")) return bad("no name of a region", kS3Form);
      url.region = *value;
    }
  }
  return {};
}

Result<RemoteUrl> parse_s3(std::string_view rest) {
  const size_t question = rest.find('?');
  const std::string_view place = rest.substr(0, question);
  const std::string_view bucket = place.substr(0, place.find('/'));
  S3Url url;
  if (bucket.find('@') != std::string_view::npos) return bad("it holds credentials", kCredentials);
  // Older buckets have capitals and underscores, too.
  if (bucket.size() < kBucketMin || bucket.size() > kBucketMax || !consists_of(bucket, "-._") || !is_alphanumeric(bucket.front()) ||
      !is_alphanumeric(bucket.back()) || bucket.find("..") != std::string_view::npos) {
    return bad("no name of a bucket: 3 to 63 letters, digits, dots and hyphens", kS3Form);
  }
  url.bucket = bucket;
  url.prefix = TRY(parse_path(place.substr(bucket.size()), kS3Form));
  if (!url.prefix.empty()) url.prefix.erase(0, 1);
  if (question != std::string_view::npos) TRY(parse_s3_parameters(rest.substr(question + 1), url));
  return RemoteUrl(std::move(url));
}

std::string text_of(const Origin& origin) {
  std::string out = origin.host.find(':') == std::string::npos ? origin.host : "[" + origin.host + "]";
  if (origin.port != (origin.is_tls ? kHttpsPort : kHttpPort)) out += ":" + std::to_string(origin.port);
  return out;
}

struct UrlText {
  std::string operator()(const FileUrl& url) const { return "file://" + encode(url.directory, "/"); }
  std::string operator()(const WebDavUrl& url) const {
    return std::string(url.origin.is_tls ? "webdavs://" : "webdav://") + (url.user.empty() ? "" : encode(url.user) + "@") + text_of(url.origin) +
           encode(url.path, "/");
  }
  std::string operator()(const S3Url& url) const {
    std::string out = "s3://" + url.bucket + (url.prefix.empty() ? "" : "/" + encode(url.prefix, "/"));
    char separator = '?';
    if (url.endpoint.has_value()) {
      ((out += separator) += "endpoint=") += (url.endpoint->is_tls ? "https://" : "http://") + text_of(*url.endpoint);
      separator = '&';
    }
    if (!url.region.empty()) ((out += separator) += "region=") += url.region;
    return out;
  }
};

Result<RemoteUrl> parse_any(std::string_view url) {
  if (has_control(url)) return bad("it has a control character", kAllForms);
  const size_t colon = url.find(':');
  const std::string scheme = lower_case(url.substr(0, colon));
  if (colon == std::string_view::npos || url.substr(colon, 3) != "://") {
    return bad("it does not begin with what it is, as in file://", scheme == "file" || url.starts_with('/') ? kFileForm : kAllForms);
  }
  const std::string_view rest = url.substr(colon + 3);
  if (rest.find('#') != std::string_view::npos) return bad("a # in a name is written %23", kAllForms);
  if (scheme == "file") return parse_file(rest);
  if (scheme == "webdavs" || scheme == "webdav") return parse_webdav(rest, scheme == "webdavs");
  if (scheme == "s3") return parse_s3(rest);
  if (scheme == "https" || scheme == "http" || scheme == "dav" || scheme == "davs") return bad("WebDAV has another beginning", kWebDavForm);
  return bad("tain knows no such kind of remote", kAllForms);
}

}  // namespace

bool Origin::is_loopback() const {
  if (host == "localhost" || host == "::1") return true;
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

Result<RemoteUrl> parse_remote_url(std::string_view url) {
  if (url.size() > kRemoteUrlMax) return bad("longer than 4096 bytes", kAllForms);
  RemoteUrl parsed = TRY(parse_any(url));
  // Its own form may be longer, as that encodes more; and it must be readable, too.
  if (to_string(parsed).size() > kRemoteUrlMax) return bad("longer than 4096 bytes when it is encoded", kAllForms);
  return parsed;
}

std::string to_string(const RemoteUrl& url) { return std::visit(UrlText(), url); }

}  // namespace tain::sync
