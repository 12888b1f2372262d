// SPDX-License-Identifier: Apache-2.0
// What happens to a vault whose files were damaged: reading never lies, never hangs, never dies; salvage brings back
// everything outside the damage. The table in docs/damage.md is this test's, with TAIN_LONG=1.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "base/file.h"
#include "store/catalog.h"
#include "store/check.h"
#include "store/header_file.h"
#include "store/salvage.h"
#include "tests/support/audit.h"
#include "tests/support/temp_vault.h"

namespace tain::store {
namespace {

using test::TempDir;
using test::TempVault;

constexpr size_t kPage = 4096;
constexpr int kTrials = 5, kTrialsLong = 200;
constexpr int kChildSeconds = 120;
constexpr int kSilent = 3, kRefused = 1, kFine = 0;

/// Not for secrets: which page to damage. The same seeds in every run.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}
  uint64_t below(uint64_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % bound;
  }

 private:
  uint64_t state_;
};

/// A tree as a reader sees it: path to content; directories end in '/'.
using Entries = std::map<std::string, std::string>;

/// What a walk through the vault yields; `errors` counts everything that was refused.
struct Walked {
  Entries entries;
  std::set<std::string> refused;  // entries that are there but could not be read whole
  bool incomplete_listing = false;
};

void walk(Vault& vault, Ino directory, const std::string& path, Walked& out) {
  std::vector<std::pair<std::string, Ino>> items;
  auto listed = vault.tree().list(directory, Cookie{0}, [&](const ListItem& item) {
    items.emplace_back(item.name, item.ino);
    return true;
  });
  if (!listed.ok()) out.incomplete_listing = true;
  for (const auto& [name, ino] : items) {
    const std::string child = path + name;
    auto attr = vault.tree().lookup(directory, name);
    if (!attr.ok()) {
      out.refused.insert(child);
      continue;
    }
    if (S_ISDIR(attr->mode)) {
      out.entries[child + "/"] = "";
      walk(vault, attr->ino, child + "/", out);
      continue;
    }
    std::string content;
    if (S_ISLNK(attr->mode)) {
      auto target = vault.tree().readlink(attr->ino);
      if (target.ok())
        content = *target;
      else
        out.refused.insert(child);
    } else {
      content.resize(attr->size);
      for (uint64_t at = 0; at < attr->size; at += 4096) {
        const uint64_t size = std::min<uint64_t>(4096, attr->size - at);
        auto read = vault.content().read(attr->ino, at, {reinterpret_cast<uint8_t*>(content.data()) + at, size});
        if (!read.ok()) out.refused.insert(child);
      }
    }
    auto xattrs = vault.tree().list_xattrs(attr->ino);
    if (!xattrs.ok())
      out.refused.insert(child);
    else
      for (const auto& [key, value] : *xattrs)
        if (key != kDamagedXattr) content += "|" + key + "=" + std::string(as_text(value));
    out.entries[child] = content;
  }
}

class DamageTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    original_ = new TempDir();
    TempVault temp({.committer_thread = false});
    Tree& tree = temp.tree();
    Dice dice(7);
    for (int d = 0; d < 12; ++d) {
      const Ino dir = temp.make_directory(kRootIno, "folder " + std::to_string(d));
      for (int f = 0; f < 60; ++f) {
        const Ino file = temp.make_file(dir, "entry " + std::to_string(d) + "." + std::to_string(f) + ".md");
        temp.write(file, 0, text(dice, 100 + dice.below(3000)));
        if (f % 13 == 0) {
          EXPECT_TRUE(tree.set_xattr(file, "user.mime", as_bytes("text/markdown"), XattrMode::any).ok());
        }
        if (f % 17 == 0) {
          EXPECT_TRUE(tree.link(file, kRootIno, "link " + std::to_string(d) + "." + std::to_string(f)).ok());
        }
      }
      if (d % 3 == 0) {
        EXPECT_TRUE(temp.vault().sync().ok());
      }
    }
    EXPECT_TRUE(tree.make(kRootIno, "symlink", {.mode = S_IFLNK | 0777, .symlink = "folder 1/entry 1.1.md"}).ok());
    for (int f = 0; f < 4; ++f) {
      const Ino big = temp.make_file(kRootIno, "big " + std::to_string(f));
      for (uint64_t at = 0; at < (uint64_t{1} << 20); at += 65536) temp.write(big, at, text(dice, 65536));
    }
    const Ino large = temp.make_file(kRootIno, "large");  // with a map of two levels
    for (uint64_t at = 0; at < 40; ++at) temp.write(large, at * 131072, text(dice, 9000));
    EXPECT_TRUE(temp.vault().sync().ok());
    // Changes in place, deletions and renames: free pages with older copies, patches.
    for (int d = 0; d < 12; d += 2) {
      const auto dir = tree.lookup(kRootIno, "folder " + std::to_string(d));
      for (int f = 0; f < 60; f += 5) {
        const std::string name = "entry " + std::to_string(d) + "." + std::to_string(f) + ".md";
        if (f % 2 == 0) {
          EXPECT_TRUE(tree.unlink(dir->ino, name).ok());
        } else {
          EXPECT_TRUE(tree.rename(dir->ino, name, dir->ino, "renamed " + name, RenameMode::replace).ok());
        }
      }
      EXPECT_TRUE(temp.vault().sync().ok());
    }
    temp.write(tree.lookup(kRootIno, "big 1")->ino, 70000, text(dice, 5000));
    EXPECT_TRUE(temp.vault().sync().ok());
    // Unlinked files go when nobody uses them.
    for (uint64_t ino = 2; ino < 900; ++ino)
      if (auto attr = tree.getattr(Ino{ino}); attr.ok() && attr->nlink == 0) {
        EXPECT_TRUE(tree.reap(Ino{ino}).ok());
      }
    // Changes that only the journal has. The last frame is not looked at: damage there is like a crash before it.
    for (const char* name : {"journaled 1", "journaled 2", "journaled 3", "tail"}) {
      temp.write(temp.make_file(kRootIno, name), 0, text(dice, 5000));
      EXPECT_TRUE(temp.vault().fsync(kRootIno).ok());
    }
    copy(temp.directory(), original_->path() + "/vault");
    temp.close();
    EXPECT_EQ(test::audit_store(original_->path() + "/vault", TempVault::password()), std::vector<std::string>());
    // The password's cost would be most of a trial's time.
    master_ = new MasterKey{
        LockedVault::open(original_->path() + "/vault", TempVault::password()).value().master.secret.clone()};
    Walked walked = read(original_->path() + "/vault");
    EXPECT_TRUE(walked.refused.empty() && !walked.incomplete_listing);
    walked.entries.erase("tail");
    expected_ = new Entries(walked.entries);
    find_owners();
    EXPECT_GT(expected_->size(), 650u);
  }
  static void TearDownTestSuite() {
    delete original_;
    delete owners_;
    delete master_;
    delete expected_;
  }

  static std::string text(Dice& dice, uint64_t size) {
    std::string out(size, ' ');
    for (char& c : out) c = static_cast<char>('a' + dice.below(26));
    return out;
  }
  static void copy(const std::string& from, const std::string& to) {
    std::filesystem::create_directory(to);
    for (const char* name : {"header", "header.bak", "data.mdb", "journal"})
      std::filesystem::copy_file(from + "/" + name, to + "/" + name, std::filesystem::copy_options::overwrite_existing);
  }
  static OpenOptions options() {
    return {.read_only = true, .map_size_bytes = uint64_t{1} << 30, .committer_thread = false};
  }
  static Walked read(const std::string& directory) {
    Walked out;
    auto vault = Vault::open(directory, options(), *master_);
    EXPECT_TRUE(vault.ok()) << vault.error().message();
    if (vault.ok()) walk(**vault, kRootIno, "", out);
    return out;
  }

  static Bytes page_of(const std::string& directory, uint64_t number) {
    UniqueFd fd(::open((directory + "/data.mdb").c_str(), O_RDONLY));
    Bytes out(kPage);
    EXPECT_TRUE(read_exactly(fd.get(), out, number * kPage).ok());
    return out;
  }
  static void put(const std::string& path, uint64_t offset, const Bytes& bytes) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY));
    ASSERT_TRUE(write_exactly(fd.get(), bytes, offset).ok());
  }

  /// Compares what a reader gets with what was there. Anything missing or different that nothing complained of is
  /// silent.
  static int judge(const Walked& walked) {
    for (const auto& [path, content] : walked.entries) {
      if (walked.refused.contains(path)) continue;
      auto it = expected_->find(path);
      if (it == expected_->end() || it->second != content) return kSilent;
    }
    bool complete = walked.refused.empty() && !walked.incomplete_listing;
    for (const auto& [path, content] : *expected_) {
      if (walked.entries.contains(path)) continue;
      // Below something that was refused, or in a listing that ended with an error.
      bool excused = walked.incomplete_listing || walked.refused.contains(path);
      for (const std::string& refused : walked.refused) excused = excused || path.starts_with(refused + "/");
      if (!excused) return kSilent;
    }
    return complete ? kFine : kRefused;
  }

  /// Opens and reads the vault in a child with a time limit, and then writes to it and reads again.
  /// The child's verdict, or -1 when it died, -2 when it hung.
  static int read_in_child(const std::string& directory) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::alarm(kChildSeconds);
      OpenOptions how = options();
      how.read_only = false;
      bool warned = false;
      how.warn = [&warned](const std::string&) { warned = true; };
      auto vault = Vault::open(directory, how, *master_);
      if (!vault.ok()) ::_exit(kRefused);
      int verdict = kFine;
      for (int round = 0; round < 2; ++round) {
        Walked walked;
        walk(**vault, kRootIno, "", walked);
        walked.incomplete_listing = walked.incomplete_listing || warned;
        std::erase_if(walked.entries,
                      [](const auto& entry) { return entry.first.starts_with("new ") || entry.first == "tail"; });
        verdict = std::max(verdict, judge(walked));
        // Refusals are fine; dying or lying is not.
        for (int i = 0; i < 40; ++i)
          static_cast<void>((*vault)->tree().make(kRootIno, "new " + std::to_string(i), {.mode = S_IFREG | 0600}).ok());
        static_cast<void>((*vault)->sync().ok());
      }
      ::_exit(verdict);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGALRM ? -2 : -1;
    return WEXITSTATUS(status);
  }

  struct Row {
    int trials = 0, fine = 0, refused = 0, silent = 0, died = 0, hung = 0;
    int unnoticed_by_check = 0;  // reading was not fine, and check found nothing
    int salvage_failed = 0;
    int lost = 0;       // entries or ranges lost, in all trials
    int unexcused = 0;  // lost, although the damage did not hit them
  };

  /// One kind of damage: `damage` harms a copy and yields the pages that it hit.
  void run(const char* name, const std::function<std::set<uint64_t>(const std::string&, Dice&)>& damage) {
    const char* wanted = std::getenv("TAIN_LONG");  // 1, or a number of trials
    const int many = wanted == nullptr ? 0 : std::atoi(wanted);
    Row row;
    for (int trial = 0; trial < (many == 0 ? kTrials : many == 1 ? kTrialsLong : many); ++trial) {
      SCOPED_TRACE(std::string(name) + " " + std::to_string(trial));
      TempDir place;
      const std::string vault = place.path() + "/old";
      copy(original_->path() + "/vault", vault);
      Dice dice(static_cast<uint64_t>(trial) + 1);
      const std::set<uint64_t> pages = damage(vault, dice);
      ++row.trials;

      const std::string scratch = place.path() + "/scratch";
      copy(vault, scratch);
      const int worst = read_in_child(scratch);
      row.fine += worst == kFine;
      row.refused += worst == kRefused;
      row.silent += worst == kSilent;
      row.died += worst == -1;
      row.hung += worst == -2;
      EXPECT_TRUE(worst == kFine || worst == kRefused) << worst;

      auto checked = check(vault);
      const bool noticed = !checked.ok() || !checked->findings.empty();
      if (!noticed && worst != kFine) ++row.unnoticed_by_check;
      EXPECT_TRUE(noticed || worst == kFine);
      salvage(vault, place.path() + "/new", pages, row);
    }
    std::printf("| %s | %d | %d | %d | %d | %d | %d | %d | %d |\n", name, row.trials, row.fine, row.refused, row.silent,
                row.died, row.hung, row.lost, row.unexcused);
  }

  static Result<CheckReport> check(const std::string& directory) {
    const LockedVault locked = TRY(LockedVault::open(directory, *master_));
    return check_locked(locked, {});
  }

  /// Salvages, and compares: what is gone without having lain on a damaged page is one loss too many.
  void salvage(const std::string& vault, const std::string& to, const std::set<uint64_t>& pages, Row& row) {
    auto locked = LockedVault::open(vault, *master_);
    ASSERT_TRUE(locked.ok()) << locked.error().message();
    auto report = salvage_locked(*locked, to, {});
    ASSERT_TRUE(report.ok()) << report.error().message();
    auto sound = check(to);
    ASSERT_TRUE(sound.ok());
    for (const Finding& finding : sound->findings) ADD_FAILURE() << finding.path << ": " << finding.what;
    const Walked found = read(to);
    EXPECT_TRUE(found.refused.empty() && !found.incomplete_listing);
    const std::set<std::string> hit = entries_on(pages);
    std::set<std::string> reported;
    for (const Finding& finding : report->damaged) reported.insert(finding.path.empty() ? "" : finding.path.substr(1));
    for (const auto& [path, content] : *expected_) {
      auto it = found.entries.find(path);
      if (it != found.entries.end() && it->second == content) continue;
      ++row.lost;
      if (std::any_of(hit.begin(), hit.end(), [&, path = path](const std::string& one) {  // clang 14: no bindings
            return path == one || (one.ends_with('*') && path.starts_with(one.substr(0, one.size() - 1)));
          }))
        continue;
      ++row.unexcused;
      ADD_FAILURE() << path << (it == found.entries.end() ? " is gone" : " is changed") << ", but was not hit";
    }
    for (const auto& [path, content] : found.entries) {
      if (path == "tail" || path.starts_with(kSalvageReport) || path.starts_with(kLostAndFound)) continue;
      auto it = expected_->find(path);
      if (it == expected_->end()) {
        EXPECT_FALSE(report->remarks.empty()) << path << " came from nowhere, and nothing says so";
        continue;
      }
      // What is not as it was must be reported.
      if (it->second == content) continue;
      const bool told = std::any_of(reported.begin(), reported.end(), [&](const std::string& other) {
        return expected_->contains(other) && expected_->at(other) == it->second;  // perhaps under another of its names
      });
      EXPECT_TRUE(told || !report->remarks.empty()) << path;
    }
  }

  /// Entries of which some record or block lies on one of `pages` of the undamaged vault. "name*": all that begin so.
  static std::set<std::string> entries_on(const std::set<uint64_t>& pages) {
    std::set<std::string> out;
    for (uint64_t page : pages) {
      const auto [first, last] = owners_->equal_range(page);
      for (auto it = first; it != last; ++it) out.insert(it->second);
    }
    if (pages.contains(kJournalPage)) out.insert("journaled*");
    return out;
  }
  static void find_owners() {
    const std::string vault = original_->path() + "/vault";
    const LockedVault locked = LockedVault::open(vault, *master_).value();
    const Cipher& cipher = *locked.cipher;
    const Survey survey = survey_database(vault + "/data.mdb", cipher).value();
    page_count_ = survey.file_size / kPage;
    Catalog catalog(survey, cipher);
    catalog.read({});
    owners_ = new std::multimap<uint64_t, std::string>;
    auto own = [](const Extent& extent, const std::string& path) {
      for (uint64_t page = extent.offset / kPage; page <= (extent.offset + extent.size - 1) / kPage; ++page)
        owners_->emplace(page, path);
    };
    std::multimap<uint64_t, std::string> paths;
    for (const CatalogName& name : catalog.names) {
      const std::string folder = catalog.path(raw(name.dirent.directory)).substr(1);
      const std::string path = folder + (folder.empty() ? "" : "/") + name.dirent.name;
      paths.emplace(raw(name.dirent.child), path);
      own(name.extent, path);
      if (name.dirent.type == kDirectoryType) own(name.extent, path + "/*");
    }
    const auto own_all = [&](const Extent& extent, uint64_t ino) {
      const auto [first, last] = paths.equal_range(ino);
      for (auto it = first; it != last; ++it) own(extent, it->second);
    };
    for (const StoredValue& value : survey.values(Table::xattrs)) own_all(value.extent, value.key.first);
    for (const auto& [ino, entry] : catalog.inodes) {
      own_all(entry.extent, ino);
      const Inode inode = catalog.load_inode(ino).value();
      std::vector<FoundBlock> blocks;
      check_file(catalog.finder(), inode, &blocks);
      for (const FoundBlock& block : blocks) {
        auto part = [&, ino = ino](const BlockRef& ref) {
          const BlockPlace place{.content = inode.content.id, .id = ref.id, .level = 0, .index = block.index};
          own_all(catalog.finder().open(place, ref, Kind::data_block).extent, ino);
        };
        part(block.ref);
        for (const Patch& patch : block.ref.patches) part(stored_ref(patch));
      }
    }
  }

  static constexpr uint8_t kDirectoryType = 4;
  static constexpr uint64_t kJournalPage = ~uint64_t{0};
  static TempDir* original_;
  static MasterKey* master_;
  static Entries* expected_;
  static std::multimap<uint64_t, std::string>* owners_;
  static uint64_t page_count_;
};

TempDir* DamageTest::original_ = nullptr;
MasterKey* DamageTest::master_ = nullptr;
Entries* DamageTest::expected_ = nullptr;
std::multimap<uint64_t, std::string>* DamageTest::owners_ = nullptr;
uint64_t DamageTest::page_count_ = 0;

TEST_F(DamageTest, BitFlip) {
  run("one bit flipped anywhere", [](const std::string& vault, Dice& dice) {
    const uint64_t page = dice.below(page_count_), bit = dice.below(kPage * 8);
    Bytes bytes = page_of(vault, page);
    bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ 1u << bit % 8);
    put(vault + "/data.mdb", page * kPage, bytes);
    return std::set{page};
  });
}

TEST_F(DamageTest, PageHeader) {
  run("a page header overwritten", [](const std::string& vault, Dice& dice) {
    const uint64_t page = dice.below(page_count_);
    Bytes header(16);
    for (uint8_t& byte : header) byte = static_cast<uint8_t>(dice.below(256));
    put(vault + "/data.mdb", page * kPage, header);
    return std::set{page};
  });
}

TEST_F(DamageTest, ZeroedPage) {
  run("a page zeroed", [](const std::string& vault, Dice& dice) {
    const uint64_t page = dice.below(page_count_);
    put(vault + "/data.mdb", page * kPage, Bytes(kPage));
    return std::set{page};
  });
}

TEST_F(DamageTest, ReplacedPage) {
  run("a page replaced by another page", [](const std::string& vault, Dice& dice) {
    const uint64_t page = dice.below(page_count_), other = dice.below(page_count_);
    put(vault + "/data.mdb", page * kPage, page_of(vault, other));
    return std::set{page};
  });
}

TEST_F(DamageTest, Truncation) {
  run("file truncated", [](const std::string& vault, Dice& dice) {
    const uint64_t page = 2 + dice.below(page_count_ - 2);
    std::filesystem::resize_file(vault + "/data.mdb", page * kPage + dice.below(kPage));
    std::set<uint64_t> lost;
    for (uint64_t i = page; i < page_count_; ++i) lost.insert(i);
    return lost;
  });
}

TEST_F(DamageTest, Journal) {
  run("journal: bytes overwritten", [](const std::string& vault, Dice& dice) {
    Bytes garbage(1 + dice.below(200));
    for (uint8_t& byte : garbage) byte = static_cast<uint8_t>(dice.below(256));
    put(vault + "/journal", dice.below(4 * 8192), garbage);
    return std::set{kJournalPage};
  });
}

TEST_F(DamageTest, Header) {
  run("one copy of the header damaged", [](const std::string& vault, Dice& dice) {
    const std::string path = vault + (dice.below(2) == 0 ? "/header" : "/header.bak");
    if (dice.below(4) == 0)
      std::filesystem::resize_file(path, dice.below(500));
    else
      put(path, dice.below(500), Bytes{static_cast<uint8_t>(dice.below(256))});
    return std::set<uint64_t>();
  });
}

}  // namespace
}  // namespace tain::store
