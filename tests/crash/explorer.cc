// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/explorer.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <unordered_map>

#include "base/check.h"
#include "tests/crash/recorder.h"
#include "tests/crash/workspace.h"

namespace tain::crash {
namespace {

constexpr size_t kTriesPerState = 4;    // choices that give a disk seen before are not counted
constexpr size_t kComplaintsMax = 4;    // kept as text
constexpr size_t kTextMax = 3000;       // bytes of each
constexpr unsigned kHangSeconds = 120;  // for one disk: LMDB on an impossible one might loop for ever
constexpr size_t kEventsShown = 12;

enum class Family { none, all, all_but_one, only_one, first_few, one_torn, last_torn, some_writes, some_sectors };
// By turns; sectors give the most different disks.
constexpr Family kVaried[] = {Family::some_sectors, Family::all_but_one,  Family::last_torn,
                              Family::some_sectors, Family::some_writes,  Family::first_few,
                              Family::one_torn,     Family::some_sectors, Family::only_one};
constexpr const char* kFamilyNames[] = {"nothing",  "all",           "all but one", "only one",    "the first few",
                                        "one torn", "the last torn", "some writes", "some sectors"};

struct Case {
  size_t point = 0;
  Family family = Family::none;
  uint64_t seed = 0;
  size_t quota = 0;  // different disks wanted at this point
};

using Random = std::mt19937_64;

void keep_some(Remains& remains, Random& random, uint64_t percent) {
  for (size_t i = 0; i < remains.sectors.size(); ++i) remains.sectors[i] = random() % 100 < percent;
  remains.rest = random() % 100 < percent;
}

/// The first sectors of a write, and its size as often as not.
void tear(Remains& remains, Random& random) {
  const size_t count = remains.sectors.size();
  const size_t kept = count == 0 ? 0 : random() % count;
  for (size_t i = 0; i < count; ++i) remains.sectors[i] = i < kept;
  remains.rest = random() % 2 == 0;
}

std::vector<Remains> choose(const Timeline& timeline, Family family, uint64_t seed) {
  Random random(seed);
  const size_t count = timeline.pending().size();
  const bool most = family == Family::all || family == Family::all_but_one || family == Family::one_torn ||
                    family == Family::last_torn;
  std::vector<Remains> out = timeline.all(most);
  if (count == 0) return out;
  const std::vector<Remains> kept = timeline.all(true);
  const std::vector<Remains> lost = timeline.all(false);
  const size_t one = random() % count;
  constexpr uint64_t kPercents[] = {10, 30, 50, 70, 90};
  const uint64_t percent = kPercents[random() % std::size(kPercents)];
  switch (family) {
    case Family::none:
    case Family::all: break;
    case Family::all_but_one: out[one] = lost[one]; break;
    case Family::only_one: out[one] = kept[one]; break;
    case Family::first_few: std::copy_n(kept.begin(), one, out.begin()); break;
    case Family::one_torn: tear(out[one], random); break;
    case Family::last_torn: tear(out.back(), random); break;
    case Family::some_writes:
      for (size_t i = 0; i < count; ++i)
        if (random() % 100 < percent) out[i] = kept[i];
      break;
    case Family::some_sectors:
      for (Remains& remains : out) keep_some(remains, random, percent);
      break;
  }
  return out;
}

std::vector<Case> plan_cases(const Recording& recording, const Plan& plan) {
  Random random(plan.seed);
  std::vector<size_t> flushes, marks;
  for (size_t i = recording.first_point; i < recording.events.size(); ++i) {
    if (recording.events[i].kind == Event::Kind::flush) flushes.push_back(i);
    if (recording.events[i].kind == Event::Kind::durable) marks.push_back(i + 1);
  }
  flushes.push_back(recording.events.size());
  // At least a few states at a point: rather fewer points than only the extremes of each.
  constexpr size_t kStatesPerPoint = 6;
  const auto thin_out = [&](std::vector<size_t>& points, size_t most) {
    std::shuffle(points.begin(), points.end(), random);
    points.resize(std::min(points.size(), std::max<size_t>(most, 1)));
  };
  thin_out(flushes, plan.states / kStatesPerPoint);
  thin_out(marks, plan.states / kStatesPerPoint);

  std::vector<Case> cases;
  const size_t quota = (plan.states + flushes.size() - 1) / flushes.size();
  for (size_t point : marks) {
    cases.push_back({point, Family::none, 0, 1});
    cases.push_back({point, Family::some_writes, random(), 1});
  }
  for (size_t point : flushes) {
    cases.push_back({point, Family::none, 0, quota});
    cases.push_back({point, Family::all, 0, quota});
    for (size_t i = 0; i < quota * kTriesPerState; ++i)
      cases.push_back({point, kVaried[i % std::size(kVaried)], random(), quota});
  }
  std::stable_sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.point < b.point; });
  return cases;
}

/// What the process that opens disks tells the one that waits for it.
struct Report {
  size_t next;  // case
  uint64_t crashes, states, recoveries, violations;
  size_t complaint_count;
  char now[kTextMax];
  char complaints[kComplaintsMax][kTextMax];

  void complain(const std::string& text) {
    ++violations;
    if (complaint_count == kComplaintsMax) return;
    copy(complaints[complaint_count++], text);
  }
  static void copy(char* to, const std::string& text) {
    const size_t size = std::min(text.size(), kTextMax - 1);
    std::memcpy(to, text.data(), size);
    to[size] = '\0';
  }
};

class Visitor {
 public:
  Visitor(const Recording& recording, const Judge& judge, const Plan& plan, const Workspace& workspace, Report& report)
      : recording_(recording), judge_(judge), plan_(plan), workspace_(workspace), report_(report) {}

  void visit(const std::vector<Case>& cases) {
    Timeline timeline(recording_);
    size_t point = 0, wanted = 0;
    for (; report_.next < cases.size() && report_.violations < plan_.violations_max; ++report_.next) {
      const Case& it = cases[report_.next];
      if (it.point != point || report_.next == 0) wanted += it.quota;
      point = it.point;
      if (wanted == 0) continue;
      timeline.advance(it.point);
      const std::vector<Remains> remains = choose(timeline, it.family, it.seed);
      ::alarm(kHangSeconds);
      Report::copy(report_.now, describe(timeline, it, remains));
      const Disk disk = timeline.crash(remains);
      const uint64_t digest = disk.digest();
      auto known = known_.find(digest);
      if (known == known_.end()) {
        --wanted;
        known = known_.emplace(digest, look(disk)).first;
      }
      ++report_.crashes;
      const std::string wrong = compare(known->second, timeline);
      if (wrong.empty()) continue;
      report_.complain(report_.now + wrong);
      keep(disk);
    }
    ::alarm(0);
  }

 private:
  /// Where, and what was kept.
  std::string describe(const Timeline& timeline, const Case& it, const std::vector<Remains>& remains) const {
    const std::vector<Event>& events = recording_.events;
    std::string out = "crash at event " + std::to_string(it.point) + " of " + std::to_string(events.size());
    if (it.point < events.size()) out += ", before the " + recording_.describe(events[it.point]);
    out += "; kept: " + std::string(kFamilyNames[static_cast<size_t>(it.family)]) + "\n";
    const auto& pending = timeline.pending();
    for (size_t i = 0; i < pending.size() && i < kEventsShown; ++i) {
      const auto& sectors = remains[i].sectors;
      out += "  " + recording_.describe(*pending[i]) + ": ";
      if (!sectors.empty())
        out += std::to_string(std::count(sectors.begin(), sectors.end(), true)) + " of " +
               std::to_string(sectors.size()) + " sectors, size ";
      out += remains[i].rest ? "kept\n" : "lost\n";
    }
    if (pending.size() > kEventsShown) out += "  and " + std::to_string(pending.size() - kEventsShown) + " more\n";
    return out;
  }

  static std::string compare(const Visible& visible, const Timeline& timeline) {
    if (!visible.complaint.empty()) return visible.complaint;
    for (uint32_t lane = 0; lane < visible.fits.size(); ++lane) {
      const auto& fits = visible.fits[lane];
      const Timeline::Bounds& bounds = timeline.bounds(lane);
      if (std::any_of(fits.begin(), fits.end(), [&](uint64_t k) { return bounds.durable <= k && k <= bounds.begun; }))
        continue;
      const std::string expected = ", expected one from " + std::to_string(bounds.durable) + " (durable) to " +
                                   std::to_string(bounds.begun) + " (begun)";
      if (fits.empty()) return "a state that never existed" + expected + ":\n" + visible.nearest;
      return "the state after operation " + std::to_string(fits.back()) + expected;
    }
    return {};
  }

  Visible look(const Disk& disk) {
    ++report_.states;
    const bool explores = plan_.recover_every != 0 && report_.states % plan_.recover_every == 0;
    const bool thorough = !explores && report_.states % plan_.audit_every == 0;
    const std::string folder = put(disk, "state");
    if (!explores) return judge_.look(folder, thorough);
    Recorder recorder(folder, disk);
    Visible visible = judge_.look(folder, false);
    if (visible.complaint.empty()) visible.complaint = crash_again(recorder.stop(), visible);
    return visible;
  }

  /// Explores the opening itself: whatever it was that was seen, it must be seen again after a crash meanwhile.
  std::string crash_again(const Recording& recording, const Visible& expected) {
    ++report_.recoveries;
    const std::string outer = report_.now;
    std::unordered_map<uint64_t, bool> known;
    Timeline timeline(recording);
    for (const Case& it :
         plan_cases(recording, {.seed = plan_.seed + report_.states, .states = plan_.recovery_states})) {
      if (known.size() >= plan_.recovery_states) break;
      timeline.advance(it.point);
      const Disk disk = timeline.crash(choose(timeline, it.family, it.seed));
      if (!known.emplace(disk.digest(), true).second) continue;
      const std::string now = outer + "and when that was opened, at event " + std::to_string(it.point) + ", kept " +
                              kFamilyNames[static_cast<size_t>(it.family)] + "\n";
      Report::copy(report_.now, now);
      ++report_.states;
      const Visible again = judge_.look(put(disk, "again"), known.size() % plan_.audit_every == 0);
      if (!again.complaint.empty()) return "after another crash: " + again.complaint;
      if (again.fits != expected.fits) return "after another crash: another state\n" + again.nearest;
    }
    return {};
  }

  std::string put(const Disk& disk, const std::string& name) const {
    const std::string folder = workspace_.path(name);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    CHECK(disk.save(folder));
    return folder;
  }

  /// For those who want to look at it with a debugger.
  void keep(const Disk& disk) const {
    const char* where = std::getenv("TAIN_CRASH_KEEP");
    if (where != nullptr) static_cast<void>(disk.save(where + ("/" + std::to_string(disk.digest()))));
  }

  const Recording& recording_;
  const Judge& judge_;
  const Plan& plan_;
  const Workspace& workspace_;
  Report& report_;
  std::unordered_map<uint64_t, Visible> known_;
};

}  // namespace

Tally& Tally::operator+=(const Tally& other) {
  points += other.points;
  crashes += other.crashes;
  states += other.states;
  recoveries += other.recoveries;
  violations += other.violations;
  complaints.insert(complaints.end(), other.complaints.begin(), other.complaints.end());
  return *this;
}

Tally explore(const Recording& recording, const Judge& judge, const Plan& plan) {
  const std::vector<Case> cases = plan_cases(recording, plan);
  const Workspace workspace;
  void* shared = ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  auto& report = *new (shared) Report{};

  while (report.next < cases.size() && report.violations < plan.violations_max) {
    const pid_t child = ::fork();
    CHECK(child >= 0);
    if (child == 0) {
      // Each opening reads the whole journal: its buffer had better not be new pages from the system each time.
      ::mallopt(M_MMAP_THRESHOLD, 64 << 20);
      ::mallopt(M_TRIM_THRESHOLD, 256 << 20);
      Visitor(recording, judge, plan, workspace, report).visit(cases);
      ::_exit(0);
    }
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    report.complain(report.now + std::string("opening it ended the process: ") +
                    (WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit"));
    ++report.next;
  }

  Tally tally{.crashes = report.crashes,
              .states = report.states,
              .recoveries = report.recoveries,
              .violations = report.violations,
              .complaints = {}};
  for (size_t i = 0; i < cases.size(); ++i) tally.points += i == 0 || cases[i].point != cases[i - 1].point;
  for (size_t i = 0; i < report.complaint_count; ++i) tally.complaints.emplace_back(report.complaints[i]);
  ::munmap(shared, sizeof(Report));
  return tally;
}

CrashedDisk random_crash(const Recording& recording, uint64_t seed) {
  const std::vector<Case> cases = plan_cases(recording, {.seed = seed, .states = 60});
  const Case& chosen = cases[Random(seed)() % cases.size()];
  Timeline timeline(recording);
  timeline.advance(chosen.point);
  return {timeline.crash(choose(timeline, chosen.family, chosen.seed)), timeline.bounds(0)};
}

uint64_t seed_from_environment() {
  const char* given = std::getenv("TAIN_CRASH_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

}  // namespace tain::crash
