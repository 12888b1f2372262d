// SPDX-License-Identifier: Apache-2.0
// The namespace: names, links, renames, listings and attributes, before and after a commit.
#include "store/tree.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "store/database.h"
#include "store/working_set.h"
#include "tests/support/audit.h"
#include "tests/support/temp_directory.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using Complaints = std::vector<std::string>;

class TreeTest : public testing::Test {
 protected:
  Tree& tree() { return temp_.tree(); }
  Ino file(Ino directory, const std::string& name) { return temp_.make_file(directory, name); }
  Ino directory(Ino parent, const std::string& name) { return temp_.make_directory(parent, name); }
  Ino lookup(Ino directory, const std::string& name) {
    auto found = tree().lookup(directory, name);
    return found.ok() ? found->ino : Ino{};
  }
  Result<std::optional<Unlinked>> rename(Ino from_directory, const std::string& from, Ino to_directory,
                                         const std::string& to, RenameMode mode = RenameMode::replace) {
    return tree().rename(from_directory, from, to_directory, to, mode);
  }
  uint32_t nlink(Ino ino) { return tree().getattr(ino).value().nlink; }
  std::vector<std::string> names(Ino directory) {
    std::vector<std::string> out;
    EXPECT_TRUE(tree().list(directory, Cookie{0}, [&](const ListItem& item) {
      out.emplace_back(item.name);
      return true;
    }).ok());
    std::sort(out.begin(), out.end());
    return out;
  }
  void audit() {
    ASSERT_TRUE(temp_.vault().close().ok());
    temp_.close();
    EXPECT_EQ(test::audit_store(temp_.directory(), test::TempVault::password()), Complaints());
    temp_.reopen();
  }

  test::TempVault temp_{{.committer_thread = false}};
};

TEST_F(TreeTest, NamesOf255BytesWorkAndLongerOnesDoNot) {
  const std::string longest(255, '\xc3');
  const Ino made = file(kRootIno, longest);
  EXPECT_TRUE(tree().make(kRootIno, longest + "x", {.mode = S_IFREG, .symlink = {}}).is(Code::name_too_long));
  EXPECT_TRUE(tree().lookup(kRootIno, longest + "x").is(Code::name_too_long));

  temp_.reopen();

  EXPECT_EQ(lookup(kRootIno, longest), made);
  EXPECT_EQ(names(kRootIno), std::vector{longest});
}

TEST_F(TreeTest, ImpossibleNamesAreRefused) {
  const std::string nul("a\0b", 3);
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"), nul})
    EXPECT_TRUE(tree().make(kRootIno, name, {.mode = S_IFREG, .symlink = {}}).is(Code::invalid_argument)) << name;
}

TEST_F(TreeTest, DotAndDotDotLeadToTheDirectoryAndItsParent) {
  const Ino outer = directory(kRootIno, "outer");
  const Ino inner = directory(outer, "inner");
  EXPECT_EQ(lookup(inner, "."), inner);
  EXPECT_EQ(lookup(inner, ".."), outer);
  EXPECT_EQ(lookup(kRootIno, ".."), kRootIno);
}

TEST_F(TreeTest, NewInodesHaveTheAttributesAskedFor) {
  auto made = tree().make(kRootIno, "link", {.mode = S_IFLNK | 0777, .uid = 7, .gid = 8, .rdev = 0, .symlink = "to"});

  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->mode, uint32_t{S_IFLNK | 0777});
  EXPECT_EQ(made->uid, 7u);
  EXPECT_EQ(made->gid, 8u);
  EXPECT_EQ(made->size, 2u);
  EXPECT_EQ(made->nlink, 1u);
  EXPECT_EQ(tree().readlink(made->ino).value(), "to");
  EXPECT_TRUE(tree().readlink(kRootIno).is(Code::invalid_argument));
}

TEST_F(TreeTest, SetGroupIdDirectoryPassesItsGroupOn) {
  const Ino shared = directory(kRootIno, "shared");
  ASSERT_TRUE(tree().setattr(shared, {.mode = 02775, .gid = 50, .size = {}}).ok());

  auto plain = tree().make(shared, "file", {.mode = S_IFREG | 0644, .gid = 1, .symlink = {}});
  auto nested = tree().make(shared, "dir", {.mode = S_IFDIR | 0755, .gid = 1, .symlink = {}});

  EXPECT_EQ(plain->gid, 50u);
  EXPECT_EQ(plain->mode & S_ISGID, 0u);
  EXPECT_EQ(nested->gid, 50u);
  EXPECT_EQ(nested->mode & S_ISGID, uint32_t{S_ISGID});
}

TEST_F(TreeTest, NumbersAreNeverGivenTwice) {
  const Ino first = file(kRootIno, "a");
  EXPECT_TRUE(tree().unlink(kRootIno, "a").ok());
  EXPECT_TRUE(tree().reap(first).ok());
  temp_.reopen();
  EXPECT_GT(raw(file(kRootIno, "b")), raw(first));
}

TEST_F(TreeTest, LinkCountsFollowNames) {
  const Ino ino = file(kRootIno, "a");
  const Ino dir = directory(kRootIno, "dir");
  EXPECT_EQ(nlink(kRootIno), 3u);

  EXPECT_EQ(tree().link(ino, dir, "b")->nlink, 2u);
  EXPECT_TRUE(tree().link(ino, dir, "b").is(Code::exists));
  EXPECT_TRUE(tree().link(dir, kRootIno, "c").is(Code::not_permitted));
  EXPECT_FALSE(tree().unlink(kRootIno, "a")->orphan);
  EXPECT_EQ(nlink(ino), 1u);
  audit();
  EXPECT_EQ(lookup(dir, "b"), ino);
  EXPECT_TRUE(tree().unlink(dir, "b")->orphan);
}

TEST_F(TreeTest, RmdirTakesEmptyDirectoriesOnly) {
  const Ino dir = directory(kRootIno, "dir");
  file(dir, "a");
  EXPECT_TRUE(tree().rmdir(kRootIno, "dir").is(Code::not_empty));
  EXPECT_TRUE(tree().unlink(kRootIno, "dir").is(Code::is_directory));
  EXPECT_TRUE(tree().rmdir(dir, "a").is(Code::not_directory));
  ASSERT_TRUE(tree().unlink(dir, "a").ok());

  EXPECT_TRUE(tree().rmdir(kRootIno, "dir")->orphan);

  EXPECT_EQ(nlink(kRootIno), 2u);
  EXPECT_TRUE(tree().make(dir, "late", {.mode = S_IFREG, .symlink = {}}).is(Code::not_found));
  EXPECT_EQ(nlink(dir), 0u) << "still there for those who have it open";
}

TEST_F(TreeTest, RenameMovesWithinAndBetweenDirectories) {
  const Ino ino = file(kRootIno, "a");
  const Ino dir = directory(kRootIno, "dir");
  ASSERT_TRUE(rename(kRootIno, "a", kRootIno, "b").ok());
  ASSERT_TRUE(rename(kRootIno, "b", dir, "c").ok());

  EXPECT_EQ(lookup(dir, "c"), ino);
  EXPECT_EQ(names(kRootIno), std::vector<std::string>{"dir"});
  audit();
  EXPECT_EQ(lookup(dir, "c"), ino);
}

TEST_F(TreeTest, RenameOfADirectoryMovesDotDotAndTheLinkCount) {
  const Ino from = directory(kRootIno, "from");
  const Ino to = directory(kRootIno, "to");
  const Ino moved = directory(from, "moved");
  ASSERT_TRUE(rename(from, "moved", to, "there").ok());

  EXPECT_EQ(tree().parent(moved).value(), to);
  EXPECT_EQ(nlink(from), 2u);
  EXPECT_EQ(nlink(to), 3u);
  audit();
}

/// What rename(2) says when a thing of one type replaces a thing of another.
TEST_F(TreeTest, RenameOverFollowsTheTypes) {
  const Ino dir = directory(kRootIno, "dir");
  directory(kRootIno, "empty");
  const Ino full = directory(kRootIno, "full");
  file(full, "x");
  const Ino ino = file(kRootIno, "file");
  const Ino old = file(kRootIno, "old");

  EXPECT_TRUE(rename(kRootIno, "file", kRootIno, "dir").is(Code::is_directory));
  EXPECT_TRUE(rename(kRootIno, "dir", kRootIno, "file").is(Code::not_directory));
  EXPECT_TRUE(rename(kRootIno, "dir", kRootIno, "full").is(Code::not_empty));
  EXPECT_TRUE(rename(kRootIno, "file", kRootIno, "old", RenameMode::no_replace).is(Code::exists));
  EXPECT_TRUE(rename(kRootIno, "none", kRootIno, "x").is(Code::not_found));

  auto replaced = rename(kRootIno, "file", kRootIno, "old");
  ASSERT_TRUE(replaced.ok() && replaced->has_value());
  EXPECT_EQ((*replaced)->ino, old);
  EXPECT_TRUE((*replaced)->orphan);
  EXPECT_EQ(lookup(kRootIno, "old"), ino);
  ASSERT_TRUE(rename(kRootIno, "dir", kRootIno, "empty").ok());
  EXPECT_EQ(lookup(kRootIno, "empty"), dir);
  EXPECT_EQ(nlink(kRootIno), 4u);
  audit();
}

TEST_F(TreeTest, RenameOfOneFilesTwoNamesDoesNothing) {
  const Ino ino = file(kRootIno, "a");
  ASSERT_TRUE(tree().link(ino, kRootIno, "b").ok());
  auto renamed = rename(kRootIno, "a", kRootIno, "b");
  ASSERT_TRUE(renamed.ok());
  EXPECT_FALSE(renamed->has_value());
  EXPECT_EQ(names(kRootIno), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(nlink(ino), 2u);
}

TEST_F(TreeTest, DirectoryDoesNotMoveIntoItself) {
  const Ino outer = directory(kRootIno, "outer");
  const Ino inner = directory(outer, "inner");
  EXPECT_TRUE(rename(kRootIno, "outer", outer, "x").is(Code::invalid_argument));
  EXPECT_TRUE(rename(kRootIno, "outer", inner, "x").is(Code::invalid_argument));
  EXPECT_TRUE(rename(kRootIno, "outer", outer, "inner", RenameMode::exchange).is(Code::invalid_argument));
  EXPECT_TRUE(rename(outer, "inner", kRootIno, "outer", RenameMode::exchange).is(Code::invalid_argument));
}

TEST_F(TreeTest, ExchangeSwapsAcrossDirectories) {
  const Ino left = directory(kRootIno, "left");
  const Ino right = directory(kRootIno, "right");
  const Ino dir = directory(left, "thing");
  const Ino ino = file(right, "other");
  ASSERT_EQ(nlink(left), 3u);

  EXPECT_TRUE(rename(left, "thing", right, "none", RenameMode::exchange).is(Code::not_found));
  ASSERT_TRUE(rename(left, "thing", right, "other", RenameMode::exchange).ok());

  EXPECT_EQ(lookup(left, "thing"), ino);
  EXPECT_EQ(lookup(right, "other"), dir);
  EXPECT_EQ(nlink(left), 2u);
  EXPECT_EQ(nlink(right), 3u);
  EXPECT_EQ(tree().parent(dir).value(), right);
  audit();
}

TEST_F(TreeTest, ExchangeOfTwoDirectoriesKeepsTheCounts) {
  const Ino left = directory(kRootIno, "left");
  const Ino right = directory(kRootIno, "right");
  const Ino one = directory(left, "one");
  const Ino two = directory(right, "two");
  ASSERT_TRUE(rename(left, "one", right, "two", RenameMode::exchange).ok());
  EXPECT_EQ(nlink(left), 3u);
  EXPECT_EQ(nlink(right), 3u);
  EXPECT_EQ(tree().parent(one).value(), right);
  EXPECT_EQ(tree().parent(two).value(), left);
  audit();
}

TEST_F(TreeTest, HundredThousandNamesAreListedOnceAcrossCommits) {
  constexpr int kNames = 100'000;
  const Ino dir = directory(kRootIno, "many");
  for (int i = 0; i < kNames; ++i) {
    ASSERT_TRUE(tree().make(dir, "entry " + std::to_string(i), {.mode = S_IFREG | 0644, .symlink = {}}).ok());
    if (i == kNames / 2) { ASSERT_TRUE(temp_.vault().sync().ok()); }  // half in the database, half pending
  }

  std::set<std::string> seen;
  Cookie after{0};
  bool committed = false;
  for (bool more = true; more;) {
    more = false;
    ASSERT_TRUE(tree().list(dir, after, [&](const ListItem& item) {
      EXPECT_GT(raw(item.cookie), raw(after));
      EXPECT_LT(raw(item.cookie), uint64_t{1} << 62) << "telldir() is signed";
      after = item.cookie;
      EXPECT_TRUE(seen.emplace(item.name).second) << item.name;
      more = seen.size() % 1000 == 0;  // the reader's buffer is full: it comes again
      return !more;
    }).ok());
    if (!committed && seen.size() > kNames / 2) {
      ASSERT_TRUE(temp_.vault().sync().ok());
      committed = true;
    }
  }

  EXPECT_EQ(seen.size(), size_t{kNames});
  EXPECT_TRUE(tree().rmdir(kRootIno, "many").is(Code::not_empty));
}

TEST_F(TreeTest, ListingContinuesAfterItsPositionWasRemoved) {
  for (int i = 0; i < 50; ++i) file(kRootIno, std::to_string(i));
  ASSERT_TRUE(temp_.vault().sync().ok());
  std::string first;
  Cookie position{0};
  ASSERT_TRUE(tree().list(kRootIno, Cookie{0}, [&](const ListItem& item) {
    first = item.name;
    position = item.cookie;
    return false;
  }).ok());
  ASSERT_TRUE(tree().unlink(kRootIno, first).ok());

  size_t rest = 0;
  ASSERT_TRUE(tree().list(kRootIno, position, [&](const ListItem&) { return ++rest > 0; }).ok());

  EXPECT_EQ(rest, 49u);
}

TEST_F(TreeTest, OrphansAreReapedWhenTheVaultIsOpened) {
  const Ino ino = file(kRootIno, "a");
  temp_.write(ino, 0, "still open");
  ASSERT_TRUE(tree().unlink(kRootIno, "a").ok());
  const Ino unnamed = tree().make_unnamed(kRootIno, {.mode = S_IFREG | 0600, .symlink = {}})->ino;
  ASSERT_TRUE(temp_.vault().sync().ok());
  EXPECT_EQ(temp_.read(ino), "still open");

  temp_.reopen();

  EXPECT_TRUE(tree().getattr(ino).is(Code::not_found));
  EXPECT_TRUE(tree().getattr(unnamed).is(Code::not_found));
  EXPECT_EQ(temp_.vault().stats().entries, 0u);
  audit();
}

TEST_F(TreeTest, ReapLeavesNamedFilesAlone) {
  const Ino ino = file(kRootIno, "a");
  EXPECT_TRUE(tree().reap(ino).ok());
  EXPECT_TRUE(tree().reap(Ino{12345}).ok());
  EXPECT_EQ(lookup(kRootIno, "a"), ino);
}

TEST_F(TreeTest, UnnamedFileMayGetAName) {
  const Ino ino = tree().make_unnamed(kRootIno, {.mode = S_IFREG | 0600, .symlink = {}})->ino;
  temp_.write(ino, 0, "content");
  ASSERT_TRUE(temp_.vault().sync().ok());
  ASSERT_TRUE(tree().link(ino, kRootIno, "named").ok());

  temp_.reopen();

  EXPECT_EQ(lookup(kRootIno, "named"), ino);
  EXPECT_EQ(temp_.read(ino), "content");
  audit();
}

TEST_F(TreeTest, XattrLimitsAreKept) {
  const Ino ino = file(kRootIno, "a");
  const auto set = [&](const std::string& name, size_t size) {
    return tree().set_xattr(ino, name, Bytes(size), XattrMode::any);
  };
  EXPECT_TRUE(set("", 1).is(Code::out_of_range));
  EXPECT_TRUE(set(std::string(256, 'n'), 1).is(Code::out_of_range));
  EXPECT_TRUE(set("user.big", kXattrValueMax + 1).is(Code::too_big));
  EXPECT_TRUE(set(std::string(255, 'n'), kXattrValueMax).ok());
  EXPECT_TRUE(set("user.b", kXattrTotalMax - kXattrValueMax - 255 - 6).ok());
  EXPECT_TRUE(set("c", 0).is(Code::no_space));
  EXPECT_TRUE(set("user.b", kXattrTotalMax - kXattrValueMax - 255 - 6).ok()) << "replacing frees the old value first";

  temp_.reopen();

  EXPECT_EQ(tree().list_xattrs(ino)->size(), 2u);
  EXPECT_EQ(tree().get_xattr(ino, std::string(255, 'n'))->size(), kXattrValueMax);
  audit();
}

TEST_F(TreeTest, ManyEmptyXattrsComeBack) {
  // Each counts little; together they may still not outgrow what a reader takes.
  const Ino ino = file(kRootIno, "a");
  size_t set = 0;
  for (int i = 0; i < 6000; ++i) {
    auto result = tree().set_xattr(ino, std::to_string(i), {}, XattrMode::create);
    if (!result.ok()) {
      EXPECT_TRUE(result.is(Code::no_space)) << result.error().message();
      break;
    }
    ++set;
  }

  temp_.reopen();

  auto listed = tree().list_xattrs(ino);
  ASSERT_TRUE(listed.ok()) << listed.error().message();
  EXPECT_EQ(listed->size(), set);
}

TEST_F(TreeTest, AsManyXattrsAsAreAllowedOfAllTheBytesThatAre) {
  const Ino ino = temp_.make_file(kRootIno, "file");
  const size_t size = kXattrTotalMax / kXattrCountMax;
  for (size_t i = 0; i < kXattrCountMax; ++i) {
    const std::string name = "user." + std::to_string(i);
    ASSERT_TRUE(tree().set_xattr(ino, name, Bytes(size - name.size(), 'v'), XattrMode::create).ok()) << i;
  }
  EXPECT_TRUE(tree().set_xattr(ino, "user.x", {}, XattrMode::create).is(Code::no_space));
  temp_.reopen();
  EXPECT_EQ(tree().list_xattrs(ino)->size(), kXattrCountMax);
}

TEST_F(TreeTest, XattrModesAndRemoval) {
  const Ino ino = file(kRootIno, "a");
  EXPECT_TRUE(tree().get_xattr(ino, "user.x").is(Code::no_attribute));
  EXPECT_TRUE(tree().set_xattr(ino, "user.x", as_bytes("1"), XattrMode::replace).is(Code::no_attribute));
  EXPECT_TRUE(tree().set_xattr(ino, "user.x", as_bytes("1"), XattrMode::create).ok());
  EXPECT_TRUE(tree().set_xattr(ino, "user.x", as_bytes("2"), XattrMode::create).is(Code::exists));
  ASSERT_TRUE(temp_.vault().sync().ok());
  EXPECT_EQ(as_text(tree().get_xattr(ino, "user.x").value()), "1");

  EXPECT_TRUE(tree().remove_xattr(ino, "user.x").ok());
  EXPECT_TRUE(tree().remove_xattr(ino, "user.x").is(Code::no_attribute));

  audit();
  EXPECT_TRUE(tree().get_xattr(ino, "user.x").is(Code::no_attribute));
}

TEST_F(TreeTest, TimesFollowTheRules) {
  const Ino ino = file(kRootIno, "a");
  const Attr made = tree().getattr(ino).value();
  EXPECT_EQ(made.atime, made.btime);
  temp_.clock().advance_seconds(10);

  const Attr root_before = tree().getattr(kRootIno).value();
  ASSERT_TRUE(tree().link(ino, kRootIno, "b").ok());
  const Attr linked = tree().getattr(ino).value();
  EXPECT_EQ(linked.mtime, made.mtime);
  EXPECT_GT(linked.ctime, made.ctime);
  EXPECT_GT(tree().getattr(kRootIno)->mtime, root_before.mtime);

  temp_.clock().advance_seconds(10);
  temp_.write(ino, 0, "x");
  const Attr written = tree().getattr(ino).value();
  EXPECT_GT(written.mtime, linked.mtime);
  EXPECT_EQ(written.mtime, written.ctime);
  EXPECT_EQ(written.atime, made.atime);

  const Time odd{.seconds = -5, .nanoseconds = 123'456'789};
  ASSERT_TRUE(tree().setattr(ino, {.mode = {}, .size = {}, .atime = odd, .mtime = odd}).ok());
  temp_.reopen();
  const Attr set = tree().getattr(ino).value();
  EXPECT_EQ(set.atime, odd);
  EXPECT_EQ(set.mtime, odd);
  EXPECT_EQ(set.btime, made.btime);
}

/// Sixteen names whose hashes share all but the low bits cannot be found in a lifetime, so the bucket is
/// filled by hand below the tree.
TEST(CollidingNamesTest, SeventeenthNameOfABucketIsNoSpaceAndTheOthersAreFound) {
  test::TempDirectory files;
  const Cipher cipher(MasterKey{Secret(32)}, VaultId{}, 1);
  auto env = Env::open(files.path("data.mdb"), {.map_size_bytes = uint64_t{1} << 26, .create = true}).value();
  Database database(*env, cipher, 0);
  const std::string wanted = "the seventeenth";
  const uint64_t hash = cipher.name_hash(kRootIno, wanted);
  const auto fill = [&](uint64_t count) {
    Batch batch = Batch::begin(database, {}).value();
    for (uint64_t i = 0; i < count; ++i) {
      Dirent dirent;
      dirent.directory = kRootIno;
      dirent.cookie = Cookie{hash + i};
      dirent.child = Ino{100 + i};
      dirent.name = "other " + std::to_string(i);
      EXPECT_TRUE(batch.put_record(Table::dirents, dirent_key(kRootIno, dirent.cookie), Kind::dirent, kDirentSchema,
                                   encode_dirent(dirent), false).ok());
    }
    EXPECT_TRUE(std::move(batch).commit({}).ok());
  };

  fill(15);
  test::FakeClock clock;
  WorkingSet set(database, clock, {}, 1, {});
  std::lock_guard lock(set.mutex());
  EXPECT_FALSE(set.find_name(kRootIno, wanted).value().has_value()) << "its neighbours have other names";
  ASSERT_TRUE(set.add_name(kRootIno, wanted, Ino{99}, DT_REG).ok());
  EXPECT_EQ(raw(set.find_name(kRootIno, wanted).value()->cookie), hash + 15);

  set.remove_name(*set.find_name(kRootIno, wanted).value());
  EXPECT_FALSE(set.find_name(kRootIno, wanted).value().has_value());
  ASSERT_TRUE(set.add_name(kRootIno, wanted, Ino{98}, DT_REG).ok()) << "its place is free again";

  fill(16);
  WorkingSet full(database, clock, {}, 1, {});
  std::lock_guard full_lock(full.mutex());
  EXPECT_TRUE(full.add_name(kRootIno, wanted, Ino{99}, DT_REG).is(Code::no_space));
}

}  // namespace
}  // namespace tain::store
