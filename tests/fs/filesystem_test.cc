// SPDX-License-Identifier: Apache-2.0
// The rules of fs/filesystem.h, through a vault in a temporary folder and without FUSE.
#include "fs/filesystem.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "tests/support/callers.h"

namespace tain::fs {
namespace {

using test::kAnn;
using test::kRoot;

using store::Attr;

std::string make_temporary_folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "tain-fs-XXXXXX").string();
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  return pattern;
}

class FilesystemTest : public testing::Test {
 protected:
  /// One empty vault for all tests, each of which opens a copy: making one takes a while, as it must.
  static void SetUpTestSuite() {
    template_folder_ = make_temporary_folder();
    store::CreateOptions create;
    create.kdf = store::kKdfFloor;
    ASSERT_TRUE(store::Vault::create(template_folder_ + "/vault", create, password()).ok());
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(template_folder_); }
  static Secret password() { return Secret::copy_of(as_bytes("correct horse")); }

  void SetUp() override {
    folder_ = make_temporary_folder();
    std::filesystem::copy(template_folder_ + "/vault", folder_ + "/vault");
    store::OpenOptions open;
    open.committer_thread = false;
    auto vault = store::Vault::open(folder_ + "/vault", open, password());
    ASSERT_TRUE(vault.ok()) << vault.error().message();
    vault_ = std::move(vault).value();
    filesystem_ = std::make_unique<Filesystem>(*vault_);
  }
  void TearDown() override {
    filesystem_.reset();
    vault_.reset();
    std::filesystem::remove_all(folder_);
  }

  Filesystem& fs() { return *filesystem_; }

  Ino make(std::string_view name, uint32_t mode = S_IFREG | 0644, Ino directory = kRootIno) {
    Result<Attr> made = fs().make(directory, name, mode, kAnn);
    EXPECT_TRUE(made.ok());
    return made.ok() ? made->ino : Ino{0};
  }
  uint32_t mode_of(Ino ino) {
    Result<Attr> attr = fs().getattr(ino);
    EXPECT_TRUE(attr.ok());
    return attr.ok() ? attr->mode & 07777 : 0;
  }
  uint64_t size_of(Ino ino) {
    Result<Attr> attr = fs().getattr(ino);
    EXPECT_TRUE(attr.ok());
    return attr.ok() ? attr->size : 0;
  }
  std::string content_of(Ino ino) {
    Bytes out(1 << 20);
    Result<size_t> count = fs().read(ino, 0, out);
    EXPECT_TRUE(count.ok());
    out.resize(count.ok() ? *count : 0);
    return std::string(as_text(out));
  }
  Result<Attr> chown(Ino ino, uint32_t uid, uint32_t gid) {
    store::AttrChange change;
    change.uid = uid;
    change.gid = gid;
    return fs().setattr(ino, change, kRoot);
  }
  Result<Attr> truncate(Ino ino, uint64_t size, const Caller& caller = kAnn) {
    store::AttrChange change;
    change.size = size;
    return fs().setattr(ino, change, caller);
  }
  bool exists(Ino ino) { return fs().getattr(ino).ok(); }

  static inline std::string template_folder_;
  std::string folder_;
  std::unique_ptr<store::Vault> vault_;
  std::unique_ptr<Filesystem> filesystem_;
};

template <class T>
testing::AssertionResult fails_with(const Result<T>& result, Code code) {
  if (result.is(code)) return testing::AssertionSuccess();
  if (result.ok()) return testing::AssertionFailure() << "succeeded";
  return testing::AssertionFailure() << "failed with another code: " << result.error().message();
}

// ---- names

TEST_F(FilesystemTest, NamesOf255BytesWorkAndLongerOnesAreRefused) {
  const std::string longest(255, 'x');
  const std::string too_long(256, 'x');

  const Ino file = make(longest);
  EXPECT_EQ(fs().lookup(kRootIno, longest)->ino, file);
  EXPECT_TRUE(fails_with(fs().lookup(kRootIno, too_long), Code::name_too_long));
  EXPECT_TRUE(fails_with(fs().make(kRootIno, too_long, S_IFREG | 0644, kAnn), Code::name_too_long));
  EXPECT_TRUE(fails_with(fs().make(kRootIno, too_long, S_IFDIR | 0755, kAnn), Code::name_too_long));
  EXPECT_TRUE(fails_with(fs().symlink("target", kRootIno, too_long, kAnn), Code::name_too_long));
  EXPECT_TRUE(fails_with(fs().link(file, kRootIno, too_long), Code::name_too_long));
  EXPECT_TRUE(fails_with(fs().rename(kRootIno, longest, kRootIno, too_long, 0, kAnn), Code::name_too_long));
}

TEST_F(FilesystemTest, NamesThatAreNotNamesAreRefused) {
  for (std::string_view name : {std::string_view(""), std::string_view("."), std::string_view(".."),
                                std::string_view("a/b"), std::string_view("a\0b", 3)}) {
    EXPECT_TRUE(fails_with(fs().make(kRootIno, name, S_IFREG | 0644, kAnn), Code::invalid_argument)) << name;
  }
}

// ---- making inodes

TEST_F(FilesystemTest, NewInodesBelongToTheCaller) {
  const Attr attr = *fs().make(kRootIno, "a", S_IFREG | 0640, kAnn);

  EXPECT_EQ(attr.uid, kAnn.uid);
  EXPECT_EQ(attr.gid, kAnn.gid);
  EXPECT_EQ(attr.mode, static_cast<uint32_t>(S_IFREG | 0640));
  EXPECT_EQ(attr.nlink, 1u);
}

TEST_F(FilesystemTest, SpecialFilesAreMadeAndDevicesKeepTheirNumber) {
  EXPECT_TRUE(S_ISFIFO(fs().make(kRootIno, "fifo", S_IFIFO | 0600, kAnn)->mode));
  EXPECT_TRUE(S_ISSOCK(fs().make(kRootIno, "socket", S_IFSOCK | 0600, kAnn)->mode));
  EXPECT_TRUE(S_ISREG(fs().make(kRootIno, "plain", 0600, kAnn)->mode)) << "no type means a file";
  ASSERT_TRUE(fs().make(kRootIno, "null", S_IFCHR | 0600, kRoot, 0x103).ok());
  ASSERT_TRUE(fs().make(kRootIno, "disk", S_IFBLK | 0600, kRoot, 0x7fa).ok());
  EXPECT_TRUE(S_ISCHR(fs().lookup(kRootIno, "null")->mode));
  EXPECT_EQ(fs().lookup(kRootIno, "null")->rdev, 0x103u);
  EXPECT_TRUE(S_ISBLK(fs().lookup(kRootIno, "disk")->mode));
  EXPECT_EQ(fs().lookup(kRootIno, "disk")->rdev, 0x7fau);
  EXPECT_EQ(fs().make(kRootIno, "plain2", S_IFREG | 0600, kRoot, 0x103)->rdev, 0u);
}

TEST_F(FilesystemTest, SymlinkTargetsHaveLimits) {
  const std::string longest(4095, 't');
  const Ino link = fs().symlink(longest, kRootIno, "link", kAnn)->ino;

  EXPECT_EQ(*fs().readlink(link), longest);
  EXPECT_EQ(size_of(link), longest.size());
  EXPECT_TRUE(fails_with(fs().symlink(longest + "t", kRootIno, "more", kAnn), Code::name_too_long));
  EXPECT_TRUE(fails_with(fs().symlink("", kRootIno, "none", kAnn), Code::not_found));
}

TEST_F(FilesystemTest, LinkAnswersWithTheTrueSize) {
  const Ino file = make("a");
  ASSERT_TRUE(fs().write(file, 0, as_bytes("hello"), kAnn).ok());

  const Attr linked = *fs().link(file, kRootIno, "b");

  EXPECT_EQ(linked.ino, file);
  EXPECT_EQ(linked.size, 5u);
  EXPECT_EQ(linked.nlink, 2u);
}

// ---- the life of an unlinked file

TEST_F(FilesystemTest, UnlinkedFileLivesUntilTheKernelForgetsIt) {
  const Ino file = make("a");
  ASSERT_TRUE(fs().write(file, 0, as_bytes("still here"), kAnn).ok());
  ASSERT_TRUE(fs().lookup(kRootIno, "a").ok());

  ASSERT_TRUE(fs().unlink(kRootIno, "a").ok());
  EXPECT_EQ(content_of(file), "still here");
  EXPECT_EQ(fs().getattr(file)->nlink, 0u);
  fs().forget(file, 1);
  EXPECT_TRUE(exists(file)) << "one lookup is left";
  fs().forget(file, 1);
  EXPECT_FALSE(exists(file));
}

TEST_F(FilesystemTest, UnlinkedFileThatTheKernelDoesNotKnowGoesAtOnce) {
  const Ino file = make("a");
  fs().forget(file, 1);

  ASSERT_TRUE(fs().unlink(kRootIno, "a").ok());

  EXPECT_FALSE(exists(file));
}

TEST_F(FilesystemTest, FileWithAnotherNameIsNotAnOrphan) {
  const Ino file = make("a");
  ASSERT_TRUE(fs().link(file, kRootIno, "b").ok());

  ASSERT_TRUE(fs().unlink(kRootIno, "a").ok());
  fs().forget(file, 2);

  EXPECT_TRUE(exists(file));
  EXPECT_EQ(fs().lookups().size(), 0u);
}

TEST_F(FilesystemTest, RenameOverAFileMakesItAnOrphan) {
  const Ino source = make("new");
  const Ino target = make("old");

  ASSERT_TRUE(fs().rename(kRootIno, "new", kRootIno, "old", 0, kAnn).ok());
  EXPECT_TRUE(exists(target));
  fs().forget(target, 1);

  EXPECT_FALSE(exists(target));
  EXPECT_EQ(fs().lookup(kRootIno, "old")->ino, source);
}

TEST_F(FilesystemTest, RemovedDirectoryLivesUntilForgotten) {
  const Ino directory = make("d", S_IFDIR | 0755);

  ASSERT_TRUE(fs().rmdir(kRootIno, "d").ok());
  EXPECT_TRUE(exists(directory));
  EXPECT_TRUE(fails_with(fs().make(directory, "a", S_IFREG | 0644, kAnn), Code::not_found));
  fs().forget(directory, 1);

  EXPECT_FALSE(exists(directory));
}

TEST_F(FilesystemTest, UnnamedFileGoesUnlessItGetsAName) {
  const Ino lost = fs().make_unnamed(kRootIno, 0600, kAnn)->ino;
  const Ino kept = fs().make_unnamed(kRootIno, 0600, kAnn)->ino;
  ASSERT_TRUE(fs().write(kept, 0, as_bytes("kept"), kAnn).ok());

  const Attr linked = *fs().link(kept, kRootIno, "kept");
  fs().forget(lost, 1);
  fs().forget(kept, 2);

  EXPECT_EQ(linked.nlink, 1u);
  EXPECT_FALSE(exists(lost));
  EXPECT_EQ(content_of(kept), "kept");
}

TEST_F(FilesystemTest, FailedCallsCountNothing) {
  EXPECT_FALSE(fs().lookup(kRootIno, "absent").ok());
  EXPECT_FALSE(fs().acquire(Ino{4711}).ok());
  EXPECT_FALSE(fs().link(Ino{4711}, kRootIno, "b").ok());

  EXPECT_EQ(fs().lookups().size(), 0u);
}

// ---- attributes

TEST_F(FilesystemTest, ChownClearsSetUserIdAndExecutableSetGroupId) {
  const Ino program = make("program", S_IFREG | 06755);
  const Ino locked = make("locked", S_IFREG | 06644);
  const Ino directory = make("d", S_IFDIR | 02755);

  for (Ino ino : {program, locked, directory}) ASSERT_TRUE(chown(ino, 1, 1).ok());

  EXPECT_EQ(mode_of(program), 0755u);
  EXPECT_EQ(mode_of(locked), 02644u) << "without group execute the bit means something else";
  EXPECT_EQ(mode_of(directory), 02755u);
}

TEST_F(FilesystemTest, ChmodSetsWhatItIsTold) {
  const Ino file = make("a");

  store::AttrChange change;
  change.mode = S_IFDIR | 06711;
  ASSERT_TRUE(fs().setattr(file, change, kAnn).ok());

  EXPECT_EQ(fs().getattr(file)->mode, static_cast<uint32_t>(S_IFREG | 06711)) << "the type is not for chmod";
}

TEST_F(FilesystemTest, TruncateClearsSetUserIdUnlessByRoot) {
  const Ino file = make("a", S_IFREG | 06755);

  ASSERT_TRUE(truncate(file, 10, kRoot).ok());
  EXPECT_EQ(mode_of(file), 06755u);
  ASSERT_TRUE(truncate(file, 5).ok());

  EXPECT_EQ(mode_of(file), 0755u);
  EXPECT_EQ(size_of(file), 5u);
}

TEST_F(FilesystemTest, ChangingContentClearsSetUserIdUnlessByRoot) {
  const Ino source = make("source");
  ASSERT_TRUE(fs().write(source, 0, as_bytes("source"), kAnn).ok());
  using Change = std::function<bool(Ino, const Caller&)>;
  const std::pair<const char*, Change> changes[] = {
      {"write", [&](Ino ino, const Caller& by) { return fs().write(ino, 0, as_bytes("x"), by).ok(); }},
      {"allocate", [&](Ino ino, const Caller& by) { return fs().allocate(ino, 0, 0, 10, by).ok(); }},
      {"copy", [&](Ino ino, const Caller& by) { return fs().copy(source, 0, ino, 0, 6, by).ok(); }},
  };
  for (const auto& [name, change] : changes) {
    const Ino file = make(name, S_IFREG | 06755);
    EXPECT_TRUE(change(file, kRoot)) << name;
    EXPECT_EQ(mode_of(file), 06755u) << name;
    EXPECT_TRUE(change(file, kAnn)) << name;
    EXPECT_EQ(mode_of(file), 0755u) << name;
  }
}

TEST_F(FilesystemTest, SetGroupIdWithoutExecuteIsKeptByMembersOnly) {
  const Caller stranger{.uid = 1001, .gid = 7};
  const Caller member{.uid = 1001, .gid = 7, .groups = [] { return std::vector<uint32_t>{8, kAnn.gid}; }};
  const Ino file = make("a", S_IFREG | 02666);

  ASSERT_TRUE(fs().write(file, 0, as_bytes("x"), member).ok());
  EXPECT_EQ(mode_of(file), 02666u);
  ASSERT_TRUE(fs().write(file, 0, as_bytes("x"), stranger).ok());
  EXPECT_EQ(mode_of(file), 0666u);

  const Ino other = make("b", S_IFREG | 02666);
  ASSERT_TRUE(truncate(other, 5, stranger).ok());
  EXPECT_EQ(mode_of(other), 0666u);
}

TEST_F(FilesystemTest, AChangeOfNothingClearsPrivilegesForOwnerAndRoot) {
  const Ino file = make("a", S_IFREG | 06755);
  ASSERT_TRUE(fs().setattr(file, {}, Caller{.uid = 1001, .gid = 7}).ok());
  EXPECT_EQ(mode_of(file), 06755u);
  ASSERT_TRUE(fs().setattr(file, {}, kAnn).ok());
  EXPECT_EQ(mode_of(file), 0755u);

  const Ino other = make("b", S_IFREG | 06755);
  ASSERT_TRUE(fs().setattr(other, {}, kRoot).ok());
  EXPECT_EQ(mode_of(other), 0755u);
}

TEST_F(FilesystemTest, TheMaskOfTheCallerIsAppliedHere) {
  const Caller careful{.uid = 1000, .gid = 100, .umask = 0077};

  EXPECT_EQ(fs().make(kRootIno, "a", S_IFREG | 06777, careful)->mode & 07777, 06700u);
  EXPECT_EQ(fs().make(kRootIno, "d", S_IFDIR | 01777, careful)->mode & 07777, 01700u);
  EXPECT_EQ(fs().symlink("t", kRootIno, "l", careful)->mode & 07777, 0777u);
}

TEST_F(FilesystemTest, ReadingMovesAtimeUnlessAskedNotTo) {
  const Ino file = make("a");
  ASSERT_TRUE(fs().write(file, 0, as_bytes("text"), kAnn).ok());
  const Attr before = *fs().getattr(file);
  Bytes room(10);

  ASSERT_TRUE(fs().read(file, 0, room, /*keep_atime=*/true).ok());
  EXPECT_EQ(fs().getattr(file)->atime, before.atime);
  ASSERT_TRUE(fs().read(file, 0, room).ok());
  EXPECT_GT(fs().getattr(file)->atime, before.mtime);

  Filesystem quiet(*vault_, {.keep_atime = true});
  ASSERT_TRUE(fs().write(file, 0, as_bytes("text"), kAnn).ok());
  const Attr again = *fs().getattr(file);
  ASSERT_TRUE(quiet.read(file, 0, room).ok());
  EXPECT_EQ(fs().getattr(file)->atime, again.atime);
}

TEST_F(FilesystemTest, SizesPastTheLimitAreRefused) {
  const Ino file = make("a");

  EXPECT_TRUE(truncate(file, store::kFileSizeMax).ok());
  EXPECT_TRUE(fails_with(truncate(file, store::kFileSizeMax + 1), Code::too_large));
  EXPECT_TRUE(fails_with(fs().write(file, store::kFileSizeMax, as_bytes("x"), kAnn), Code::too_large));
  EXPECT_TRUE(fails_with(fs().write(file, UINT64_MAX, as_bytes("x"), kAnn), Code::too_large));
}

// ---- rename flags

TEST_F(FilesystemTest, RenameFlags) {
  const Ino a = make("a");
  const Ino b = make("b");

  EXPECT_TRUE(fails_with(fs().rename(kRootIno, "a", kRootIno, "b", RENAME_NOREPLACE, kAnn), Code::exists));
  ASSERT_TRUE(fs().rename(kRootIno, "a", kRootIno, "b", RENAME_EXCHANGE, kAnn).ok());
  EXPECT_EQ(fs().lookup(kRootIno, "a")->ino, b);
  EXPECT_EQ(fs().lookup(kRootIno, "b")->ino, a);
  for (uint32_t flags : {6u, 3u, 32u}) {  // whiteout and exchange, noreplace and exchange, unknown
    EXPECT_TRUE(fails_with(fs().rename(kRootIno, "a", kRootIno, "c", flags, kAnn), Code::invalid_argument)) << flags;
  }
}

TEST_F(FilesystemTest, RenameLeavesAWhiteoutWhereAskedTo) {
  const Ino a = make("a");
  const Ino b = make("b");

  ASSERT_TRUE(fs().rename(kRootIno, "a", kRootIno, "b", RENAME_WHITEOUT, kAnn).ok());

  const Attr left = *fs().lookup(kRootIno, "a");
  EXPECT_EQ(left.mode, static_cast<uint32_t>(S_IFCHR));
  EXPECT_EQ(left.rdev, 0u);
  EXPECT_EQ(left.uid, kAnn.uid);
  EXPECT_EQ(fs().lookup(kRootIno, "b")->ino, a);
  EXPECT_EQ(fs().getattr(b)->nlink, 0u);
}

// ---- listing

TEST_F(FilesystemTest, ListingContinuesFromEveryOffset) {
  std::set<std::string> expected = {".", ".."};
  for (int i = 0; i < 300; ++i) {
    const std::string name = "file-" + std::to_string(i);
    make(name);
    expected.insert(name);
  }

  for (size_t page_size : {size_t{1}, size_t{2}, size_t{7}, size_t{1000}}) {
    std::multiset<std::string> seen;
    uint64_t offset = 0;
    for (size_t got = 1; got != 0;) {
      got = 0;
      const uint64_t from = offset;
      ASSERT_TRUE(fs().list(kRootIno, from,
                            [&](const DirectoryItem& item) {
                              if (got == page_size) return false;  // does not fit: seen again in the next page
                              seen.insert(std::string(item.name));
                              offset = item.offset;
                              ++got;
                              return true;
                            })
                      .ok());
    }
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()), expected) << page_size;
    EXPECT_EQ(seen.size(), expected.size()) << "nothing twice, pages of " << page_size;
  }
}

TEST_F(FilesystemTest, ListingGoesOnAfterItsEntryWasRemoved) {
  for (int i = 0; i < 50; ++i) make("file-" + std::to_string(i));
  uint64_t offset = 0;
  size_t removed = 0;

  for (bool more = true; more;) {  // rm -r: read one, remove it, go on from its offset
    std::string name;
    more = false;
    ASSERT_TRUE(fs().list(kRootIno, offset,
                          [&](const DirectoryItem& item) {
                            name = item.name;
                            offset = item.offset;
                            more = true;
                            return false;
                          })
                    .ok());
    if (more && name != "." && name != "..") {
      ASSERT_TRUE(fs().unlink(kRootIno, name).ok());
      ++removed;
    }
  }

  EXPECT_EQ(removed, 50u);
}

TEST_F(FilesystemTest, DotsLeadToTheRightDirectories) {
  const Ino outer = make("outer", S_IFDIR | 0755);
  const Ino inner = make("inner", S_IFDIR | 0755, outer);
  const auto dots = [&](Ino directory) {
    std::vector<Ino> out;
    EXPECT_TRUE(fs().list(directory, 0,
                          [&](const DirectoryItem& item) {
                            if (item.name[0] == '.') out.push_back(item.ino);
                            EXPECT_EQ(item.type, DT_DIR);
                            return true;
                          })
                    .ok());
    return out;
  };

  EXPECT_EQ(dots(inner), (std::vector<Ino>{inner, outer}));
  EXPECT_EQ(dots(kRootIno), (std::vector<Ino>{kRootIno, kRootIno}));
}

TEST_F(FilesystemTest, ListingAFileFails) {
  const Ino file = make("a");

  EXPECT_TRUE(fails_with(fs().list(file, 2, [](const DirectoryItem&) { return true; }), Code::not_directory));
}

// ---- holes and copies

TEST_F(FilesystemTest, FallocateModes) {
  const Ino file = make("a");
  ASSERT_TRUE(fs().write(file, 0, as_bytes("0123456789"), kAnn).ok());

  ASSERT_TRUE(fs().allocate(file, FALLOC_FL_KEEP_SIZE, 0, 100, kAnn).ok());
  EXPECT_EQ(content_of(file), "0123456789");
  ASSERT_TRUE(fs().allocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 3, kAnn).ok());
  EXPECT_EQ(content_of(file), std::string("01\0\0\0"
                                          "56789",
                                          10));
  ASSERT_TRUE(fs().allocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 8, 100, kAnn).ok());
  EXPECT_EQ(content_of(file), std::string("01\0\0\0"
                                          "567\0\0",
                                          10));
  ASSERT_TRUE(fs().allocate(file, FALLOC_FL_ZERO_RANGE, 7, 5, kAnn).ok());
  EXPECT_EQ(content_of(file), std::string("01\0\0\0"
                                          "56\0\0\0\0\0",
                                          12));
  ASSERT_TRUE(fs().allocate(file, 0, 10, 10, kAnn).ok());
  EXPECT_EQ(size_of(file), 20u);
  EXPECT_TRUE(fails_with(fs().allocate(file, FALLOC_FL_COLLAPSE_RANGE, 0, 4096, kAnn), Code::unsupported));
  EXPECT_TRUE(fails_with(fs().allocate(file, FALLOC_FL_PUNCH_HOLE, 0, 4096, kAnn), Code::unsupported));
  EXPECT_TRUE(fails_with(fs().allocate(file, 0, 0, 0, kAnn), Code::invalid_argument));
  EXPECT_TRUE(fails_with(fs().allocate(file, 0, store::kFileSizeMax, 1, kAnn), Code::too_large));
}

TEST_F(FilesystemTest, SeekFindsDataAndHoles) {
  const Ino file = make("a");
  ASSERT_TRUE(fs().write(file, 4 * store::kBlockSize, as_bytes("x"), kAnn).ok());

  EXPECT_EQ(*fs().seek(file, 0, SEEK_DATA), 4 * store::kBlockSize);
  EXPECT_EQ(*fs().seek(file, 0, SEEK_HOLE), 0u);
  EXPECT_EQ(*fs().seek(file, 4 * store::kBlockSize, SEEK_HOLE), 4 * store::kBlockSize + 1);
  EXPECT_TRUE(fails_with(fs().seek(file, 5 * store::kBlockSize, SEEK_DATA), Code::no_such_offset));
  EXPECT_TRUE(fails_with(fs().seek(file, 0, SEEK_SET), Code::invalid_argument));
}

TEST_F(FilesystemTest, CopyStopsAtTheEndAndAtItsLimit) {
  const Ino from = make("from");
  const Ino to = make("to");
  ASSERT_TRUE(fs().write(from, 0, as_bytes("hello world"), kAnn).ok());

  EXPECT_EQ(*fs().copy(from, 6, to, 0, 100, kAnn), 5u);
  EXPECT_EQ(content_of(to), "world");
  ASSERT_TRUE(truncate(from, 2 * Filesystem::kCopyMax).ok());
  EXPECT_EQ(*fs().copy(from, 0, to, 0, UINT64_MAX, kAnn), Filesystem::kCopyMax);
}

// ---- extended attributes

TEST_F(FilesystemTest, XattrModes) {
  const Ino file = make("a");

  EXPECT_TRUE(fails_with(fs().set_xattr(file, "user.a", as_bytes("1"), XATTR_REPLACE, kAnn), Code::no_attribute));
  EXPECT_TRUE(fs().set_xattr(file, "user.a", as_bytes("1"), XATTR_CREATE, kAnn).ok());
  EXPECT_TRUE(fails_with(fs().set_xattr(file, "user.a", as_bytes("2"), XATTR_CREATE, kAnn), Code::exists));
  EXPECT_EQ(as_text(*fs().get_xattr(file, "user.a")), "1");
  EXPECT_TRUE(fs().set_xattr(file, "user.a", as_bytes("2"), XATTR_REPLACE, kAnn).ok());
  EXPECT_TRUE(fs().set_xattr(file, "user.empty", {}, 0, kAnn).ok());
  EXPECT_EQ(as_text(*fs().get_xattr(file, "user.a")), "2");
  EXPECT_TRUE(fs().get_xattr(file, "user.empty")->empty());
  EXPECT_TRUE(fails_with(fs().set_xattr(file, "user.a", {}, XATTR_CREATE | XATTR_REPLACE, kAnn), Code::exists));
  EXPECT_TRUE(fs().remove_xattr(file, "user.a").ok());
  EXPECT_TRUE(fails_with(fs().remove_xattr(file, "user.a"), Code::no_attribute));
  EXPECT_TRUE(fails_with(fs().get_xattr(file, "user.a"), Code::no_attribute));
}

TEST_F(FilesystemTest, XattrLimits) {
  const Ino file = make("a");
  const std::string longest = "user." + std::string(250, 'n');
  const Bytes largest(store::kXattrValueMax, 7);

  EXPECT_TRUE(fs().set_xattr(file, longest, largest, 0, kAnn).ok());
  EXPECT_EQ(*fs().get_xattr(file, longest), largest);
  EXPECT_TRUE(fails_with(fs().set_xattr(file, longest + "n", {}, 0, kAnn), Code::out_of_range));
  EXPECT_TRUE(fails_with(fs().set_xattr(file, "user.b", Bytes(store::kXattrValueMax + 1), 0, kAnn), Code::too_big));
  EXPECT_TRUE(fails_with(fs().set_xattr(file, "user.", {}, 0, kAnn), Code::invalid_argument));
}

TEST_F(FilesystemTest, OtherNameSpacesAreRefusedAndAListIsChecked) {
  const Ino file = make("a");

  EXPECT_TRUE(fails_with(fs().set_xattr(file, "system.else", as_bytes("x"), 0, kAnn), Code::unsupported));
  EXPECT_TRUE(
      fails_with(fs().set_xattr(file, "system.posix_acl_access", as_bytes("x"), 0, kAnn), Code::invalid_argument));
  EXPECT_TRUE(fails_with(fs().get_xattr(file, "system.posix_acl_access"), Code::no_attribute));
  EXPECT_TRUE(fails_with(fs().get_xattr(file, "security.selinux"), Code::unsupported));
  EXPECT_TRUE(fails_with(fs().get_xattr(file, "security.capability"), Code::no_attribute));
  EXPECT_TRUE(fails_with(fs().set_xattr(file, "colour", as_bytes("x"), 0, kAnn), Code::unsupported));
}

TEST_F(FilesystemTest, OnlyRootSeesTrustedAttributes) {
  const Ino file = make("a");
  ASSERT_TRUE(fs().set_xattr(file, "trusted.t", as_bytes("x"), 0, kAnn).ok());
  ASSERT_TRUE(fs().set_xattr(file, "user.u", as_bytes("x"), 0, kAnn).ok());

  EXPECT_EQ(*fs().list_xattrs(file, kRoot), std::string("trusted.t\0user.u\0", 17));
  EXPECT_EQ(*fs().list_xattrs(file, kAnn), std::string("user.u\0", 7));
}

// ---- space

TEST_F(FilesystemTest, StatfsReportsTheDiskBelow) {
  struct statvfs disk {};
  ASSERT_EQ(statvfs(folder_.c_str(), &disk), 0);

  const struct statvfs stats = *fs().statfs();

  EXPECT_EQ(stats.f_namemax, 255u);
  EXPECT_EQ(stats.f_bsize, 4096u);
  EXPECT_EQ(stats.f_blocks, disk.f_blocks * disk.f_frsize / 4096);
  EXPECT_GT(stats.f_bavail, 0u);
  EXPECT_GT(stats.f_ffree, uint64_t{1} << 31);
}

}  // namespace
}  // namespace tain::fs
