// SPDX-License-Identifier: Apache-2.0
// Owners on another machine: who changes places with whom, and in what.
#include "fs/owners.h"

#include <gtest/gtest.h>

#include <utility>

#include "fs/filesystem.h"
#include "tests/support/callers.h"
#include "tests/support/temp_vault.h"

namespace tain::fs {
namespace {

using test::kAnn;
using test::kRoot;

using store::Attr;

constexpr Owners::Ids kKept{.uid = 500, .gid = 50};

/// fs() is a mount by root, without a map.
class OwnersInAMountTest : public testing::Test {
 protected:
  Filesystem& fs() { return filesystem_; }
  Ino make(std::string_view name) { return fs().make(kRootIno, name, S_IFREG | 0644, kRoot).value().ino; }

  test::TempVault temp_;
  Filesystem filesystem_{temp_.vault()};
};

TEST(OwnersTest, OnlyAnOrdinaryUserWithAnotherNumberChangesPlaces) {
  EXPECT_TRUE(Owners::between(kKept, {kAnn.uid, kAnn.gid}).change_places());
  EXPECT_FALSE(Owners::between(kKept, {0, 0}).change_places());

  const Owners same = Owners::between(kKept, {kKept.uid, 100});
  EXPECT_FALSE(same.change_places());
  EXPECT_EQ(same.group(kKept.gid), kKept.gid);
}

TEST_F(OwnersInAMountTest, TheVaultsOwnerAppearsAsTheUserThatMounts) {
  const Ino of_owner = make("a");
  const Ino of_ann = make("b");
  const Ino of_other = make("c");
  const auto give = [&](Ino ino, uint32_t uid, uint32_t gid) {
    store::AttrChange change;
    change.uid = uid;
    change.gid = gid;
    EXPECT_TRUE(fs().setattr(ino, change, kRoot).ok());
  };
  give(of_owner, kKept.uid, kKept.gid);
  give(of_ann, kAnn.uid, kAnn.gid);
  give(of_other, 7, 8);

  Filesystem mount(temp_.vault(), {.owners = Owners::between(kKept, {kAnn.uid, kAnn.gid})});
  const auto ids = [](const Attr& attr) { return std::pair(attr.uid, attr.gid); };
  EXPECT_EQ(ids(*mount.getattr(of_owner)), std::pair(kAnn.uid, kAnn.gid));
  EXPECT_EQ(ids(*mount.lookup(kRootIno, "a")), std::pair(kAnn.uid, kAnn.gid));
  EXPECT_EQ(ids(*mount.getattr(of_ann)), std::pair(kKept.uid, kKept.gid));
  EXPECT_EQ(ids(*mount.getattr(of_other)), std::pair(7u, 8u));

  // What Ann makes is kept as the owner's, and shown as hers.
  const Attr made = *mount.make(kRootIno, "new", S_IFREG | 0644, kAnn);
  EXPECT_EQ(ids(made), std::pair(kAnn.uid, kAnn.gid));
  EXPECT_EQ(ids(*fs().getattr(made.ino)), std::pair(kKept.uid, kKept.gid));
  EXPECT_EQ(ids(*fs().getattr(mount.symlink("t", kRootIno, "l", kAnn)->ino)), std::pair(kKept.uid, kKept.gid));
  EXPECT_EQ(ids(*fs().getattr(mount.make_unnamed(kRootIno, 0600, kAnn)->ino)), std::pair(kKept.uid, kKept.gid));

  // chown means the numbers that the mount shows.
  store::AttrChange change;
  change.gid = kAnn.gid;
  EXPECT_EQ(mount.setattr(of_other, change, kRoot)->gid, kAnn.gid);
  EXPECT_EQ(fs().getattr(of_other)->gid, kKept.gid);
}

TEST_F(OwnersInAMountTest, ListsNameTheNumbersThatTheMountShows) {
  // Owner, user 1000 (Ann), group, mask, others.
  const Bytes ann = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,   4,  0, 0xe8, 3, 0,   0,   4,   0,
                     4, 0, 255, 255, 255, 255, 16, 0, 6,   0,   255, 255, 255, 255, 32, 0, 0,    0, 255, 255, 255, 255};
  Bytes owner = ann;
  owner[16] = 0xf4;  // 500
  owner[17] = 1;
  const Ino file = make("a");
  Filesystem mount(temp_.vault(), {.owners = Owners::between(kKept, {kAnn.uid, kAnn.gid})});

  ASSERT_TRUE(mount.set_xattr(file, "system.posix_acl_access", ann, 0, kRoot).ok());

  EXPECT_EQ(*mount.get_xattr(file, "system.posix_acl_access"), ann);
  EXPECT_EQ(*fs().get_xattr(file, "system.posix_acl_access"), owner);
}

}  // namespace
}  // namespace tain::fs
