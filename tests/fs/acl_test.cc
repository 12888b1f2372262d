// SPDX-License-Identifier: Apache-2.0
// ACLs in a mount that does not check them.
#include <gtest/gtest.h>

#include <string>

#include "fs/filesystem.h"
#include "tests/support/callers.h"
#include "tests/support/temp_vault.h"

namespace tain::fs {
namespace {

using test::kAnn;

TEST(AclInAMountTest, WithoutListsTheirAttributesDoNotExist) {
  const Bytes list = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,   4,  0, 7, 0, 0,   0,   4,   0,
                      4, 0, 255, 255, 255, 255, 16, 0, 6,   0,   255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255};
  test::TempVault temp;
  Filesystem fs(temp.vault());
  const Ino file = fs.make(kRootIno, "a", S_IFREG | 0644, kAnn)->ino;
  ASSERT_TRUE(fs.set_xattr(file, "system.posix_acl_access", list, 0, kAnn).ok());
  EXPECT_EQ(fs.getattr(file)->mode & 07777, 0660u);
  EXPECT_EQ(*fs.list_xattrs(file, kAnn), std::string("system.posix_acl_access\0", 24));

  Filesystem without(temp.vault(), {.acls = false});
  EXPECT_TRUE(without.get_xattr(file, "system.posix_acl_access").is(Code::unsupported));
  EXPECT_TRUE(without.set_xattr(file, "system.posix_acl_access", list, 0, kAnn).is(Code::unsupported));
  EXPECT_EQ(*without.list_xattrs(file, kAnn), "");
}

}  // namespace
}  // namespace tain::fs
