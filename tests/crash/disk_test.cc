// SPDX-License-Identifier: Apache-2.0
// The model of what a crash leaves, and the recorder that feeds it.
#include "tests/crash/disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/crash/recorder.h"
#include "tests/crash/workspace.h"

namespace tain::crash {
namespace {

constexpr uint32_t kFile = 2, kOther = 3;

Event write_event(uint64_t offset, const std::string& data, uint32_t file = kFile) {
  return {.kind = Event::Kind::write, .file = file, .offset = offset, .data = data};
}
Event name_event(const std::string& name, uint32_t file) {
  return {.kind = Event::Kind::names, .file = kFolder, .names = {{kFolder, name, file}}};
}

/// A recording that starts with the empty file "a".
class DiskTest : public testing::Test {
 protected:
  DiskTest() {
    recording_.base.folder_exists = true;
    recording_.base.names["a"] = kFile;
    recording_.base.files[kFile];
  }
  void add(Event event) { recording_.events.push_back(std::move(event)); }
  void flush(uint32_t file) { add({.kind = Event::Kind::flush, .file = file, .covers = recording_.events.size()}); }
  /// After all events.
  Timeline end() const {
    Timeline timeline(recording_);
    timeline.advance(recording_.events.size());
    return timeline;
  }
  static std::string content(const Disk& disk, const std::string& name = "a") {
    return disk.files.at(disk.names.at(name)).read();
  }

  Recording recording_;
};

TEST_F(DiskTest, NothingIsThereBeforeAFlushAndAllOfItAfterwards) {
  add(write_event(0, "text"));
  EXPECT_EQ(content(end().crash(end().all(false))), "");
  EXPECT_EQ(content(end().crash(end().all(true))), "text");

  flush(kFile);

  EXPECT_TRUE(end().pending().empty());
  EXPECT_EQ(content(end().crash({})), "text");
}

TEST_F(DiskTest, FlushLeavesOutWhatWasWrittenAfterItWasCalled) {
  add(write_event(0, "one"));
  add(write_event(3, "two"));
  add({.kind = Event::Kind::flush, .file = kFile, .covers = 1});
  EXPECT_EQ(content(end().crash(end().all(false))), "one");
}

TEST_F(DiskTest, FlushOfAFileSaysNothingOfItsNameNorOfOtherFiles) {
  add(name_event("b", kOther));
  add(write_event(0, "text", kOther));
  add(write_event(0, "text"));
  flush(kOther);
  const Disk left = end().crash(end().all(false));
  EXPECT_FALSE(left.names.contains("b"));
  EXPECT_EQ(content(left), "");

  flush(kFolder);
  EXPECT_EQ(content(end().crash(end().all(false)), "b"), "text");
}

TEST_F(DiskTest, AnySectorsMayBeLeftInAnyOrder) {
  add(write_event(0, std::string(512, 'a') + std::string(512, 'b') + std::string(100, 'c')));
  auto remains = end().all(false);
  ASSERT_EQ(remains[0].sectors.size(), 3u);
  remains[0].sectors = {false, true, false};
  remains[0].rest = true;
  EXPECT_EQ(content(end().crash(remains)), std::string(512, '\0') + std::string(512, 'b') + std::string(100, '\0'));
}

TEST_F(DiskTest, BytesWithoutTheSizeAreNotSeenEvenWhenTheFileGrowsLater) {
  add(write_event(0, "lost"));
  auto remains = end().all(true);
  remains[0].rest = false;
  Disk disk = end().crash(remains);
  EXPECT_EQ(content(disk), "");
  disk.files.at(kFile).set_size(4);
  EXPECT_EQ(content(disk), std::string(4, '\0'));
}

TEST_F(DiskTest, NewerWriteOfASectorBringsTheOlderOneAlong) {
  add(write_event(0, "one"));
  add(write_event(3, "two"));
  auto remains = end().all(false);
  remains[1] = end().all(true)[1];
  EXPECT_EQ(content(end().crash(remains)), "onetwo");
}

TEST_F(DiskTest, FlushOfOneWriteLeavesTheOthersPending) {
  add(write_event(0, std::string(4096, 'p')));
  add(write_event(8192, "meta"));
  add({.kind = Event::Kind::flush, .file = kFile, .offset = 8192, .size = 4, .covers = 2});
  EXPECT_EQ(content(end().crash(end().all(false))), std::string(8192, '\0') + "meta");
  EXPECT_EQ(end().pending().size(), 1u);
}

TEST_F(DiskTest, AHoleZeroesAnySectorsAndNeverMakesTheFileLonger) {
  add(write_event(0, std::string(1024, 'a')));
  flush(kFile);
  Event hole = write_event(0, std::string(4096, '\0'));
  hole.is_hole = true;
  add(hole);
  auto remains = end().all(true);
  EXPECT_EQ(content(end().crash(remains)), std::string(1024, '\0'));
  remains[0].sectors[0] = false;
  EXPECT_EQ(content(end().crash(remains)), std::string(512, 'a') + std::string(512, '\0'));
  EXPECT_EQ(content(end().crash(end().all(false))), std::string(1024, 'a'));
}

TEST_F(DiskTest, RenameHappensAsAWhole) {
  add(name_event("b", kOther));
  add({.kind = Event::Kind::names, .file = kFolder, .names = {{kFolder, "b", kNoFile}, {kFolder, "a", kOther}}});
  auto remains = end().all(false);
  remains[1].rest = true;
  const Disk disk = end().crash(remains);
  EXPECT_EQ(disk.names, (std::map<std::string, uint32_t>{{"a", kOther}}));
}

TEST_F(DiskTest, BoundsFollowTheMarks) {
  add({.kind = Event::Kind::begun, .lane = 1, .operation = 3});
  add({.kind = Event::Kind::durable, .lane = 1, .operation = 2});
  EXPECT_EQ(end().bounds(1).begun, 3u);
  EXPECT_EQ(end().bounds(1).durable, 2u);
  EXPECT_EQ(end().bounds(0).begun, 0u);
}

TEST_F(DiskTest, DigestTellsDisksApartButForLockFiles) {
  add(write_event(0, "text"));
  add(name_event("lock", kOther));
  add(write_event(0, "1234", kOther));
  const Disk all = end().crash(end().all(true));
  EXPECT_NE(all.digest(), recording_.base.digest());
  auto remains = end().all(true);
  remains[2].sectors[0] = false;
  EXPECT_EQ(all.digest(), end().crash(remains).digest());
}

TEST_F(DiskTest, SavedDiskIsTheSame) {
  add(write_event(10'000, "text"));
  const Disk disk = end().crash(end().all(true));
  const Workspace workspace;
  ASSERT_TRUE(disk.save(workspace.path("vault")));
  EXPECT_EQ(files_of(workspace.path("vault")).at("a"), std::string(10'000, '\0') + "text");
}

TEST(RecorderTest, ExplainsEveryByteThatIsInTheFiles) {
  const Workspace workspace;
  const std::string folder = workspace.path("vault");
  Recorder recorder(folder, Disk());
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  {
    UniqueFd fd(::open((folder + "/a").c_str(), O_RDWR | O_CREAT, 0600));
    std::string first = "one", second = "two";
    const iovec parts[] = {{first.data(), first.size()}, {second.data(), second.size()}};
    ASSERT_EQ(::lseek(fd.get(), 100, SEEK_SET), 100);
    ASSERT_EQ(::writev(fd.get(), parts, 2), 6);
    ASSERT_EQ(::write(fd.get(), "three", 5), 5);
    ASSERT_EQ(::pwrite(fd.get(), "0", 1, 0), 1);
    ASSERT_EQ(::ftruncate(fd.get(), 108), 0);
  }
  ASSERT_TRUE(replace_file(folder + "/b", as_bytes("content")).ok());
  UniqueFd holed(::open((folder + "/d").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(::pwrite(holed.get(), std::string(8192, 'd').data(), 8192, 0), 8192);
  ASSERT_EQ(::fallocate(holed.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
  UniqueFd gone(::open((folder + "/c").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(::unlink((folder + "/c").c_str()), 0);
  ASSERT_EQ(::write(gone.get(), "x", 1), 1);
  UniqueFd again(::open((folder + "/a").c_str(), O_RDWR | O_TRUNC, 0600));
  ASSERT_EQ(::write(again.get(), "short", 5), 5);
  const Recording recording = recorder.stop();

  const auto files = files_of(recording);

  EXPECT_EQ(files, files_of(folder));
  EXPECT_EQ(files, (std::map<std::string, std::string>{{"a", "short"}, {"b", "content"}, {"d", std::string(4096, '\0') + std::string(4096, 'd')}}));
}

TEST(RecorderTest, KnowsWhichFlushCoversWhat) {
  const Workspace workspace;
  const std::string folder = workspace.path("vault");
  Recorder recorder(folder, Disk());
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  ASSERT_TRUE(fsync_directory(folder + "/..").ok());
  UniqueFd fd(::open((folder + "/a").c_str(), O_RDWR | O_CREAT, 0600));
  UniqueFd synchronous(::open((folder + "/a").c_str(), O_WRONLY | O_DSYNC));
  ASSERT_EQ(::pwrite(fd.get(), "page", 4, 0), 4);
  ASSERT_EQ(::pwrite(synchronous.get(), "meta", 4, 512), 4);
  ASSERT_TRUE(fsync_directory(folder).ok());
  const Recording recording = recorder.stop();

  Timeline timeline(recording);
  timeline.advance(recording.events.size());
  const Disk left = timeline.crash(timeline.all(false));

  ASSERT_TRUE(left.folder_exists);
  EXPECT_EQ(left.files.at(left.names.at("a")).read(), std::string(512, '\0') + "meta");
}

TEST(RecorderTest, NothingIsDurableWithoutFlushes) {
  const Workspace workspace;
  const std::string folder = workspace.path("vault");
  Recorder recorder(folder, Disk());
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  UniqueFd fd(::open((folder + "/a").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(::pwrite(fd.get(), "page", 4, 0), 4);
  const Recording recording = recorder.stop();

  Timeline timeline(recording);
  timeline.advance(recording.events.size());

  EXPECT_FALSE(timeline.crash(timeline.all(false)).folder_exists);
}

}  // namespace
}  // namespace tain::crash
