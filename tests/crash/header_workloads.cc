// SPDX-License-Identifier: Apache-2.0
// Workloads of the vault's own life: being made, and getting another password.
#include <filesystem>

#include "base/check.h"
#include "tests/crash/workloads.h"

namespace tain::crash {
namespace {

using store::Vault;

constexpr uint64_t kPasswords = 2;

store::OpenOptions quiet_options() {
  store::OpenOptions options;
  options.map_size_bytes = uint64_t{64} << 20;
  options.committer_thread = false;
  return options;
}

/// Operation 1 makes the vault.
class CreationJudge final : public Judge {
 public:
  Visible look(const std::string& folder, bool thorough) const override {
    // A folder without a header says so; with one, all the rest must be there.
    const auto info = Vault::inspect(folder);
    if (info.is(Code::not_a_vault)) return {.complaint = {}, .fits = {{0}}, .nearest = {}};
    if (!info.ok()) return {.complaint = "inspecting: " + info.error().message(), .fits = {}, .nearest = {}};
    Visible out = HistoryJudge({{.root = "", .pictures = {picture_of(test::Oracle())}}}, true).look(folder, thorough);
    for (auto& fits : out.fits)
      if (!fits.empty()) fits = {1};
    return out;
  }
};

/// Operation k gives the vault password k; password 0 is the first one.
class PasswordJudge final : public Judge {
 public:
  Visible look(const std::string& folder, bool) const override {
    std::vector<uint64_t> fits;
    for (uint64_t k = 0; k <= kPasswords; ++k) {
      auto opened = Vault::open(folder, quiet_options(), password(k));
      if (opened.is(Code::wrong_password)) continue;
      if (!opened.ok()) return {.complaint = "opening: " + opened.error().message(), .fits = {}, .nearest = {}};
      if (!(*opened)->tree().lookup(kRootIno, "diary").ok())
        return {.complaint = "content is missing", .fits = {}, .nearest = {}};
      fits.push_back(k);
    }
    if (fits.size() > 1) return {.complaint = "several passwords open it", .fits = {}, .nearest = {}};
    return {.complaint = {}, .fits = {fits}, .nearest = "no password opens it"};
  }
};

}  // namespace

Work creation(uint64_t) {
  const Workspace workspace;
  const std::string folder = workspace.path("vault");
  Recorder recorder(folder, Disk());
  recorder.begun(0, 1);
  need(Vault::create(folder, {.suite = {}, .kdf = store::kKdfFloor}, password()));
  recorder.durable(0, 1);
  Work work{.name = "creation", .recording = recorder.stop(), .judge = std::make_shared<CreationJudge>()};
  CHECK(files_of(folder) == files_of(work.recording));
  return work;
}

Work password_changes(uint64_t) {
  const Workspace workspace;
  const std::string folder = workspace.path("vault");
  Recorder recorder(folder, Disk());
  need(Vault::create(folder, {.suite = {}, .kdf = store::kKdfFloor}, password()));
  {
    auto vault = need(Vault::open(folder, quiet_options(), password()));
    need(vault->tree().make(kRootIno, "diary", {.mode = S_IFREG | 0600, .symlink = {}}));
    need(vault->close());
  }
  recorder.start_here();
  const auto snapshot = [&](uint64_t k) { return workspace.path("after" + std::to_string(k)); };
  std::filesystem::copy(folder, snapshot(0));
  for (uint64_t k = 1; k <= kPasswords; ++k) {
    recorder.begun(0, k);
    need(Vault::change_password(folder, password(k - 1), password(k), store::kKdfFloor));
    recorder.durable(0, k);
    std::filesystem::copy(folder, snapshot(k));
  }
  Work work{.name = "password changes", .recording = recorder.stop(), .judge = std::make_shared<PasswordJudge>()};
  CHECK(files_of(folder) == files_of(work.recording));
  // Each password is tried on each header: hash them here once, not in each process that opens disks (kdf_memo.cc).
  for (uint64_t k = 0; k <= kPasswords; ++k) CHECK(PasswordJudge().look(snapshot(k), false).fits.at(0).at(0) == k);
  return work;
}

}  // namespace tain::crash
