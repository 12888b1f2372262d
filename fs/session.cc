// SPDX-License-Identifier: Apache-2.0
// Mounting, the request loop, and its end.
//
// run() ends in one of two ways. Somebody unmounts: the kernel has flushed everything, and reading /dev/fuse fails,
// which ends the loop. Or somebody says stop(): the watcher thread wakes, makes the kernel write its dirty mapped pages
// while there are still threads to take them, and then ends the loop.
#include "fs/session.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/event.h"
#include "base/file.h"
#include "fs/filesystem.h"
#include "fs/fuse_device.h"
#include "fs/init_reply.h"
#include "fs/mount_table.h"
#include "fs/ops.h"
#include "fs/request_loop.h"

namespace tain::fs {

namespace {

/// Requests answered at the same time. Each may wait for a commit, and then holds what it has to write.
constexpr size_t kThreadsMax = 10;

/// Keeps what libfuse says while it mounts, for the error message: after daemonising nobody sees its stderr.
class FuseLog {
 public:
  FuseLog() {
    text().clear();
    fuse_set_log_func(take);
  }
  ~FuseLog() { fuse_set_log_func(nullptr); }
  FuseLog(const FuseLog&) = delete;
  FuseLog& operator=(const FuseLog&) = delete;

  static std::string& text() {
    static thread_local std::string lines;
    return lines;
  }

 private:
  static void take(fuse_log_level, const char* format, va_list arguments) {
    char line[512];
    if (vsnprintf(line, sizeof line, format, arguments) <= 0) return;
    text() = line;
    while (!text().empty() && (text().back() == '\n' || text().back() == '.')) text().pop_back();
  }
};

struct FuseArguments : fuse_args {
  FuseArguments() : fuse_args{} {}
  ~FuseArguments() { fuse_opt_free_args(this); }
  FuseArguments(const FuseArguments&) = delete;
  FuseArguments& operator=(const FuseArguments&) = delete;
  bool add(const std::string& argument) { return fuse_opt_add_arg(this, argument.c_str()) == 0; }
};

/// ACLs cost a request for each inode that `ls -l` shows. Where nobody but one user gets in and there are none, they
/// would keep nobody out, so they are on where they can matter, or when asked for. A root folder that cannot be read
/// says so when it is used.
Filesystem::Options filesystem_options(store::Vault& vault, const MountOptions& options) {
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
          .past = options.past};
}

/// The kernel keeps the flushes of mapped pages for later; ask for them while somebody listens.
void flush_kernel_cache(const std::string& mountpoint) {
  const UniqueFd directory(open(mountpoint.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return;
  struct statfs stats {};
  // Not ours any more: syncing the file system below could take minutes.
  if (fstatfs(directory.get(), &stats) != 0 || stats.f_type != FUSE_SUPER_MAGIC) return;
  if (syncfs(directory.get()) != 0) return;  // nothing more can be done on the way out
}

}  // namespace

std::string escape_fuse_option(std::string_view value) {  // as libfuse's fuse_opt_parse() undoes it
  std::string out;
  for (char c : value) {
    if (c == ',' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

struct Session::Impl {
  Impl(store::Vault& vault, const Filesystem::Options& options) : filesystem(vault, options), context(filesystem) {
    context.acls = options.acls;
  }
  ~Impl() {
    unmount();
    if (session != nullptr) fuse_session_destroy(session);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void unmount() {
    // libfuse notices a file system that is unmounted already and leaves the mountpoint alone.
    if (!mounted.exchange(false)) return;
    // libfuse goes by the path alone. After a lazy unmount another file system may be mounted there.
    auto table = read_mount_table();
    const auto there = table.ok() ? find_mount_at(*table, mountpoint) : std::nullopt;
    if (!device.empty() && there && there->device() != device) return;
    fuse_session_unmount(session);
  }

  /// The watcher: waits for the stop event and ends the loop.
  void watch(RequestLoop& loop) {
    pollfd stop_or_end = {.fd = stop_event.fd(), .events = POLLIN, .revents = 0};
    while (poll(&stop_or_end, 1, -1) < 0) {
    }
    if (loop_ended) return;
    flush_kernel_cache(mountpoint);
    fuse_session_exit(session);
    loop.stop();
  }

  /// libfuse ends a session when it cannot agree with the kernel on how to talk.
  bool given_up() const {
    pollfd connection = {.fd = fuse_session_fd(session), .events = POLLIN, .revents = 0};
    const bool connected = poll(&connection, 1, 0) >= 0 && (connection.revents & (POLLERR | POLLNVAL)) == 0;
    return connected && !stopping;
  }

  Filesystem filesystem;
  Context context;
  std::string mountpoint;
  std::string device;
  Event stop_event;
  fuse_session* session = nullptr;
  std::atomic<bool> mounted{false};
  std::atomic<bool> loop_ended{false};
  std::atomic<bool> stopping{false};
  std::mutex cut_off_mutex;
  bool is_cut_off = false;
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::start(store::Vault& vault, const MountOptions& options) {
  struct stat stats {};
  if (stat(options.mountpoint.c_str(), &stats) != 0) {
    return Error(Code::mountpoint, errno_error(errno, "mountpoint").message());
  }
  if (!S_ISDIR(stats.st_mode)) return Error(Code::mountpoint, "mountpoint is not a directory");

  auto impl = std::make_unique<Impl>(vault, filesystem_options(vault, options));
  impl->mountpoint = options.mountpoint;
  impl->stop_event = TRY(Event::make());

  std::string list = "default_permissions,nosuid,nodev,subtype=tain,fsname=" + escape_fuse_option(options.source);
  if (options.read_only) list += ",ro";
  if (options.allow_other) list += ",allow_other";
  for (const std::string& option : options.fuse_options) {
    if (option != "acl" && option != "noacl") list += "," + option;  // those two are ours
  }
  FuseArguments arguments;
  if (!arguments.add("tain") || !arguments.add("-o") || !arguments.add(list)) {
    return Error(Code::memory, "out of memory");
  }

  const FuseLog log;
  const fuse_lowlevel_ops ops = operations();
  impl->session = fuse_session_new(&arguments, &ops, sizeof ops, &impl->context);
  if (impl->session == nullptr) return Error(Code::fuse, "FUSE refused the mount options: " + FuseLog::text());
  if (fuse_session_mount(impl->session, options.mountpoint.c_str()) != 0) {
    const std::string cause = FuseLog::text().empty() ? "" : ": " + FuseLog::text();
    return Error(Code::fuse, "FUSE could not mount at " + options.mountpoint + cause)
        .hint("check that /dev/fuse can be opened and that fusermount3 is installed");
  }
  impl->mounted = true;
  if (auto table = read_mount_table(); table.ok()) {
    if (auto mount = find_mount_at(*table, options.mountpoint); mount && mount->is_vault())
      impl->device = mount->device();
  }
  TRY(offer_tmpfile(impl->session));
#ifndef FUSE_CAP_HANDLE_KILLPRIV_V2
  TRY(answer_init(impl->session));
#endif
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

Result<> Session::run() {
  Impl& impl = *impl_;
  const auto device = TRY(FuseDevice::open(impl.session));
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
  return impl_->device;
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
  static_cast<void>(fuse_lowlevel_notify_inval_inode(impl_->session, FUSE_ROOT_ID, -1, 0));
}

void Session::changed(Ino directory, const std::string& name) {
  // What the kernel does not know is an error that means: nothing to forget.
  static_cast<void>(fuse_lowlevel_notify_inval_entry(impl_->session, raw(directory), name.c_str(), name.size()));
  static_cast<void>(fuse_lowlevel_notify_inval_inode(impl_->session, raw(directory), 0, 0));
}

void Session::unlinked(const store::Unlinked& unlinked) { impl_->filesystem.orphaned(unlinked); }

void Session::forget_content() {
  // One that the kernel has forgotten meanwhile is an error that means: done.
  for (Ino ino : impl_->filesystem.lookups().known())
    static_cast<void>(fuse_lowlevel_notify_inval_inode(impl_->session, raw(ino), 0, 0));
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
