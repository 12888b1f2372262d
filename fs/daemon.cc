// SPDX-License-Identifier: Apache-2.0
#include "fs/daemon.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "base/counters.h"
#include "base/event.h"
#include "base/memory.h"
#include "fs/compact_request.h"
#include "fs/confinement.h"
#include "fs/control.h"
#include "fs/damage_report.h"
#include "fs/history_request.h"
#include "fs/idle.h"
#include "fs/logind.h"
#include "fs/scrub_watch.h"
#include "fs/session.h"
#include "fs/status_report.h"
#include "fs/time_lock_request.h"
#include "store/rotation.h"
#include "store/vault.h"

namespace tain::fs {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kLockGrace{1000};  // logind waits five seconds

Result<> harden_process() {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return errno_error(errno, "turn off core dumps");
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return errno_error(errno, "turn off tracing");
  if (::chdir("/") != 0) return errno_error(errno, "change to /");
  ::umask(077);
  return {};
}

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

/// Turns a stop signal into Session::stop(). The signals are blocked in every thread.
class SignalWatch {
 public:
  static Result<std::unique_ptr<SignalWatch>> start(Session& session) {
    const sigset_t set = stop_signals();
    auto watch = std::unique_ptr<SignalWatch>(new SignalWatch());
    watch->signals_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC));
    if (!watch->signals_.valid()) return errno_error(errno, "watch for signals");
    watch->stop_ = TRY(Event::make());
    watch->thread_ = std::thread([fds = watch.get(), &session] {
      pollfd polled[] = {{fds->signals_.get(), POLLIN, 0}, {fds->stop_.fd(), POLLIN, 0}};
      while (::poll(polled, 2, -1) < 0 && errno == EINTR) {}
      if (polled[0].revents == 0) return;
      session.cut_off();
    });
    return watch;
  }
  ~SignalWatch() {
    if (!thread_.joinable()) return;
    stop_.raise();
    thread_.join();
  }
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  SignalWatch() = default;
  UniqueFd signals_;
  Event stop_;
  std::thread thread_;
};

json describe(store::Vault& vault, const Session& session, const ScrubWatch& scrub, const DaemonOptions& options,
              int64_t mounted_at_s) {
  const store::VaultInfo& info = vault.info();
  const store::VaultStats stats = vault.stats();
  json out = {{"ok", true},
          {"pid", ::getpid()},
          {"supervisor", options.supervisor},
          {"version", options.version},
          {"vault", info.directory},
          {"vault_id", to_hex(info.id.bytes)},
          {"mountpoint", options.mount.mountpoint},
          {"device", session.device()},
          {"mounted_at", mounted_at_s},
          {"read_only", vault.read_only()},
          {"idle_timeout_s", options.idle_s},
          {"cipher", store::suite_name(info.suite)},
          {"entries", stats.entries},
          {"content_bytes", stats.content_bytes},
          {"history", options.history && !vault.read_only()},
          {"past_entries", stats.retired_entries},
          {"past_bytes", stats.retired_content_bytes},
          {"store_bytes", stats.store_bytes},
          {"disk_bytes", stats.disk_bytes},
          {"pending_bytes", stats.pending_bytes},
          {"secrets_locked", Secret::all_locked()},
          {"scrub", describe_scrub(scrub.state())}};
  if (const store::RotationState rotation = vault.rotation(); rotation.running || rotation.resealed > 0) {
    out["rotation"] = {{"running", rotation.running}, {"epoch", rotation.epoch}, {"part", rotation.part}, {"resealed", rotation.resealed}, {"left", rotation.left}};
    if (!rotation.error.empty()) out["rotation"]["error"] = rotation.error;
  }
  if (options.as_of_ms) out["as_of"] = *options.as_of_ms;
  if (info.opened_with) out["opened_with"] = {{"id", to_hex(info.opened_with->id)}, {"type", store::slot_type_name(info.opened_with->type)}};
  out.update(describe_damage(vault));
  return out;
}

/// As `tain status --json`. A header that cannot be read any more is as it was.
std::string status_text(const store::Vault& vault, const json& live) {
  const auto info = store::Vault::inspect(vault.info().directory);
  json out = describe_header(info.ok() ? *info : vault.info());
  out.update({{"vault", vault.info().directory}, {"mounted", true}, {"mountpoint", live["mountpoint"]}, {"read_only", live["read_only"]}, {"stale", false}});
  add_live_status(out, live);
  std::string text = to_line(out);
  text.pop_back();
  return text;
}

json counters(const Session& session) {
  json requests = json::object(), work = json::object();
  for (const auto& [op, number] : session.op_counts()) requests[std::string(op)] = number;
  for (size_t i = 0; i < kWorkCount; ++i) work[std::string(kWorkNames[i])] = counted(static_cast<Work>(i));
  return {{"ok", true}, {"requests", requests}, {"work", work}};
}

/// A pass is asked for, or left to its own pace.
json scrub_request(ScrubWatch& scrub, const json& request) {
  const bool wanted = request.value("hurry", true);
  const json state = describe_scrub(scrub.state());
  wanted ? scrub.hurry() : scrub.slow_down();
  return {{"ok", true}, {"scrub", state}};
}

/// How far it is, or how it ended, with the damaged entries.
json scrub_report(store::Vault& vault, const ScrubWatch& scrub, const json& request) {
  json out = {{"ok", true}, {"scrub", describe_scrub(scrub.state())}};
  if (request.value("list", false)) out.update(describe_damage(vault, kListedInReport));
  return out;
}

ControlServer::Handler control_handler(store::Vault& vault, Session& session, ScrubWatch& scrub,
                                       std::function<json()> status) {
  return [&vault, &session, &scrub, status = std::move(status)](const json& request) -> json {
    const json op = request.value("op", json());
    if (op == "status") return status();
    if (op == "counters") return counters(session);
    if (op == "sync") return reply_for(vault.sync());
    if (op == "scrub") return scrub_request(scrub, request);
    if (op == "compact") return answer_compact(vault, request);
    if (op == "scrub_state") return scrub_report(vault, scrub, request);
    if (is_history_request(op))
      return answer_history(vault, request,
                            {.changed = [&session](Ino directory, const std::string& name) { session.changed(directory, name); },
                             .unlinked = [&session](const store::Unlinked& unlinked) { session.unlinked(unlinked); }});
    if (is_time_lock_request(op)) return answer_time_lock(vault, request, [&session] { session.forget_content(); });
    if (op == "stop") {
      session.cut_off();
      return reply_for({});
    }
    return reply_for(Error(Code::usage, "unknown op").hint("status, counters, sync, compact, scrub, scrub_state, log, restore, trash_list, "
                                                                 "trash_restore, trash_empty, prune, retention, timelock, timelock_list, stop or wait_closed"));
  };
}

Result<std::unique_ptr<ControlServer>> start_control(store::Vault& vault, Session& session, ScrubWatch& scrub,
                                                     std::function<json()> status,
                                                     const Result<RuntimeDirectory>& directory) {
  if (!directory.ok()) return directory.error();
  if (session.device().empty()) return Error(Code::io, "the mount is not in the mount table");
  const std::string path = control_socket_path(directory->path(), session.device());
  auto server = TRY(ControlServer::start(path, control_handler(vault, session, scrub, std::move(status))));
  TRY(vault.set_control_socket(path));
  return server;
}

Reach reach_of(const DaemonOptions& options, const Result<RuntimeDirectory>& runtime) {
  Reach reach{.directories = {options.mount.source}, .empty_folders_in = {}, .connects = options.lock_on_suspend || options.lock_on_screen};
  if (!runtime.ok()) return reach;
  reach.directories.push_back(runtime->path());
  if (runtime->temporary()) reach.empty_folders_in = runtime->path().substr(0, runtime->path().rfind('/') + 1);
  return reach;
}

/// `logind` is left to the caller without its thread: sleeping waits for it.
Result<> serve(store::Vault& vault, Session& session, Mounter& mounter, const DaemonOptions& options,
               std::unique_ptr<LogindWatch>& logind) {
  if (!session.warning().empty()) options.warn(session.warning());
  auto watch = TRY(SignalWatch::start(session));
  const auto report = [&](const std::string& message) { options.warn(options.mount.mountpoint + ": " + message); };
  const SelfUnmount own{.mounter = &mounter, .sync = [&vault] { return vault.sync(); }};
  std::unique_ptr<IdleWatch> idle;
  if (options.idle_s > 0) {
    idle = TRY(IdleWatch::start(session, {.own = own, .limit_s = options.idle_s, .report = report}));
  }
  bool locked = false;  // the logind thread's
  if (options.lock_on_suspend || options.lock_on_screen) {
    const auto lock = [&](const std::string& why) {
      if (locked) return;  // the screen first, then sleep
      const auto done = unmount_anyway(session, own, kLockGrace);
      if (!done.ok()) return report("stays mounted although " + why + ": " + done.error().message());
      for (const MountUser& user : done->cut_off)
        report(user.name + " (" + std::to_string(user.pid) + ") was using it and has been cut off");
      report(done->warning.empty() ? "unmounted: " + why : done->warning);
      locked = true;
    };
    logind = TRY(LogindWatch::start({.on_suspend = options.lock_on_suspend,
                                     .on_screen = options.lock_on_screen,
                                     .what = options.mount.mountpoint,
                                     .lock = lock,
                                     .lost = [&] { report("logind is gone: it will not be locked before sleep or with the screen"); }}));
  }
  Result<> outcome = options.ready(session.device());
  if (outcome.ok()) outcome = session.run();
  if (logind) logind->stop();  // its thread uses the session and what is here
  return outcome;
}

}  // namespace

Result<> run_daemon(const DaemonOptions& options, Mounter& mounter, store::Credential credential) {
  TRY(harden_process());
  share_one_heap();
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  RuntimePaths runtime = options.runtime;
  runtime.avoid = options.mount.mountpoint;
  auto directory = RuntimeDirectory::make(runtime);  // now: a path that led into the mount would wait for us
  Confinement confinement;  // before there is a key or a thread
  if (options.confined) {
    auto confined = confine(reach_of(options, directory));
    if (!confined.ok()) return std::move(confined).error().hint("tain mount --unconfined does without");
    confinement = *confined;
  }
  store::OpenOptions open_options;
  open_options.read_only = options.mount.read_only;
  open_options.history = options.history;
  open_options.mountpoint = options.mount.mountpoint;
  open_options.warn = options.warn;
  std::unique_ptr<LogindWatch> logind;  // goes last: until then the machine stays awake
  auto vault = TRY(store::Vault::open(options.mount.source, open_options, credential));
  credential = store::Credential();
  if (!Secret::all_locked()) options.warn("the limit on locked memory is too low: keys may be swapped to disk; raise it (ulimit -l), or encrypt the swap");

  std::function<json()> describe_mount;  // set before the first request
  VirtualTree::Options past;
  past.status = [&] { return status_text(*vault, describe_mount()); };
  if (options.as_of_ms) past.root_hlc = std::min(hlc_of_ms(*options.as_of_ms), vault->hlc_now());
  auto session = TRY(Session::start(*vault, mounter, options.mount, past));

  auto scrub = TRY(ScrubWatch::start(
      *vault, {.rate_bytes_s = options.scrub_rate_bytes_s,
               .first_after_s = options.scrub_after_s,
               .keep_position = !options.mount.read_only,
               .requests = [&session] { return session->requests(); },
               .report = [&options](const std::string& line) { options.warn(options.mount.mountpoint + ": " + line); }}));
  const int64_t mounted_at_s = system_clock().wall_ns() / 1'000'000'000;
  describe_mount = [&vault, &session, &scrub, &options, confinement, mounted_at_s] {
    json out = describe(*vault, *session, *scrub, options, mounted_at_s);
    out["confined"] = {{"files", confinement.landlock_abi > 0}, {"landlock", confinement.landlock_abi}, {"system_calls", confinement.system_calls}};
    return out;
  };
  auto control = start_control(*vault, *session, *scrub, describe_mount, directory);
  if (!control.ok()) {  // the mount works without
    options.warn("no control socket: " + control.error().message() + "; status and unmount will know less");
  }
  Result<> outcome = serve(*vault, *session, mounter, options, logind);
  session->unmount();
  if (control.ok()) (*control)->stop();  // its handler uses the session, the vault and the scrub watch
  scrub.reset();                         // its thread uses the session and the vault
  session.reset();
  if (auto closed = vault->close(); outcome.ok()) outcome = std::move(closed);
  vault.reset();  // the keys: before anything waits for another process again
  mounter.tidy();
  if (control.ok()) (*control)->finish(outcome);
  return outcome;
}

}  // namespace tain::fs
