// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace tain {
namespace {

Code code_of_errno(int value) {
  switch (value) {
    case ENOENT: return Code::not_found;
    case EEXIST: return Code::exists;
    case ENOTDIR: return Code::not_directory;
    case EISDIR: return Code::is_directory;
    case ENOTEMPTY: return Code::not_empty;
    case ENAMETOOLONG: return Code::name_too_long;
    case EFBIG: return Code::too_large;
    case EINVAL: return Code::invalid_argument;
    case EPERM: return Code::not_permitted;
    case EACCES: return Code::access_denied;
    case EROFS: return Code::read_only;
    case EBUSY: return Code::busy;
    case ENOSPC:
    case EDQUOT: return Code::no_space;
    case ENOMEM: return Code::memory;
    default: return Code::io;
  }
}

}  // namespace

Error errno_error(int errno_value, std::string_view what) {
  char buffer[128];
  // strerror_r and not strerror: worker threads report errors concurrently. GNU variant.
  const char* text = strerror_r(errno_value, buffer, sizeof buffer);
  return Error(code_of_errno(errno_value), std::string(what) + ": " + text);
}

}  // namespace tain
