// SPDX-License-Identifier: Apache-2.0
#include "sync/file_remote.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "tests/support/temp_directory.h"
#include "tests/sync/remote_conformance.h"
#include "tests/sync/system_calls.h"

namespace tain::sync {
namespace {

namespace stdfs = std::filesystem;
using test::SystemCallHook;
using test::TempDirectory;

constexpr uint64_t kNoLimit = uint64_t{1} << 30;

void write_file(const std::string& path, std::string_view content) {
  stdfs::create_directories(stdfs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

size_t count_files(const std::string& directory) {
  size_t files = 0;
  std::error_code none;
  for (const auto& entry : stdfs::recursive_directory_iterator(directory, none))
    if (entry.is_regular_file()) ++files;
  return files;
}

/// A directory that is a remote, in a directory of its own.
class FileRemoteSubject final : public RemoteSubject {
 public:
  FileRemoteSubject() { EXPECT_TRUE(FileRemote::create(path()).ok()); }

  Remote& remote() override { return remote_; }

  void plant(const ObjectName& name, ByteView bytes) override { write_file(path(name.path()), as_text(bytes)); }

  uint64_t clutter(ObjectFolder folder) override {
    const std::string name = numbered_name(1, folder).path();
    const std::string in = path(stdfs::path(name).parent_path().string()) + "/";
    const std::string file = stdfs::path(name).filename().string();
    write_file(in + "readme.txt", "hello");
    write_file(in + ".hidden", "");
    write_file(in + file + " (conflicted copy 2026-11-22)", "x");
    write_file(in + file + ".sync-conflict-20261122-101112-ABCDEFG", "x");
    write_file(in + "." + file + ".tmp", "x");
    write_file(in + std::string(52, 'A'), "x");
    stdfs::create_directory(in + ".stfolder");
    stdfs::create_directory(in + numbered_file(1025, folder));                            // a folder under an object's name
    stdfs::create_symlink(in + file, in + numbered_file(2049, folder));                   // to an object
    stdfs::create_symlink("/etc/passwd", in + numbered_file(3073, folder));               // out of the remote
    stdfs::create_symlink(in + "nowhere", in + numbered_file(4097, folder));              // to nothing
    EXPECT_EQ(::mkfifo((in + numbered_file(5121, folder)).c_str(), 0600), 0);             // nobody writes into it
    uint64_t counted = 12;
    if (folder != ObjectFolder::objects) return counted;
    write_file(in + numbered_file(2, folder), "an object's name in another shard");
    write_file(path("o/desktop.ini"), "");
    write_file(path("o/" + file), "not in a shard");
    write_file(path("o/zz"), "a file where a shard would be");
    stdfs::create_directory(path("o/AB"));
    stdfs::create_directory(path("o/abc"));
    stdfs::create_directory_symlink(path("o"), path("o/77"));
    return counted + 7;
  }

  /// A process whose files may only grow to half of that is killed by the system.
  void die_in_put(const ObjectName& name, ByteView bytes) override {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const rlimit none{0, 0};
      const rlimit half{bytes.size() / 2, bytes.size() / 2};
      ::setrlimit(RLIMIT_CORE, &none);
      ::setrlimit(RLIMIT_FSIZE, &half);
      ::signal(SIGXFSZ, SIG_DFL);
      FileRemote dying(path());
      static_cast<void>(dying.put(name, bytes).ok());
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
  }

  std::vector<Code> provocable() const override {
    return {Code::remote_unreachable, Code::remote_refused, Code::no_space, Code::io};
  }

  void provoke(Code code) override {
    if (code == Code::remote_unreachable) {
      stdfs::rename(path(), away());
    } else if (code == Code::remote_refused) {
      stdfs::rename(path(), away());
      write_file(path(), "a file in its place");
    } else if (code == Code::no_space) {
      hook_ = std::make_unique<SystemCallHook>(path(), [](const std::string& call) { return call.starts_with("pwrite ") ? ENOSPC : 0; });
    } else {
      hook_ = std::make_unique<SystemCallHook>(path(), [](const std::string& call) { return call.starts_with("fstatat ") ? EIO : 0; });
    }
  }

  void relent() override {
    hook_.reset();
    if (!stdfs::exists(away())) return;
    stdfs::remove_all(path());
    stdfs::rename(away(), path());
  }

  std::string path() const { return directory_.path("remote"); }
  std::string path(const std::string& below) const { return path() + "/" + below; }

 private:
  static std::string numbered_file(uint64_t number, ObjectFolder folder) {
    return stdfs::path(numbered_name(number, folder).path()).filename().string();
  }
  std::string away() const { return directory_.path("away"); }

  const test::WithoutFlushes fast_;  // a disk would take minutes; that flushes are asked for, tests below see
  const TempDirectory directory_;
  FileRemote remote_{directory_.directory("remote")};
  std::unique_ptr<SystemCallHook> hook_;
};

std::unique_ptr<RemoteSubject> make_file_subject() { return std::make_unique<FileRemoteSubject>(); }
INSTANTIATE_TEST_SUITE_P(File, RemoteConformance, testing::Values(&make_file_subject));


/// What a test needs of a remote in a directory.
class FileRemoteTest : public testing::Test {
 protected:
  FileRemoteTest() { EXPECT_TRUE(FileRemote::create(path()).ok()); }

  std::string path(const std::string& below = "") const { return directory_.path("remote" + (below.empty() ? "" : "/" + below)); }
  std::string outside() const { return directory_.directory("outside"); }

  /// Every request, each with the code it must end with.
  static void expect_all(Remote& remote, Code code) {
    const Bytes bytes = numbered_bytes(1, 600);
    EXPECT_TRUE(remote.put(numbered_name(1), bytes).is(code));
    EXPECT_TRUE(remote.get(numbered_name(1), kNoLimit).is(code));
    EXPECT_TRUE(remote.get_range(numbered_name(1), 0, 1).is(code));
    EXPECT_TRUE(remote.stat(numbered_name(1)).is(code));
    EXPECT_TRUE(remote.list(ObjectFolder::objects, "").is(code));
    EXPECT_TRUE(remote.list(ObjectFolder::headers, "").is(code));
    EXPECT_TRUE(remote.remove(numbered_name(1)).is(code));
  }

  /// The calls of a put, with the random name in t/ as "t/*".
  std::vector<std::string> calls_of_put(FileRemote& remote, const ObjectName& name, ByteView bytes) {
    std::vector<std::string> calls;
    const SystemCallHook hook(path(), [&](const std::string& call) {
      std::string text = call;
      if (const size_t at = text.find(" t/"); at != std::string::npos) text.replace(at + 3, 52, "*");
      if (!text.starts_with("fstatat ") && !text.starts_with("pread ")) calls.push_back(text);
      return 0;
    });
    EXPECT_TRUE(remote.put(name, bytes).ok());
    return calls;
  }

  const test::WithoutFlushes fast_;  // a disk would take minutes; that flushes are asked for, tests below see
  const TempDirectory directory_;
  FileRemote remote_{directory_.directory("remote")};
};

TEST_F(FileRemoteTest, AMissingDirectoryIsUnreachableAndIsNotMade) {
  FileRemote missing(directory_.path("stick/remote"));

  expect_all(missing, Code::remote_unreachable);

  EXPECT_TRUE(FileRemote::create(directory_.path("stick/remote")).is(Code::remote_unreachable));
  EXPECT_FALSE(stdfs::exists(directory_.path("stick")));
}

TEST_F(FileRemoteTest, AnEmptyMountpointIsNoEmptyRemote) {
  FileRemote empty(directory_.directory("mountpoint"));

  expect_all(empty, Code::remote_unreachable);

  EXPECT_TRUE(stdfs::is_empty(directory_.path("mountpoint")));
}

TEST_F(FileRemoteTest, AnotherFolderIsNoRemoteEither) {
  directory_.directory("pictures/2026");
  FileRemote pictures(directory_.path("pictures"));

  expect_all(pictures, Code::remote_unreachable);

  EXPECT_EQ(count_files(directory_.path("pictures")), 0u);
}

TEST_F(FileRemoteTest, ACopyWithoutItsEmptyFoldersIsARemote) {
  ASSERT_TRUE(remote_.put(numbered_name(1, ObjectFolder::headers), numbered_bytes(1, 600)).ok());
  stdfs::remove(path("o"));
  stdfs::remove(path("w"));
  stdfs::remove(path("t"));

  EXPECT_TRUE(remote_.get(numbered_name(1), kNoLimit).is(Code::not_found));
  EXPECT_TRUE(list_all(remote_, ObjectFolder::announcements).objects.empty());
  EXPECT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());
  EXPECT_TRUE(remote_.get(numbered_name(1), kNoLimit).ok());
}

TEST_F(FileRemoteTest, CreatingAgainKeepsWhatIsThere) {
  ASSERT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());

  EXPECT_TRUE(FileRemote::create(path()).ok());

  EXPECT_TRUE(remote_.get(numbered_name(1), kNoLimit).ok());
}

TEST_F(FileRemoteTest, CreatingRefusesWhatIsInTheWay) {
  directory_.directory("occupied");
  write_file(directory_.path("occupied/o"), "");

  EXPECT_TRUE(FileRemote::create(directory_.path("occupied")).is(Code::remote_refused));
}

TEST_F(FileRemoteTest, OnlyTheOwnerMayReadIt) {
  const mode_t before = ::umask(0);
  ASSERT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());
  ::umask(before);

  const auto mode_of = [&](const std::string& below) { return stdfs::status(path(below)).permissions(); };
  EXPECT_EQ(mode_of(numbered_name(1).path()), stdfs::perms(0600));
  EXPECT_EQ(mode_of("o"), stdfs::perms(0700));
  EXPECT_EQ(mode_of("o/ab"), stdfs::perms(0700));
  EXPECT_EQ(mode_of("t"), stdfs::perms(0700));
}

TEST_F(FileRemoteTest, WhatRootMakesBelongsToTheDirectorysOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  directory_.directory("of user");
  ASSERT_EQ(::chown(directory_.path("of user").c_str(), 12345, 12346), 0);
  FileRemote remote(directory_.path("of user"));
  ASSERT_TRUE(FileRemote::create(directory_.path("of user")).ok());
  ASSERT_TRUE(remote.put(numbered_name(1), numbered_bytes(1, 600)).ok());

  for (const std::string& below : {std::string("k"), std::string("o/ab"), std::string("t"), numbered_name(1).path()}) {
    struct stat st {};
    ASSERT_EQ(::lstat(directory_.path("of user/" + below).c_str(), &st), 0) << below;
    EXPECT_EQ(st.st_uid, 12345u) << below;
    EXPECT_EQ(st.st_gid, 12346u) << below;
  }
}

TEST_F(FileRemoteTest, TheDirectoryItselfMayBeASymlink) {
  stdfs::create_directory_symlink(path(), directory_.path("link"));
  FileRemote linked(directory_.path("link"));

  EXPECT_TRUE(linked.put(numbered_name(1), numbered_bytes(1, 600)).ok());

  EXPECT_TRUE(remote_.get(numbered_name(1), kNoLimit).ok());
}

TEST_F(FileRemoteTest, NoSymlinkBelowLeadsOut) {
  write_file(outside() + "/" + numbered_name(1).path(), "secret");
  for (const std::string& folder : {std::string("o"), std::string("o/ab"), std::string("t")}) {
    stdfs::remove_all(path(folder));
    const std::string target = outside() + "/" + folder;
    stdfs::create_directories(target);
    stdfs::create_directory_symlink(target, path(folder));

    EXPECT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).is(Code::remote_refused)) << folder;
    EXPECT_TRUE(remote_.get(numbered_name(1), kNoLimit).is(Code::not_found)) << folder;
    EXPECT_EQ(remote_.stat(numbered_name(1)).value(), std::nullopt) << folder;
    EXPECT_TRUE(remote_.remove(numbered_name(1)).ok()) << folder;
    EXPECT_TRUE(list_all(remote_, ObjectFolder::objects).objects.empty()) << folder;

    stdfs::remove(path(folder));
    ASSERT_TRUE(FileRemote::create(path()).ok());
  }
  EXPECT_EQ(count_files(outside()), 1u);
  EXPECT_EQ(stdfs::file_size(outside() + "/" + numbered_name(1).path()), 6u);
}

TEST_F(FileRemoteTest, ASymlinkUnderAnObjectsNameIsReplacedAndItsTargetIsNot) {
  write_file(outside() + "/precious", "precious");
  stdfs::create_directories(path("o/ab"));
  stdfs::create_symlink(outside() + "/precious", path(numbered_name(1).path()));

  EXPECT_TRUE(remote_.remove(numbered_name(1)).ok());
  EXPECT_TRUE(stdfs::is_symlink(path(numbered_name(1).path())));
  EXPECT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());

  EXPECT_FALSE(stdfs::is_symlink(path(numbered_name(1).path())));
  EXPECT_EQ(stdfs::file_size(outside() + "/precious"), 8u);
}

TEST_F(FileRemoteTest, AFolderUnderAnObjectsNameStays) {
  write_file(path(numbered_name(1).path()) + "/precious", "precious");

  const Result<> put = remote_.put(numbered_name(1), numbered_bytes(1, 600));

  EXPECT_TRUE(put.is(Code::remote_refused));
  EXPECT_NE(put.error().hint().find("in the way"), std::string::npos) << put.error().hint();
  EXPECT_TRUE(remote_.remove(numbered_name(1)).ok());
  EXPECT_TRUE(stdfs::exists(path(numbered_name(1).path()) + "/precious"));
  EXPECT_EQ(count_files(path("t")), 0u);
}

TEST_F(FileRemoteTest, APutFlushesTheFileBeforeItsNameAndTheNameAtTheEnd) {
  const std::vector<std::string> expected{
      "fsync .",  // that o/ is there, as far as this process knows
      "mkdirat o/ab", "fsync o", "mkdirat t", "pwrite t/*", "fsync t/*", "renameat t/* " + numbered_name(1).path(), "fsync o/ab"};

  EXPECT_EQ(calls_of_put(remote_, numbered_name(1), numbered_bytes(1, 600)), expected);
}

TEST_F(FileRemoteTest, APutInAFolderThatIsKnownCostsTwoFlushes) {
  ASSERT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());
  for (uint64_t i = 2; i < 300; ++i) ASSERT_TRUE(remote_.put(numbered_name(1 + 1024 * i), numbered_bytes(i, 10)).ok());
  const std::vector<std::string> expected{"pwrite t/*", "fsync t/*", "renameat t/* " + numbered_name(1025).path(), "fsync o/ab"};

  EXPECT_EQ(calls_of_put(remote_, numbered_name(1025), numbered_bytes(2, 600)), expected);
}

TEST_F(FileRemoteTest, AFolderThatAnotherProcessMadeIsFlushedToo) {
  ASSERT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());
  FileRemote another(path());
  const std::vector<std::string> expected{"fsync .", "fsync o", "pwrite t/*", "fsync t/*", "renameat t/* " + numbered_name(1025).path(),
                                          "fsync o/ab"};

  EXPECT_EQ(calls_of_put(another, numbered_name(1025), numbered_bytes(1, 600)), expected);
}

TEST_F(FileRemoteTest, AFolderThatIsMadeAgainIsFlushedAgain) {
  ASSERT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());
  stdfs::remove_all(path("o/ab"));

  const auto calls = calls_of_put(remote_, numbered_name(1), numbered_bytes(1, 600));

  EXPECT_EQ(std::count(calls.begin(), calls.end(), "fsync o"), 1);
}

TEST_F(FileRemoteTest, APutOfWhatIsThereFlushesAndWritesNothing) {
  // Copied there by a tool that flushes nothing, say.
  ASSERT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());
  const std::vector<std::string> expected{"fsync " + numbered_name(1).path(), "fsync o/ab"};

  EXPECT_EQ(calls_of_put(remote_, numbered_name(1), numbered_bytes(1, 600)), expected);
}

/// How many calls a put makes.
size_t count_calls(const std::string& directory, const ObjectName& name, ByteView bytes) {
  size_t calls = 0;
  FileRemote remote(directory);
  const SystemCallHook hook(directory, [&](const std::string&) {
    ++calls;
    return 0;
  });
  EXPECT_TRUE(remote.put(name, bytes).ok());
  return calls;
}

TEST_F(FileRemoteTest, WhateverCallOfAPutFailsNoPartOfItIsSeen) {
  const Bytes bytes = numbered_bytes(1, 5000);
  const ObjectName name = numbered_name(1);
  const size_t calls = count_calls(path(), name, bytes);
  ASSERT_GT(calls, 6u);

  for (const int error : {ENOSPC, EDQUOT, EIO, EROFS, ESTALE, ENODEV}) {
    for (size_t failing = 0; failing < calls; ++failing) {
      SCOPED_TRACE(std::to_string(error) + " at call " + std::to_string(failing));
      stdfs::remove_all(path());
      stdfs::create_directory(path());
      ASSERT_TRUE(FileRemote::create(path()).ok());
      FileRemote remote(path());
      Result<> put;
      std::string failed;
      {
        size_t call_number = 0;
        const SystemCallHook hook(path(), [&](const std::string& call) {
          if (call_number++ != failing) return 0;
          failed = call;
          return error;
        });
        put = remote.put(name, bytes);
      }

      ASSERT_FALSE(put.ok()) << failed;
      const Code expected = error == ENOSPC || error == EDQUOT   ? Code::no_space
                            : error == EIO                       ? Code::io
                            : error == EROFS                     ? Code::remote_refused
                                                                 : Code::remote_unreachable;
      EXPECT_EQ(put.code(), expected) << failed;
      EXPECT_FALSE(put.error().hint().empty());
      auto got = remote.get(name, kNoLimit);
      EXPECT_TRUE(got.ok() ? *got == bytes : got.is(Code::not_found)) << failed;
      EXPECT_EQ(count_files(path("t")), 0u) << failed;
      EXPECT_TRUE(remote.put(name, bytes).ok());
      EXPECT_TRUE(remote.get(name, kNoLimit).ok());
    }
  }
}

TEST_F(FileRemoteTest, WhereverAPutDiesNoPartOfItIsSeen) {
  const Bytes bytes = numbered_bytes(1, 5000);
  const ObjectName name = numbered_name(1);
  const size_t calls = count_calls(path(), name, bytes);
  const Bytes torn(bytes.begin(), bytes.begin() + 100);

  for (const bool was_torn : {false, true}) {
    for (size_t dying = 0; dying < calls; ++dying) {
      SCOPED_TRACE("call " + std::to_string(dying));
      stdfs::remove_all(path("o"));
      stdfs::remove_all(path("t"));
      if (was_torn) write_file(path(name.path()), as_text(torn));
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        size_t call_number = 0;
        const SystemCallHook hook(path(), [&](const std::string&) {
          if (call_number++ == dying) ::_exit(1);
          return 0;
        });
        FileRemote remote(path());
        ::_exit(remote.put(name, bytes).ok() ? 2 : 3);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFEXITED(status) && (WEXITSTATUS(status) == 1 || (was_torn && WEXITSTATUS(status) == 2))) << status;

      auto got = remote_.get(name, kNoLimit);
      EXPECT_TRUE(got.ok() ? *got == bytes || (was_torn && *got == torn) : !was_torn && got.is(Code::not_found));
      EXPECT_TRUE(remote_.put(name, bytes).ok());
      EXPECT_TRUE(*remote_.get(name, kNoLimit) == bytes);
    }
  }
}

TEST_F(FileRemoteTest, ADyingPutIsKilledInTheMiddleOfItsFile) {
  FileRemoteSubject subject;

  subject.die_in_put(numbered_name(1), numbered_bytes(1, 1 << 20));

  ASSERT_EQ(count_files(subject.path("t")), 1u);
  EXPECT_EQ(stdfs::directory_iterator(subject.path("t"))->file_size(), size_t{1} << 19);
}

TEST_F(FileRemoteTest, AnObjectOnABadSpotOfTheDiskIsReplaced) {
  const Bytes bytes = numbered_bytes(1, 600);
  ASSERT_TRUE(remote_.put(numbered_name(1), bytes).ok());
  bool was_written = false;

  const SystemCallHook hook(path(), [&](const std::string& call) {
    was_written |= call.starts_with("renameat ");
    return call == "pread " + numbered_name(1).path() ? EIO : 0;
  });

  EXPECT_TRUE(remote_.get(numbered_name(1), kNoLimit).is(Code::io));
  EXPECT_TRUE(remote_.put(numbered_name(1), bytes).ok());
  EXPECT_TRUE(was_written);
}

TEST_F(FileRemoteTest, AnObjectThatMayNotBeReadNeedsAPerson) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const Bytes bytes = numbered_bytes(1, 600);
  ASSERT_TRUE(remote_.put(numbered_name(1), bytes).ok());
  stdfs::permissions(path(numbered_name(1).path()), stdfs::perms(0));

  EXPECT_TRUE(remote_.get(numbered_name(1), kNoLimit).is(Code::remote_refused));
  EXPECT_TRUE(remote_.put(numbered_name(1), bytes).is(Code::remote_refused));
}

TEST_F(FileRemoteTest, OnlyOldTemporaryFilesOfOursAreSwept) {
  const auto leftover = [&](uint64_t number, int64_t age_seconds) {
    const std::string file = path("t/" + base32(numbered_name(number).id));
    write_file(file, "half an obj");
    const int64_t changed = ::time(nullptr) - age_seconds;
    const timespec times[2] = {{changed, 0}, {changed, 0}};
    EXPECT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
    return file;
  };
  constexpr int64_t kHour = 3600;
  const std::string old = leftover(1, 25 * kHour);
  const std::string very_old = leftover(2, 24 * kHour * 365 * 30);
  const std::string young = leftover(3, 23 * kHour);
  const std::string of_the_future = leftover(4, -24 * kHour * 365);
  write_file(path("t/notes.txt"), "foreign");
  const timespec long_ago[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path("t/notes.txt").c_str(), long_ago, 0), 0);

  ASSERT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());

  EXPECT_FALSE(stdfs::exists(old));
  EXPECT_FALSE(stdfs::exists(very_old));
  EXPECT_TRUE(stdfs::exists(young));
  EXPECT_TRUE(stdfs::exists(of_the_future));
  EXPECT_TRUE(stdfs::exists(path("t/notes.txt")));
}

TEST_F(FileRemoteTest, SweepingOnceADayIsEnough) {
  ASSERT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());
  const std::string file = path("t/" + base32(numbered_name(1).id));
  write_file(file, "half an obj");
  const timespec long_ago[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), long_ago, 0), 0);

  ASSERT_TRUE(remote_.put(numbered_name(2), numbered_bytes(1, 600)).ok());
  EXPECT_TRUE(stdfs::exists(file));
  FileRemote another(path());
  ASSERT_TRUE(another.put(numbered_name(3), numbered_bytes(1, 600)).ok());
  EXPECT_FALSE(stdfs::exists(file));
}

TEST_F(FileRemoteTest, APageHasABound) {
  for (uint64_t i = 0; i < 2300; ++i) write_file(path(numbered_name(i * 3).path()), "x");

  std::vector<size_t> pages;
  std::string next;
  do {
    const RemoteListing page = remote_.list(ObjectFolder::objects, next).value();
    pages.push_back(page.objects.size());
    next = page.next;
  } while (!next.empty());

  EXPECT_EQ(pages, (std::vector<size_t>{1000, 1000, 300}));
}

TEST_F(FileRemoteTest, APageBeginsOnlyWhereOneEnded) {
  for (const std::string& from : {std::string("x"), std::string("../../etc"), std::string(52, '1'), std::string(53, 'a'), std::string(1, '\0')})
    EXPECT_TRUE(remote_.list(ObjectFolder::objects, from).is(Code::invalid_argument)) << from;
}

TEST_F(FileRemoteTest, AFileOfAMonstrousSizeIsNotRead) {
  write_file(path(numbered_name(1).path()), "x");
  ASSERT_EQ(::truncate(path(numbered_name(1).path()).c_str(), off_t{1} << 43), 0);

  EXPECT_TRUE(remote_.get(numbered_name(1), uint64_t{16} << 20).is(Code::too_large));
  EXPECT_EQ(remote_.get_range(numbered_name(1), 0, 1)->size(), 1u);
  EXPECT_EQ(remote_.stat(numbered_name(1)).value(), uint64_t{1} << 43);
  EXPECT_TRUE(remote_.put(numbered_name(1), numbered_bytes(1, 600)).ok());
  EXPECT_EQ(remote_.get(numbered_name(1), 600)->size(), 600u);
}

}  // namespace
}  // namespace tain::sync
