// SPDX-License-Identifier: Apache-2.0
// The control socket of a mounted vault: one JSON object a line, both ways (docs/control-socket.md).
//
// The socket lies in a directory of its owner's only, has mode 0600, and every peer is asked for its user
// id. The server has one thread and its own buffers, so a slow or hostile client can hold up other
// clients at most, never the mount.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace tain::fs {

inline constexpr size_t kControlLineMax = 64 * 1024;  // bytes, with the newline
inline constexpr size_t kControlConnectionsMax = 16;
inline constexpr size_t kReplyItemsMax = 400;  // of a list; the rest comes with the next request

/// {"ok":true} or {"ok":false,"code":…,"error":…,"hint":…}.
nlohmann::json reply_for(const Result<>& outcome);
/// The error that a reply speaks of, if any.
Result<> error_in_reply(const nlohmann::json& reply);
/// One line of the protocol. Bytes that are not UTF-8 become U+FFFD.
std::string to_line(const nlohmann::json& object);

/// Answers requests until stop() or destruction.
class ControlServer {
 public:
  /// Answers one request (a JSON object). Runs on the server's thread.
  using Handler = std::function<nlohmann::json(const nlohmann::json& request)>;

  /// Listens at `path`, replacing a socket that a dead process left: the caller holds the vault's lock.
  /// Blocks all signals in its thread. Errors: name_too_long, io, …
  static Result<std::unique_ptr<ControlServer>> start(const std::string& path, Handler handler);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// No more requests. After it returns the handler is not running and will not run.
  void stop();
  /// The end: tells the clients that asked "wait_closed" how the last commit went. Their connections stay
  /// open until this object or the process ends, so that they can see that too. Stops first.
  void finish(const Result<>& outcome);

 private:
  struct Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A client's connection.
class ControlClient {
 public:
  /// Refuses a server that is neither `owner`'s nor root's. Errors: not_found, access_denied, io, …
  static Result<ControlClient> connect(const std::string& path, uid_t owner);

  /// The serving process.
  pid_t pid() const { return pid_; }
  /// Sends and waits for the answer; an answer that is not ok comes back as its error.
  Result<nlohmann::json> request(const nlohmann::json& object, int timeout_ms);
  /// The next line of the server. Errors: io (time-out, end of connection, not JSON).
  Result<nlohmann::json> next_line(int timeout_ms);

 private:
  ControlClient(UniqueFd fd, pid_t pid) : fd_(std::move(fd)), pid_(pid) {}
  UniqueFd fd_;
  pid_t pid_ = 0;
  std::string received_;
};

}  // namespace tain::fs
