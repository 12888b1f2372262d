// SPDX-License-Identifier: Apache-2.0
#include "store/acl.h"

#include <gtest/gtest.h>

#include "store/tree.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

struct Line {
  uint16_t tag;
  uint16_t permissions;
  uint32_t id = 0xffffffff;
};
constexpr uint16_t kOwner = 1, kUser = 2, kGroup = 4, kNamedGroup = 8, kMask = 16, kOthers = 32;

Bytes list(const std::vector<Line>& lines, uint32_t version = 2) {
  Bytes out;
  Writer w(out);
  w.u32(version);
  for (const Line& line : lines) w.u16(line.tag).u16(line.permissions).u32(line.id);
  return out;
}

const Bytes kMinimal = list({{kOwner, 6}, {kGroup, 4}, {kOthers, 0}});
const Bytes kExtended = list({{kOwner, 7}, {kUser, 6, 1001}, {kGroup, 4}, {kMask, 6}, {kOthers, 1}});

TEST(AclTest, WhatIsParsedIsEncodedAgain) {
  for (const Bytes& value : {kMinimal, kExtended}) {
    auto acl = Acl::parse(value);
    ASSERT_TRUE(acl.ok());
    EXPECT_EQ(acl->encode(), value);
  }
  EXPECT_TRUE(Acl::parse(kMinimal)->is_minimal());
  EXPECT_FALSE(Acl::parse(kExtended)->is_minimal());
}

TEST(AclTest, ListsThatAreNotCompleteOrNotInOrderAreRefused) {
  const std::vector<Bytes> bad = {
      {},
      list({}),
      list({{kOwner, 6}, {kGroup, 4}}),
      list({{kOwner, 6}, {kOthers, 4}, {kGroup, 4}}),
      list({{kOwner, 6}, {kOwner, 6}, {kGroup, 4}, {kOthers, 0}}),
      list({{kOwner, 8}, {kGroup, 4}, {kOthers, 0}}),
      list({{kOwner, 6}, {kUser, 6, 7}, {kGroup, 4}, {kOthers, 0}}),
      list({{kOwner, 6}, {kGroup, 4}, {kUser, 6, 7}, {kMask, 7}, {kOthers, 0}}),
      list({{kOwner, 6}, {kNamedGroup, 6, 7}, {kGroup, 4}, {kMask, 7}, {kOthers, 0}}),
      list({{kOwner, 6}, {kGroup, 4}, {kMask, 7}, {kMask, 7}, {kOthers, 0}}),
      list({{kOwner, 6}, {kGroup, 4}, {kOthers, 0}, {64, 0}}),
      list({{0, 6}, {kOwner, 6}, {kGroup, 4}, {kOthers, 0}}),
  };
  for (const Bytes& value : bad) EXPECT_TRUE(Acl::parse(value).is(Code::invalid_argument));
  Bytes cut = kExtended;
  cut.pop_back();
  EXPECT_TRUE(Acl::parse(cut).is(Code::invalid_argument));
  EXPECT_TRUE(Acl::parse(list({{kOwner, 6}, {kGroup, 4}, {kOthers, 0}}, 3)).is(Code::unsupported));
  EXPECT_TRUE(Acl::parse(Bytes(kAclMax + 4)).is(Code::no_space));
}

TEST(AclTest, TheMaskIsTheGroupOfTheMode) {
  Acl acl = *Acl::parse(kExtended);
  EXPECT_EQ(acl.applied_to(S_IFREG | 04000), static_cast<uint32_t>(S_IFREG | 04761));

  acl.set_mode(0640);

  EXPECT_EQ(acl.encode(), list({{kOwner, 6}, {kUser, 6, 1001}, {kGroup, 4}, {kMask, 4}, {kOthers, 0}}));
}

TEST(AclTest, InheritingGrantsNoMoreThanListAndModeBoth) {
  Acl acl = *Acl::parse(kExtended);

  EXPECT_EQ(acl.inherit(S_IFREG | 0655), static_cast<uint32_t>(S_IFREG | 0641));

  EXPECT_EQ(acl.encode(), list({{kOwner, 6}, {kUser, 6, 1001}, {kGroup, 4}, {kMask, 4}, {kOthers, 1}}));
}

class TreeAclTest : public testing::Test {
 protected:
  Tree& tree() { return temp_.tree(); }
  Attr make(std::string_view name, uint32_t mode, uint32_t umask = 0, Ino directory = kRootIno) {
    return *tree().make(directory, name, {.mode = mode, .umask = umask, .symlink = {}});
  }
  uint32_t mode_of(Ino ino) { return tree().getattr(ino)->mode & 07777; }
  Bytes get(Ino ino, std::string_view name) { return *tree().get_xattr(ino, std::string(name)); }
  bool has(Ino ino, std::string_view name) { return tree().get_xattr(ino, std::string(name)).ok(); }

  test::TempVault temp_;
};

TEST_F(TreeAclTest, AnAccessListSetsTheModeAndIsKeptWhenItSaysMore) {
  const Ino file = make("f", S_IFREG | 0600).ino;

  ASSERT_TRUE(tree().set_acl(file, AclKind::access, kExtended, /*keep_set_group_id=*/true).ok());
  EXPECT_EQ(mode_of(file), 0761u);
  EXPECT_EQ(get(file, kAclAccess), kExtended);

  ASSERT_TRUE(tree().set_acl(file, AclKind::access, kMinimal, true).ok());
  EXPECT_EQ(mode_of(file), 0640u);
  EXPECT_FALSE(has(file, kAclAccess));
}

TEST_F(TreeAclTest, ChmodMovesTheMask) {
  const Ino file = make("f", S_IFREG | 0600).ino;
  ASSERT_TRUE(tree().set_acl(file, AclKind::access, kExtended, true).ok());
  AttrChange change;
  change.mode = 0710;

  ASSERT_TRUE(tree().setattr(file, change).ok());

  EXPECT_EQ(get(file, kAclAccess), list({{kOwner, 7}, {kUser, 6, 1001}, {kGroup, 4}, {kMask, 1}, {kOthers, 0}}));
}

TEST_F(TreeAclTest, SetGroupIdGoesWhereTheCallerMayNotKeepIt) {
  const Ino file = make("f", S_IFREG | 02700).ino;

  ASSERT_TRUE(tree().set_acl(file, AclKind::access, kExtended, false).ok());

  EXPECT_EQ(mode_of(file), 0761u);
}

TEST_F(TreeAclTest, ADefaultListTakesThePlaceOfTheMask) {
  const Ino folder = make("d", S_IFDIR | 0755, 0022).ino;
  ASSERT_TRUE(tree().set_acl(folder, AclKind::standard, kExtended, true).ok());
  EXPECT_EQ(mode_of(folder), 0755u) << "its own rights stay";

  const Attr file = make("f", S_IFREG | 0666, 0077, folder);
  const Attr below = make("below", S_IFDIR | 0777, 0077, folder);

  EXPECT_EQ(file.mode & 0777, 0660u);
  EXPECT_TRUE(has(file.ino, kAclAccess));
  EXPECT_FALSE(has(file.ino, kAclDefault));
  EXPECT_EQ(get(below.ino, kAclDefault), kExtended);
  EXPECT_EQ(below.mode & 0777, 0761u);
  EXPECT_EQ(make("plain", S_IFREG | 0666, 0077).mode & 0777, 0600u);
}

TEST_F(TreeAclTest, TheVaultRemembersThatSomeEntryHadAList) {
  const Ino file = make("f", S_IFREG | 0600).ino;
  ASSERT_TRUE(tree().set_xattr(file, "user.a", as_bytes("b"), XattrMode::any).ok());
  ASSERT_TRUE(tree().set_acl(file, AclKind::access, kMinimal, true).ok());
  EXPECT_FALSE(*tree().has_acls());

  ASSERT_TRUE(tree().set_acl(file, AclKind::access, kExtended, true).ok());
  EXPECT_TRUE(*tree().has_acls());

  ASSERT_TRUE(temp_.vault().fsync(file).ok());
  temp_.crash();
  EXPECT_TRUE(*tree().has_acls());
  ASSERT_TRUE(tree().set_acl(file, AclKind::access, kMinimal, true).ok());
  temp_.reopen();
  EXPECT_TRUE(*tree().has_acls());
}

TEST_F(TreeAclTest, OnlyFoldersHaveADefaultListAndLinksHaveNone) {
  const Ino file = make("f", S_IFREG | 0600).ino;
  const Ino link = tree().make(kRootIno, "l", {.mode = S_IFLNK | 0777, .symlink = "f"})->ino;

  EXPECT_TRUE(tree().set_acl(file, AclKind::standard, kExtended, true).is(Code::access_denied));
  EXPECT_TRUE(tree().set_acl(link, AclKind::access, kExtended, true).is(Code::unsupported));
}

}  // namespace
}  // namespace tain::store
