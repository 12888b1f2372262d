// SPDX-License-Identifier: Apache-2.0
// A file that turns out to be damaged while mounted: its attribute, and what status says.
#include "fs/damage_report.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "fs/filesystem.h"
#include "tests/support/callers.h"

namespace tain::fs {
namespace {

using test::kRoot;

constexpr size_t kSize = size_t{4} << 20;  // bytes: nearly all of the database
constexpr size_t kCell = 4096;

class DamageReportTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "tain-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    store::CreateOptions create;
    create.kdf = store::kKdfFloor;
    const Secret password = Secret::copy_of(as_bytes("correct horse"));
    ASSERT_TRUE(store::Vault::create(folder_ + "/vault", create, password).ok());
    store::OpenOptions open;
    open.committer_thread = false;
    vault_ = store::Vault::open(folder_ + "/vault", open, password).value();
    filesystem_ = std::make_unique<Filesystem>(*vault_);
    const Ino folder = filesystem_->make(kRootIno, "folder", S_IFDIR | 0755, kRoot).value().ino;
    file_ = filesystem_->make(folder, "file", S_IFREG | 0644, kRoot).value().ino;
    const Bytes text(kSize, 'x');
    ASSERT_TRUE(filesystem_->write(file_, 0, text, kRoot).ok());
    ASSERT_TRUE(vault_->sync().ok());
  }
  void TearDown() override {
    filesystem_.reset();
    vault_.reset();
    std::filesystem::remove_all(folder_);
  }
  /// Flips a bit in the middle of the database.
  void harm() const {
    const std::string path = folder_ + "/vault/data.mdb";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    const uint64_t at = std::filesystem::file_size(path) / 2;
    std::array<uint8_t, 1> byte{};
    ASSERT_TRUE(read_exactly(fd.get(), byte, at).ok());
    byte[0] ^= 1;
    ASSERT_TRUE(write_exactly(fd.get(), byte, at).ok());
  }
  /// Offsets of the cells that cannot be read.
  std::vector<size_t> unreadable() {
    std::vector<size_t> out;
    Bytes cell(kCell);
    for (size_t at = 0; at < kSize; at += kCell)
      if (!filesystem_->read(file_, at, cell).ok()) out.push_back(at);
    return out;
  }

  std::string folder_;
  std::unique_ptr<store::Vault> vault_;
  std::unique_ptr<Filesystem> filesystem_;
  Ino file_{};
};

TEST_F(DamageReportTest, ASoundVaultSaysNothing) {
  EXPECT_TRUE(unreadable().empty());

  EXPECT_EQ(describe_damage(*vault_), nlohmann::json::object());
  EXPECT_EQ(filesystem_->list_xattrs(file_, kRoot).value(), "");
  EXPECT_TRUE(filesystem_->get_xattr(file_, store::kDamagedXattr).is(Code::no_attribute));
}

TEST_F(DamageReportTest, TheAttributeAndStatusNameTheRange) {
  harm();
  const std::vector<size_t> bad = unreadable();
  ASSERT_EQ(bad.size(), 1u);
  const std::string text = "rot " + std::to_string(bad[0]) + "-" + std::to_string(bad[0] + kCell - 1);

  const Bytes value = filesystem_->get_xattr(file_, store::kDamagedXattr).value();
  EXPECT_EQ(as_text(value), text);
  EXPECT_EQ(filesystem_->list_xattrs(file_, kRoot).value(), std::string("user.tain.damaged\0", 18));
  const nlohmann::json report = describe_damage(*vault_);
  EXPECT_EQ(report["damaged"], 1);
  EXPECT_EQ(report["damaged_complete"], true);
  EXPECT_EQ(report["damaged_entries"],
            nlohmann::json::array({{{"ino", raw(file_)}, {"damage", text}, {"path", "/folder/file"}}}));
}

TEST_F(DamageReportTest, TheAttributeCannotBeSet) {
  EXPECT_TRUE(filesystem_->set_xattr(file_, store::kDamagedXattr, as_bytes("no"), 0, kRoot).is(Code::not_permitted));
}

TEST_F(DamageReportTest, WritingTheFileAnewClearsIt) {
  harm();
  ASSERT_EQ(unreadable().size(), 1u);

  ASSERT_TRUE(filesystem_->write(file_, 0, Bytes(kSize, 'y'), kRoot).ok());

  EXPECT_TRUE(unreadable().empty());
  EXPECT_EQ(describe_damage(*vault_), nlohmann::json::object());
}

}  // namespace
}  // namespace tain::fs
