// SPDX-License-Identifier: Apache-2.0
#include "fs/fuse_session.h"

#define FUSE_USE_VERSION 35
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <vector>

namespace tain::fs {
namespace {

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

}  // namespace

void DestroySession::operator()(fuse_session* session) const { fuse_session_destroy(session); }

std::string escape_fuse_option(std::string_view value) {  // as libfuse's fuse_opt_parse() undoes it
  std::string out;
  for (char c : value) {
    if (c == ',' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

Result<FuseSession> new_fuse_session(const MountOptions& options, const fuse_lowlevel_ops* ops, void* context) {
  std::string list = "default_permissions,nosuid,nodev,subtype=tain,fsname=" + escape_fuse_option(options.source);
  if (options.read_only) list += ",ro";
  if (options.allow_other) list += ",allow_other";
  for (const std::string& option : options.fuse_options) {
    if (option != "acl" && option != "noacl") list += "," + option;  // those two are ours
  }
  FuseArguments arguments;
  if (!arguments.add("tain") || !arguments.add("-o") || !arguments.add(list)) return Error(Code::memory, "out of memory");

  const FuseLog log;
  const fuse_lowlevel_ops none{};
  FuseSession session(fuse_session_new(&arguments, ops != nullptr ? ops : &none, sizeof none, context));
  if (session == nullptr) return Error(Code::fuse, "FUSE refused the mount options: " + FuseLog::text());
  return session;
}

Result<UniqueFd> mount_fuse(const MountOptions& options) {
  FuseSession session = TRY(new_fuse_session(options, nullptr, nullptr));
  const FuseLog log;
  if (fuse_session_mount(session.get(), options.mountpoint.c_str()) != 0) {
    const std::string cause = FuseLog::text().empty() ? "" : ": " + FuseLog::text();
    return Error(Code::fuse, "FUSE could not mount at " + options.mountpoint + cause)
        .hint("check that /dev/fuse can be opened and that fusermount3 is installed");
  }
  UniqueFd device(::fcntl(fuse_session_fd(session.get()), F_DUPFD_CLOEXEC, 0));
  if (!device.valid()) return errno_error(errno, "keep the FUSE device");
  // libfuse forgets where it mounted only when it unmounts, so the session is kept; its descriptor is not: the mount must
  // die with whoever serves it.
  const UniqueFd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nowhere.valid() || ::dup3(nowhere.get(), fuse_session_fd(session.get()), O_CLOEXEC) < 0) return errno_error(errno, "give up the FUSE device");
  static std::vector<fuse_session*>& kept = *new std::vector<fuse_session*>;
  kept.push_back(session.release());
  return device;
}

}  // namespace tain::fs
