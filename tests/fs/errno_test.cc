// SPDX-License-Identifier: Apache-2.0
// What programs see of errors.
#include "fs/errno.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>

namespace tain::fs {
namespace {

TEST(ErrnoTest, PosixCodesKeepTheirMeaning) {
  const std::map<Code, int> expected = {
      {Code::not_found, ENOENT},
      {Code::exists, EEXIST},
      {Code::not_directory, ENOTDIR},
      {Code::is_directory, EISDIR},
      {Code::not_empty, ENOTEMPTY},
      {Code::name_too_long, ENAMETOOLONG},
      {Code::too_large, EFBIG},
      {Code::too_many_links, EMLINK},
      {Code::invalid_argument, EINVAL},
      {Code::not_permitted, EPERM},
      {Code::access_denied, EACCES},
      {Code::time_locked, EACCES},
      {Code::no_attribute, ENODATA},
      {Code::out_of_range, ERANGE},
      {Code::too_big, E2BIG},
      {Code::no_such_offset, ENXIO},
      {Code::unsupported, EOPNOTSUPP},
      {Code::read_only, EROFS},
      {Code::stale, ESTALE},
      {Code::busy, EBUSY},
      {Code::no_space, ENOSPC},
      {Code::io, EIO},
      {Code::memory, ENOMEM},
  };
  for (const auto& [code, value] : expected) EXPECT_EQ(to_errno(code), value) << static_cast<int>(code);
}

TEST(ErrnoTest, DamageIsAnInputOutputError) {
  EXPECT_EQ(to_errno(Code::corrupt), EIO);
}

TEST(ErrnoTest, NoCodeIsSuccess) {
  for (int code = 0; code <= static_cast<int>(Code::partial); ++code) {
    EXPECT_GT(to_errno(static_cast<Code>(code)), 0) << code;
  }
}

}  // namespace
}  // namespace tain::fs
