// SPDX-License-Identifier: Apache-2.0
// tain check and tain salvage, as a user meets them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "cli/progress.h"
#include "store/check.h"
#include "store/survey.h"
#include "store/tree.h"
#include "store/vault.h"
#include "tests/cli/fake_world.h"

namespace tain::cli {
namespace {

using nlohmann::json;

class CheckCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(fake_.run({"init", "--kdf-time", "0", "--passfile", password(), vault_}), 0) << fake_.err.str();
    fake_.out.str("");
    fake_.err.str("");
  }
  std::string password() {
    const std::string path = fake_.directory.file("pass", "pass");
    ::chmod(path.c_str(), 0600);
    return path;
  }
  void damage(const std::string& file, std::streamoff offset) const {
    std::fstream stream(vault_ + "/" + file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(offset);
    stream.write("damaged", 7);
  }

  static Secret secret() { return Secret::copy_of(as_bytes("pass")); }
  void make_files(std::initializer_list<const char*> names) const {
    auto vault = store::Vault::open(vault_, store::OpenOptions(), secret()).value();
    for (const char* name : names) {
      ASSERT_TRUE(vault->tree().make(kRootIno, name, {.mode = S_IFREG | 0600}).ok());
    }
    ASSERT_TRUE(vault->close().ok());
  }
  /// Flips a bit of the last record of a table.
  void damage_record(store::Table table) const {
    uint64_t offset = 0;
    {
      const auto locked = store::LockedVault::open(vault_, secret()).value();
      const auto survey = store::survey_database(vault_ + "/data.mdb", *locked.cipher).value();
      const store::Extent& extent = survey.values(table).back().extent;
      offset = extent.offset + extent.size / 2;
    }
    UniqueFd fd(::open((vault_ + "/data.mdb").c_str(), O_RDWR | O_CLOEXEC));
    std::array<uint8_t, 1> byte{};
    ASSERT_TRUE(read_exactly(fd.get(), byte, offset).ok());
    byte[0] ^= 1;
    ASSERT_TRUE(write_exactly(fd.get(), byte, offset).ok());
  }

  FakeWorld fake_;
  const std::string vault_ = fake_.directory.path("vault");
};

TEST_F(CheckCommandTest, ASoundVaultIsZero) {
  EXPECT_EQ(fake_.run({"check", "--passfile", password(), vault_}), 0) << fake_.err.str();
  EXPECT_EQ(fake_.out.str(), "checked 1 entries with 0 bytes of content: all is well\n");
  EXPECT_EQ(fake_.err.str(), "") << "nothing but results, and no progress in a pipe";
}

TEST_F(CheckCommandTest, ADamagedHeaderCopyIs26AndRepaired27) {
  damage("header.bak", 60);

  EXPECT_EQ(fake_.run({"check", "--json", "--passfile", password(), vault_}), 26);
  const json report = json::parse(fake_.out.str());
  ASSERT_EQ(report["findings"].size(), 1u);
  EXPECT_EQ(report["findings"][0]["part"], "header");
  EXPECT_EQ(report["findings"][0]["repairable"], true);
  EXPECT_EQ(fake_.run({"check", "--repair", "--passfile", password(), vault_}), 27) << fake_.err.str();
  EXPECT_EQ(fake_.run({"check", "--passfile", password(), vault_}), 0);
}

TEST_F(CheckCommandTest, ADamagedDatabaseIsLeftToSalvage) {
  damage("data.mdb", 40);  // the meta page
  const std::string fresh = fake_.directory.path("fresh");

  EXPECT_EQ(fake_.run({"check", "--repair", "--passfile", password(), vault_}), 26);
  EXPECT_NE(fake_.err.str().find("tain salvage"), std::string::npos);
  EXPECT_EQ(fake_.run({"salvage", "--passfile", password(), vault_, fresh}), 0) << fake_.err.str();
  fake_.out.str("");
  EXPECT_EQ(fake_.run({"ls", "--passfile", password(), fresh}), 0) << fake_.err.str();
  EXPECT_EQ(fake_.out.str(), "SALVAGE-REPORT.txt\n");
  EXPECT_EQ(fake_.run({"check", "--passfile", password(), fresh}), 0);
}

TEST_F(CheckCommandTest, LsNamesAnEntryWhoseRecordIsDamaged) {
  make_files({"a", "b", "c"});
  damage_record(store::Table::inodes);

  EXPECT_EQ(fake_.run({"ls", "--passfile", password(), vault_}), 3);
  EXPECT_EQ(fake_.out.str(), "a\nb\nc\n");
  EXPECT_NE(fake_.err.str().find("1 of these entries are damaged"), std::string::npos);
  EXPECT_NE(fake_.err.str().find("tain check " + vault_), std::string::npos);
  fake_.out.str("");
  EXPECT_EQ(fake_.run({"ls", "--json", "--passfile", password(), vault_}), 3);
  const json files = json::parse(fake_.out.str());
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[2], (json{{"name", "c"}, {"type", "file"}, {"damaged", true}}));
  fake_.out.str("");
  EXPECT_EQ(fake_.run({"ls", "-l", "--passfile", password(), vault_}), 3);
  EXPECT_NE(fake_.out.str().find("-?????????"), std::string::npos);
}

TEST_F(CheckCommandTest, LsSaysThatNamesAreMissing) {
  make_files({"a", "b", "c"});
  damage_record(store::Table::dirents);

  EXPECT_EQ(fake_.run({"ls", "--passfile", password(), vault_}), 3);
  EXPECT_EQ(fake_.out.str().size(), 4u) << "two names of three";
  EXPECT_NE(fake_.err.str().find("more entries may be there"), std::string::npos);
}

TEST_F(CheckCommandTest, SalvageOverwritesNothing) {
  fake_.directory.directory("full");
  fake_.directory.file("full/thing", "");

  EXPECT_EQ(fake_.run({"salvage", "--passfile", password(), vault_, fake_.directory.path("full")}), 1);
  EXPECT_TRUE(std::filesystem::exists(fake_.directory.path("full/thing")));
  EXPECT_EQ(fake_.run({"salvage", "--passfile", password(), vault_, vault_}), 1);
}

TEST_F(CheckCommandTest, TheWrongPasswordIsTwelve) {
  const std::string path = fake_.directory.file("wrong", "wrong");
  ::chmod(path.c_str(), 0600);
  EXPECT_EQ(fake_.run({"check", "--passfile", path, vault_}), 12);
  EXPECT_EQ(fake_.run({"salvage", "--passfile", path, vault_, fake_.directory.path("fresh")}), 12);
  EXPECT_FALSE(std::filesystem::exists(fake_.directory.path("fresh")));
}

TEST(ProgressLineTest, DrawsOnATerminalOnlyAndCleansUp) {
  FakeWorld fake;
  { ProgressLine(fake.world, "checking").show(1, 2); }
  EXPECT_EQ(fake.err.str(), "");

  fake.world.err_is_tty = true;
  { ProgressLine(fake.world, "checking").show(1, 2); }
  EXPECT_NE(fake.err.str().find("50 %"), std::string::npos);
  EXPECT_TRUE(fake.err.str().ends_with("\r\033[K"));
}

}  // namespace
}  // namespace tain::cli
