// SPDX-License-Identifier: Apache-2.0
// What happens to a vault whose files were damaged, while it is closed and while it is open: reading never lies, never
// hangs, never dies; salvage brings back everything outside the damage. The tables in docs/damage.md are this test's,
// with TAIN_LONG=1.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "store/header_file.h"
#include "store/salvage.h"
#include "tests/store/damage_scene.h"

namespace tain::store {
namespace {

using test::DamageScene;
using test::Dice;
using test::Entries;
using test::kJournalPage;
using test::kPage;
using test::Stand;
using test::TempDir;
using test::Walked;

constexpr int kTrials = 2, kTrialsLong = 200;
constexpr int kChildSeconds = 120;       // of a processor: more is a loop without an end, however busy the machine is
constexpr int kChildWaitSeconds = 1800;  // for whatever comes in the way: more is a wait without an end
constexpr int kSilent = 3, kRefused = 1, kFine = 0, kDied = -1, kHung = -2;
constexpr int kNewFiles = 40, kFsynced = 3;
constexpr char kNewText[] = "changed while parts of the vault were damaged";

Bytes page_of(const std::string& vault, uint64_t number) {
  UniqueFd fd(::open((vault + "/data.mdb").c_str(), O_RDONLY | O_CLOEXEC));
  Bytes out(kPage);
  EXPECT_TRUE(read_exactly(fd.get(), out, number * kPage).ok());
  return out;
}
void put(const std::string& path, uint64_t offset, const Bytes& bytes) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(write_exactly(fd.get(), bytes, offset).ok());
}
Bytes random_bytes_of(Dice& dice, size_t size) {
  Bytes out(size);
  for (uint8_t& byte : out) byte = static_cast<uint8_t>(dice.below(256));
  return out;
}

using Pages = std::set<uint64_t>;

/// One kind of damage: harms a vault that has `count` pages, and yields the pages that it hit.
struct Harm {
  const char* id;
  const char* name;
  Pages (*harm)(const std::string& vault, uint64_t count, Dice& dice);
  bool ends_process = false;  // an open map of a file that became shorter is a SIGBUS
};
void PrintTo(const Harm& kind, std::ostream* out) {
  *out << kind.name;
}

Pages flip_bit(const std::string& vault, uint64_t count, Dice& dice) {
  const uint64_t page = dice.below(count), bit = dice.below(kPage * 8);
  Bytes bytes = page_of(vault, page);
  bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ 1u << bit % 8);
  put(vault + "/data.mdb", page * kPage, bytes);
  return {page};
}
Pages overwrite_header(const std::string& vault, uint64_t count, Dice& dice) {
  const uint64_t page = dice.below(count);
  put(vault + "/data.mdb", page * kPage, random_bytes_of(dice, 16));
  return {page};
}
Pages zero_page(const std::string& vault, uint64_t count, Dice& dice) {
  const uint64_t page = dice.below(count);
  put(vault + "/data.mdb", page * kPage, Bytes(kPage));
  return {page};
}
Pages replace_page(const std::string& vault, uint64_t count, Dice& dice) {
  const uint64_t page = dice.below(count), other = dice.below(count);
  put(vault + "/data.mdb", page * kPage, page_of(vault, other));
  return {page};
}
Pages truncate_file(const std::string& vault, uint64_t count, Dice& dice) {
  const uint64_t page = 2 + dice.below(count - 2);
  std::filesystem::resize_file(vault + "/data.mdb", page * kPage + dice.below(kPage));
  Pages lost;
  for (uint64_t i = page; i < count; ++i) lost.insert(i);
  return lost;
}
Pages harm_journal(const std::string& vault, uint64_t, Dice& dice) {
  const Bytes garbage = random_bytes_of(dice, 1 + dice.below(200));
  put(vault + "/journal", dice.below(4 * 8192), garbage);
  return {kJournalPage};
}
Pages harm_header(const std::string& vault, uint64_t, Dice& dice) {
  const std::string path = vault + (dice.below(2) == 0 ? "/header" : "/header.bak");
  if (dice.below(4) == 0)
    std::filesystem::resize_file(path, dice.below(500));
  else
    put(path, dice.below(500), Bytes{static_cast<uint8_t>(dice.below(256))});
  return {};
}

constexpr Harm kKinds[] = {{"BitFlip", "one bit flipped anywhere", flip_bit},
                           {"PageHeader", "a page header overwritten", overwrite_header},
                           {"ZeroedPage", "a page zeroed", zero_page},
                           {"ReplacedPage", "a page replaced by another page", replace_page},
                           {"Truncation", "file truncated", truncate_file, true},
                           {"Journal", "journal: bytes overwritten", harm_journal},
                           {"Header", "one copy of the header damaged", harm_header}};

/// What must be there: each path with its content. `also` has other content that is as good, and paths that may be
/// there.
struct Expected {
  Entries entries;
  std::multimap<std::string, std::string> also;

  bool allows(const std::string& path, const std::string& content) const {
    auto it = entries.find(path);
    if (it != entries.end() && it->second == content) return true;
    const auto [first, last] = also.equal_range(path);
    return std::any_of(first, last, [&](const auto& other) { return other.second == content; });
  }
};

/// Compares what a reader gets with what was there. Anything missing or different that nothing complained of is silent.
int judge(const Walked& walked, const Expected& expected) {
  for (const auto& [path, content] : walked.entries)
    if (!walked.refused.contains(path) && !expected.allows(path, content)) return kSilent;
  const bool complete = walked.refused.empty() && !walked.incomplete_listing;
  for (const auto& [path, content] : expected.entries) {
    if (walked.entries.contains(path)) continue;
    // Below something that was refused, or in a listing that ended with an error.
    bool excused = walked.incomplete_listing || walked.refused.contains(path);
    for (const std::string& refused : walked.refused) excused = excused || path.starts_with(refused + "/");
    if (!excused) return kSilent;
  }
  return complete ? kFine : kRefused;
}

int verdict_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGXCPU ? kHung : kDied;
  return WEXITSTATUS(status);
}

/// In a child: hangs end, and SIGBUS leaves no core.
void begin_child() {
  ::alarm(kChildWaitSeconds);
  const rlimit spent{kChildSeconds, kChildSeconds + 1};
  ::setrlimit(RLIMIT_CPU, &spent);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::signal(SIGBUS, SIG_DFL);  // a sanitizer's handler would make it an exit status
}

std::string new_name(int i) {
  return "new " + std::to_string(i);
}
std::string fsynced_name(int i) {
  return "fsynced " + std::to_string(i);
}

class DamageTest : public testing::TestWithParam<Harm> {
 protected:
  static void SetUpTestSuite() { scene_ = new DamageScene(); }
  static void TearDownTestSuite() { delete scene_; }

  /// Opens and reads the vault in a child with a time limit, and then writes to it and reads again.
  static int read_in_child(const std::string& directory, Expected expected) {
    const pid_t pid = ::fork();
    if (pid != 0) return verdict_of(pid);
    begin_child();
    OpenOptions how = DamageScene::options(false);
    bool warned = false;
    how.warn = [&warned](const std::string&) { warned = true; };
    auto vault = Vault::open(directory, how, scene_->master());
    if (!vault.ok()) ::_exit(kRefused);
    int verdict = kFine;
    for (int i = 0; i < kNewFiles; ++i) expected.also.emplace(new_name(i), "");
    for (int round = 0; round < 2; ++round) {
      Walked walked;
      walk(**vault, kRootIno, "", walked);
      walked.incomplete_listing = walked.incomplete_listing || warned;
      verdict = std::max(verdict, judge(walked, expected));
      // Refusals are fine; dying or lying is not.
      for (int i = 0; i < kNewFiles; ++i)
        static_cast<void>((*vault)->tree().make(kRootIno, new_name(i), {.mode = S_IFREG | 0600}).ok());
      static_cast<void>((*vault)->sync().ok());
    }
    ::_exit(verdict);
  }

  /// What the child of an open trial did before it ended. In memory that both share.
  struct Done {
    bool harmed = false, synced = false;
    std::array<bool, 64> changed{};
  };

  static Result<> change(Vault& vault, const std::string& path) {
    const size_t slash = path.find('/');
    const Ino folder = TRY(vault.tree().lookup(kRootIno, path.substr(0, slash))).ino;
    const Ino file = TRY(vault.tree().lookup(folder, path.substr(slash + 1))).ino;
    return vault.content().write(file, 0, as_bytes(kNewText));
  }
  static std::string changed_text(const std::string& old) {
    const std::string_view text = kNewText;
    return std::string(text) + (old.size() > text.size() ? old.substr(text.size()) : "");
  }

  /// The same where the damage happens to an open vault, of which something has been read and changed before.
  /// `expected` is then what must be there after it was closed, or after its end.
  static int live_in_child(const std::string& directory, const std::function<void()>& harm, uint64_t warm,
                           Expected& expected) {
    std::vector<std::string> paths;  // files with one name, without attributes
    for (const auto& [path, content] : expected.entries)
      if (path.find("/renamed ") != path.npos) paths.push_back(path);
    auto* done =
        static_cast<Done*>(::mmap(nullptr, sizeof(Done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    new (done) Done();
    CHECK(paths.size() <= done->changed.size());
    for (int i = 0; i < kFsynced; ++i) expected.entries[fsynced_name(i)] = kNewText;

    const pid_t pid = ::fork();
    if (pid == 0) {
      begin_child();
      live(directory, harm, warm, expected, paths, *done);
    }
    const int verdict = verdict_of(pid);
    EXPECT_TRUE(done->harmed);
    for (size_t i = 0; i < paths.size(); ++i) {
      if (!done->changed[i]) continue;
      const std::string old = expected.entries[paths[i]];
      const std::string changed = changed_text(old);
      expected.entries[paths[i]] = done->synced ? changed : old;
      if (!done->synced) expected.also.emplace(paths[i], changed);
    }
    for (int i = 0; i < kNewFiles; ++i) expected.also.emplace(new_name(i), "");
    ::munmap(done, sizeof(Done));
    return verdict;
  }
  [[noreturn]] static void live(const std::string& directory, const std::function<void()>& harm, uint64_t warm,
                                Expected expected, const std::vector<std::string>& paths, Done& done) {
    auto vault = Vault::open(directory, DamageScene::options(false), scene_->master()).value();
    for (int i = 0; i < kFsynced; ++i) {
      const Ino file = vault->tree().make(kRootIno, fsynced_name(i), {.mode = S_IFREG | 0600}).value().ino;
      if (!vault->content().write(file, 0, as_bytes(kNewText)).ok() || !vault->fsync(file).ok()) ::_exit(kSilent);
    }
    {  // one folder is known when it happens
      const std::string name = "folder " + std::to_string(warm);
      Walked ignored;
      walk(*vault, vault->tree().lookup(kRootIno, name).value().ino, name + "/", ignored);
    }
    harm();
    done.harmed = true;
    int verdict = kFine;
    for (int round = 0; round < 2; ++round) {
      Walked walked;
      walk(*vault, kRootIno, "", walked);
      verdict = std::max(verdict, judge(walked, expected));
      if (round == 1) break;
      for (int i = 0; i < kNewFiles; ++i) {
        static_cast<void>(vault->tree().make(kRootIno, new_name(i), {.mode = S_IFREG | 0600}).ok());
        expected.also.emplace(new_name(i), "");
      }
      for (size_t i = 0; i < paths.size(); ++i) {
        done.changed[i] = true;  // before: the process may end within
        done.changed[i] = change(*vault, paths[i]).ok();
        if (done.changed[i]) expected.entries[paths[i]] = changed_text(expected.entries[paths[i]]);
      }
      done.synced = vault->sync().ok();
      if (!done.synced) verdict = std::max(verdict, kRefused);
    }
    if (!vault->close().ok()) verdict = std::max(verdict, kRefused);
    ::_exit(verdict);
  }

  struct Row {
    int trials = 0, fine = 0, refused = 0, silent = 0, died = 0, hung = 0;
    int lost = 0;       // entries or ranges lost, in all trials
    int unexcused = 0;  // lost, although the damage did not hit them

    void add(int verdict) {
      ++trials;
      fine += verdict == kFine;
      refused += verdict == kRefused;
      silent += verdict == kSilent;
      died += verdict == kDied;
      hung += verdict == kHung;
    }
    void print(const char* name) const {
      std::printf("| %s | %d | %d | %d | %d | %d | %d | %d | %d |\n", name, trials, fine, refused, silent, died, hung,
                  lost, unexcused);
      std::fflush(stdout);
    }
  };

  static int trials() {
    const char* wanted = std::getenv("TAIN_LONG");  // 1, or a number of trials
    const int many = wanted == nullptr ? 0 : std::atoi(wanted);
    if (many != 0) return many == 1 ? kTrialsLong : many;
    const char* fewer = std::getenv("TAIN_DAMAGE_TRIALS");
    return fewer == nullptr ? kTrials : std::max(std::atoi(fewer), 1);
  }

  /// Salvages, and compares: what is gone without having lain on a damaged page is one loss too many.
  static void salvage(const std::string& vault, const std::string& to, const std::set<std::string>& hit,
                      const Expected& expected, Row& row) {
    auto locked = LockedVault::open(vault, scene_->master());
    ASSERT_TRUE(locked.ok()) << locked.error().message();
    auto report = salvage_locked(*locked, to, {});
    ASSERT_TRUE(report.ok()) << report.error().message();
    auto sound = scene_->check(to);
    ASSERT_TRUE(sound.ok());
    for (const Finding& finding : sound->findings) ADD_FAILURE() << finding.path << ": " << finding.what;
    const Walked found = scene_->read(to);
    EXPECT_TRUE(found.refused.empty() && !found.incomplete_listing);
    std::set<std::string> reported;
    for (const Finding& finding : report->damaged) reported.insert(finding.path.empty() ? "" : finding.path.substr(1));
    for (const auto& [path, content] : expected.entries) {
      auto it = found.entries.find(path);
      if (it != found.entries.end() && expected.allows(path, it->second)) continue;
      ++row.lost;
      if (std::any_of(hit.begin(), hit.end(), [&path = path](const std::string& one) {
            return path == one || (one.ends_with('*') && path.starts_with(one.substr(0, one.size() - 1)));
          }))
        continue;
      ++row.unexcused;
      std::string said;
      for (const Finding& finding : report->damaged)
        if (finding.path == "/" + path) said += "\n" + finding.what;
      ADD_FAILURE() << path << (it == found.entries.end() ? " is gone" : " is changed") << ", but was not hit; salvage said:"
                    << said;
    }
    for (const auto& [path, content] : found.entries) {
      if (path == "tail" || path.starts_with(kSalvageReport) || path.starts_with(kLostAndFound)) continue;
      if (expected.allows(path, content)) continue;
      auto it = expected.entries.find(path);
      if (it == expected.entries.end()) {
        EXPECT_FALSE(report->remarks.empty()) << path << " came from nowhere, and nothing says so";
        continue;
      }
      // What is not as it was must be reported, perhaps under another of its names.
      const bool told = std::any_of(reported.begin(), reported.end(), [&, &was = it->second](const std::string& other) {
        return expected.entries.contains(other) && expected.entries.at(other) == was;
      });
      EXPECT_TRUE(told || !report->remarks.empty()) << path;
    }
  }

  static DamageScene* scene_;
};

DamageScene* DamageTest::scene_ = nullptr;

TEST_P(DamageTest, OfAClosedVault) {
  const Harm& kind = GetParam();
  const Stand& stand = scene_->journaled();
  Row row;
  for (int trial = 0; trial < trials(); ++trial) {
    SCOPED_TRACE(trial);
    TempDir place;
    const std::string vault = place.path() + "/old", scratch = place.path() + "/scratch";
    DamageScene::copy(stand.vault, vault);
    Dice dice(static_cast<uint64_t>(trial) + 1);
    const Pages pages = kind.harm(vault, stand.page_count, dice);
    DamageScene::copy(vault, scratch);
    Expected expected{stand.entries, {}};
    Expected readable = expected;
    readable.also.emplace("tail", stand.tail);

    const int verdict = read_in_child(scratch, readable);

    row.add(verdict);
    EXPECT_TRUE(verdict == kFine || verdict == kRefused) << verdict;
    auto checked = scene_->check(vault);
    EXPECT_TRUE(verdict == kFine || !checked.ok() || !checked->findings.empty()) << "check noticed nothing";
    salvage(vault, place.path() + "/new", stand.entries_on(pages), expected, row);
  }
  row.print(kind.name);
}

TEST_P(DamageTest, OfAnOpenVault) {
  const Harm& kind = GetParam();
  const Stand& stand = scene_->settled();
  Row row;
  for (int trial = 0; trial < trials(); ++trial) {
    SCOPED_TRACE(trial);
    TempDir place;
    const std::string vault = place.path() + "/old", scratch = place.path() + "/scratch",
                      model = place.path() + "/model";
    DamageScene::copy(stand.vault, vault);
    DamageScene::copy(stand.vault, model);
    const auto seed = static_cast<uint64_t>(trial) + 1;
    Dice same(seed);
    const Pages pages = kind.harm(model, stand.page_count, same);
    const auto harm = [&] {
      Dice dice(seed);
      kind.harm(vault, stand.page_count, dice);
    };
    Expected expected{stand.entries, {}};

    const int verdict = live_in_child(vault, harm, seed % 12, expected);

    row.add(verdict);
    EXPECT_TRUE(verdict == kFine || verdict == kRefused || (kind.ends_process && verdict == kDied)) << verdict;
    DamageScene::copy(vault, scratch);
    const int again = read_in_child(scratch, expected);
    EXPECT_TRUE(again == kFine || again == kRefused) << again << " when opened again";
    auto checked = scene_->check(vault);
    EXPECT_TRUE((verdict == kFine && again == kFine) || !checked.ok() || !checked->findings.empty())
        << "check noticed nothing";
    salvage(vault, place.path() + "/new", stand.entries_on(pages), expected, row);
  }
  row.print(kind.name);
}

INSTANTIATE_TEST_SUITE_P(Kinds, DamageTest, testing::ValuesIn(kKinds),
                         [](const auto& kind) { return std::string(kind.param.id); });

}  // namespace
}  // namespace tain::store
