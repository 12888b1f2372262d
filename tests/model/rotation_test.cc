// SPDX-License-Identifier: Apache-2.0
// The change of the master key over random vaults: whatever they hold, now and in the past, reads the same at every
// step, through closing and crashes, while they are changed, and nothing of the older key is left in the end.
//
// TAIN_LONG=1 does more; TAIN_ROTATION_SEED changes the seed, which a failure prints.
#include <cstdlib>
#include <random>

#include "store/check.h"
#include "store/past.h"
#include "store/rotation.h"
#include "store/survey.h"
#include "store/trash.h"
#include "tests/model/picture.h"
#include "tests/support/audit.h"
#include "tests/support/long_run.h"
#include "tests/support/temp_vault.h"

namespace tain::test {
namespace {

using store::RenameMode;
using store::Rotation;
using store::XattrMode;

store::OpenOptions options() {
  store::OpenOptions out;
  out.committer_thread = false;
  out.history = true;
  return out;
}

/// Changes a vault at random; what cannot be done is left out.
class Changes {
 public:
  Changes(TempVault& temp, uint64_t seed) : temp_(temp), random_(seed) {}

  uint64_t pick(uint64_t below) { return random_() % below; }

  void one() {
    auto& tree = temp_.tree();
    const Ino directory = any_directory();
    const std::string name = "n" + std::to_string(pick(15));
    const std::string other = "n" + std::to_string(pick(15));
    const Ino file = any_file();
    const uint64_t offset = pick(12) == 0 ? pick(3'000'000) : pick(150'000);
    const std::string text(pick(10) == 0 ? pick(300'000) : 1 + pick(9'000), static_cast<char>('a' + pick(26)));
    switch (pick(14)) {
      case 0:
      case 1: {
        const uint32_t mode = pick(4) == 0 ? S_IFDIR | 0700 : S_IFREG | 0600;
        auto made = tree.make(directory, name, {.mode = mode, .symlink = {}});
        if (made.ok()) (S_ISDIR(mode) ? directories_ : files_).push_back(made->ino);
        break;
      }
      case 2: static_cast<void>(tree.make(directory, name, {.mode = S_IFLNK | 0777, .symlink = other}).ok()); break;
      case 3: static_cast<void>(tree.unlink(directory, name).ok()); break;
      case 4: static_cast<void>(tree.rename(directory, name, any_directory(), other, RenameMode::replace).ok()); break;
      case 5: static_cast<void>(tree.link(file, directory, name).ok()); break;
      case 6: static_cast<void>(tree.set_xattr(file, "user." + other, as_bytes(other), XattrMode::any).ok()); break;
      case 7: static_cast<void>(temp_.content().zero(file, offset, text.size(), false).ok()); break;
      case 8: {
        store::AttrChange cut;
        cut.size = offset;
        static_cast<void>(tree.setattr(file, cut).ok());
        break;
      }
      case 9:
      case 10:
        temp_.clock().advance_seconds(1);
        EXPECT_TRUE(temp_.vault().sync().ok());
        temp_.clock().advance_seconds(static_cast<int64_t>(pick(100)));
        break;
      case 11: static_cast<void>(temp_.vault().fsync(file).ok()); break;
      default: static_cast<void>(temp_.content().write(file, offset, as_bytes(text)).ok()); break;
    }
  }

 private:
  Ino any_directory() {
    return pick(3) == 0 || directories_.empty() ? kRootIno : directories_[pick(directories_.size())];
  }
  Ino any_file() { return files_.empty() ? kRootIno : files_[pick(files_.size())]; }

  TempVault& temp_;
  std::mt19937_64 random_;
  std::vector<Ino> files_, directories_;
};

/// The present, and what the vault was at some moments before.
struct Whole {
  Picture now;
  std::map<uint64_t, Picture> past;
  std::vector<std::string> trash;
};

Whole whole_of(TempVault& temp, const std::vector<uint64_t>& moments) {
  Whole out;
  out.now = picture_of(temp.vault()).value();
  for (uint64_t hlc : moments) out.past[hlc] = picture_at(temp.vault(), hlc).value();
  const std::vector<store::TrashItem> items = temp.vault().trash().list().value();
  for (const store::TrashItem& item : items)
    out.trash.push_back(std::to_string(item.name.ended_hlc) + " " + item.name.dirent.name + " " +
                        std::to_string(item.size));
  return out;
}

void expect_same(const Whole& expected, const Whole& found) {
  EXPECT_EQ(difference(expected.now, found.now), "");
  for (const auto& [hlc, picture] : expected.past)
    EXPECT_EQ(difference(picture, found.past.at(hlc)), "") << "at " << hlc;
  EXPECT_EQ(expected.trash, found.trash);
}

uint64_t values_of_epoch(const std::string& directory, uint32_t epoch) {
  const auto locked = store::LockedVault::open(directory, TempVault::password()).value();
  const store::Survey survey = store::survey_database(directory + "/data.mdb", *locked.cipher).value();
  uint64_t count = 0;
  for (const auto& table : survey.tables)
    for (const store::StoredValue& value : table)
      if (store::value_epoch(survey.read({value.extent.offset, store::kRecordHeaderSize}).value()) == epoch) ++count;
  return count;
}

TEST(RotationModelTest, ARandomVaultReadsTheSameAtEveryStep) {
  const char* chosen = std::getenv("TAIN_ROTATION_SEED");  // NOLINT(concurrency-mt-unsafe)
  const uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
  const uint64_t runs = is_long_run() ? 40 : 3;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE("TAIN_ROTATION_SEED=" + std::to_string(seed));
    TempVault temp(options());
    Changes changes(temp, seed);
    std::vector<uint64_t> moments;
    for (int i = 0; i < 400; ++i) {
      changes.one();
      if (i % 100 != 60) continue;
      ASSERT_TRUE(temp.vault().sync().ok());
      temp.clock().advance_seconds(5);
      moments.push_back(temp.vault().hlc_now());
      temp.clock().advance_seconds(5);
    }
    temp.reopen();  // what is no longer in use goes
    Whole expected = whole_of(temp, moments);
    for (uint32_t epoch = 2; epoch <= 3; ++epoch) {
      ASSERT_TRUE(temp.vault().close().ok());
      temp.close();
      ASSERT_TRUE(store::Vault::start_rotation(temp.directory(), TempVault::password()).ok());
      temp.reopen();
      bool is_done = false;
      for (int life = 0; !is_done && life < 10'000; ++life) {
        {
          const auto rotation = temp.vault().make_rotation();
          const uint64_t steps = life < 6 ? 1 + changes.pick(6) : 100'000;
          for (uint64_t i = 0; i < steps && !is_done; ++i) {
            const auto stepped = rotation->step(1 + changes.pick(300'000));
            ASSERT_TRUE(stepped.ok()) << stepped.error().message();
            ASSERT_NE(*stepped, Rotation::Step::stuck);
            is_done = *stepped == Rotation::Step::done;
            if (life != 4 || i % 2 != 0) continue;
            changes.one();  // the vault is used
            ASSERT_TRUE(temp.vault().sync().ok());
            expected = whole_of(temp, moments);
          }
        }
        if (life < 6) changes.pick(2) == 0 ? temp.reopen() : temp.crash();
        const Whole found = whole_of(temp, moments);
        if (life == 4) expected.now = found.now, expected.trash = found.trash;  // closing removed what had no name left
        expect_same(expected, found);
        if (testing::Test::HasFailure()) return;
      }
      ASSERT_TRUE(is_done);
      temp.reopen();
      expect_same(expected, whole_of(temp, moments));
      temp.close();
      EXPECT_EQ(audit_store(temp.directory(), TempVault::password()), std::vector<std::string>());
      EXPECT_EQ(values_of_epoch(temp.directory(), epoch - 1), 0u);
      if (testing::Test::HasFailure()) return;
      temp.reopen();
    }
  }
}

}  // namespace
}  // namespace tain::test
