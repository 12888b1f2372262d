// SPDX-License-Identifier: Apache-2.0
#include "fs/confinement.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace tain::fs {
namespace {

// What root's vaults need: files of any owner, memory that is locked, and the part of a disk that is kept for root.
constexpr uint64_t kKept = 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_FOWNER |
                           1ull << CAP_FSETID | 1ull << CAP_IPC_LOCK | 1ull << CAP_SYS_NICE | 1ull << CAP_SYS_RESOURCE;

/// Source: capset(2). Somebody who is not root has none to give up.
Result<> drop_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return errno_error(errno, "read capabilities");
  for (int word = 0; word < 2; ++word) {
    const auto kept = static_cast<uint32_t>(kKept >> (32 * word));
    data[word].effective &= kept;
    data[word].permitted &= kept;
    data[word].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, data) != 0) return errno_error(errno, "give up capabilities");
  return {};
}

}  // namespace

Result<Confinement> confine(const Reach& reach) {
  Confinement done;
#ifndef TAIN_SANITIZED  // the sanitizers' runtime needs what is refused
  TRY(drop_capabilities());
  done.landlock_abi = TRY(detail::confine_files(reach));
  done.system_calls = TRY(detail::confine_system_calls(reach));
#else
  static_cast<void>(reach);
  static_cast<void>(drop_capabilities);
#endif
  return done;
}

}  // namespace tain::fs
