// SPDX-License-Identifier: Apache-2.0
// Landlock, without a library: there are three system calls, and the C library has none of them.
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "fs/confinement.h"

namespace tain::fs::detail {
namespace {

// Rights by the version of the interface that brought them; the header here may be older than the kernel.
constexpr uint64_t kExecute = 1ull << 0, kWriteFile = 1ull << 1, kReadFile = 1ull << 2, kReadDir = 1ull << 3, kRemoveDir = 1ull << 4;
constexpr uint64_t kRights1 = (1ull << 13) - 1;
constexpr uint64_t kRefer2 = 1ull << 13;
constexpr uint64_t kTruncate3 = 1ull << 14;
constexpr uint64_t kIoctlDev5 = 1ull << 15;
constexpr uint64_t kBindTcp4 = 1ull << 0, kConnectTcp4 = 1ull << 1;
constexpr uint64_t kScopeAbstractUnix6 = 1ull << 0, kScopeSignal6 = 1ull << 1;

struct RulesetAttr {
  uint64_t handled_access_fs = 0;
  uint64_t handled_access_net = 0;
  uint64_t scoped = 0;
};

uint64_t rights(int abi) {
  return kRights1 | (abi >= 2 ? kRefer2 : 0) | (abi >= 3 ? kTruncate3 : 0) | (abi >= 5 ? kIoctlDev5 : 0);
}

constexpr uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate3 | kIoctlDev5;

Result<> allow(int ruleset, const std::string& path, uint64_t access) {
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, path);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return errno_error(errno, path);
  landlock_path_beneath_attr rule{};
  rule.allowed_access = S_ISDIR(st.st_mode) ? access : access & kOfFiles;
  rule.parent_fd = fd.get();
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return errno_error(errno, "leave " + path + " to the serving process");
  return {};
}

}  // namespace

Result<int> confine_files(const Reach& reach) {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) return 0;
  if (version < 0) return errno_error(errno, "ask for Landlock");
  const int abi = static_cast<int>(version);
  RulesetAttr attr;
  attr.handled_access_fs = rights(abi);
  if (abi >= 4) attr.handled_access_net = kBindTcp4 | kConnectTcp4;
  if (abi >= 6) attr.scoped = kScopeAbstractUnix6 | kScopeSignal6;
  // An older kernel takes what is longer than it knows, as long as the rest is zero.
  const UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0)));
  if (!ruleset.valid()) return errno_error(errno, "make rules of Landlock");

  const uint64_t all = rights(abi) & ~kExecute;
  for (const std::string& directory : reach.directories) {
    if (!directory.empty()) TRY(allow(ruleset.get(), directory, all));
  }
  if (!reach.empty_folders_in.empty()) TRY(allow(ruleset.get(), reach.empty_folders_in, kRemoveDir));
  // Of /proc: its own memory use, how much memory there is, and the groups of whoever makes a request (proc(5), status). What ptrace(2)
  // would be needed for, environments and memory and descriptors of others, Landlock refuses.
  struct Place {
    const char* path;
    uint64_t access;
  };
  for (const Place& place : {Place{"/proc", kReadFile}, Place{"/etc/localtime", kReadFile},
                             Place{"/usr/share/zoneinfo", kReadFile | kReadDir}, Place{"/dev/null", kReadFile | kWriteFile}}) {
    if (auto allowed = allow(ruleset.get(), place.path, place.access); !allowed.ok() && !allowed.is(Code::not_found)) return std::move(allowed).error();
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error(errno, "give up new privileges");
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return errno_error(errno, "restrict the serving process to its files");
  return abi;
}

}  // namespace tain::fs::detail
