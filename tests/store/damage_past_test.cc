// SPDX-License-Identifier: Apache-2.0
// Random damage to a closed vault that has a past: versions, states that were replaced by renames, and a trash. Reading
// it never lies and never leaves out a state without saying so; salvage brings back every state that was not hit.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "store/catalog.h"
#include "store/header_file.h"
#include "store/past.h"
#include "store/salvage.h"
#include "store/trash.h"
#include "tests/store/damage_scene.h"

namespace tain::store {
namespace {

using test::DamageScene;
using test::Dice;
using test::kPage;
using test::TempDir;
using test::TempVault;

/// The states of one entry, newest first; nothing is one that cannot be read.
struct SeenEntry {
  std::vector<std::optional<std::string>> states;
  std::set<uint64_t> inodes;
  bool is_refused = false;  // its history itself could not be read
};
/// Everything that has a past: of the present by path, of the trash by the name that it had, behind "trash: ".
struct SeenPast {
  std::map<std::string, SeenEntry> entries;
  bool is_complete = true;  // nothing said that there may be more
};

class DamagePastTest : public testing::Test {
 protected:
  static constexpr int kTrials = 6, kTrialsLong = 200;
  static constexpr int kFolders = 5, kFiles = 12;

  DamagePastTest() {
    {
      OpenOptions how = DamageScene::options(false);
      how.history = true;
      TempVault temp(how);
      build(temp);
      EXPECT_TRUE(temp.vault().close().ok());
      DamageScene::copy(temp.directory(), vault_);
    }
    master_ = std::make_unique<MasterKey>(
        MasterKey{LockedVault::open(vault_, TempVault::password()).value().master.secret.clone()});
    truth_ = look(vault_);
    EXPECT_TRUE(truth_.is_complete);
    EXPECT_GT(truth_.entries.size(), 50u);
    find_owners();
  }

  static void build(TempVault& temp) {
    Dice dice(11);
    Tree& tree = temp.tree();
    const auto stand = [&temp] {
      ASSERT_TRUE(temp.vault().sync().ok());
      temp.clock().advance_seconds(600);
    };
    const auto text = [&dice] { return test::random_text(dice, dice.below(8) == 0 ? 70'000 : 100 + dice.below(2000)); };
    std::vector<Ino> folders;
    for (int d = 0; d < kFolders; ++d) folders.push_back(temp.make_directory(kRootIno, "folder " + std::to_string(d)));
    const auto name_of = [](int d, int f) { return "file " + std::to_string(d) + "." + std::to_string(f); };
    for (int round = 0; round < 5; ++round) {
      for (int d = 0; d < kFolders; ++d) {
        for (int f = 0; f < kFiles; ++f) {
          if (round > 0 && f % 4 >= round) continue;  // some have fewer states
          const std::string name = name_of(d, f);
          if (round == 0 || f % 2 == 0) {  // by a rename
            const Ino folder = folders[static_cast<size_t>(d)];
            temp.write(temp.make_file(folder, name + ".new"), 0, text());
            ASSERT_TRUE(tree.rename(folder, name + ".new", folder, name, RenameMode::replace).ok());
          } else {
            temp.write(tree.lookup(folders[static_cast<size_t>(d)], name).value().ino, dice.below(50), text());
          }
        }
      }
      stand();
    }
    for (int d = 0; d < kFolders; ++d)
      for (int f = 0; f < kFiles; f += 5) ASSERT_TRUE(tree.unlink(folders[static_cast<size_t>(d)], name_of(d, f)).ok());
    stand();
  }

  static SeenEntry look_at(Vault& vault, Ino ino) {
    SeenEntry out;
    const auto log = vault.past().log(ino);
    if (!log.ok()) {
      out.is_refused = true;
      return out;
    }
    for (const PastState& state : *log) {
      out.inodes.insert(raw(state.inode.ino));
      std::string content(state.inode.content.size, '\0');
      const auto got = vault.past().read(state, 0, {reinterpret_cast<uint8_t*>(content.data()), content.size()});
      const bool is_read = !state.is_damaged && got.ok() && *got == content.size();
      out.states.push_back(is_read ? std::optional(content) : std::nullopt);
    }
    return out;
  }

  static void walk(Vault& vault, Ino directory, const std::string& path, SeenPast& out) {
    std::vector<std::pair<std::string, Ino>> items;
    const auto listed = vault.tree().list(directory, Cookie{0}, [&](const ListItem& item) {
      items.emplace_back(item.name, item.ino);
      return true;
    });
    if (!listed.ok()) out.is_complete = false;
    for (const auto& [name, ino] : items) {
      const auto attr = vault.tree().getattr(ino);
      if (!attr.ok()) {
        out.entries[path + name].is_refused = true;
        out.is_complete = false;  // it may be a folder
      } else if (S_ISDIR(attr->mode)) {
        walk(vault, ino, path + name + "/", out);
      } else {
        out.entries[path + name] = look_at(vault, ino);
      }
    }
  }

  SeenPast look(const std::string& directory) const {
    SeenPast out;
    OpenOptions how = DamageScene::options(true);
    how.history = true;
    how.warn = [&out](const std::string&) { out.is_complete = false; };
    auto vault = Vault::open(directory, how, *master_);
    if (!vault.ok()) {
      out.is_complete = false;
      return out;
    }
    walk(**vault, kRootIno, "", out);
    const auto items = (*vault)->trash().list();
    if (!items.ok()) out.is_complete = false;
    for (const TrashItem& item : items.ok() ? *items : std::vector<TrashItem>())
      out.entries["trash: " + item.name.dirent.name] = look_at(**vault, item.name.dirent.child);
    return out;
  }

  /// Whose the values on each page are: all that damage to it may cost.
  void find_owners() {
    const LockedVault locked = LockedVault::open(vault_, *master_).value();
    const Survey survey = survey_database(vault_ + "/data.mdb", *locked.cipher).value();
    pages_ = survey.file_size / kPage;
    Catalog catalog(survey, *locked.cipher);
    EXPECT_TRUE(catalog.read({}).ok());
    std::multimap<uint64_t, std::string> by_inode;
    for (const auto& [key, entry] : truth_.entries)
      for (uint64_t ino : entry.inodes) by_inode.emplace(ino, key);
    const auto own = [this](const Extent& extent, const std::string& key) {
      for (uint64_t page = extent.offset / kPage; page <= (extent.offset + extent.size - 1) / kPage; ++page) owners_.emplace(page, key);
    };
    const auto own_all = [&](const Extent& extent, uint64_t ino) {
      const auto [first, last] = by_inode.equal_range(ino);
      for (auto it = first; it != last; ++it) own(extent, it->second);
    };
    for (const CatalogName& name : catalog.names) {
      own_all(name.extent, raw(name.dirent.child));
      const std::string path = catalog.path(raw(name.dirent.child)).substr(1) + "/";
      for (const auto& [key, entry] : truth_.entries)
        if (key.starts_with(path)) own(name.extent, key);
    }
    for (Table table : {Table::inodes, Table::versions, Table::xattrs})
      for (const StoredValue& value : survey.values(table)) own_all(value.extent, value.key.first);
    for (const StoredValue& value : survey.values(Table::past_names))
      for (const CatalogPastName& past : catalog.past_names)
        if (raw(past.name.dirent.directory) == value.key.first && past.name.ended_hlc == value.key.second)
          own_all(value.extent, raw(past.name.dirent.child));
    std::map<Bytes, std::set<uint64_t>> contents;
    const auto add = [&](const Inode& inode) {
      contents[Bytes(inode.content.id.bytes.begin(), inode.content.id.bytes.end())].insert(raw(inode.ino));
    };
    for (const auto& item : catalog.inodes) add(catalog.load_inode(item.first).value());
    for (const auto& [ino, values] : catalog.versions())
      for (const StoredValue* value : values) add(catalog.load_version(*value).value().inode);
    constexpr size_t kContentOffset = 8;  // docs/format.md §4.3
    for (const StoredValue& value : survey.values(Table::blocks)) {
      const Bytes bytes = survey.read(value.extent).value();
      const auto content = bytes.begin() + kContentOffset;
      for (uint64_t ino : contents.at(Bytes(content, content + sizeof(ContentId::bytes)))) own_all(value.extent, ino);
    }
  }

  /// Each kind in turn; yields the page.
  uint64_t harm(const std::string& vault, int kind, Dice& dice) const {
    const uint64_t page = dice.below(pages_);
    UniqueFd fd(::open((vault + "/data.mdb").c_str(), O_RDWR | O_CLOEXEC));
    Bytes bytes(kPage);
    EXPECT_TRUE(read_exactly(fd.get(), bytes, page * kPage).ok());
    if (kind == 0) bytes[dice.below(kPage)] ^= static_cast<uint8_t>(1u << dice.below(8));
    if (kind == 1) std::fill(bytes.begin(), bytes.end(), uint8_t{0});
    if (kind == 2) { EXPECT_TRUE(read_exactly(fd.get(), bytes, dice.below(pages_) * kPage).ok()); }
    EXPECT_TRUE(write_exactly(fd.get(), bytes, page * kPage).ok());
    return page;
  }

  void expect_nothing_silent(const SeenPast& seen) const {
    for (const auto& [key, entry] : seen.entries) {
      const auto known = truth_.entries.find(key);
      if (known == truth_.entries.end()) {
        ADD_FAILURE() << key << " was never there";
        continue;
      }
      const auto& then = known->second.states;
      bool is_told = entry.is_refused || !seen.is_complete;
      for (const auto& state : entry.states) {
        is_told = is_told || !state.has_value();
        EXPECT_TRUE(!state.has_value() || std::find(then.begin(), then.end(), state) != then.end()) << key << " was never like that";
      }
      EXPECT_TRUE(is_told || entry.states == then) << key << " has " << entry.states.size() << " states of " << then.size() << ", and nothing says so";
    }
    if (!seen.is_complete) return;
    for (const auto& [key, entry] : truth_.entries) EXPECT_TRUE(seen.entries.contains(key)) << key << " is not there, and nothing says so";
  }

  TempDir place_;
  const std::string vault_ = place_.path() + "/vault";
  std::unique_ptr<MasterKey> master_;
  SeenPast truth_;
  std::multimap<uint64_t, std::string> owners_;
  uint64_t pages_ = 0;
};

TEST_F(DamagePastTest, IsNeverSilentAndSalvageKeepsEveryStateThatWasNotHit) {
  const char* wanted = std::getenv("TAIN_LONG");
  const bool is_long = wanted != nullptr && *wanted != '\0';
  const char* fewer = std::getenv("TAIN_DAMAGE_TRIALS");
  const int trials = is_long ? kTrialsLong : fewer == nullptr ? kTrials : std::max(std::atoi(fewer), 1);
  constexpr const char* kKinds[] = {"one bit flipped anywhere", "a page zeroed", "a page replaced by another page"};
  for (int kind = 0; kind < 3; ++kind) {
    int fine = 0, entries_lost = 0, not_hit = 0;
    for (int trial = 0; trial < trials; ++trial) {
      SCOPED_TRACE(std::string(kKinds[kind]) + ", trial " + std::to_string(trial));
      TempDir place;
      const std::string vault = place.path() + "/old", scratch = place.path() + "/scratch", salvaged = place.path() + "/new";
      DamageScene::copy(vault_, vault);
      Dice dice(static_cast<uint64_t>(3 * trial + kind) + 1);
      const uint64_t page = harm(vault, kind, dice);
      DamageScene::copy(vault, scratch);

      const SeenPast seen = look(scratch);

      expect_nothing_silent(seen);
      fine += seen.is_complete && std::all_of(seen.entries.begin(), seen.entries.end(), [](const auto& one) {
        return !one.second.is_refused && std::all_of(one.second.states.begin(), one.second.states.end(), [](const auto& state) { return state.has_value(); });
      });
      auto locked = LockedVault::open(vault, *master_);
      ASSERT_TRUE(locked.ok());
      const auto report = salvage_locked(*locked, salvaged, {});
      ASSERT_TRUE(report.ok()) << report.error().message();
      const SeenPast after = look(salvaged);
      std::set<std::string> hit;
      for (auto [it, last] = owners_.equal_range(page); it != last; ++it) hit.insert(it->second);
      for (const auto& [key, entry] : truth_.entries) {
        const auto found = after.entries.find(key);
        if (found != after.entries.end() && found->second.states == entry.states) continue;
        ++entries_lost;
        if (hit.contains(key)) {
          EXPECT_FALSE(report->damaged.empty() && report->remarks.empty()) << key << " is not as it was, and salvage does not say so";
          continue;
        }
        ++not_hit;
        ADD_FAILURE() << key << (found == after.entries.end() ? " is gone" : " has other states") << ", but was not hit";
      }
    }
    std::printf("| %s | %d | %d | %d | %d | %d |\n", kKinds[kind], trials, fine, trials - fine, entries_lost, not_hit);
  }
}

}  // namespace
}  // namespace tain::store
