// SPDX-License-Identifier: Apache-2.0
// Random edits on several devices with wild clocks, exchanged in random order: do all end alike, and with everything?
#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sync/dice.h"
#include "tests/sync/fleet.h"

namespace tain::sync {
namespace {

using test::Dice;
using test::Fleet;
using test::FleetDevice;

constexpr uint64_t kThisYear = uint64_t{1'795'000'000'000} << 16;
constexpr uint64_t kOneYear = (uint64_t{365} * 24 * 3600 * 1000) << 16;
constexpr size_t kSegmentsForEach = 30;  // that repairs may take, for each device, after the last edit

class Simulation {
 public:
  Simulation(uint64_t seed, size_t steps) : dice_(seed), fleet_(2 + dice_.below(4)), steps_(steps) {}

  /// What went wrong, or nothing.
  std::string run() {
    for (FleetDevice& device : fleet_.devices()) jump(device);
    // Some begin with a tree that all know, others with nothing.
    if (dice_.chance(50)) {
      for (int i = 0; i < 6; ++i) edit(fleet_[0]);
      if (!exchange()) return "no end of repairs at the beginning";
    }
    const size_t talkative = 10 + dice_.below(60);  // percent
    for (size_t step = 0; step < steps_; ++step) {
      FleetDevice& device = dice_.any(fleet_.devices());
      if (dice_.chance(talkative)) {
        const FleetDevice& from = dice_.any(fleet_.devices());
        if (&from != &device && device.can_apply(from)) device.apply(from);
        if (dice_.chance(70)) device.repair();
        if (dice_.chance(20) && !is_clean_after_repair(device)) return "a repair was forgotten";
      } else {
        device.repair();
        edit(device);
      }
      if (dice_.chance(2)) jump(device);
    }
    for (auto& [number, open] : open_) device(number).capture(open);
    for (FleetDevice& device : fleet_.devices()) device.repair();
    const size_t before = published();
    if (!exchange()) return "no end of repairs";
    if (published() - before > kSegmentsForEach * fleet_.devices().size())
      return std::to_string(published() - before) + " segments of repairs";
    return wrong();
  }

  size_t removed = 0;    // of the entries at the end
  size_t conflicts = 0;  // of contents, at the end

 private:
  FleetDevice& device(uint64_t number) { return fleet_[number - 1]; }
  void jump(FleetDevice& device) { device.set_clock(kThisYear + kOneYear * dice_.below(51) - 25 * kOneYear); }

  size_t published() {
    size_t out = 0;
    for (const FleetDevice& device : fleet_.devices()) out += device.segments().size();
    return out;
  }

  /// Everything, in random order.
  bool exchange() {
    for (size_t tries = 0; tries < 2000; ++tries) {
      FleetDevice& to = dice_.any(fleet_.devices());
      const FleetDevice& from = dice_.any(fleet_.devices());
      if (&from != &to && to.can_apply(from)) to.apply(from);
      if (dice_.chance(50)) to.repair();
    }
    return fleet_.exchange();
  }

  // ---- Edits ----

  std::string some_name() { return std::string(1, static_cast<char>('a' + dice_.below(3))); }
  std::string some_text() { return dice_.chance(10) ? "" : "text" + std::to_string(++texts_); }

  std::vector<EntryId> present(const FleetDevice& device, bool directories) {
    std::vector<EntryId> out;
    for (const auto& [entry, registers] : device.entries())
      if (!device.links(entry).empty() && device.is_directory(entry) == directories) out.push_back(entry);
    return out;
  }

  void edit(FleetDevice& device) {
    std::vector<EntryId> directories = present(device, true);
    std::vector<EntryId> files = present(device, false);
    directories.push_back(kRootEntry);
    const EntryId directory = dice_.any(directories);
    const Link target{directory, some_name()};
    const bool is_free = device.at(target) == kRootEntry;
    const size_t what = dice_.below(100);
    if (what < 22) {
      if (is_free) device.make_file(directory, target.name, some_text());
    } else if (what < 38) {
      if (is_free) device.make_directory(directory, target.name);
    } else if (what < 58) {
      if (is_free) move_directory_or_file(device, directories, files, target);
      else if (!files.empty()) rename_over(device, dice_.any(files), target);
    } else if (what < 66) {
      if (directory != kRootEntry) remove_all(device, directory, dice_.chance(50));
    } else if (!files.empty()) {
      edit_file(device, dice_.any(files), target, what);
    }
  }

  void move_directory_or_file(FleetDevice& device, std::vector<EntryId>& directories, std::vector<EntryId>& files,
                              const Link& target) {
    const bool is_file = !files.empty() && dice_.chance(40);
    const EntryId moved = is_file ? dice_.any(files) : dice_.any(directories);
    if (moved == kRootEntry || (!is_file && device.is_below(target.directory, moved))) return;
    std::vector<Link> links = device.links(moved);
    device.move(moved, dice_.any(links), target);
  }

  void rename_over(FleetDevice& device, EntryId file, const Link& target) {
    const EntryId old = device.at(target);
    if (device.is_directory(old) || old == file) return;
    device.unlink(old, target);
    std::vector<Link> links = device.links(file);
    device.move(file, dice_.any(links), target);
  }

  /// rmdir, or rm -r.
  void remove_all(FleetDevice& device, EntryId directory, bool recursive) {
    const std::vector<EntryId> children = *device.children(directory);
    for (const EntryId& child : children) {
      if (!recursive) return;
      if (device.is_directory(child)) {
        remove_all(device, child, true);
        continue;
      }
      for (const Link& link : device.links(child))
        if (link.directory == directory) device.unlink(child, link);
    }
    device.remove(directory);
  }

  void edit_file(FleetDevice& device, EntryId file, const Link& target, size_t what) {
    std::vector<Link> links = device.links(file);
    const auto open = open_.find(device.number());
    if (what < 76) {
      if (open == open_.end() || open->second.entry != file) device.write(file, some_text());
    } else if (what < 82) {
      if (open == open_.end()) {
        open_.emplace(device.number(), device.begin_write(file, some_text()));
      } else {
        device.capture(open->second);
        open_.erase(open);
      }
    } else if (what < 84) {
      if (open == open_.end() || open->second.entry != file) device.resolve(file);
    } else if (what < 90) {
      if (device.at(target) == kRootEntry) device.link(file, target);
    } else if (what < 95) {
      device.unlink(file, dice_.any(links));
    } else {
      device.change_mode(file, static_cast<uint32_t>(dice_.below(512)));
    }
  }

  // ---- Oracles. Only the first uses the rules ----

  /// Looking at everything finds no more than looking at what was touched.
  bool is_clean_after_repair(FleetDevice& device) {
    device.repair();
    std::vector<EntryId> all;
    for (const auto& [entry, registers] : device.entries()) all.push_back(entry);
    const auto repairs = find_repairs(device, all);
    return repairs.ok() && repairs->empty();
  }

  std::string wrong() {
    for (const FleetDevice& device : fleet_.devices()) {
      if (device.entries() != fleet_[0].entries()) return "devices differ";
      if (device.tree() != fleet_[0].tree()) return "trees differ";
    }
    if (std::string out = wrong_heads(); !out.empty()) return out;
    for (const auto& [entry, registers] : fleet_[0].entries()) {
      if (std::string out = wrong_place(entry, registers); !out.empty()) return out;
      if (std::string out = wrong_removal(entry, registers); !out.empty()) return out;
      conflicts += registers.content.conflicts().size();
    }
    return {};
  }

  /// The versions that no other names must be heads: so every content is there, or somebody edited it.
  std::string wrong_heads() {
    std::map<EntryId, std::set<Dot>> expected, got;
    std::map<EntryId, std::set<Dot>> replaced;
    const auto look = [&](const EntryId& entry, const auto& version) {
      if (!version.has_value()) return;
      expected[entry].insert(version->dot);
      replaced[entry].insert(version->parents.begin(), version->parents.end());
    };
    for (const FleetDevice& device : fleet_.devices())
      for (const test::Segment& segment : device.segments())
        for (const EntryRecord& record : segment.records) {
          look(record.entry, record.location);
          look(record.entry, record.content);
          look(record.entry, record.attributes);
        }
    for (const auto& [id, registers] : fleet_[0].entries()) {
      const EntryId& entry = id;  // a lambda takes no structured binding
      const auto add = [&](const auto& heads) {
        for (const auto& head : heads.all()) got[entry].insert(head.dot);
      };
      add(registers.location);
      add(registers.content);
      add(registers.attributes);
      for (const Dot& dot : replaced[entry]) expected[entry].erase(dot);
    }
    return got == expected ? "" : "heads are not what nobody replaced";
  }

  std::string wrong_place(const EntryId& entry, const test::Registers& registers) {
    const FleetDevice& device = fleet_[0];
    const std::vector<Link> links = device.links(entry);
    if (registers.type == DT_DIR && links.size() > 1) return "a directory with two names";
    for (const Link& link : links) {
      if (device.holders(link)->size() != 1) return "a name twice: " + link.name;
      if (!device.is_directory(link.directory)) return "in something that is no directory";
      if (!device.is_below(link.directory, kRootEntry)) return "not below the root: " + link.name;
    }
    return {};
  }

  /// A file is gone only if some person removed it who had each of its contents, or one of equal bytes.
  std::string wrong_removal(const EntryId& entry, const test::Registers& registers) {
    if (!fleet_[0].links(entry).empty()) return {};
    ++removed;
    if (registers.type == DT_DIR) return {};
    std::vector<Version<Content>> known;
    for (const Version<Location>& head : registers.location.all()) {
      const auto& removals = device(head.dot.writer).known_to_removals;
      if (const auto at = removals.find(head.dot); at != removals.end())
        known.insert(known.end(), at->second.begin(), at->second.end());
    }
    for (const Version<Content>& head : registers.content.all())
      if (std::ranges::none_of(known, [&](const auto& one) { return is_same_value(one.value, head.value); }))
        return "removed, but nobody who removed it knew a content of it";
    return {};
  }

  Dice dice_;
  Fleet fleet_;
  size_t steps_;
  size_t texts_ = 0;
  std::map<uint64_t, test::OpenWrite> open_;
};

TEST(NamespaceSimulationTest, AllDevicesEndAlikeAndNothingIsLost) {
  const uint64_t seeds = 3'000;
  size_t removed = 0;
  size_t conflicts = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const size_t steps = 10 + seed % 90;
    Simulation simulation(seed, steps);
    const std::string wrong = simulation.run();
    removed += simulation.removed;
    conflicts += simulation.conflicts;
    if (wrong.empty()) continue;
    size_t fewest = 1;
    while (Simulation(seed, fewest).run().empty()) ++fewest;
    FAIL() << "seed " << seed << ": " << wrong << "; at the fewest with " << fewest << " steps: "
           << Simulation(seed, fewest).run();
  }
  EXPECT_GT(removed, seeds);  // or little was tried
  EXPECT_GT(conflicts, seeds / 10);
}

}  // namespace
}  // namespace tain::sync
