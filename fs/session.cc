// SPDX-License-Identifier: Apache-2.0
// Mounting, the request loop, and its end.
//
// run() ends in one of two ways. Somebody unmounts: the kernel has flushed everything, and reading /dev/fuse fails,
// which ends the loop. Or somebody says stop(): the watcher thread wakes, makes the kernel write its dirty mapped pages
// while there are still threads to take them, and then ends the loop.
#include "fs/session.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

#include "base/event.h"
#include "base/file.h"
#include "fs/filesystem.h"
#include "fs/fuse_device.h"
#include "fs/fuse_session.h"
#include "fs/init_reply.h"
#include "fs/ops.h"
#include "fs/request_loop.h"

namespace tain::fs {

namespace {

/// Requests answered at the same time. Each may wait for a commit, and then holds what it has to write.
constexpr size_t kThreadsMax = 10;

/// ACLs cost a request for each inode that `ls -l` shows. Where nobody but one user gets in and there are none, they
/// would keep nobody out, so they are on where they can matter, or when asked for. A root folder that cannot be read
/// says so when it is used.
Filesystem::Options filesystem_options(store::Vault& vault, const MountOptions& options, const VirtualTree::Options& past) {
  const auto has = [&](std::string_view name) {
    return std::find(options.fuse_options.begin(), options.fuse_options.end(), name) != options.fuse_options.end();
  };
  const bool is_shared = options.allow_other || has("allow_root");
  const auto in_use = vault.tree().has_acls();
  const bool matter = is_shared || (in_use.ok() && *in_use);
  const auto root = vault.tree().getattr(kRootIno);
  return {.keep_atime = has("noatime"),
          .acls = !has("noacl") && (has("acl") || matter),
          .owners = root.ok() ? Owners::between({root->uid, root->gid}, {::geteuid(), ::getegid()}) : Owners(),
          .past = past};
}

}  // namespace

struct Session::Impl {
  Impl(store::Vault& vault, Mounter& by, const Filesystem::Options& options)
      : filesystem(vault, options), context(filesystem), mounter(by) {
    context.acls = options.acls;
  }
  ~Impl() { unmount(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void unmount() {
    if (!mounted.exchange(false)) return;
    pollfd connection = {.fd = fuse_session_fd(session.get()), .events = 0, .revents = 0};
    const bool is_gone = poll(&connection, 1, 0) == 1 && (connection.revents & POLLERR) != 0;
    // The end of the descriptor fails all requests that wait, those of the flush and the unmount themselves included. Its number
    // stays taken: libfuse closes it later.
    static_cast<void>(dup3(nowhere.get(), fuse_session_fd(session.get()), O_CLOEXEC));
    // After a lazy unmount another file system may be mounted there, and then this is refused.
    if (!is_gone) static_cast<void>(mounter.detach(Detach::lazily).ok());
  }

  /// The watcher: waits for the stop event and ends the loop.
  void watch(RequestLoop& loop) {
    pollfd stop_or_end = {.fd = stop_event.fd(), .events = POLLIN, .revents = 0};
    while (poll(&stop_or_end, 1, -1) < 0) {
    }
    if (loop_ended) return;
    // The kernel keeps the flushes of mapped pages for later; ask for them while somebody listens. Nothing more can be done about
    // an error on the way out.
    static_cast<void>(mounter.flush().ok());
    fuse_session_exit(session.get());
    loop.stop();
  }

  /// libfuse ends a session when it cannot agree with the kernel on how to talk.
  bool given_up() const {
    pollfd connection = {.fd = fuse_session_fd(session.get()), .events = POLLIN, .revents = 0};
    const bool connected = poll(&connection, 1, 0) >= 0 && (connection.revents & (POLLERR | POLLNVAL)) == 0;
    return connected && !stopping;
  }

  Filesystem filesystem;
  Context context;
  Mounter& mounter;
  Mounter::Mounted mount;
  Event stop_event;
  UniqueFd nowhere;  // opened early: later nothing may be
  FuseSession session;
  std::atomic<bool> mounted{false};
  std::atomic<bool> loop_ended{false};
  std::atomic<bool> stopping{false};
  std::mutex cut_off_mutex;
  bool is_cut_off = false;
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::start(store::Vault& vault, Mounter& mounter, const MountOptions& options,
                                                const VirtualTree::Options& past) {
  auto impl = std::make_unique<Impl>(vault, mounter, filesystem_options(vault, options, past));
  impl->stop_event = TRY(Event::make());
  impl->nowhere = UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!impl->nowhere.valid()) return errno_error(errno, "open /dev/null");
  const fuse_lowlevel_ops ops = operations();
  impl->session = TRY(new_fuse_session(options, &ops, &impl->context));

  impl->mount = TRY(mounter.mount());
  impl->mounted = true;
  // libfuse takes a path of this form for a descriptor that is mounted already, and closes it in the end.
  const std::string descriptor = "/dev/fd/" + std::to_string(impl->mount.fuse.get());
  if (fuse_session_mount(impl->session.get(), descriptor.c_str()) != 0) return Error(Code::fuse, "libfuse does not take a mount that is there already");
  static_cast<void>(impl->mount.fuse.release());
  TRY(offer_tmpfile(impl->session.get()));
#ifndef FUSE_CAP_HANDLE_KILLPRIV_V2
  TRY(answer_init(impl->session.get()));
#endif
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

Result<> Session::run() {
  Impl& impl = *impl_;
  const auto device = TRY(FuseDevice::open(impl.session.get()));
  const auto loop = TRY(RequestLoop::make(*device, kThreadsMax));
  impl.loop_ended = false;
  std::thread watcher([&impl, &loop] { impl.watch(*loop); });

  Result<> outcome = loop->run();
  if (outcome.ok() && impl.given_up()) outcome = Error(Code::fuse, "libfuse does not understand this kernel");

  impl.loop_ended = true;
  if (!outcome.ok()) impl.unmount();  // nobody answers any more: fail the requests that wait, the watcher's too
  impl.stop_event.raise();
  watcher.join();
  return outcome;
}

void Session::stop() {
  impl_->stopping = true;
  impl_->stop_event.raise();
}

const std::string& Session::device() const {
  return impl_->mount.device;
}

const std::string& Session::warning() const {
  return impl_->mount.warning;
}

void Session::unmount() {
  impl_->unmount();
}

uint64_t Session::requests() const {
  uint64_t sum = 0;
  for (size_t op = 0; op < kOpCount; ++op) {
    if (op == static_cast<size_t>(Op::forget) || op == static_cast<size_t>(Op::statfs)) continue;
    sum += impl_->context.counts[op].load(std::memory_order_relaxed);
  }
  return sum;
}

void Session::forget_root_attributes() {
  // A negative offset: attributes only. It fails when the mount is gone, and then nobody uses it.
  static_cast<void>(fuse_lowlevel_notify_inval_inode(impl_->session.get(), FUSE_ROOT_ID, -1, 0));
}

void Session::changed(Ino directory, const std::string& name) {
  // What the kernel does not know is an error that means: nothing to forget.
  static_cast<void>(fuse_lowlevel_notify_inval_entry(impl_->session.get(), raw(directory), name.c_str(), name.size()));
  static_cast<void>(fuse_lowlevel_notify_inval_inode(impl_->session.get(), raw(directory), 0, 0));
}

void Session::unlinked(const store::Unlinked& unlinked) { impl_->filesystem.orphaned(unlinked); }

void Session::forget_content() {
  // One that the kernel has forgotten meanwhile is an error that means: done.
  for (Ino ino : impl_->filesystem.lookups().known())
    static_cast<void>(fuse_lowlevel_notify_inval_inode(impl_->session.get(), raw(ino), 0, 0));
}

void Session::cut_off() {
  // One at a time: dropping a page that a program changed waits for a request that run() must still answer.
  std::lock_guard lock(impl_->cut_off_mutex);
  if (std::exchange(impl_->is_cut_off, true)) return;
  forget_content();
  stop();
}

std::vector<std::pair<std::string_view, uint64_t>> Session::op_counts() const {
  return fs::op_counts(impl_->context);
}

}  // namespace tain::fs
