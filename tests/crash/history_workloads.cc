// SPDX-License-Identifier: Apache-2.0
// Workloads of history: versions are cut and pruned, entries go to the trash and come back. A crash leaves the present, all
// of its past and the trash as they were together after one operation: no version is lost that was there, none appears twice.
#include <algorithm>
#include <random>

#include "base/check.h"
#include "store/janitor.h"
#include "store/past.h"
#include "store/trash.h"
#include "tests/crash/workloads.h"
#include "tests/support/audit.h"
#include "tests/support/fake_clock.h"

namespace tain::crash {
namespace {

using store::PastState;
using store::Vault;
using test::Picture;

constexpr uint64_t kMapSize = uint64_t{256} << 20;  // bytes; address space only

store::OpenOptions options_with(Clock* clock) {
  store::OpenOptions options;
  options.map_size_bytes = kMapSize;
  options.committer_thread = false;
  options.history = true;
  options.clock = clock;
  return options;
}

Result<std::string> describe(store::PastView past, const PastState& state) {
  std::string data(state.inode.is_regular() ? state.inode.content.size : 0, '\0');
  if (!data.empty()) data.resize(TRY(past.read(state, 0, {reinterpret_cast<uint8_t*>(data.data()), data.size()})));
  std::string out = std::to_string(state.inode.mode) + " " + std::to_string(data.size()) + " " +
                    std::to_string(std::hash<std::string>()(data)) + " " + data.substr(0, 8);
  for (const auto& [name, value] : TRY(past.xattrs(state))) out += " " + name + "=" + std::string(as_text(value));
  return out;
}

/// All states of an entry, newest first, each on a line.
Result<std::string> describe_log(Vault& vault, Ino ino) {
  std::string out;
  for (const PastState& state : TRY(vault.past().log(ino))) out += TRY(describe(vault.past(), state)) + "\n";
  return out;
}

/// The present with the past of each entry, and the trash in the order in which it came there.
Result<Picture> whole_picture(Vault& vault) {
  Picture out;
  const std::function<Result<>(Ino, const std::string&)> walk = [&](Ino directory, const std::string& path) -> Result<> {
    std::vector<std::pair<std::string, Ino>> found;
    TRY(vault.tree().list(directory, Cookie{0}, [&](const store::ListItem& item) {
      found.emplace_back(item.name, item.ino);
      return true;
    }));
    for (const auto& [name, ino] : found) {
      const store::Attr attr = TRY(vault.tree().getattr(ino));
      const std::string here = path + "/" + name;
      out[here] = std::to_string(attr.nlink) + "\n";
      // Of a folder only that it is there: its states come with the times of what is in it.
      if (S_ISDIR(attr.mode))
        TRY(walk(ino, here));
      else
        out[here] += TRY(describe_log(vault, ino));
    }
    return {};
  };
  TRY(walk(kRootIno, ""));
  size_t number = 0;
  for (const store::TrashItem& item : TRY(vault.trash().list())) {
    std::string& text = out["trash " + std::to_string(++number)];
    text = item.name.dirent.name + (item.is_inside ? " inside\n" : "\n");
    if (!S_ISDIR(item.mode)) text += TRY(describe_log(vault, item.name.dirent.child));
  }
  return out;
}

class WholeJudge final : public Judge {
 public:
  explicit WholeJudge(std::vector<Picture> pictures) : pictures_(std::move(pictures)) {}

  Visible look(const std::string& folder, bool thorough) const override {
    Visible out;
    std::string warnings;
    const auto take = [&]() -> Result<Picture> {
      test::FakeClock clock;
      store::OpenOptions options = options_with(&clock);
      options.warn = [&](const std::string& text) { warnings += text + "; "; };
      auto vault = TRY(Vault::open(folder, options, password()));
      Picture picture = TRY(whole_picture(*vault));
      TRY(vault->close());
      return picture;
    };
    const auto picture = take();
    if (!picture.ok()) out.complaint = "opening and reading: " + picture.error().message();
    if (picture.ok() && !warnings.empty()) out.complaint = "a warning: " + warnings;
    if (!out.complaint.empty()) return out;

    std::vector<uint64_t> fits;
    size_t shortest = SIZE_MAX;
    for (uint64_t k = 0; k < pictures_.size(); ++k) {
      if (pictures_[k] == *picture) fits.push_back(k);
      const std::string text = test::difference(pictures_[k], *picture);
      if (text.size() >= shortest) continue;
      shortest = text.size();
      out.nearest = "compared with the state after operation " + std::to_string(k) + ":\n" + text;
    }
    out.fits.push_back(std::move(fits));
    if (!thorough) return out;
    for (const std::string& line : test::audit_store(folder, password())) out.complaint += "audit: " + line + "; ";
    const auto again = take();
    if (!again.ok())
      out.complaint += "opening again: " + again.error().message();
    else if (*again != *picture)
      out.complaint += "another state when opened again: " + test::difference(*picture, *again);
    return out;
  }

 private:
  std::vector<Picture> pictures_;
};

/// A vault with history that is worked on, operation by operation.
class HistoryScene {
 public:
  HistoryScene() : folder_(workspace_.path("vault")) {
    recorder_ = std::make_unique<Recorder>(folder_, Disk());
    need(Vault::create(folder_, {.suite = {}, .kdf = store::kKdfFloor}, password()));
    vault_ = need(Vault::open(folder_, options_with(&clock_), password()));
  }

  Vault& vault() { return *vault_; }
  void pass(int64_t seconds) { clock_.advance_seconds(seconds); }
  /// Crashes may happen from here on.
  void begin() {
    need(vault_->sync());
    pictures_ = {need(whole_picture(*vault_))};
    recorder_->start_here();
  }
  void operation(const std::function<void()>& work) {
    if (pictures_.empty()) return work();  // preparation
    recorder_->begun(0, pictures_.size());
    work();
    pictures_.push_back(need(whole_picture(*vault_)));
  }
  void sync() {
    need(vault_->sync());
    if (!pictures_.empty()) recorder_->durable(0, pictures_.size() - 1);
  }
  /// Of something that the last operation changed.
  void fsync(Ino ino) {
    need(vault_->fsync(ino));
    if (!pictures_.empty()) recorder_->durable(0, pictures_.size() - 1);
  }

  Ino make(Ino directory, const std::string& name, const std::string& text) {
    Ino ino{};
    operation([&] {
      ino = need(vault_->tree().make(directory, name, {.mode = S_IFREG | 0644, .symlink = {}})).ino;
      need(vault_->content().write(ino, 0, as_bytes(text)));
    });
    return ino;
  }
  Ino make_directory(Ino directory, const std::string& name) {
    Ino ino{};
    operation([&] { ino = need(vault_->tree().make(directory, name, {.mode = S_IFDIR | 0755, .symlink = {}})).ino; });
    return ino;
  }
  void write(Ino ino, uint64_t offset, const std::string& text) {
    operation([&] { need(vault_->content().write(ino, offset, as_bytes(text))); });
  }
  void rename(Ino directory, const std::string& from, const std::string& to) {
    operation([&] {
      const auto replaced = need(vault_->tree().rename(directory, from, directory, to, store::RenameMode::replace));
      if (replaced.has_value() && replaced->orphan) need(vault_->tree().reap(replaced->ino));
    });
  }
  void remove(Ino directory, const std::string& name) {
    operation([&] {
      const auto gone = need(vault_->tree().unlink(directory, name));
      if (gone.orphan) need(vault_->tree().reap(gone.ino));
    });
  }
  void remove_directory(Ino directory, const std::string& name) {
    operation([&] { need(vault_->tree().rmdir(directory, name)); });
  }
  void restore(const store::TrashItem& item, const std::string& name) {
    operation([&] { need(vault_->trash().restore(item.name, kRootIno, name)); });
  }
  /// What the janitor takes away is one commit here.
  uint64_t tidy() {
    uint64_t states = 0;
    operation([&] {
      const auto janitor = vault_->make_janitor();
      for (bool end = false; !end;) {
        const auto step = need(janitor->step());
        states += step.states + step.entries;
        end = step.end;
      }
      need(vault_->sync());
    });
    if (!pictures_.empty()) recorder_->durable(0, pictures_.size() - 1);
    return states;
  }
  /// What the janitor takes away, with a commit for each entry.
  uint64_t tidy_in_steps(const std::vector<std::string>& names) {
    uint64_t states = 0;
    const int64_t now_s = clock_.wall_ns() / 1'000'000'000;
    for (const std::string& name : names) {
      if (raw(child(name)) == 0) continue;
      operation([&] {
        states += need(vault_->trash().prune_entry(child(name), {.all_s = 3600, .hourly_s = 20'000, .daily_s = 0, .monthly_s = 0}, now_s, false)).states;
        need(vault_->sync());  // until then what was dropped is seen
      });
      recorder_->durable(0, pictures_.size() - 1);
    }
    return states;
  }
  /// The trash, with a commit for each entry.
  uint64_t empty_in_steps() {
    uint64_t entries = 0;
    for (const store::TrashItem& item : need(vault_->trash().list())) {
      operation([&] {
        if (need(vault_->trash().purge(item.name.dirent.child))) ++entries;
      });
      sync();
    }
    return entries;
  }
  /// As when the disk is full.
  bool give_back() {
    bool is_given = false;
    sync();
    operation([&] { is_given = vault_->make_janitor()->give_back(); });
    recorder_->durable(0, pictures_.size() - 1);
    return is_given;
  }
  /// As tain restore does it.
  void restore_version(const std::string& name, uint64_t number) {
    const auto log = need(vault_->past().log(child(name)));
    const PastState& from = log[number % log.size()];
    Ino made{};
    operation([&] {
      made = need(vault_->tree().make_unnamed(kRootIno, {.mode = S_IFREG | 0644, .symlink = {}})).ino;
      Bytes bytes(from.inode.content.size);
      need(vault_->past().read(from, 0, bytes));
      need(vault_->content().write(made, 0, bytes));
    });
    operation([&] { need(vault_->tree().link(made, kRootIno, ".tain-restore-1~")); });
    operation([&] {
      const auto replaced = need(vault_->tree().rename(kRootIno, ".tain-restore-1~", kRootIno, name, store::RenameMode::restore));
      CHECK(replaced.has_value() && !replaced->orphan);
    });
  }
  Ino child(const std::string& name) {
    const auto found = vault_->tree().lookup(kRootIno, name);
    return found.ok() ? found->ino : Ino{0};
  }

  Work finish(std::string name) {
    need(vault_->close());
    recorder_->durable(0, pictures_.size() - 1);
    vault_.reset();
    Work work{.name = std::move(name), .recording = recorder_->stop(), .judge = nullptr};
    CHECK(files_of(folder_) == files_of(work.recording));
    work.judge = std::make_shared<WholeJudge>(std::move(pictures_));
    return work;
  }

 private:
  Workspace workspace_;
  std::string folder_;
  test::FakeClock clock_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Vault> vault_;
  std::vector<Picture> pictures_;
};

std::string text_of(std::mt19937_64& random, size_t size) {
  std::string out = std::to_string(random()) + " ";
  out.resize(std::max(size, out.size()), static_cast<char>('a' + random() % 26));
  return out;
}

}  // namespace

Work versions(uint64_t seed) {
  std::mt19937_64 random(seed);
  HistoryScene scene;
  for (int i = 0; i < 3; ++i) scene.make(kRootIno, "d" + std::to_string(i), text_of(random, 100 + random() % 200'000));
  scene.pass(100);
  scene.begin();
  uint64_t pruned = 0;
  for (int round = 0; round < 60; ++round) {
    const std::string name = "d" + std::to_string(random() % 3);
    const Ino ino = scene.child(name);
    Ino changed = ino;
    switch (random() % 6) {
      case 0:
      case 1:
        scene.write(ino, random() % 150'000, text_of(random, 1 + random() % 9'000));
        break;
      case 2:
        scene.operation([&] { need(scene.vault().tree().setattr(ino, {.size = random() % 100'000})); });
        break;
      case 3:
        scene.operation([&] {
          need(scene.vault().tree().set_xattr(ino, "user.x", as_bytes(std::to_string(round)), store::XattrMode::any));
        });
        break;
      default:
        changed = scene.make(kRootIno, ".goutputstream-1", text_of(random, random() % 90'000));
        if (random() % 2 == 0) scene.fsync(changed);
        scene.rename(kRootIno, ".goutputstream-1", name);
        break;
    }
    if (random() % 2 == 0) scene.fsync(changed);
    if (random() % 3 != 0) {
      scene.sync();
      scene.pass(static_cast<int64_t>(random() % 3 == 0 ? 20'000 + random() % 80'000 : 2 + random() % 900));
    }
    if (random() % 8 == 0) pruned += scene.tidy();
  }
  CHECK(pruned > 0);
  return scene.finish("versions");
}

Work trash(uint64_t seed) {
  std::mt19937_64 random(seed);
  HistoryScene scene;
  scene.begin();
  uint64_t made = 0, restored = 0, purged = 0;
  for (int round = 0; round < 14; ++round) {
    const std::string top = "folder" + std::to_string(++made);
    const Ino folder = scene.make_directory(kRootIno, top);
    const Ino inner = scene.make_directory(folder, "inner");
    const Ino file = scene.make(inner, "file", text_of(random, random() % 70'000));
    scene.make(folder, "other", text_of(random, 50));
    scene.sync();
    scene.pass(100);
    if (random() % 2 == 0) {
      scene.write(file, 10, "changed " + std::to_string(round));
      scene.sync();
      scene.pass(100);
    }
    scene.remove(inner, "file");
    scene.remove_directory(folder, "inner");
    if (random() % 2 == 0) scene.fsync(folder);
    scene.remove(folder, "other");
    scene.remove_directory(kRootIno, top);
    if (random() % 2 == 0) scene.fsync(kRootIno);
    if (random() % 2 == 0) scene.sync();
    scene.pass(static_cast<int64_t>(random() % 3) * 400'000 + 60);
    const auto items = need(scene.vault().trash().list());
    std::vector<store::TrashItem> whole;
    for (const store::TrashItem& item : items)
      if (!item.is_inside && S_ISDIR(item.mode)) whole.push_back(item);
    if (!whole.empty() && random() % 2 == 0) {
      scene.restore(whole[random() % whole.size()], "restored" + std::to_string(++restored));
      if (random() % 2 == 0) scene.fsync(kRootIno);
    }
    if (random() % 3 == 0) {
      scene.pass(static_cast<int64_t>(random() % 3) * 1'000'000);
      purged += scene.tidy();
    }
    if (random() % 6 == 0) {
      scene.operation([&] {
        purged += need(scene.vault().trash().empty(UINT64_MAX)).entries;
        need(scene.vault().sync());
      });
      scene.sync();
    }
  }
  CHECK(restored > 0 && purged > 0);
  return scene.finish("trash");
}

Work version_restores(uint64_t seed) {
  std::mt19937_64 random(seed);
  HistoryScene scene;
  for (int i = 0; i < 2; ++i) scene.make(kRootIno, "d" + std::to_string(i), text_of(random, 100 + random() % 100'000));
  scene.sync();
  scene.pass(100);
  scene.begin();
  for (int round = 0; round < 30; ++round) {
    const std::string name = "d" + std::to_string(random() % 2);
    if (random() % 2 == 0) {
      scene.write(scene.child(name), random() % 70'000, text_of(random, 1 + random() % 9'000));
    } else {
      scene.restore_version(name, random());
    }
    if (random() % 2 == 0) scene.fsync(scene.child(name));
    if (random() % 2 == 0) scene.sync();
    scene.pass(static_cast<int64_t>(random() % 30));
  }
  return scene.finish("version restores");
}

Work forks(uint64_t seed) {
  std::mt19937_64 random(seed);
  HistoryScene scene;
  for (const char* name : {"a", "b", "c"}) scene.make(kRootIno, name, text_of(random, 100 + random() % 100'000));
  scene.sync();
  scene.pass(100);
  scene.begin();
  uint64_t dropped = 0;
  const auto any_name = [&] { return std::string(1, static_cast<char>('a' + random() % 4)); };
  for (int round = 0; round < 60; ++round) {
    const std::string name = any_name(), other = any_name();
    const Ino ino = scene.child(name);
    if (raw(ino) == 0) {
      scene.make(kRootIno, name, text_of(random, 1 + random() % 9'000));
      continue;
    }
    Ino changed = kRootIno;
    switch (random() % 6) {
      case 0:
      case 1:
        scene.write(ino, random() % 70'000, text_of(random, 1 + random() % 9'000));
        changed = ino;
        break;
      case 2:
      case 3:
        if (name == other) continue;
        scene.rename(kRootIno, name, other);
        scene.make(kRootIno, name, text_of(random, 1 + random() % 9'000));
        break;
      case 4:
        scene.make(kRootIno, ".goutputstream-1", text_of(random, 1 + random() % 9'000));
        scene.rename(kRootIno, ".goutputstream-1", name);
        break;
      default: scene.remove(kRootIno, name); break;
    }
    if (random() % 3 == 0) scene.fsync(changed);
    if (random() % 2 == 0) {
      scene.sync();
      scene.pass(static_cast<int64_t>(random() % 4 == 0 ? 30'000 : 2 + random() % 900));
    }
    if (random() % 6 == 0) dropped += scene.tidy_in_steps({"a", "b", "c", "d"});
    if (random() % 10 == 0) dropped += scene.empty_in_steps();
  }
  CHECK(dropped > 0);
  return scene.finish("forks");
}

Work give_back(uint64_t seed) {
  std::mt19937_64 random(seed);
  HistoryScene scene;
  const Ino file = scene.make(kRootIno, "d", text_of(random, 60'000));
  scene.make(kRootIno, "removed", text_of(random, 10'000));
  scene.sync();
  scene.pass(100);
  scene.begin();
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 5; ++i) {
      scene.write(file, random() % 60'000, text_of(random, 5'000 + random() % 40'000));
      if (random() % 2 == 0) scene.fsync(file);
      scene.sync();
      scene.pass(static_cast<int64_t>(2 + random() % 900));
    }
    if (raw(scene.child("removed")) != 0) scene.remove(kRootIno, "removed");
    scene.sync();
    scene.pass(100);
    CHECK(scene.give_back());
    scene.make(kRootIno, "removed", text_of(random, 10'000));
  }
  return scene.finish("give back");
}

Work large_restore(uint64_t seed) {
  std::mt19937_64 random(seed);
  HistoryScene scene;
  const Ino folder = scene.make_directory(kRootIno, "folder");
  for (int i = 0; i < 600; ++i) scene.make(folder, "f" + std::to_string(i), text_of(random, 20));
  scene.sync();
  scene.pass(100);
  for (int i = 0; i < 600; ++i) scene.remove(folder, "f" + std::to_string(i));
  scene.remove_directory(kRootIno, "folder");
  scene.sync();
  scene.pass(100);
  scene.begin();
  for (int round = 0; round < 2; ++round) {
    const auto items = need(scene.vault().trash().list());
    scene.restore(items.back(), "back" + std::to_string(round));
    if (random() % 2 == 0) scene.fsync(folder);
    scene.sync();
    scene.pass(100);
    if (round == 1) break;
    scene.operation([&] {
      for (int i = 0; i < 600; ++i) need(scene.vault().tree().unlink(folder, "f" + std::to_string(i)));
      need(scene.vault().tree().rmdir(kRootIno, "back0"));
    });
    scene.sync();
    scene.pass(100);
  }
  return scene.finish("large restore");
}

}  // namespace tain::crash
