// SPDX-License-Identifier: Apache-2.0
// Mount options, and a real mount from start to end where the machine allows one.
#include "fs/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "fs/fuse_session.h"
#include "store/tree.h"

namespace tain::fs {
namespace {

TEST(FuseOptionTest, CommasAndBackslashesAreEscaped) {
  EXPECT_EQ(escape_fuse_option("/plain/path"), "/plain/path");
  EXPECT_EQ(escape_fuse_option("/a,b"), "/a\\,b");
  EXPECT_EQ(escape_fuse_option("/a\\,rw"), "/a\\\\\\,rw");
}

class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "needs root and /dev/fuse";
    std::string pattern = (std::filesystem::temp_directory_path() / "tain,fs \\101-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    mountpoint_ = folder_ + "/mnt";
    const Secret password = Secret::copy_of(as_bytes("correct horse"));
    store::CreateOptions create;
    create.kdf = store::kKdfFloor;
    ASSERT_TRUE(store::Vault::create(folder_ + "/vault", create, password).ok());
    vault_ = store::Vault::open(folder_ + "/vault", {}, password).value();
  }
  void TearDown() override {
    if (folder_.empty()) return;
    vault_.reset();
    std::filesystem::remove_all(folder_);
  }

  /// Mounts, serves in a thread while `body` runs, and expects `end` to end it.
  template <class Body, class End>
  void with_mount(Body body, End end) {
    MountOptions options;
    options.mountpoint = mountpoint_;
    options.source = folder_ + "/vault";
    LocalMounter mounter(options);
    auto started = Session::start(*vault_, mounter, options);
    ASSERT_TRUE(started.ok()) << started.error().message();
    std::unique_ptr<Session> session = std::move(started).value();
    std::thread server([&] { EXPECT_TRUE(session->run().ok()); });
    body();
    end(*session);
    server.join();
    session->unmount();
    mounter.tidy();
    EXPECT_FALSE(std::filesystem::exists(mountpoint_));
  }
  std::string mount_line() const {
    std::ifstream mounts("/proc/self/mounts");
    for (std::string line; std::getline(mounts, line);) {
      if (line.find("fuse.tain") != line.npos && line.find("tain,fs\\040\\134101-") != line.npos) return line;
    }
    return {};
  }

  std::string folder_, mountpoint_;
  std::unique_ptr<store::Vault> vault_;
};

TEST_F(SessionTest, StopEndsAnIdleMountWithOptionsAsAsked) {
  with_mount(
      [&] {
        const std::string line = mount_line();
        EXPECT_TRUE(line.starts_with(folder_.substr(0, 5))) << line;
        for (const char* option : {"nosuid", "nodev", "default_permissions"}) {
          EXPECT_NE(line.find(option), line.npos) << option << " in " << line;
        }
      },
      [](Session& session) { session.stop(); });

  EXPECT_EQ(mount_line(), "");
}

TEST_F(SessionTest, UnmountFromOutsideEndsTheMount) {
  with_mount([&] { std::ofstream(mountpoint_ + "/a") << "hello"; },
             [&](Session&) { EXPECT_EQ(umount2(mountpoint_.c_str(), 0), 0); });

  const Result<store::Attr> file = vault_->tree().lookup(kRootIno, "a");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size, 5u);
}

// What the request loop must not do behind a program's back (fs/ops.cc, fs/init_reply.h).
TEST_F(SessionTest, RoundTripsThatMustNotHappen) {
  std::map<std::string_view, uint64_t> counts;
  with_mount(
      [&] {
        const std::string path = mountpoint_ + "/a";
        for (int i = 0; i < 20; ++i) std::ofstream(path, std::ios::app) << "line\n";
        const int fd = open(path.c_str(), O_WRONLY);
        for (int i = 0; i < 20; ++i) EXPECT_EQ(write(fd, "x", 1), 1);
        close(fd);
        for (int i = 0; i < 20; ++i) EXPECT_EQ(std::filesystem::file_size(path), 100u);
        for (int i = 0; i < 20; ++i) EXPECT_FALSE(std::filesystem::exists(mountpoint_ + "/absent"));
        for (int i = 0; i < 20; ++i) EXPECT_EQ(std::distance(std::filesystem::directory_iterator(mountpoint_), {}), 1);
      },
      [&](Session& session) {
        for (const auto& [name, count] : session.op_counts()) counts[name] = count;
        session.stop();
      });

  EXPECT_EQ(counts["write"], 40u);
  EXPECT_LE(counts["open"], 1u) << "the kernel opens by itself";
  EXPECT_LE(counts["create"], 1u) << "it makes files by mknod";
  EXPECT_LE(counts["opendir"], 1u);
  EXPECT_EQ(counts["lookup"], 2u) << "names are remembered, absent ones too";
  EXPECT_EQ(counts["readdir"], 0u);
  EXPECT_LE(counts["readdirplus"], 4u) << "listings are remembered";
  EXPECT_LT(counts["getxattr"], 30u) << "20 writes in a row ask for security.capability once";
}

}  // namespace
}  // namespace tain::fs
