// SPDX-License-Identifier: Apache-2.0
#include "fs/logind.h"

#ifdef TAIN_LOGIND

#include <fcntl.h>
#include <poll.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"

namespace tain::fs {
namespace {

constexpr const char* kService = "org.freedesktop.login1";
constexpr const char* kManagerPath = "/org/freedesktop/login1";
constexpr const char* kManager = "org.freedesktop.login1.Manager";
constexpr const char* kSession = "org.freedesktop.login1.Session";

struct BusError {
  sd_bus_error error = SD_BUS_ERROR_NULL;
  ~BusError() { sd_bus_error_free(&error); }
};
struct Message {
  sd_bus_message* message = nullptr;
  ~Message() { sd_bus_message_unref(message); }
};

Error bus_error(int code, const std::string& what, const BusError& error = {}) {
  const std::string text = error.error.message != nullptr ? error.error.message : errno_error(-code, "").message();
  return Error(Code::unsupported, what + ": " + text)
      .hint("mount without --lock-on-suspend and --lock-on-screen, or use --idle");
}

}  // namespace

struct LogindWatch::Impl {
  Options options;
  sd_bus* bus = nullptr;
  UniqueFd inhibitor;
  Event stopped;
  std::string session;
  std::thread thread;

  ~Impl() {
    stop();
    sd_bus_flush_close_unref(bus);
  }
  void stop() {
    if (!thread.joinable()) return;
    stopped.raise();
    thread.join();
  }

  Result<> connect();
  Result<> inhibit_sleep();
  Result<std::string> own_session();
  void run();
  static int on_sleep(sd_bus_message* message, void* self, sd_bus_error*);
  static int on_lock(sd_bus_message*, void* self, sd_bus_error*);
};

Result<> LogindWatch::Impl::connect() {
  stopped = TRY(Event::make());
  if (const int code = sd_bus_open_system(&bus); code < 0) return bus_error(code, "the system bus cannot be reached");
  if (options.on_suspend) {
    TRY(inhibit_sleep());
    const int code =
        sd_bus_match_signal(bus, nullptr, kService, kManagerPath, kManager, "PrepareForSleep", on_sleep, this);
    if (code < 0) return bus_error(code, "cannot listen to logind");
  }
  if (options.on_screen) {
    session = TRY(own_session());
    const int code = sd_bus_match_signal(bus, nullptr, kService, session.c_str(), kSession, "Lock", on_lock, this);
    if (code < 0) return bus_error(code, "cannot listen to logind");
  }
  return {};
}

/// Sleeping waits until the descriptor that logind gives is closed.
Result<> LogindWatch::Impl::inhibit_sleep() {
  BusError error;
  Message reply;
  int code = sd_bus_call_method(bus, kService, kManagerPath, kManager, "Inhibit", &error.error, &reply.message, "ssss",
                                "sleep", "tain", ("locking " + options.what).c_str(), "delay");
  if (code < 0) return bus_error(code, "logind does not let tain lock before sleeping", error);
  int fd = -1;
  code = sd_bus_message_read(reply.message, "h", &fd);
  if (code < 0) return bus_error(code, "logind's answer cannot be read");
  inhibitor = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!inhibitor.valid()) return errno_error(errno, "keep the sleep inhibitor");
  return {};
}

/// Object path of the session that this process belongs to, or else of the user's graphical one: a service of the
/// user's systemd belongs to none.
Result<std::string> LogindWatch::Impl::own_session() {
  BusError no_session;
  Message reply;
  const char* path = nullptr;
  int code = sd_bus_call_method(bus, kService, kManagerPath, kManager, "GetSessionByPID", &no_session.error,
                                &reply.message, "u", static_cast<uint32_t>(::getpid()));
  if (code >= 0 && sd_bus_message_read(reply.message, "o", &path) >= 0) return std::string(path);
  BusError error;
  Message user;
  code = sd_bus_call_method(bus, kService, kManagerPath, kManager, "GetUser", &error.error, &user.message, "u",
                            static_cast<uint32_t>(::getuid()));
  if (code < 0) return bus_error(code, "logind knows no session of this user", error);
  if (code = sd_bus_message_read(user.message, "o", &path); code < 0)
    return bus_error(code, "logind's answer cannot be read");
  BusError no_display;
  Message display;
  code = sd_bus_get_property(bus, kService, path, "org.freedesktop.login1.User", "Display", &no_display.error,
                             &display.message, "(so)");
  const char* id = nullptr;
  if (code >= 0) code = sd_bus_message_read(display.message, "(so)", &id, &path);
  if (code < 0 || id == nullptr || *id == '\0')
    return bus_error(code < 0 ? code : -ENXIO, "this user has no session that could be locked", no_display);
  return std::string(path);
}

int LogindWatch::Impl::on_sleep(sd_bus_message* message, void* self, sd_bus_error*) {
  auto& impl = *static_cast<Impl*>(self);
  int begins = 0;
  if (sd_bus_message_read(message, "b", &begins) < 0) return 0;
  if (begins != 0) {
    impl.options.lock("the machine goes to sleep");
  } else if (!impl.inhibitor.valid()) {
    static_cast<void>(impl.inhibit_sleep().ok());
  }
  return 0;
}

int LogindWatch::Impl::on_lock(sd_bus_message*, void* self, sd_bus_error*) {
  static_cast<Impl*>(self)->options.lock("the session was locked");
  return 0;
}

void LogindWatch::Impl::run() {
  for (;;) {
    int more = 0;
    while ((more = sd_bus_process(bus, nullptr)) > 0) {
    }
    if (more < 0) return options.lost();
    uint64_t wake_us = UINT64_MAX;
    sd_bus_get_timeout(bus, &wake_us);
    int wait_ms = -1;
    if (wake_us != UINT64_MAX) {
      const auto now_us = static_cast<uint64_t>(system_clock().monotonic_ns() / 1000);
      wait_ms = wake_us <= now_us ? 0 : static_cast<int>(std::min<uint64_t>((wake_us - now_us) / 1000 + 1, 60'000));
    }
    pollfd polled[2] = {{sd_bus_get_fd(bus), static_cast<short>(sd_bus_get_events(bus)), 0},
                        {stopped.fd(), POLLIN, 0}};
    if (::poll(polled, 2, wait_ms) < 0 && errno != EINTR) return;
    if (polled[1].revents != 0) return;
  }
}

LogindWatch::LogindWatch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogindWatch::~LogindWatch() = default;
void LogindWatch::stop() {
  impl_->stop();
}
bool LogindWatch::is_built_in() {
  return true;
}

Result<std::unique_ptr<LogindWatch>> LogindWatch::start(Options options) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  TRY(impl->connect());
  impl->thread = std::thread([it = impl.get()] { it->run(); });
  return std::unique_ptr<LogindWatch>(new LogindWatch(std::move(impl)));
}

}  // namespace tain::fs

#else

namespace tain::fs {

struct LogindWatch::Impl {};
LogindWatch::LogindWatch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogindWatch::~LogindWatch() = default;
void LogindWatch::stop() {}
bool LogindWatch::is_built_in() {
  return false;
}

Result<std::unique_ptr<LogindWatch>> LogindWatch::start(Options) {
  return Error(Code::unsupported, "this tain was built without support for logind")
      .hint("build it with libsystemd-dev installed, or use --idle");
}

}  // namespace tain::fs

#endif
