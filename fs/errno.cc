// SPDX-License-Identifier: Apache-2.0
// The one table from Code to errno.
#include "fs/errno.h"

#include <cerrno>

namespace tain::fs {

int to_errno(Code code) {
  switch (code) {  // no default: a new Code without a line here does not compile
    case Code::not_found: return ENOENT;
    case Code::exists: return EEXIST;
    case Code::not_directory: return ENOTDIR;
    case Code::is_directory: return EISDIR;
    case Code::not_empty: return ENOTEMPTY;
    case Code::name_too_long: return ENAMETOOLONG;
    case Code::too_large: return EFBIG;
    case Code::too_many_links: return EMLINK;
    case Code::invalid_argument: return EINVAL;
    case Code::not_permitted: return EPERM;
    case Code::access_denied:
    case Code::time_locked: return EACCES;
    case Code::no_attribute: return ENODATA;
    case Code::out_of_range: return ERANGE;
    case Code::too_big: return E2BIG;
    case Code::no_such_offset: return ENXIO;
    case Code::unsupported: return EOPNOTSUPP;
    case Code::read_only: return EROFS;
    case Code::stale: return ESTALE;
    case Code::busy: return EBUSY;
    case Code::no_space: return ENOSPC;
    case Code::io: return EIO;
    case Code::memory: return ENOMEM;
    case Code::interrupted: return EINTR;
    // Damage: the file is there and its bytes are not to be trusted.
    case Code::corrupt:
    case Code::suite_missing: return EIO;
    // These end a command before there is a mount.
    case Code::not_a_vault:
    case Code::in_use:
    case Code::wrong_password:
    case Code::empty_password:
    case Code::header_damaged:
    case Code::format_too_new:
    case Code::format_too_old:
    case Code::remote_unreachable:
    case Code::remote_refused:
    case Code::remote_foreign:
    case Code::usage:
    case Code::mountpoint:
    case Code::fuse:
    case Code::partial: return EIO;
  }
  return EIO;
}

}  // namespace tain::fs
