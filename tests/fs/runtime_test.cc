// SPDX-License-Identifier: Apache-2.0
#include "fs/runtime.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/temp_directory.h"

namespace tain::fs {
namespace {

class RuntimeTest : public testing::Test {
 protected:
  RuntimePaths paths() {
    RuntimePaths out;
    out.owner = ::getuid();
    out.xdg_runtime_dir = xdg_;
    out.run_user = root_.path("run");
    out.tmp = root_.path();
    return out;
  }
  std::string private_directory(const std::string& name) {
    const std::string path = root_.directory(name);
    ::chmod(path.c_str(), 0700);
    return path;
  }
  std::string in_tmp() { return root_.path("tain-" + std::to_string(::getuid())); }

  test::TempDirectory root_;
  std::string xdg_;
};

TEST_F(RuntimeTest, TakesTheFirstPrivatePlace) {
  EXPECT_EQ(RuntimeDirectory::make(paths())->path(), in_tmp());

  const std::string run = private_directory("run/" + std::to_string(::getuid()));
  EXPECT_EQ(RuntimeDirectory::make(paths())->path(), run + "/tain");

  xdg_ = private_directory("xdg");
  EXPECT_EQ(RuntimeDirectory::make(paths())->path(), xdg_ + "/tain");
  struct stat st {};
  ASSERT_EQ(::stat((xdg_ + "/tain").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
}

TEST_F(RuntimeTest, PassesOverAPlaceThatOthersCanEnter) {
  xdg_ = private_directory("xdg");
  ::chmod(xdg_.c_str(), 0755);

  EXPECT_EQ(RuntimeDirectory::make(paths())->path(), in_tmp());
}

TEST_F(RuntimeTest, PassesOverAPlaceBelowTheMountpoint) {
  xdg_ = private_directory("xdg");
  RuntimePaths avoiding = paths();
  avoiding.avoid = std::filesystem::canonical(xdg_);

  EXPECT_EQ(RuntimeDirectory::make(avoiding)->path(), in_tmp());
}

TEST_F(RuntimeTest, RefusesWhatSomebodyPreparedInTmp) {
  const std::string trap = private_directory("trap");
  std::filesystem::create_directory_symlink(trap, in_tmp());
  EXPECT_TRUE(RuntimeDirectory::make(paths())->path().starts_with(in_tmp() + "-"));

  std::filesystem::remove(in_tmp());
  std::filesystem::create_directory(in_tmp());
  ::chmod(in_tmp().c_str(), 0777);
  std::string made;
  {
    auto directory = RuntimeDirectory::make(paths());
    ASSERT_TRUE(directory.ok());
    made = directory->path();
    EXPECT_TRUE(check_private_directory(made, ::getuid()).ok());
  }
  EXPECT_FALSE(std::filesystem::exists(made)) << "made for one process, gone with it";
  EXPECT_TRUE(control_socket_candidates(paths(), "0-53").empty());
}

TEST_F(RuntimeTest, AnotherUsersDirectoryIsNotPrivate) {
  const std::string mine = private_directory("mine");

  EXPECT_TRUE(check_private_directory(mine, ::getuid()).ok());
  EXPECT_TRUE(check_private_directory(mine, ::getuid() + 1).is(Code::access_denied));
}

TEST_F(RuntimeTest, ClientsLookEverywhere) {
  ASSERT_TRUE(RuntimeDirectory::make(paths()).ok());
  xdg_ = private_directory("xdg");
  ASSERT_TRUE(RuntimeDirectory::make(paths()).ok());

  const auto candidates = control_socket_candidates(paths(), "0-53");
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[0], xdg_ + "/tain/0-53.sock");
  EXPECT_EQ(candidates[1], in_tmp() + "/0-53.sock");
}

TEST_F(RuntimeTest, APlaceTooDeepForASocketIsPassedOver) {
  xdg_ = private_directory(std::string(90, 'x'));

  EXPECT_EQ(RuntimeDirectory::make(paths())->path(), in_tmp());
}

}  // namespace
}  // namespace tain::fs
