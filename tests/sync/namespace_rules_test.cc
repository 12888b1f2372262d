// SPDX-License-Identifier: Apache-2.0
#include "sync/namespace_rules.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sync/fleet.h"

namespace tain::sync {
namespace {

using test::Fleet;
using Tree = std::vector<std::string>;

constexpr uint64_t kFarAhead = uint64_t{4'000'000'000'000} << 16;  // 2096, as an HLC

/// Exchanges everything; all must end with this tree.
void expect_tree(Fleet& fleet, const Tree& tree) {
  ASSERT_TRUE(fleet.exchange());
  for (test::FleetDevice& device : fleet.devices()) {
    EXPECT_EQ(device.tree(), tree) << "device " << device.number();
    EXPECT_EQ(device.entries(), fleet[0].entries()) << "device " << device.number();
  }
}

TEST(NamespaceRulesTest, OfTwoFilesOfOneNameTheLaterOneKeepsIt) {
  Fleet fleet(2);
  fleet[0].make_file(kRootEntry, "notes.md", "one");
  fleet[1].make_file(kRootEntry, "notes.md", "two");

  expect_tree(fleet, {"notes (conflict d1 2026-11-29).md=one", "notes.md=two"});
}

TEST(NamespaceRulesTest, AnEmptyNewFileGivesWayWhateverTheClocksSay) {
  Fleet fleet(2);
  fleet[0].make_file(kRootEntry, "today.md", "a whole day");
  fleet[1].set_clock(kFarAhead);
  fleet[1].make_file(kRootEntry, "today.md", "");

  expect_tree(fleet, {"today (conflict d2 2096-10-02).md=", "today.md=a whole day"});
}

TEST(NamespaceRulesTest, ThreeFilesOfOneNameAllStay) {
  Fleet fleet(4);
  for (size_t i = 0; i < 3; ++i) fleet[i].make_file(kRootEntry, "a", std::to_string(i));

  expect_tree(fleet, {"a=2", "a (conflict d1 2026-11-29)=0", "a (conflict d2 2026-11-29)=1"});
}

TEST(NamespaceRulesTest, AConflictNameThatIsTakenGetsATag) {
  Fleet fleet(2);
  fleet[1].make_file(kRootEntry, "a (conflict d1 2026-11-29)", "old");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].make_file(kRootEntry, "a", "one");
  fleet[1].make_file(kRootEntry, "a", "two");

  expect_tree(fleet, {"a=two", "a (conflict d1 2026-11-29 0101)=one", "a (conflict d1 2026-11-29)=old"});
}

TEST(NamespaceRulesTest, TwoDirectoriesOfOneNameBecomeOneToTheBottom) {
  Fleet fleet(2);
  for (size_t i = 0; i < 2; ++i) {
    const EntryId year = fleet[i].make_directory(kRootEntry, "2026");
    const EntryId month = fleet[i].make_directory(year, "11");
    fleet[i].make_file(month, "from" + std::to_string(i), "x");
    fleet[i].make_file(month, "29.md", "day" + std::to_string(i));
  }

  expect_tree(fleet, {"2026/", "2026/11/", "2026/11/29 (conflict d1 2026-11-29).md=day0", "2026/11/29.md=day1",
                      "2026/11/from0=x", "2026/11/from1=x"});
}

TEST(NamespaceRulesTest, WhatIsPutIntoADirectoryThatWasMergedAwayFollows) {
  Fleet fleet(2);
  const EntryId mine = fleet[0].make_directory(kRootEntry, "d");
  fleet[1].make_directory(kRootEntry, "d");
  fleet[1].apply(fleet[0]);
  fleet[1].repair();                    // the second device has merged them
  fleet[0].make_file(mine, "a", "late");  // the first knows nothing of that

  expect_tree(fleet, {"d/", "d/a=late"});
}

TEST(NamespaceRulesTest, AFileGivesWayToADirectory) {
  Fleet fleet(2);
  fleet[0].make_directory(kRootEntry, "x.d");
  fleet[1].make_file(kRootEntry, "x.d", "text");

  expect_tree(fleet, {"x (conflict d2 2026-11-29).d=text", "x.d/"});
}

TEST(NamespaceRulesTest, OfTwoMovesIntoOneAnotherTheLaterIsUndone) {
  Fleet fleet(2);
  const EntryId top = fleet[0].make_directory(kRootEntry, "top");
  const EntryId a = fleet[0].make_directory(top, "a");
  const EntryId b = fleet[0].make_directory(top, "b");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].move(a, {top, "a"}, {b, "a"});
  fleet[1].set_clock(kFarAhead);
  fleet[1].move(b, {top, "b"}, {a, "b"});

  expect_tree(fleet, {"top/", "top/b/", "top/b/a/"});
}

TEST(NamespaceRulesTest, ACycleOfThreeIsOpenedOnce) {
  Fleet fleet(3);
  const EntryId a = fleet[0].make_directory(kRootEntry, "a");
  const EntryId b = fleet[0].make_directory(kRootEntry, "b");
  const EntryId c = fleet[0].make_directory(kRootEntry, "c");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].move(a, {kRootEntry, "a"}, {b, "a"});
  fleet[1].move(b, {kRootEntry, "b"}, {c, "b"});
  fleet[2].set_clock(kFarAhead);
  fleet[2].move(c, {kRootEntry, "c"}, {a, "c"});

  expect_tree(fleet, {"c/", "c/b/", "c/b/a/"});
}

TEST(NamespaceRulesTest, AMoveThatCannotBeUndoneGoesToTheTopFolder) {
  Fleet fleet(2);
  const EntryId old = fleet[0].make_directory(kRootEntry, "old");
  const EntryId a = fleet[0].make_directory(old, "a");
  const EntryId b = fleet[0].make_directory(kRootEntry, "b");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].move(b, {kRootEntry, "b"}, {a, "b"});
  fleet[1].set_clock(kFarAhead);
  fleet[1].move(a, {old, "a"}, {b, "a"});
  fleet[1].remove(old);  // it is empty there

  expect_tree(fleet, {"a/", "a/b/"});
}

TEST(NamespaceRulesTest, ADirectoryComesBackForWhatWasPutIntoIt) {
  Fleet fleet(2);
  const EntryId outer = fleet[0].make_directory(kRootEntry, "outer");
  const EntryId inner = fleet[0].make_directory(outer, "inner");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].make_file(inner, "a", "new");
  fleet[1].remove(inner);
  fleet[1].remove(outer);

  expect_tree(fleet, {"outer/", "outer/inner/", "outer/inner/a=new"});
}

TEST(NamespaceRulesTest, AnEditBeatsADeletionWhateverTheClocksSay) {
  Fleet fleet(2);
  const EntryId a = fleet[0].make_file(kRootEntry, "a", "old");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].write(a, "edited");
  fleet[1].set_clock(kFarAhead);
  fleet[1].remove(a);

  expect_tree(fleet, {"a=edited"});
}

TEST(NamespaceRulesTest, ASecondDeletionThatSawTheEditWins) {
  Fleet fleet(3);
  const EntryId a = fleet[0].make_file(kRootEntry, "a", "old");
  ASSERT_TRUE(fleet.exchange());
  fleet[1].set_clock(kFarAhead);
  fleet[1].remove(a);        // knows of no edit
  fleet[0].write(a, "edited");
  fleet[0].remove(a);        // does, and has the earlier clock

  expect_tree(fleet, {});
}

TEST(NamespaceRulesTest, AnEditThatWasNotCapturedYetBeatsADeletion) {
  Fleet fleet(2);
  const EntryId a = fleet[0].make_file(kRootEntry, "a", "old");
  ASSERT_TRUE(fleet.exchange());
  const test::OpenWrite open = fleet[0].begin_write(a, "typed meanwhile");
  fleet[1].remove(a);
  fleet[0].apply(fleet[1]);
  fleet[0].repair();
  EXPECT_EQ(fleet[0].tree(), Tree{});
  fleet[0].capture(open);

  expect_tree(fleet, {"a=typed meanwhile"});
}

TEST(NamespaceRulesTest, ADeletionOfEqualEditsNeedsToKnowOneOfThem) {
  Fleet fleet(3);
  const EntryId a = fleet[0].make_file(kRootEntry, "a", "old");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].write(a, "same");
  fleet[1].write(a, "same");
  fleet[2].apply(fleet[0]);
  fleet[2].repair();
  fleet[2].remove(a);

  expect_tree(fleet, {});
}

TEST(NamespaceRulesTest, ARenameBeatsADeletionAndBringsItsDirectoryBack) {
  Fleet fleet(2);
  const EntryId d = fleet[0].make_directory(kRootEntry, "d");
  const EntryId a = fleet[0].make_file(kRootEntry, "a", "text");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].move(a, {kRootEntry, "a"}, {d, "b"});
  fleet[1].remove(a);
  fleet[1].remove(d);

  expect_tree(fleet, {"d/", "d/b=text"});
}

TEST(NamespaceRulesTest, HardLinksMadeOnTwoDevicesAreAllThere) {
  Fleet fleet(2);
  const EntryId a = fleet[0].make_file(kRootEntry, "a", "text");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].link(a, {kRootEntry, "b"});
  fleet[1].link(a, {kRootEntry, "c"});

  expect_tree(fleet, {"a=text", "b=text", "c=text"});
}

TEST(NamespaceRulesTest, OneNameOfTwoLosesAClashTheOtherStays) {
  Fleet fleet(2);
  const EntryId a = fleet[0].make_file(kRootEntry, "a", "linked");
  fleet[0].link(a, {kRootEntry, "b"});
  fleet[1].set_clock(kFarAhead);
  fleet[1].make_file(kRootEntry, "b", "other");

  expect_tree(fleet, {"a=linked", "b=other", "b (conflict d1 2026-11-29)=linked"});
}

TEST(NamespaceRulesTest, RenameHereAndEditThereNeedNoRule) {
  Fleet fleet(2);
  const EntryId a = fleet[0].make_file(kRootEntry, "a", "old");
  ASSERT_TRUE(fleet.exchange());
  fleet[0].move(a, {kRootEntry, "a"}, {kRootEntry, "b"});
  fleet[1].write(a, "new");
  const size_t published = fleet[0].segments().size() + fleet[1].segments().size();

  expect_tree(fleet, {"b=new"});
  EXPECT_EQ(fleet[0].segments().size() + fleet[1].segments().size(), published);
}

TEST(NamespaceRulesTest, APersonsRenameOutranksARepairAlsoWithAnEarlierClock) {
  Fleet fleet(3);
  fleet[0].set_clock(kFarAhead);
  const EntryId a = fleet[0].make_file(kRootEntry, "a", "one");
  fleet[1].set_clock(uint64_t{4'100'000'000'000} << 16);
  fleet[1].make_file(kRootEntry, "a", "two");
  fleet[2].apply(fleet[0]);
  fleet[2].move(a, {kRootEntry, "a"}, {kRootEntry, "b"});  // while the others give it a conflict name
  fleet[1].apply(fleet[0]);
  fleet[1].repair();

  expect_tree(fleet, {"a=two", "b=one"});
}

// ---- What causal delivery and honest devices never send ----

/// A tree of entries with one version each.
class Entries : public NamespaceView {
 public:
  void add(uint8_t id, uint8_t type, Location location) {
    Heads<Location> heads;
    heads.insert({.dot = {1, ++counter_}, .hlc = counter_, .value = std::move(location)});
    entries_[entry(id)] = state_of(type, std::move(heads), {}, {});
  }
  static EntryId entry(uint8_t id) { return {.bytes = {id}}; }

  Result<std::optional<EntryState>> find(const EntryId& entry) const override {
    const auto at = entries_.find(entry);
    return at == entries_.end() ? std::nullopt : std::optional(at->second);
  }
  Result<std::vector<EntryId>> holders(const Link& link) const override {
    return those([&](const Link& one) { return one == link; });
  }
  Result<std::vector<EntryId>> children(const EntryId& directory) const override {
    return those([&](const Link& one) { return one.directory == directory; });
  }
  std::string device_label(uint64_t) const override { return "x"; }

  std::vector<Repair> repairs() const {
    std::vector<EntryId> all;
    for (const auto& [entry, state] : entries_) all.push_back(entry);
    auto found = find_repairs(*this, all);
    EXPECT_TRUE(found.ok());
    return *std::move(found);
  }

 private:
  template <class Wanted>
  std::vector<EntryId> those(const Wanted& wanted) const {
    std::vector<EntryId> out;
    for (const auto& [entry, state] : entries_)
      if (std::ranges::any_of(state.location.winner().value.links, wanted)) out.push_back(entry);
    return out;
  }

  std::map<EntryId, EntryState> entries_;
  uint64_t counter_ = 0;
};

TEST(NamespaceRulesTest, NothingFollowsFromADirectoryThatIsNotThereYet) {
  Entries entries;
  entries.add(1, DT_REG, {.links = {{Entries::entry(9), "a"}}});
  entries.add(2, DT_DIR, {.links = {{Entries::entry(9), "d"}}});

  EXPECT_EQ(entries.repairs(), std::vector<Repair>());
}

TEST(NamespaceRulesTest, WhatIsInsideAFileGoesToTheTopFolder) {
  Entries entries;
  entries.add(1, DT_REG, {.links = {{kRootEntry, "file"}}});
  entries.add(2, DT_REG, {.links = {{Entries::entry(1), "a"}}});

  EXPECT_EQ(entries.repairs(),
            (std::vector<Repair>{{.entry = Entries::entry(2), .location = {.links = {{kRootEntry, "a"}}}, .hlc = 3}}));
}

TEST(NamespaceRulesTest, ADirectoryInsideItselfGoesToTheTopFolder) {
  Entries entries;
  entries.add(1, DT_DIR, {.links = {{Entries::entry(1), "d"}}, .taken = {{Entries::entry(1), "e"}}});

  EXPECT_EQ(entries.repairs(),
            (std::vector<Repair>{{.entry = Entries::entry(1), .location = {.links = {{kRootEntry, "d"}}}, .hlc = 2}}));
}

TEST(NamespaceRulesTest, ARemovalThatDoesNotSayWhatItTookGivesBackToTheTopFolder) {
  Entries entries;
  entries.add(0xab, DT_DIR, {});
  entries.add(2, DT_REG, {.links = {{Entries::entry(0xab), "a"}}});

  ASSERT_EQ(entries.repairs().size(), 1u);
  EXPECT_EQ(entries.repairs()[0].location.links, (std::vector<Link>{{kRootEntry, "recovered ab000000"}}));
}

TEST(NamespaceRulesTest, LooksOnlyAtWhatIsConcerned) {
  class Counted : public Entries {
   public:
    Result<std::optional<EntryState>> find(const EntryId& entry) const override {
      ++looks;
      return Entries::find(entry);
    }
    mutable size_t looks = 0;
  };
  Counted entries;
  entries.add(1, DT_DIR, {.links = {{kRootEntry, "d"}}});
  entries.add(2, DT_DIR, {.links = {{Entries::entry(1), "d"}}});
  for (uint8_t id = 3; id < 200; ++id) entries.add(id, DT_REG, {.links = {{Entries::entry(2), std::to_string(id)}}});

  const auto repairs = find_repairs(entries, {Entries::entry(100)});

  EXPECT_TRUE(repairs.ok());
  EXPECT_LE(entries.looks, 3u);  // itself and what is above it
}

TEST(NamespaceRulesTest, AViewThatCannotBeReadIsNoTreeWithNothingInIt) {
  class Broken : public Entries {
    Result<std::vector<EntryId>> holders(const Link&) const override { return Error(Code::corrupt, "page"); }
  };
  Broken entries;
  entries.add(1, DT_REG, {.links = {{kRootEntry, "a"}}});

  EXPECT_TRUE(find_repairs(entries, {Entries::entry(1)}).is(Code::corrupt));
}

}  // namespace
}  // namespace tain::sync
