// SPDX-License-Identifier: Apache-2.0
// tain scrub of a vault that is not mounted, as a user meets it. tests/e2e/scrub.sh has the rest.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>

#include "base/file.h"
#include "store/content.h"
#include "store/scrub_record.h"
#include "store/tree.h"
#include "store/vault.h"
#include "tests/cli/vault_fixture.h"

namespace tain::cli {
namespace {

using nlohmann::json;

constexpr size_t kSize = size_t{4} << 20;  // bytes: nearly all of the database

class ScrubCommandTest : public VaultCommandTest {
 protected:
  void fill(store::Vault& vault) override {
    const Ino folder = vault.tree().make(kRootIno, "folder", {.mode = S_IFDIR | 0700}).value().ino;
    const Ino file = vault.tree().make(folder, "file", {.mode = S_IFREG | 0600}).value().ino;
    ASSERT_TRUE(vault.content().write(file, 0, Bytes(kSize, 'x')).ok());
  }
  int scrub(bool as_json = false) { return run("scrub", pass_, as_json); }
  void harm() const {
    const std::string path = vault_ + "/data.mdb";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    const uint64_t at = std::filesystem::file_size(path) / 2;
    std::array<uint8_t, 1> byte{};
    ASSERT_TRUE(read_exactly(fd.get(), byte, at).ok());
    byte[0] ^= 1;
    ASSERT_TRUE(write_exactly(fd.get(), byte, at).ok());
  }
};

TEST_F(ScrubCommandTest, ASoundVaultIsZeroAndStatusKnowsWhen) {
  ASSERT_EQ(fake_.run({"status", "--json", vault_}), 0);
  EXPECT_FALSE(json::parse(fake_.out.str()).contains("scrub"));

  EXPECT_EQ(scrub(), 0) << fake_.err.str();
  EXPECT_EQ(fake_.out.str(), "scrubbed 3 entries, 4.0 MiB as stored: all is well\n");
  EXPECT_EQ(fake_.err.str(), "") << "no progress in a pipe";
  clear();
  ASSERT_EQ(fake_.run({"status", vault_}), 0);
  EXPECT_NE(fake_.out.str().find(", all intact\n"), std::string::npos) << fake_.out.str();
  clear();
  ASSERT_EQ(fake_.run({"status", "--json", vault_}), 0);
  const json status = json::parse(fake_.out.str());
  EXPECT_EQ(status["scrub"]["running"], false);
  EXPECT_EQ(status["scrub"]["last"]["entries"], 3);
  EXPECT_EQ(status["scrub"]["last"]["damaged"], 0);
}

TEST_F(ScrubCommandTest, DamageIs26WithItsPlaceAndTheNextStep) {
  harm();

  EXPECT_EQ(scrub(), 26);
  EXPECT_TRUE(fake_.out.str().starts_with("/folder/file: rot ")) << fake_.out.str();
  EXPECT_NE(fake_.out.str().find("scrubbed 3 entries, 4.0 MiB as stored: 1 entry is damaged\n"), std::string::npos);
  EXPECT_NE(fake_.err.str().find("tain check --repair"), std::string::npos);
  EXPECT_NE(fake_.err.str().find("tain salvage"), std::string::npos);

  EXPECT_EQ(scrub(true), 26);
  const json report = json::parse(fake_.out.str());
  EXPECT_EQ(report["vault"], vault_);
  EXPECT_EQ(report["mounted"], false);
  EXPECT_EQ(report["damaged"], 1);
  EXPECT_EQ(report["lost"], 0);
  EXPECT_EQ(report["entries"], 3);
  ASSERT_EQ(report["damaged_entries"].size(), 1u);
  EXPECT_EQ(report["damaged_entries"][0]["path"], "/folder/file");
  clear();
  ASSERT_EQ(fake_.run({"status", vault_}), 0);
  EXPECT_NE(fake_.out.str().find(", 1 entry damaged\n"), std::string::npos) << fake_.out.str();
}

TEST_F(ScrubCommandTest, APassThatWasInterruptedGoesOn) {
  ASSERT_EQ(scrub(), 0);
  const VaultId id = store::Vault::inspect(vault_).value().id;
  store::ScrubRecord record = store::read_scrub_record(vault_, id).value();
  record.started_s = 1'700'000'000;
  record.place.ino = Ino{3};
  record.counts.entries = 40;  // whatever came before
  ASSERT_TRUE(store::write_scrub_record(vault_, record).ok());
  clear();
  ASSERT_EQ(fake_.run({"status", vault_}), 0);
  EXPECT_NE(fake_.out.str().find("; a pass is interrupted"), std::string::npos) << fake_.out.str();

  EXPECT_EQ(scrub(true), 0) << fake_.err.str();

  const json report = json::parse(fake_.out.str());
  EXPECT_EQ(report["started_at"], 1'700'000'000);
  EXPECT_EQ(report["entries"], 41);
}

TEST_F(ScrubCommandTest, OtherFilesOfTheVaultDoNotMind) {
  ASSERT_EQ(scrub(), 0);
  fake_.directory.file("vault/scrub", "not a record");

  EXPECT_EQ(fake_.run({"check", "--passfile", pass_, vault_}), 0) << fake_.err.str();
  EXPECT_EQ(fake_.run({"salvage", "--passfile", pass_, vault_, fake_.directory.path("new")}), 0) << fake_.err.str();
  EXPECT_FALSE(std::filesystem::exists(fake_.directory.path("new") + "/scrub"));
  EXPECT_EQ(scrub(), 0) << fake_.err.str();
}

TEST_F(ScrubCommandTest, TheWrongPasswordIs12) {
  const std::string wrong = fake_.directory.file("wrong", "wrong");
  ::chmod(wrong.c_str(), 0600);
  EXPECT_EQ(fake_.run({"scrub", "--passfile", wrong, vault_}), 12);
  EXPECT_FALSE(std::filesystem::exists(vault_ + "/scrub"));
}

}  // namespace
}  // namespace tain::cli
