// SPDX-License-Identifier: Apache-2.0
// What tain salvage saves of the past: versions, past names and the trash, of an intact vault and of damaged ones.
#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "store/block_map.h"
#include "store/past.h"
#include "store/salvage.h"
#include "store/time_lock.h"
#include "store/trash.h"
#include "tests/store/damage_scene.h"
#include "tests/support/audit.h"
#include "tests/support/long_run.h"

namespace tain::store {
namespace {

using test::TempDir;
using test::TempVault;
using Strings = std::vector<std::string>;

constexpr uint64_t kLockedUntil_s = 4'000'000'000;

/// What a vault tells of its past: a line for each state of each entry, by its path and when it ended; for each thing
/// in the trash; and for each entry of the whole vault as it was at some times.
using Picture = std::map<std::string, std::string>;

std::vector<TrashItem> trash_of(Vault& vault) {
  return vault.trash().list().value();
}
std::vector<TrashRoot> trash_roots_of(Vault& vault) {
  return vault.trash().roots().value();
}
std::vector<PastState> log_of(Vault& vault, Ino ino) {
  return vault.past().log(ino).value();
}

std::string text_of(Vault& vault, const PastState& state) {
  if (state.inode.is_symlink()) return state.inode.symlink;
  if (!state.inode.is_regular()) return "";
  Bytes out(state.inode.content.size);
  const auto got = vault.past().read(state, 0, out);
  if (got.is(Code::time_locked)) return "locked";
  return got.ok() ? std::string(as_text(out)) : "error: " + got.error().message();
}

std::string state_line(Vault& vault, const PastState& state) {
  std::string out = std::to_string(state.inode.mode) + " " + std::to_string(state.inode.mtime.seconds) + " " +
                    std::to_string(state.inode.uid) + " " + to_hex(ByteView(state.inode.entry.bytes)) + " ";
  const auto xattrs = vault.past().xattrs(state);
  if (!xattrs.ok()) return "damaged";
  for (const auto& [name, value] : *xattrs) out += name + "=" + std::string(as_text(value)) + " ";
  return out + std::to_string(std::hash<std::string>()(text_of(vault, state)));
}

void draw_log(Vault& vault, Ino ino, const std::string& path, Picture& out) {
  const auto log = vault.past().log(ino);
  if (!log.ok()) {
    out["log " + path] = log.error().message();
    return;
  }
  for (const PastState& state : *log)
    out["log " + path + " @" + std::to_string(state.ended_hlc)] =
        std::to_string(state.ended.seconds) + " " + state_line(vault, state);
}

void draw_present(Vault& vault, Ino directory, const std::string& path, Picture& out) {
  std::vector<std::pair<std::string, Ino>> folders;
  const auto listed = vault.tree().list(directory, Cookie{0}, [&](const ListItem& item) {
    const std::string here = path + "/" + std::string(item.name);
    if (item.name == kSalvageReport) return true;
    folders.emplace_back(here, item.ino);
    return true;
  });
  EXPECT_TRUE(listed.ok());
  for (const auto& [here, ino] : folders) {
    draw_log(vault, ino, here, out);
    const auto attr = vault.tree().getattr(ino);
    if (attr.ok() && S_ISDIR(attr->mode)) draw_present(vault, ino, here, out);
  }
}

void draw_past(Vault& vault, Ino directory, const std::string& path, uint64_t hlc, Picture& out) {
  const auto names = vault.past().list(directory, hlc);
  if (!names.ok()) return;
  for (const PastName& name : *names) {
    const std::string here = path + "/" + name.dirent.name;
    const auto state = vault.past().state(name, hlc);
    if (name.dirent.name == kSalvageReport || state.is(Code::not_found)) continue;
    out[here] = state.ok() ? state_line(vault, *state) : state.error().message();
    if (name.dirent.type == DT_DIR) draw_past(vault, name.dirent.child, here, hlc, out);
  }
}

Picture draw(const std::string& directory, const std::vector<uint64_t>& times) {
  Picture out;
  OpenOptions options;
  options.read_only = true;
  options.committer_thread = false;
  options.history = true;
  auto vault = Vault::open(directory, options, TempVault::password()).value();
  draw_present(*vault, kRootIno, "", out);
  for (const TrashItem& item : trash_of(*vault)) {
    const std::string name = "trash " + std::to_string(raw(item.name.dirent.directory)) + "/" + item.name.dirent.name;
    out[name] = std::to_string(item.name.ended_hlc) + " " + std::to_string(item.size);
    draw_log(*vault, item.name.dirent.child, name, out);
  }
  for (uint64_t hlc : times) draw_past(*vault, kRootIno, "at " + std::to_string(hlc), hlc, out);
  return out;
}

std::string filler(size_t size, uint64_t seed) {
  test::Dice dice(seed);
  return test::random_text(dice, size);
}

/// A vault with a past of every kind, made once.
struct HistoryScene {
  TempVault temp{{.committer_thread = false, .history = true}};
  std::vector<uint64_t> times;
  std::map<std::string, Ino> inodes;

  Ino make(const std::string& name, const std::string& text, Ino directory = kRootIno) {
    const Ino ino = temp.make_file(directory, name);
    temp.write(ino, 0, text);
    inodes[name] = ino;
    return ino;
  }
  void pass() {
    temp.clock().advance_seconds(1);
    EXPECT_TRUE(temp.vault().sync().ok());
    times.push_back(temp.vault().hlc_now());
    temp.clock().advance_seconds(600);
  }
  void overwrite(const std::string& name, const std::string& text) {
    AttrChange cut;
    cut.size = 0;
    EXPECT_TRUE(temp.tree().setattr(inodes[name], cut).ok());
    temp.write(inodes[name], 0, text);
  }
  void save_by_rename(const std::string& name, const std::string& text) {
    const Ino ino = make(".goutputstream-1", text);
    EXPECT_TRUE(temp.tree().rename(kRootIno, ".goutputstream-1", kRootIno, name, RenameMode::replace).ok());
    inodes[name] = ino;
  }
  void set_xattr(const std::string& name, const std::string& value) {
    EXPECT_TRUE(temp.tree().set_xattr(inodes[name], "user.note", as_bytes(value), XattrMode::any).ok());
  }

  HistoryScene() {
    Tree& tree = temp.tree();
    make("notes", "notes 0");
    make("saved", "saved 0");
    make("large", filler(3 << 20, 1));
    make("grows", "small");
    make("shrinks", filler(2 << 20, 2));
    make("linked", "linked 0");
    EXPECT_TRUE(tree.link(inodes["linked"], kRootIno, "other name").ok());
    make("tagged", "tagged");
    set_xattr("tagged", "first");
    make("moved", "moves about");
    make("gone", "gone 0");
    make("locked", "locked 0");
    make("back", "restored");
    inodes["folder"] = temp.make_directory(kRootIno, "folder");
    inodes["album"] = temp.make_directory(kRootIno, "album");
    inodes["inner"] = temp.make_directory(inodes["album"], "inner");
    make("one", "first picture", inodes["album"]);
    make("two", "second picture", inodes["inner"]);
    EXPECT_TRUE(tree.make(kRootIno, "pointer", {.mode = S_IFLNK | 0777, .symlink = "notes"}).ok());
    pass();
    for (int i = 1; i <= 4; ++i) {
      const std::string n = std::to_string(i);
      overwrite("notes", "notes " + n);
      save_by_rename("saved", "saved " + n);
      temp.write(inodes["large"], static_cast<uint64_t>(1'400'000 + i * 3000),
                 filler(2000, 10 + static_cast<uint64_t>(i)));
      temp.write(inodes["grows"], static_cast<uint64_t>(i) * 900'000, filler(70'000, 20 + static_cast<uint64_t>(i)));
      AttrChange cut;
      cut.size = (2u << 20) - static_cast<uint64_t>(i) * 300'000;
      EXPECT_TRUE(tree.setattr(inodes["shrinks"], cut).ok());
      temp.write(inodes["linked"], 0, "linked " + n);
      temp.write(inodes["gone"], 0, "gone " + n);
      temp.write(inodes["locked"], 0, "locked " + n);
      temp.write(inodes["tagged"], 0, "tagged " + n);
      set_xattr("tagged", "note " + n);
      pass();
    }
    temp.write(inodes["large"], 200'000, filler(200'000, 30));
    EXPECT_TRUE(tree.rename(kRootIno, "moved", inodes["folder"], "moved on", RenameMode::replace).ok());
    pass();
    EXPECT_TRUE(tree.unlink(kRootIno, "gone").ok());
    EXPECT_TRUE(tree.unlink(kRootIno, "other name").ok());
    EXPECT_TRUE(tree.unlink(kRootIno, "back").ok());
    EXPECT_TRUE(tree.unlink(inodes["inner"], "two").ok());
    EXPECT_TRUE(tree.rmdir(inodes["album"], "inner").ok());
    EXPECT_TRUE(tree.unlink(inodes["album"], "one").ok());
    EXPECT_TRUE(tree.rmdir(kRootIno, "album").ok());
    pass();
    for (const TrashItem& item : trash_of(temp.vault()))
      if (item.name.dirent.name == "back") {
        EXPECT_TRUE(temp.vault().trash().restore(item.name, kRootIno, "back").ok());
      }
    EXPECT_TRUE(temp.vault().time_locks().lock(inodes["locked"], kLockedUntil_s).ok());
    EXPECT_TRUE(temp.vault().set_retention({.states = {.all_s = 12'345'678}, .trash_s = 7'654'321}).ok());
    pass();
    EXPECT_TRUE(temp.vault().close().ok());
    temp.close();
  }
};

class SalvageHistoryTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { scene_ = new HistoryScene; }
  static void TearDownTestSuite() {
    delete scene_;
    scene_ = nullptr;
  }
  void SetUp() override { test::DamageScene::copy(scene_->temp.directory(), vault_); }

  static Ino ino_of(const std::string& name) { return scene_->inodes.at(name); }
  Picture before() { return draw(scene_->temp.directory(), scene_->times); }
  Picture after() { return draw(to_, scene_->times); }

  /// Runs salvage; the new vault must be sound in any case.
  SalvageReport salvage() {
    auto report = salvage_vault(vault_, to_, TempVault::password(), {});
    EXPECT_TRUE(report.ok()) << report.error().message();
    if (!report.ok()) return {};
    EXPECT_EQ(test::audit_store(to_, TempVault::password()), Strings());
    const CheckReport check = check_vault(to_, TempVault::password(), {}).value();
    for (const Finding& found : check.findings) ADD_FAILURE() << found.path << ": " << found.what;
    return std::move(*report);
  }
  static bool lists(const SalvageReport& report, const std::string& path, const std::string& what) {
    const bool is_there = std::any_of(report.damaged.begin(), report.damaged.end(), [&](const Finding& found) {
      return found.path == path && found.what.find(what) != std::string::npos;
    });
    if (!is_there)
      for (const Finding& found : report.damaged) ADD_FAILURE() << found.path << ": " << found.what;
    return is_there;
  }

  // --- damage, in the raw file ---
  void harm(const std::vector<Extent>& extents) {
    std::fstream file(vault_ + "/data.mdb", std::ios::in | std::ios::out | std::ios::binary);
    for (const Extent& extent : extents) {
      const auto at = static_cast<std::streamoff>(extent.offset + extent.size / 2);
      file.seekg(at);
      const auto byte = static_cast<char>(file.get() ^ 1);
      file.seekp(at);
      file.put(byte);
    }
    file.close();
    ASSERT_TRUE(file.good());
  }
  template <class Use>
  auto with_survey(Use use) {
    const LockedVault locked = LockedVault::open(vault_, TempVault::password()).value();
    Survey survey = survey_database(vault_ + "/data.mdb", *locked.cipher).value();
    Catalog catalog(survey, *locked.cipher);
    EXPECT_TRUE(catalog.read({}).ok());
    return use(survey, catalog);
  }
  /// Of older copies, which free pages have, nothing is left.
  void wipe_free_pages() {
    const std::vector<uint64_t> pages = with_survey([](Survey& survey, Catalog&) { return *survey.free_pages; });
    std::fstream file(vault_ + "/data.mdb", std::ios::in | std::ios::out | std::ios::binary);
    for (uint64_t page : pages) {
      file.seekp(static_cast<std::streamoff>(page * test::kPage));
      file.write(std::string(test::kPage, '\0').data(), test::kPage);
    }
    ASSERT_TRUE(file.good());
  }
  /// Every record of `table` whose key begins so, but not more than `most`.
  void harm_records(Table table, uint64_t first, size_t most = SIZE_MAX) {
    wipe_free_pages();
    harm(with_survey([&](Survey& survey, Catalog&) {
      std::vector<Extent> out;
      for (const StoredValue& value : survey.values(table))
        if (value.key.first == first && out.size() < most) out.push_back(value.extent);
      EXPECT_FALSE(out.empty());
      return out;
    }));
  }
  static Extent extent_of(const Survey& survey, const BlockId& id) {
    for (const StoredValue& value : survey.values(Table::blocks))
      if (value.key == RecordKey{id.writer, id.number}) return value.extent;
    ADD_FAILURE() << "no such block";
    return {};
  }
  /// Versions of an inode, newest first.
  static std::vector<Version> versions_of(const Catalog& catalog, Ino ino) {
    std::vector<Version> out;
    for (const StoredValue* value : catalog.versions().at(raw(ino)))
      out.push_back(catalog.load_version(*value).value());
    return out;
  }

  /// Lines that are missing or different now.
  static Strings lost(const Picture& before, const Picture& after) {
    Strings out;
    for (const auto& [what, line] : before) {
      const auto it = after.find(what);
      if (it == after.end() || it->second != line) out.push_back(what);
    }
    return out;
  }
  static bool all_begin(const Strings& lines, const Strings& beginnings) {
    return std::all_of(lines.begin(), lines.end(), [&](const std::string& line) {
      const bool is_one = std::any_of(beginnings.begin(), beginnings.end(),
                                      [&](const std::string& beginning) { return line.starts_with(beginning); });
      if (!is_one) ADD_FAILURE() << line;
      return is_one;
    });
  }
  /// Lines of `log NAME` or the like.
  static size_t count(const Picture& picture, const std::string& beginning) {
    return static_cast<size_t>(std::count_if(picture.begin(), picture.end(),
                                             [&](const auto& item) { return item.first.starts_with(beginning); }));
  }

  static HistoryScene* scene_;
  TempDir place_;
  const std::string vault_ = place_.path() + "/old", to_ = place_.path() + "/new";
};

HistoryScene* SalvageHistoryTest::scene_ = nullptr;

TEST_F(SalvageHistoryTest, AnIntactVaultTellsTheSameAfterwards) {
  const Picture was = before();
  ASSERT_EQ(count(was, "log /notes @"), 5u);
  ASSERT_EQ(count(was, "log /saved @"), 5u);
  ASSERT_EQ(count(was, "log /large @"), 6u);
  ASSERT_EQ(count(was, "log trash 1/gone @"), 5u);

  const SalvageReport report = salvage();

  EXPECT_EQ(after(), was);
  EXPECT_TRUE(report.damaged.empty());
  EXPECT_TRUE(report.remarks.empty());
  EXPECT_EQ(report.trash, 5u);
  EXPECT_EQ(report.versions_lost + report.versions_incomplete + report.trash_lost, 0u);
  const auto blocks = [](const std::string& vault) {
    const LockedVault locked = LockedVault::open(vault, TempVault::password()).value();
    return survey_database(vault + "/data.mdb", *locked.cipher).value().values(Table::blocks).size();
  };
  EXPECT_EQ(blocks(to_), blocks(vault_) + 1) << "what was shared still is, and the report has one";
}

TEST_F(SalvageHistoryTest, LocksAndRetentionAreCarried) {
  salvage();

  auto vault = Vault::open(to_, {.committer_thread = false, .history = true}, TempVault::password()).value();
  EXPECT_EQ(vault->time_locks().until(ino_of("locked")).value(), static_cast<int64_t>(kLockedUntil_s));
  EXPECT_EQ(vault->retention(), (RetentionPolicy{.states = {.all_s = 12'345'678}, .trash_s = 7'654'321}));
  for (const PastState& state : log_of(*vault, ino_of("locked"))) {
    EXPECT_EQ(text_of(*vault, state), "locked");
  }
}

TEST_F(SalvageHistoryTest, TheTrashOfTheNewVaultComesBack) {
  salvage();
  auto vault = Vault::open(to_, {.committer_thread = false, .history = true}, TempVault::password()).value();

  for (const TrashRoot& root : trash_roots_of(*vault))
    EXPECT_TRUE(vault->trash().restore(root.item.name, kRootIno, root.item.name.dirent.name).ok());

  const Ino album = vault->tree().lookup(kRootIno, "album").value().ino;
  const Ino inner = vault->tree().lookup(album, "inner").value().ino;
  EXPECT_EQ(vault->tree().lookup(inner, "two").value().size, 14u);
  const Ino gone = vault->tree().lookup(kRootIno, "gone").value().ino;
  EXPECT_EQ(log_of(*vault, gone).size(), 5u);
}

TEST_F(SalvageHistoryTest, WithoutMetaPagesTheSameIsFound) {
  std::fstream file(vault_ + "/data.mdb", std::ios::in | std::ios::out | std::ios::binary);
  file.write(std::string(2 * test::kPage, '\0').data(), 2 * test::kPage);
  file.close();
  ASSERT_TRUE(file.good());

  salvage();

  EXPECT_EQ(lost(before(), after()), Strings());
}

TEST_F(SalvageHistoryTest, OfALostInodeTheNewestVersionStandsIn) {
  harm_records(Table::inodes, raw(ino_of("notes")));

  const SalvageReport report = salvage();

  EXPECT_TRUE(lists(report, "/notes", "its newest state is lost: that which ended on"));
  EXPECT_EQ(report.entries_lost, 0u);
  const Picture now = after();
  EXPECT_EQ(count(now, "log /notes @"), 4u);
  EXPECT_TRUE(all_begin(lost(before(), now), {"log /notes @", "at "}));
  auto vault = Vault::open(to_, {.committer_thread = false}, TempVault::password()).value();
  EXPECT_EQ(vault->tree().lookup(kRootIno, "notes").value().size, 7u);
  EXPECT_EQ(text_of(*vault, log_of(*vault, ino_of("notes"))[0]), "notes 3");
}

TEST_F(SalvageHistoryTest, OfALostLargeFileTheNewestVersionStandsInWhole) {
  harm_records(Table::inodes, raw(ino_of("large")));

  const SalvageReport report = salvage();

  EXPECT_TRUE(lists(report, "/large", "stands in"));
  EXPECT_EQ(report.files_incomplete + report.versions_incomplete, 0u);
  EXPECT_EQ(count(after(), "log /large @"), 5u);
}

TEST_F(SalvageHistoryTest, WhatALostInodeWasBeforeItTookTheEntryOverIsThereAgain) {
  harm_records(Table::inodes, raw(ino_of("saved")));

  const SalvageReport report = salvage();

  EXPECT_EQ(report.entries_lost, 1u);
  const Picture now = after();
  EXPECT_EQ(count(now, "log /saved @"), 0u);
  EXPECT_EQ(count(now, "log /lost+found/"), 4u) << "all states but the lost one";
  EXPECT_TRUE(all_begin(lost(before(), now), {"log /saved @", "at "}));
}

TEST_F(SalvageHistoryTest, ALostFormerInodeLeavesTheOlderOnesInTheHistory) {
  const Ino middle = with_survey([&](Survey&, Catalog& catalog) {
    const Ino newest = catalog.inodes.at(raw(ino_of("saved"))).past.previous;
    return catalog.inodes.at(raw(newest)).past.previous;
  });
  harm_records(Table::inodes, raw(middle));

  const SalvageReport report = salvage();

  EXPECT_TRUE(lists(report, "/saved", "is lost, as inode " + std::to_string(raw(middle)) + " is"));
  EXPECT_EQ(report.versions_lost, 1u);
  const Picture now = after();
  EXPECT_EQ(count(now, "log /saved @"), 4u);
  EXPECT_EQ(count(now, "log /lost+found/"), 0u);
  const Strings missing = lost(before(), now);
  EXPECT_TRUE(all_begin(missing, {"log /saved @", "at "}));
  // Of the state before the lost one only its own removal says when it ended, which is the later step of the same save.
  const auto ends = [](const Strings& lines) {
    std::vector<uint64_t> out;
    for (const auto& line : lines)
      if (line.starts_with("log /saved @")) out.push_back(std::stoull(line.substr(line.find('@') + 1)));
    return out;
  };
  const std::vector<uint64_t> gone = ends(missing), new_ends = ends(lost(now, before()));
  ASSERT_EQ(gone.size(), 2u);
  ASSERT_EQ(new_ends.size(), 1u);
  EXPECT_TRUE(std::any_of(gone.begin(), gone.end(), [&](uint64_t end) {
    return end < new_ends[0] && new_ends[0] - end < 16 &&
           before().at("log /saved @" + std::to_string(end)) == now.at("log /saved @" + std::to_string(new_ends[0]));
  }));
}

TEST_F(SalvageHistoryTest, OfALostInodeInTheTrashTheNewestVersionIsThere) {
  harm_records(Table::inodes, raw(ino_of("gone")));

  const SalvageReport report = salvage();

  EXPECT_TRUE(lists(report, "/gone", "its newest state is lost"));
  const Picture now = after();
  EXPECT_EQ(count(now, "log trash 1/gone @"), 4u);
  EXPECT_TRUE(all_begin(lost(before(), now), {"log trash 1/gone @", "trash 1/gone", "at "}));
}

TEST_F(SalvageHistoryTest, WhatIsLostFromTheTrashIsListed) {
  harm_records(Table::inodes, raw(ino_of("one")));

  const SalvageReport report = salvage();

  EXPECT_TRUE(std::any_of(report.damaged.begin(), report.damaged.end(), [](const Finding& found) {
    return found.path.ends_with("one") && found.what == "it was in the trash, and its inode is lost";
  }));
  EXPECT_EQ(report.trash_lost, 1u);
  EXPECT_EQ(report.trash, 4u);
}

TEST_F(SalvageHistoryTest, WhatIsInTheTrashWithoutAPlaceGetsOneInLostAndFound) {
  harm_records(Table::past_names, 1);

  const SalvageReport report = salvage();

  EXPECT_EQ(report.trash, 5u);
  EXPECT_TRUE(lists(report, "/", "names that were in it are lost"));
  OpenOptions options{.committer_thread = false, .history = true};
  auto vault = Vault::open(to_, options, TempVault::password()).value();
  const Ino folder = vault->tree().lookup(kRootIno, kLostAndFound).value().ino;
  Strings names;
  for (const TrashItem& item : trash_of(*vault))
    if (item.name.dirent.directory == folder) names.push_back(item.name.dirent.name);
  EXPECT_EQ(names.size(), 2u) << "the file, and the directory with what is in it";
  EXPECT_TRUE(std::count(names.begin(), names.end(), std::to_string(raw(ino_of("gone")))) == 1);
  for (const TrashRoot& root : trash_roots_of(*vault))
    EXPECT_TRUE(vault->trash().restore(root.item.name, kRootIno, root.item.name.dirent.name + " again").ok());
}

TEST_F(SalvageHistoryTest, WhatWasInALostDirectoryOfTheTrashGetsAPlaceInLostAndFound) {
  harm_records(Table::inodes, raw(ino_of("album")));

  const SalvageReport report = salvage();

  EXPECT_TRUE(report.trash == 4u || report.trash == 5u);
  const Picture now = after();
  for (const std::string& line : lost(before(), now)) EXPECT_EQ(line.find("gone"), std::string::npos) << line;
  auto vault = Vault::open(to_, {.committer_thread = false, .history = true}, TempVault::password()).value();
  for (const TrashRoot& root : trash_roots_of(*vault)) {
    EXPECT_TRUE(vault->trash().restore(root.item.name, kRootIno, root.item.name.dirent.name + " again").ok());
  }
  Picture restored;
  draw_present(*vault, kRootIno, "", restored);
  EXPECT_TRUE(std::any_of(restored.begin(), restored.end(),
                          [](const auto& item) { return item.first.find("/two") != std::string::npos; }));
}

TEST_F(SalvageHistoryTest, ADamagedVersionRecordCostsItselfAndIsListed) {
  const uint64_t ended =
      with_survey([&](Survey&, Catalog& catalog) { return versions_of(catalog, ino_of("large"))[0].ended_hlc; });
  harm_records(Table::versions, raw(ino_of("large")), 1);

  const SalvageReport report = salvage();

  EXPECT_TRUE(lists(report, "/large", "the version that ended on " + unlock_text(seconds_of(ended)) + " is lost"));
  EXPECT_EQ(report.versions_lost, 1u);
  const Picture now = after();
  EXPECT_EQ(count(now, "log /large @"), 5u);
  EXPECT_TRUE(all_begin(lost(before(), now), {"log /large @" + std::to_string(ended), "at "}));
}

TEST_F(SalvageHistoryTest, ADamagedBlockOfOneVersionIsFlaggedInIt) {
  Version oldest;
  wipe_free_pages();
  harm(with_survey([&](Survey& survey, Catalog& catalog) {
    oldest = versions_of(catalog, ino_of("grows")).back();
    return std::vector{extent_of(survey, oldest.inode.content.root.begin()->second.id)};
  }));
  // Of five bytes nothing is left, so that version is; of another one a part is.
  const SalvageReport report = salvage();

  const Picture was = before(), now = after();
  EXPECT_TRUE(all_begin(lost(was, now), {"log /grows @", "at "}));
  EXPECT_GT(report.versions_incomplete + report.versions_lost, 0u);
  EXPECT_FALSE(report.damaged.empty());
  auto vault = Vault::open(to_, {.committer_thread = false}, TempVault::password()).value();
  for (const PastState& state : log_of(*vault, ino_of("grows"))) {
    const auto xattrs = vault->past().xattrs(state).value();
    const std::string key = "log /grows @" + std::to_string(state.ended_hlc);
    if (now.at(key) != was.at(key)) {
      EXPECT_TRUE(xattrs.contains(std::string(kDamagedXattr)));
    }
  }
}

TEST_F(SalvageHistoryTest, WhatAStateOfALargeFileAloneHasIsAllThatADamagedMapOfItCosts) {
  // The map node of the second newest state that the others have not.
  wipe_free_pages();
  uint64_t ended = 0;
  harm(with_survey([&](Survey& survey, Catalog& catalog) {
    const std::vector<Version> versions = versions_of(catalog, ino_of("large"));
    ended = versions[1].ended_hlc;
    for (const auto& entry : versions[1].inode.content.root) {
      const BlockRef& ref = entry.second;
      const auto has = [&](const ContentRecord& other) {
        return std::any_of(other.root.begin(), other.root.end(),
                           [&](const auto& item) { return item.second.id == ref.id; });
      };
      if (!has(versions[0].inode.content) && !has(versions[2].inode.content))
        return std::vector{extent_of(survey, ref.id)};
    }
    ADD_FAILURE() << "no node of its own";
    return std::vector<Extent>();
  }));

  const SalvageReport report = salvage();

  const Picture now = after();
  EXPECT_TRUE(all_begin(lost(before(), now), {"log /large @" + std::to_string(ended), "at "}));
  EXPECT_EQ(report.versions_incomplete, 1u);
  uint64_t bytes = 0;
  for (const Finding& found : report.damaged)
    if (found.path == "/large") bytes += found.end - found.begin;
  EXPECT_GT(bytes, 0u);
  EXPECT_LE(bytes, 10 * kBlockSize) << "of 3 MiB: the rest is what the states beside it have";
}

TEST_F(SalvageHistoryTest, StatesOfASalvagedFileCanBePrunedInAnyOrder) {
  // A damaged state in the middle of the line must not make the others lose what they share.
  wipe_free_pages();
  harm(with_survey([&](Survey& survey, Catalog& catalog) {
    std::vector<Extent> out;
    for (const char* name : {"large", "grows", "shrinks"}) {
      const std::vector<Version> versions = versions_of(catalog, ino_of(name));
      for (const auto& [slot, ref] : versions[1].inode.content.root) out.push_back(extent_of(survey, ref.id));
    }
    return out;
  }));
  salvage();
  const Picture salvaged = after();
  {
    auto vault = Vault::open(to_, {.committer_thread = false, .history = true}, TempVault::password()).value();
    ASSERT_TRUE(vault->trash()
                    .prune({.all_s = 0, .hourly_s = 90 * 86'400, .daily_s = 0, .monthly_s = 0},
                           static_cast<int64_t>(vault->hlc_now() >> 16) / 1000, false)
                    .ok());
    ASSERT_TRUE(vault->sync().ok());
    ASSERT_TRUE(vault->close().ok());
  }
  EXPECT_EQ(test::audit_store(to_, TempVault::password()), Strings());
  const Picture pruned = after();
  EXPECT_LT(count(pruned, "log /large"), count(salvaged, "log /large"));
  for (const auto& [what, line] : pruned)
    if (what.starts_with("log /large") || what.starts_with("log /grows")) {
      EXPECT_EQ(line, salvaged.at(what)) << what;
    }
}

TEST_F(SalvageHistoryTest, VersionsOfWhatOnlyTheJournalMakesAnewStay) {
  {
    auto vault = Vault::open(vault_, {.committer_thread = false, .history = true}, TempVault::password()).value();
    AttrChange change;
    change.mode = 0600;
    ASSERT_TRUE(vault->tree().setattr(ino_of("notes"), change).ok());
    ASSERT_TRUE(vault->fsync(ino_of("notes")).ok());
    const std::string copy = place_.path() + "/crashed";
    test::DamageScene::copy(vault_, copy);
    ASSERT_TRUE(vault->close().ok());
    vault.reset();
    std::filesystem::remove_all(vault_);
    std::filesystem::rename(copy, vault_);
  }
  harm_records(Table::inodes, raw(ino_of("notes")));

  const SalvageReport report = salvage();

  EXPECT_EQ(report.files_incomplete, 1u);
  EXPECT_EQ(count(after(), "log /notes @"), 5u) << "four versions, and what the journal knows";
}

TEST_F(SalvageHistoryTest, WhatTheLastCommitPutIntoThePastIsFoundWithoutItsRoots) {
  std::vector<uint64_t> times = scene_->times;
  {
    auto vault = Vault::open(vault_, {.committer_thread = false, .history = true}, TempVault::password()).value();
    ASSERT_TRUE(vault->content().write(ino_of("notes"), 0, as_bytes("NOTES")).ok());
    ASSERT_TRUE(vault->tree().unlink(kRootIno, "tagged").ok());
    ASSERT_TRUE(vault->close().ok());
  }
  const Picture was = draw(vault_, times);
  ASSERT_EQ(count(was, "log /notes @"), 6u);
  ASSERT_EQ(count(was, "log trash 1/tagged @"), 5u);
  {
    std::fstream file(vault_ + "/data.mdb", std::ios::in | std::ios::out | std::ios::binary);
    std::array<Bytes, 2> pages{Bytes(test::kPage), Bytes(test::kPage)};
    for (Bytes& page : pages) file.read(reinterpret_cast<char*>(page.data()), test::kPage);
    const MetaPage meta = newest_meta(parse_meta(pages[0], 0), parse_meta(pages[1], 1)).value();
    file.seekp(static_cast<std::streamoff>(meta.main.page * test::kPage));
    file.write(std::string(test::kPage, '\0').data(), test::kPage);
    file.close();
    ASSERT_TRUE(file.good());
  }

  salvage();

  EXPECT_EQ(lost(was, after()), Strings());
}

/// One bit anywhere in each trial: nothing is wrong without being said, and nothing else is gone.
TEST_F(SalvageHistoryTest, OneFlippedBitCostsWhatItHitAndIsListed) {
  const Picture was = before();
  struct Value {
    Table table{};
    Extent extent;
  };
  std::vector<Value> values;
  with_survey([&](Survey& survey, Catalog&) {
    for (Table table :
         {Table::inodes, Table::versions, Table::past_names, Table::blocks, Table::dirents, Table::xattrs})
      for (const StoredValue& value : survey.values(table)) values.push_back({table, value.extent});
    return 0;
  });
  wipe_free_pages();
  const std::string sound = place_.path() + "/sound";
  std::filesystem::rename(vault_, sound);
  const size_t step = test::is_long_run() ? 1 : 21;
  for (size_t i = 0; i < values.size(); i += step) {
    SCOPED_TRACE(std::string(table_name(values[i].table)) + " " + std::to_string(i));
    std::filesystem::remove_all(vault_);
    std::filesystem::remove_all(to_);
    test::DamageScene::copy(sound, vault_);
    harm({values[i].extent});

    const SalvageReport report = salvage();

    const Picture now = after();
    const Strings missing = lost(was, now);
    EXPECT_TRUE(missing.empty() || !report.damaged.empty() || !report.remarks.empty());
    std::set<std::string> entries;  // whose log is not what it was
    for (const std::string& line : missing) {
      if (!line.starts_with("log ") && !line.starts_with("trash ")) continue;
      const std::string entry = line.substr(0, line.rfind(" @"));
      const std::string name = entry.substr(entry.rfind('/'));
      entries.insert(name);
      const auto it = now.find(line);
      const bool is_told = std::any_of(report.damaged.begin(), report.damaged.end(),
                                       [&](const Finding& found) {
                                         return found.path.ends_with(name) || found.path.empty() ||
                                                found.what.find("names that were in it") != found.what.npos;
                                       }) ||
                           std::any_of(report.remarks.begin(), report.remarks.end(), [](const std::string& remark) {
                             return remark.find(kLostAndFound) != remark.npos;
                           });
      EXPECT_TRUE(is_told) << line << " is lost and not listed";
      if (it == now.end() || it->second.find(kDamagedXattr) != it->second.npos) continue;
      // Only an older state of the same entry may stand in, or attributes be missing.
      EXPECT_TRUE(values[i].table == Table::inodes || values[i].table == Table::xattrs || line.starts_with("trash "))
          << line << " is another one now";
    }
    EXPECT_LE(entries.size(), 3u);
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace tain::store
