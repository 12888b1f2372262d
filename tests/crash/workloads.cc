// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/workloads.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "base/check.h"

namespace tain::crash {
namespace {

constexpr uint64_t kRoot = Lane::kRoot;

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t limit) { return engine_() % limit; }
  bool chance(uint64_t percent) { return below(100) < percent; }
  /// Text that differs from one call to the next.
  std::string text(size_t size) {
    std::string out(size, '\0');
    uint64_t word = engine_();
    for (char& c : out) {
      c = static_cast<char>('a' + word % 26);
      word = word / 26 + (word % 26 << 57) + 1;
    }
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

uint64_t any_number(const Lane& lane, Random& random, bool (*wanted)(const test::Oracle::Node&)) {
  std::vector<uint64_t> fit;
  for (const auto& [number, node] : lane.oracle().nodes())
    if (wanted(node)) fit.push_back(number);
  return fit.empty() ? 0 : fit[random.below(fit.size())];
}

bool is_directory(const test::Oracle::Node& node) {
  return node.is_directory();
}
bool is_file(const test::Oracle::Node& node) {
  return S_ISREG(node.mode);
}

}  // namespace

Work editor_saves(uint64_t seed) {
  Random random(seed);
  Scene scene({});
  Lane& lane = scene.lane();
  const uint64_t folder = lane.make_directory(kRoot, "2026");
  for (int i = 0; i < 5; ++i)
    lane.write(lane.make_file(folder, std::to_string(i) + ".md"), 0, random.text(1 + random.below(9'000)));
  scene.begin();

  for (int save = 0; save < 60; ++save) {
    const std::string name = std::to_string(random.below(5)) + ".md";
    const std::string text = random.text(random.chance(10) ? 90'000 : 1 + random.below(9'000));
    const size_t half = text.size() / 2;
    if (save % 3 == 2) {
      // As vim does with 'backup': the old file steps aside, the new one is written under its name.
      lane.rename(folder, name, folder, name + "~");
      const uint64_t fresh = lane.make_file(folder, name);
      lane.write(fresh, 0, text.substr(0, half));
      lane.write(fresh, half, text.substr(half));
      lane.fsync(fresh);
      lane.remove(folder, name + "~");
    } else {
      const uint64_t fresh = lane.make_file(folder, name + ".tmp");
      lane.write(fresh, 0, text.substr(0, half));
      lane.write(fresh, half, text.substr(half));
      if (!random.chance(20)) lane.fsync(fresh);
      lane.rename(folder, name + ".tmp", folder, name);
    }
    if (random.chance(60)) lane.fsync(folder);
    if (random.chance(15)) lane.sync();
  }
  return scene.finish("editor saves");
}

Work database_commits(uint64_t seed) {
  constexpr uint64_t kPage = 4096, kPages = 80;
  Random random(seed);
  Scene scene({});
  Lane& lane = scene.lane();
  const uint64_t database = lane.make_file(kRoot, "app.db");
  lane.write(database, 0, random.text(kPages * kPage));
  scene.begin();

  for (int commit = 0; commit < 35; ++commit) {
    // A rollback journal: old pages aside and flushed, new pages in place and flushed, then the journal goes.
    const uint64_t journal = lane.make_file(kRoot, "app.db-journal");
    lane.write(journal, 0, random.text(512));
    const uint64_t changed = 1 + random.below(5);
    for (uint64_t i = 0; i < changed; ++i) lane.write(journal, 512 + i * (kPage + 8), random.text(kPage + 8));
    lane.fsync(journal);
    lane.fsync(kRoot);
    lane.write(journal, 0, random.text(12));
    lane.fsync(journal);
    for (uint64_t i = 0; i < changed; ++i)
      lane.write(database, (random.chance(10) ? kPages + i : random.below(kPages)) * kPage, random.text(kPage));
    lane.fsync(database);
    lane.remove(kRoot, "app.db-journal");
    if (random.chance(70)) lane.fsync(kRoot);
    if (random.chance(20)) lane.sync();
  }
  return scene.finish("database commits");
}

Work untar(uint64_t seed) {
  Random random(seed);
  Scene scene({});
  Lane& lane = scene.lane();
  scene.begin();

  std::vector<uint64_t> folders{lane.make_directory(kRoot, "src")};
  for (int i = 0; i < 150; ++i) {
    const uint64_t folder = folders[random.below(folders.size())];
    const std::string name = "e" + std::to_string(i);
    if (random.chance(12)) {
      folders.push_back(lane.make_directory(folder, name));
    } else if (random.chance(8)) {
      lane.make_symlink(folder, name, "../" + name);
    } else {
      const uint64_t file = lane.make_file(folder, name);
      const size_t size = random.chance(4) ? 100'000 + random.below(200'000) : random.below(6'000);
      for (size_t done = 0; done < size; done += 65'536)
        lane.write(file, done, random.text(std::min<size_t>(65'536, size - done)));
      lane.set_mode(file, random.chance(20) ? 0755 : 0644);
    }
    if (i % 30 == 29) lane.sync();  // the committer's turn
    if (random.chance(2)) lane.fsync(folder);
  }
  return scene.finish("untar");
}

Work delete_tree(uint64_t seed) {
  Random random(seed);
  Scene scene({});
  Lane& lane = scene.lane();
  std::vector<uint64_t> folders{lane.make_directory(kRoot, "old")};
  for (int i = 0; i < 90; ++i) {
    const uint64_t folder = folders[random.below(folders.size())];
    const std::string name = "e" + std::to_string(i);
    if (random.chance(15)) {
      folders.push_back(lane.make_directory(folder, name));
      continue;
    }
    const uint64_t file = lane.make_file(folder, name);
    lane.write(file, 0, random.text(random.chance(8) ? 200'000 : random.below(9'000)));
    if (random.chance(10)) lane.link(file, kRoot, "link" + std::to_string(i));
    if (random.chance(10)) lane.set_xattr(file, "user.origin", random.text(30));
  }
  scene.begin();

  // Depth first, as rm -r does.
  const std::function<void(uint64_t)> empty = [&](uint64_t folder) {
    const auto children = lane.oracle().find(folder)->children;
    for (const auto& [name, child] : children) {
      if (lane.oracle().find(child)->is_directory()) empty(child);
      lane.remove(folder, name);
      if (random.chance(6)) lane.fsync(folder);
      if (random.chance(8)) lane.sync();
    }
  };
  empty(kRoot);
  return scene.finish("delete tree");
}

Work overwrite_in_place(uint64_t seed) {
  Random random(seed);
  Scene scene({});
  Lane& lane = scene.lane();
  const uint64_t big = lane.make_file(kRoot, "disk.img");
  const uint64_t small = lane.make_file(kRoot, "mail");
  for (uint64_t offset = 0; offset < 1'500'000; offset += 100'000) lane.write(big, offset, random.text(100'000));
  lane.write(small, 0, random.text(70'000));
  scene.begin();

  for (int i = 0; i < 160; ++i) {
    const uint64_t file = random.chance(70) ? big : small;
    const uint64_t size = lane.oracle().find(file)->data->size();
    const uint64_t offset = random.below(size + 1);
    if (random.chance(4))
      lane.resize(file, size - size / 10);
    else if (random.chance(6))
      lane.zero(file, offset, 1 + random.below(150'000));
    else if (random.chance(5))
      lane.write(file, offset, random.text(120'000));
    else
      lane.write(file, offset, random.text(1 + random.below(5'000)));
    if (random.chance(30)) lane.fsync(file);
    if (random.chance(10)) lane.sync();
  }
  return scene.finish("overwrite in place");
}

void random_operations(Lane& lane, uint64_t seed, size_t count, uint64_t fsync_percent, uint64_t sync_percent) {
  constexpr size_t kNodesMax = 60;
  Random random(seed);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t directory = any_number(lane, random, is_directory);
    const uint64_t other = any_number(lane, random, is_directory);
    const uint64_t file = any_number(lane, random, is_file);
    const std::string name = "n" + std::to_string(random.below(10));
    const std::string other_name = "n" + std::to_string(random.below(10));
    const uint64_t child = lane.child(directory, name);
    const uint64_t kind = random.below(12);
    if (kind < 3 && child == 0 && lane.oracle().nodes().size() < kNodesMax) {
      if (random.chance(20))
        lane.make_directory(directory, name);
      else if (random.chance(10))
        lane.make_symlink(directory, name, random.text(20));
      else
        lane.make_file(directory, name);
    } else if (kind == 3 && child != 0) {
      if (lane.oracle().find(child)->children.empty()) lane.remove(directory, name);
    } else if (kind == 4 && child != 0) {
      test::Oracle trial = lane.oracle();
      const auto mode = random.chance(20) ? store::RenameMode::exchange : store::RenameMode::replace;
      if (!trial.rename(directory, name, other, other_name, mode).has_value())
        lane.rename(directory, name, other, other_name, mode);
    } else if (kind == 5 && file != 0 && child == 0) {
      lane.link(file, directory, name);
    } else if (kind == 6 && file != 0) {
      if (random.chance(50))
        lane.resize(file, random.below(20'000));
      else
        lane.zero(file, random.below(20'000), 1 + random.below(20'000));
    } else if (kind == 7 && file != 0) {
      lane.set_xattr(file, "user.x" + std::to_string(random.below(2)), random.text(random.below(60)));
    } else if (file != 0) {
      const size_t size = random.chance(5) ? 100'000 : 1 + random.below(6'000);
      lane.write(file, random.below(20'000), random.text(size));
      if (random.chance(fsync_percent)) lane.fsync(file);
    }
    if (random.chance(sync_percent)) lane.sync();
  }
}

Work mixed_with_committer(uint64_t seed) {
  Scene scene({.lanes = 2, .committer_thread = true, .pending_max_bytes = uint64_t{1} << 20});
  for (uint32_t i = 0; i < 2; ++i) {
    Lane& lane = scene.lane(i);
    const uint64_t beacon = lane.make_file(kRoot, "beacon");
    lane.set_beacon(beacon);
    lane.write(beacon, 0, "0");
  }
  scene.begin();

  std::vector<std::thread> workers, syncers;
  std::atomic<int> working{2};
  for (uint32_t i = 0; i < 2; ++i) {
    workers.emplace_back([&, i] {
      Lane& lane = scene.lane(i);
      const uint64_t beacon = lane.child(kRoot, "beacon");
      for (uint64_t part = 0; part < 24; ++part) {
        // "beacon" is in no list of names that random operations choose from, so it stays.
        random_operations(lane, seed * 1000 + part * 2 + i, 8, 10);
        lane.write(beacon, 0, std::to_string(part));
      }
      --working;
    });
    syncers.emplace_back([&, i] {
      while (working > 0) {
        scene.lane(i).fsync_beacon();
        std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : workers) thread.join();
  for (std::thread& thread : syncers) thread.join();
  return scene.finish("mixed, with committer");
}

Work frames_during_commits(uint64_t seed) {
  Random random(seed);
  Scene scene({});
  Lane& lane = scene.lane();
  const uint64_t file = lane.make_file(kRoot, "always here");
  random_operations(lane, seed * 1000, 30, 0);
  scene.begin();

  for (uint64_t round = 1; round <= 30; ++round) {
    random_operations(lane, seed * 1000 + round * 2, 4, 30, 0);
    lane.write(file, random.below(50'000), random.text(200));
    if (round % 3 == 0) {
      lane.sync();
      continue;
    }
    scene.commit_with([&] {
      random_operations(lane, seed * 1000 + round * 2 + 1, 1 + random.below(4), 50, 0);
      lane.write(file, random.below(50'000), random.text(200));
      lane.fsync(file);
    });
  }
  return scene.finish("frames during commits");
}

Work journal_wraps(uint64_t seed) {
  Random random(seed);
  Scene scene({});
  Lane& lane = scene.lane();
  const uint64_t file = lane.make_file(kRoot, "log");
  scene.begin();

  for (int i = 0; i < 66; ++i) {
    // Frames of all sizes up to the largest, so that later ones start in the middle of older ones.
    const size_t size = 1 + random.below(i % 8 == 0 ? 300'000 : 120'000) + (i % 2 == 0 ? 150'000 : 0);
    lane.write(file, random.below(400'000), random.text(i % 20 == 19 ? 900'000 : size));  // too large for a frame
    lane.fsync(file);
    if (random.chance(20)) lane.make_file(kRoot, "f" + std::to_string(i));
  }
  return scene.finish("journal wraps");
}

Work compaction(uint64_t seed) {
  Random random(seed);
  Scene scene({});
  Lane& lane = scene.lane();
  uint64_t made = 0, returned = 0;
  const auto make_some = [&] {
    for (uint64_t i = 0; i < 1 + random.below(4); ++i)
      lane.write(lane.make_file(kRoot, "f" + std::to_string(made++)), 0,
                 random.text(random.chance(40) ? 20'000 + random.below(200'000) : 1 + random.below(6'000)));
  };
  make_some();
  scene.begin();

  for (int round = 0; round < 30; ++round) {
    make_some();
    for (uint64_t i = random.below(3); i > 0; --i) {
      const auto& children = lane.oracle().find(kRoot)->children;
      if (children.empty()) break;
      lane.remove(kRoot, std::next(children.begin(), static_cast<ptrdiff_t>(random.below(children.size())))->first);
    }
    if (const uint64_t file = any_number(lane, random, is_file); file != 0) {
      lane.write(file, random.below(50'000), random.text(1 + random.below(30'000)));
      if (random.chance(60)) lane.fsync(file);
    }
    if (random.chance(40)) lane.sync();
    // One that begins commits; one that goes on finds what came free meanwhile.
    if (random.chance(60)) returned += need(scene.vault().compact(random.chance(50) ? 0 : 2)).returned_bytes;
  }
  CHECK(returned > 0);
  return scene.finish("compaction");
}

const std::vector<NamedWorkload>& all_workloads() {
  static const std::vector<NamedWorkload> all = {
      {"editor saves", editor_saves, 120, 1'300},
      {"frames during commits", frames_during_commits, 100, 1'200},
      {"database commits", database_commits, 100, 1'300},
      {"untar", untar, 80, 900},
      {"delete tree", delete_tree, 80, 800},
      {"overwrite in place", overwrite_in_place, 90, 1'100},
      {"mixed, with committer", mixed_with_committer, 120, 1'500},
      {"journal wraps", journal_wraps, 40, 500},
      {"compaction", compaction, 100, 1'000},
      {"versions", versions, 100, 1'000},
      {"trash", trash, 100, 1'000},
      {"version restores", version_restores, 60, 600},
      {"forks", forks, 60, 1'000},
      {"give back", give_back, 40, 500},
      {"large restore", large_restore, 20, 150},
      {"creation", creation, 40, 150},
      {"password changes", password_changes, 30, 60},
      {"key changes", key_changes, 60, 200},
      {"master key change", master_key_change, 80, 400},
  };
  return all;
}

}  // namespace tain::crash
