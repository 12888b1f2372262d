// SPDX-License-Identifier: Apache-2.0
// The two header files: which copy serves after damage, loss and a crash between the two writes.
#include "store/header_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/file.h"
#include "tests/store/faults.h"

namespace tain::store {
namespace {

class HeaderFileTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "header_XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    header_.vault.bytes = random_array<16>();
    header_.slots.emplace_back();
    header_.slots[0].cost = kKdfFloor;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string path(const char* name) const { return directory_ + "/" + name; }
  Bytes content(const char* name) const { return read_file(path(name), kHeaderSizeMax).value(); }
  void put(const char* name, ByteView bytes) const { ASSERT_TRUE(replace_file(path(name), bytes).ok()); }

  /// The bytes of header_ with that sequence number. No password opens it: only the files matter here.
  Bytes encoded(uint64_t sequence) const {
    Header header = header_;
    header.sequence = sequence;
    return encode_header(header, Cipher(MasterKey{Secret(32)}, header.vault, header.epoch));
  }

  /// Loads, repairs, and expects both files to be the chosen one.
  void expect_repaired(const LoadedHeader& loaded) const {
    ASSERT_TRUE(repair_header(directory_, loaded).ok());
    EXPECT_EQ(content("header"), loaded.bytes);
    EXPECT_EQ(content("header.bak"), loaded.bytes);
    auto again = load_header(directory_);
    ASSERT_TRUE(again.ok());
    EXPECT_FALSE(again->copies_differ);
    EXPECT_EQ(again->complaint, "");
  }

  static Bytes damaged(Bytes bytes) {
    bytes[200] ^= 1;
    return bytes;
  }

  std::string directory_;
  Header header_;
};

TEST_F(HeaderFileTest, SavesBothCopiesForTheOwnerOnly) {
  ASSERT_TRUE(save_header(directory_, encoded(1)).ok());

  auto loaded = load_header(directory_);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded->header.vault, header_.vault);
  EXPECT_EQ(loaded->bytes, encoded(1));
  EXPECT_FALSE(loaded->copy_used);
  EXPECT_FALSE(loaded->copies_differ);
  EXPECT_EQ(loaded->complaint, "");
  for (const char* name : {"header", "header.bak"}) {
    struct stat st {};
    ASSERT_EQ(stat(path(name).c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777u, 0600u) << name;
  }
}

TEST_F(HeaderFileTest, TheCopyServesWhenTheHeaderIsDamaged) {
  const Bytes good = encoded(1);
  const Bytes cut(good.begin(), good.begin() + 100);
  for (const Bytes& bad : {damaged(good), cut, Bytes(), Bytes(300, 0), Bytes(kHeaderSizeMax + 1, 'x')}) {
    ASSERT_TRUE(save_header(directory_, good).ok());
    put("header", bad);

    auto loaded = load_header(directory_);

    ASSERT_TRUE(loaded.ok()) << loaded.error().message();
    EXPECT_TRUE(loaded->copy_used && loaded->copies_differ);
    EXPECT_EQ(loaded->bytes, good);
    EXPECT_NE(loaded->complaint.find("header.bak"), std::string::npos) << loaded->complaint;
    expect_repaired(*loaded);
  }
}

TEST_F(HeaderFileTest, TheCopyServesWhenTheHeaderIsMissing) {
  put("header.bak", encoded(1));

  auto loaded = load_header(directory_);

  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(loaded->copy_used);
  EXPECT_NE(loaded->complaint.find("is missing"), std::string::npos) << loaded->complaint;
  expect_repaired(*loaded);
}

TEST_F(HeaderFileTest, ADamagedOrMissingCopyIsSaidAndReplaced) {
  put("header", encoded(1));
  auto loaded = load_header(directory_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(!loaded->copy_used && loaded->copies_differ);
  EXPECT_NE(loaded->complaint, "");
  expect_repaired(*loaded);

  put("header.bak", damaged(encoded(1)));
  loaded = load_header(directory_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(!loaded->copy_used && loaded->copies_differ);
  expect_repaired(*loaded);
}

TEST_F(HeaderFileTest, AfterACrashBetweenTheWritesTheNewerHeaderWins) {
  put("header", encoded(2));
  put("header.bak", encoded(1));
  auto loaded = load_header(directory_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->header.sequence, 2u);
  EXPECT_TRUE(!loaded->copy_used && loaded->copies_differ);
  expect_repaired(*loaded);

  put("header.bak", encoded(3));
  loaded = load_header(directory_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->header.sequence, 3u);
  EXPECT_TRUE(loaded->copy_used && loaded->copies_differ);
  expect_repaired(*loaded);
}

TEST_F(HeaderFileTest, ACopyOfAnotherVaultNeverWins) {
  put("header", encoded(1));
  header_.vault.bytes[0] ^= 1;
  put("header.bak", encoded(9));

  auto loaded = load_header(directory_);

  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->header.sequence, 1u);
  EXPECT_FALSE(loaded->copy_used);
}

TEST_F(HeaderFileTest, TwoDamagedCopiesAreNamedWithTheNextStep) {
  put("header", damaged(encoded(1)));
  put("header.bak", Bytes(10, 'x'));

  auto loaded = load_header(directory_);

  ASSERT_TRUE(loaded.is(Code::header_damaged));
  EXPECT_NE(loaded.error().message().find(path("header") + ":"), std::string::npos) << loaded.error().message();
  EXPECT_NE(loaded.error().message().find(path("header.bak") + ":"), std::string::npos) << loaded.error().message();
  EXPECT_NE(loaded.error().hint().find("backup"), std::string::npos);
}

TEST_F(HeaderFileTest, OneDamagedAndOneMissingCopyIsStillAVault) {
  put("header", damaged(encoded(1)));
  EXPECT_TRUE(load_header(directory_).is(Code::header_damaged));
}

TEST_F(HeaderFileTest, WithoutBothFilesItIsNoVault) {
  EXPECT_TRUE(load_header(directory_).is(Code::not_a_vault));
  EXPECT_NE(load_header(directory_).error().hint().find("tain init"), std::string::npos);
  EXPECT_TRUE(load_header(path("absent")).is(Code::not_a_vault));
  put("file", {});
  EXPECT_TRUE(load_header(path("file")).is(Code::not_a_vault));
}

TEST_F(HeaderFileTest, AHeaderOfALaterFormatIsNotPassedOverForAnOlderCopy) {
  ASSERT_TRUE(save_header(directory_, encoded(1)).ok());
  Bytes later = encoded(2);
  later[12] = 2;
  later.resize(later.size() - 32);
  const Id32 hash = hash256(later);
  later.insert(later.end(), hash.begin(), hash.end());

  put("header", later);
  EXPECT_TRUE(load_header(directory_).is(Code::format_too_new));
}

TEST_F(HeaderFileTest, AFailedSecondWriteIsReportedAndTheHeaderIsTheNewOne) {
  ASSERT_TRUE(std::filesystem::create_directory(path("header.bak")));  // nothing can be renamed onto it

  auto saved = save_header(directory_, encoded(2));

  ASSERT_TRUE(saved.is(Code::partial));
  EXPECT_NE(saved.error().message().find("second copy"), std::string::npos) << saved.error().message();
  auto loaded = load_header(directory_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->header.sequence, 2u);
  EXPECT_TRUE(loaded->copies_differ);
}

TEST_F(HeaderFileTest, WhateverFailsTheErrorSaysWhichHeaderCounts) {
  uint64_t failures = 0, partial = 0;
  for (uint64_t call = 0;; ++call) {
    ASSERT_TRUE(save_header(directory_, encoded(1)).ok());
    Result<> saved;
    {
      const test::FaultyDisk disk(directory_, {.first = call});
      saved = save_header(directory_, encoded(2));
      if (disk.failed().empty()) break;
    }
    ASSERT_FALSE(saved.ok()) << "call " << call;
    ++failures;
    if (saved.is(Code::partial)) ++partial;
    EXPECT_EQ(load_header(directory_)->header.sequence, saved.is(Code::partial) ? 2u : 1u) << "call " << call << ": " << saved.error().message();
    EXPECT_FALSE(saved.is(Code::partial) && saved.error().hint().empty());
  }
  EXPECT_EQ(failures, 6u) << "a write and two flushes for each of the two files";
  EXPECT_EQ(partial, 4u);
}

TEST_F(HeaderFileTest, HalfOfTheFirstHeaderIsNoSuccess) {
  ASSERT_TRUE(std::filesystem::create_directory(path("header.bak")));
  EXPECT_TRUE(save_first_header(directory_, encoded(1)).is(Code::io));
}

TEST_F(HeaderFileTest, AFileThatCannotBeReadIsNotCalledDamaged) {
  put("header.bak", damaged(encoded(1)));
  std::filesystem::create_symlink("elsewhere", path("header"));  // never followed: open fails with ELOOP
  EXPECT_TRUE(load_header(directory_).is(Code::io));
}

}  // namespace
}  // namespace tain::store
