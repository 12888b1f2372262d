// SPDX-License-Identifier: Apache-2.0
#include "fs/control.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <list>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/event.h"

namespace tain::fs {
namespace {

using nlohmann::json;

constexpr size_t kReplyBacklogMax = 256 * 1024;  // bytes that a client has not read

/// The codes that cross the socket by name; all others are "failed".
constexpr std::pair<Code, std::string_view> kCodeNames[] = {
    {Code::usage, "bad_request"}, {Code::no_space, "no_space"},   {Code::io, "io"},
    {Code::corrupt, "corrupt"},   {Code::read_only, "read_only"}, {Code::memory, "memory"},
    {Code::not_found, "not_found"}, {Code::exists, "exists"},     {Code::is_directory, "is_directory"},
    {Code::time_locked, "time_locked"},
};
constexpr Code kOtherCode = Code::unsupported;

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error(Code::name_too_long, "path of the control socket is too long: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<ucred> peer_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return errno_error(errno, "identify the peer");
  return peer;
}

/// A parsed object, or an error. Never throws; the line is bounded, so the nesting is too.
Result<json> parse_object(std::string_view line) {
  json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded() || !object.is_object()) return Error(Code::usage, "not a JSON object");
  return object;
}

struct Connection {
  UniqueFd fd;
  std::string in;
  std::string out;
  int64_t last_active_ns = 0;
  bool waits_for_close = false;
};

}  // namespace

json reply_for(const Result<>& outcome) {
  if (outcome.ok()) return {{"ok", true}};
  std::string_view name = "failed";
  for (const auto& [code, text] : kCodeNames) {
    if (code == outcome.code()) name = text;
  }
  json reply = {{"ok", false}, {"code", name}, {"error", outcome.error().message()}};
  if (!outcome.error().hint().empty()) reply["hint"] = outcome.error().hint();
  return reply;
}

Result<> error_in_reply(const json& reply) {
  const auto text = [&](const char* member) {
    const auto found = reply.find(member);
    return found != reply.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto ok = reply.find("ok");
  if (ok != reply.end() && ok->is_boolean() && ok->get<bool>()) return {};
  Code code = kOtherCode;
  for (const auto& [known, name] : kCodeNames) {
    if (text("code") == name) code = known;
  }
  std::string message = text("error");
  return Error(code, message.empty() ? "the process serving the mount reported a failure" : message).hint(text("hint"));
}

std::string to_line(const json& object) { return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

struct ControlServer::Impl {
  std::string path;
  Handler handler;
  UniqueFd listener;
  Event wake;
  std::list<Connection> connections;  // the thread's; finish() takes over after joining it
  std::thread thread;

  void run();
  void accept_one();
  bool receive(Connection& connection);
  void answer(Connection& connection, std::string_view line);
  void stop();
};

void ControlServer::Impl::run() {
  for (;;) {
    std::vector<pollfd> polled = {{wake.fd(), POLLIN, 0}, {listener.get(), POLLIN, 0}};
    for (const Connection& connection : connections) {
      const short events = connection.out.empty() ? POLLIN : POLLIN | POLLOUT;
      polled.push_back({connection.fd.get(), events, 0});
    }
    if (::poll(polled.data(), polled.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (polled[0].revents != 0) return;
    size_t index = 2;
    for (auto connection = connections.begin(); connection != connections.end(); ++index) {
      bool alive = true;
      if ((polled[index].revents & (POLLIN | POLLHUP | POLLERR)) != 0) alive = receive(*connection);
      if (alive && !connection->out.empty()) {
        const ssize_t sent = ::send(connection->fd.get(), connection->out.data(), connection->out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) connection->out.erase(0, static_cast<size_t>(sent));
        if (sent < 0 && errno != EAGAIN && errno != EINTR) alive = false;
        if (connection->out.size() > kReplyBacklogMax) alive = false;
      }
      connection = alive ? std::next(connection) : connections.erase(connection);
    }
    if (polled[1].revents != 0) accept_one();
  }
}

void ControlServer::Impl::accept_one() {
  UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) return;
  auto peer = peer_of(fd.get());
  if (!peer.ok() || (peer->uid != ::geteuid() && peer->uid != 0)) return;
  if (connections.size() >= kControlConnectionsMax) {
    // The longest silent one has to go, unless it is meant to be silent.
    auto oldest = connections.end();
    for (auto connection = connections.begin(); connection != connections.end(); ++connection) {
      if (connection->waits_for_close) continue;
      if (oldest == connections.end() || connection->last_active_ns < oldest->last_active_ns) oldest = connection;
    }
    if (oldest == connections.end()) return;
    connections.erase(oldest);
  }
  connections.push_back({std::move(fd), {}, {}, system_clock().monotonic_ns(), false});
}

/// False when the connection is at its end or has broken the rules.
bool ControlServer::Impl::receive(Connection& connection) {
  std::array<char, 4096> buffer;
  const ssize_t n = ::recv(connection.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  connection.last_active_ns = system_clock().monotonic_ns();
  connection.in.append(buffer.data(), static_cast<size_t>(n));
  size_t start = 0;
  for (size_t end; (end = connection.in.find('\n', start)) != std::string::npos; start = end + 1) {
    answer(connection, std::string_view(connection.in).substr(start, end - start));
    if (connection.out.size() > kReplyBacklogMax) return false;
  }
  connection.in.erase(0, start);
  return connection.in.size() < kControlLineMax;
}

void ControlServer::Impl::answer(Connection& connection, std::string_view line) {
  auto request = parse_object(line);
  if (!request.ok()) {
    connection.out += to_line(reply_for(std::move(request).error()));
    return;
  }
  if (request->value("op", json()) == "wait_closed") {
    connection.waits_for_close = true;
    connection.out += to_line(reply_for({}));
    return;
  }
  try {
    connection.out += to_line(handler(*request));
  } catch (const std::exception&) {  // a member of the wrong type, or no memory
    connection.out += to_line(reply_for(Error(Code::usage, "the request could not be handled")));
  }
}

void ControlServer::Impl::stop() {
  if (!thread.joinable()) return;
  wake.raise();
  thread.join();
  listener.reset();
  ::unlink(path.c_str());
}

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlServer::~ControlServer() { impl_->stop(); }
void ControlServer::stop() { impl_->stop(); }

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& path, Handler handler) {
  const sockaddr_un address = TRY(socket_address(path));
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->handler = std::move(handler);
  impl->wake = TRY(Event::make());
  impl->listener = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!impl->listener.valid()) return errno_error(errno, "make the control socket");
  ::unlink(path.c_str());
  if (::bind(impl->listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(impl->listener.get(), static_cast<int>(kControlConnectionsMax)) != 0) {
    return errno_error(errno, "listen at " + path);
  }
  // Signals are for the thread that serves the mount.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  impl->thread = std::thread([server = impl.get()] { server->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

void ControlServer::finish(const Result<>& outcome) {
  impl_->stop();
  json event = reply_for(outcome);
  event["event"] = "closed";
  const std::string line = to_line(event);
  std::erase_if(impl_->connections, [](const Connection& connection) { return !connection.waits_for_close; });
  for (Connection& connection : impl_->connections) {
    // One short line always fits into the buffer of a client that reads; no other deserves waiting for.
    const std::string text = connection.out + line;
    (void)::send(connection.fd.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

Result<ControlClient> ControlClient::connect(const std::string& path, uid_t owner) {
  const sockaddr_un address = TRY(socket_address(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error(errno, "make a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return errno_error(errno, "connect to " + path);
  }
  const ucred peer = TRY(peer_of(fd.get()));
  if (peer.uid != owner && peer.uid != 0) return Error(Code::access_denied, path + " is served by another user");
  return ControlClient(std::move(fd), peer.pid);
}

Result<json> ControlClient::request(const json& object, int timeout_ms) {
  const std::string line = to_line(object);
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t n = ::send(fd_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "send to the process serving the mount");
    sent += static_cast<size_t>(n);
  }
  json reply = TRY(next_line(timeout_ms));
  TRY(error_in_reply(reply));
  return reply;
}

Result<json> ControlClient::next_line(int timeout_ms) {
  const int64_t deadline_ns = system_clock().monotonic_ns() + int64_t{timeout_ms} * 1'000'000;
  for (;;) {
    if (const size_t end = received_.find('\n'); end != std::string::npos) {
      auto object = parse_object(std::string_view(received_).substr(0, end));
      received_.erase(0, end + 1);
      if (!object.ok()) return Error(Code::io, "the process serving the mount sent no JSON object");
      return object;
    }
    if (received_.size() > kReplyBacklogMax) return Error(Code::io, "the process serving the mount sent too long a line");
    const int64_t left_ms = (deadline_ns - system_clock().monotonic_ns()) / 1'000'000;
    pollfd poller{fd_.get(), POLLIN, 0};
    const int ready = left_ms > 0 ? ::poll(&poller, 1, static_cast<int>(left_ms)) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return Error(Code::io, "the process serving the mount did not answer in time");
    std::array<char, 4096> buffer;
    const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error(Code::io, "the process serving the mount closed the connection");
    received_.append(buffer.data(), static_cast<size_t>(n));
  }
}

}  // namespace tain::fs
