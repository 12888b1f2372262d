// SPDX-License-Identifier: Apache-2.0
// Workloads of the vault's own life: being made, and getting other keys.
#include <filesystem>

#include "base/check.h"
#include "store/check.h"
#include "store/content.h"
#include "store/recovery_words.h"
#include "store/rotation.h"
#include "tests/crash/workloads.h"

namespace tain::crash {
namespace {

using store::Vault;

constexpr uint64_t kPasswords = 2;
constexpr std::string_view kDiary = "dear diary";

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

/// What was done to the keys of a vault, and which of them open it after each step.
enum class KeyStep : uint64_t { none, add_words, add_password, remove_first, change_second, remove_words };
constexpr uint64_t kKeySteps = static_cast<uint64_t>(KeyStep::remove_words);

store::Credential recovery_words() {
  return store::Credential::from_recovery(Secret::copy_of(Bytes(store::kRecoverySecretSize, 5)));
}

/// Passwords 0, 1, 2 and the recovery words, in that order: '1' if it opens the vault.
std::string opening_keys(KeyStep step) {
  switch (step) {
    case KeyStep::none: return "1000";
    case KeyStep::add_words: return "1001";
    case KeyStep::add_password: return "1101";
    case KeyStep::remove_first: return "0101";
    case KeyStep::change_second: return "0011";
    case KeyStep::remove_words: return "0010";
  }
  return {};
}

/// Operation k is KeyStep k. Of the keys before and after it, one set opens the vault, and no mixture does.
class KeysJudge final : public Judge {
 public:
  Visible look(const std::string& folder, bool) const override {
    std::string opening;
    for (const store::Credential& key : {store::Credential(password(0)), store::Credential(password(1)),
                                         store::Credential(password(2)), recovery_words()}) {
      auto opened = Vault::open(folder, quiet_options(), key);
      if (!opened.ok() && !opened.is(Code::wrong_password))
        return {.complaint = "opening: " + opened.error().message(), .fits = {}, .nearest = {}};
      if (opened.ok() && !(*opened)->tree().lookup(kRootIno, "diary").ok())
        return {.complaint = "content is missing", .fits = {}, .nearest = {}};
      opening += opened.ok() ? '1' : '0';
    }
    std::vector<uint64_t> fits;
    for (uint64_t step = 0; step <= kKeySteps; ++step)
      if (opening == opening_keys(static_cast<KeyStep>(step))) fits.push_back(step);
    return {.complaint = {}, .fits = {fits}, .nearest = "what opens it: " + opening};
  }
};

/// Brings a change of the master key to its end.
Result<> rotate(Vault& vault) {
  const auto rotation = vault.make_rotation();
  for (;;) {
    const auto step = TRY(rotation->step(1 << 20));
    if (step == store::Rotation::Step::done) return {};
    if (step == store::Rotation::Step::stuck) return Error(Code::corrupt, "something cannot be sealed anew");
  }
}

/// Operation 1 begins a change of the master key, operation 2 brings it to its end. The same password opens the vault
/// all the time, and the diary is there.
class RotationJudge final : public Judge {
 public:
  Visible look(const std::string& folder, bool thorough) const override {
    const auto looked = [&]() -> Result<uint64_t> {
      const store::VaultInfo info = TRY(Vault::inspect(folder));
      const auto vault = TRY(Vault::open(folder, quiet_options(), password()));
      TRY(read_diary(*vault));
      if (thorough) {
        TRY(rotate(*vault));
        TRY(read_diary(*vault));
      }
      TRY(vault->close());
      return info.epoch == 1 ? 0 : info.older_epoch != 0 ? 1 : 2;
    }();
    if (!looked.ok()) return {.complaint = looked.error().message(), .fits = {}, .nearest = {}};
    if (!thorough) return {.complaint = {}, .fits = {{*looked}}, .nearest = {}};
    const auto report = store::check_vault(folder, password(), {});
    if (!report.ok()) return {.complaint = report.error().message(), .fits = {}, .nearest = {}};
    if (!report->findings.empty()) return {.complaint = report->findings[0].what, .fits = {}, .nearest = {}};
    return {.complaint = {}, .fits = {{*looked}}, .nearest = {}};
  }

 private:
  static Result<> read_diary(Vault& vault) {
    const store::Attr attr = TRY(vault.tree().lookup(kRootIno, "diary"));
    Bytes text(kDiary.size());
    text.resize(TRY(vault.content().read(attr.ino, 0, text)));
    if (as_text(text) != kDiary) return Error(Code::corrupt, "the diary reads: " + std::string(as_text(text)));
    return {};
  }
};

Result<> change_master_key(const std::string& folder, uint64_t step) {
  if (step == 1) return Vault::start_rotation(folder, password());
  const auto vault = TRY(Vault::open(folder, quiet_options(), password()));
  TRY(rotate(*vault));
  return vault->close();
}

void make_vault_with_a_diary(const std::string& folder) {
  need(Vault::create(folder, {.suite = {}, .kdf = store::kKdfFloor}, password()));
  auto vault = need(Vault::open(folder, quiet_options(), password()));
  const store::Attr diary = need(vault->tree().make(kRootIno, "diary", {.mode = S_IFREG | 0600, .symlink = {}}));
  need(vault->content().write(diary.ino, 0, as_bytes(kDiary)));
  need(vault->close());
}

Result<> change_keys(const std::string& folder, KeyStep step) {
  switch (step) {
    case KeyStep::none: break;
    case KeyStep::add_words: TRY(Vault::add_slot(folder, password(0), recovery_words(), store::kKdfFloor)); break;
    case KeyStep::add_password: TRY(Vault::add_slot(folder, recovery_words(), password(1), store::kKdfFloor)); break;
    case KeyStep::remove_first: return Vault::remove_slot(folder, TRY(Vault::check_key(folder, password(0))).id, password(1));
    case KeyStep::change_second: return Vault::change_password(folder, password(1), password(2), store::kKdfFloor);
    case KeyStep::remove_words: return Vault::remove_slot(folder, TRY(Vault::check_key(folder, recovery_words())).id, password(2));
  }
  return {};
}

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

/// `steps` changes of the header of a vault with a diary, each durable before the next. `change` makes one, from 1, and
/// `fits` is what of the states after each of them the judge finds in a copy of the folder.
template <typename Change, typename Fits>
Work header_changes(const char* name, uint64_t steps, std::shared_ptr<Judge> judge, Change change, Fits fits) {
  const Workspace workspace;
  const std::string folder = workspace.path("vault");
  Recorder recorder(folder, Disk());
  make_vault_with_a_diary(folder);
  recorder.start_here();
  const auto snapshot = [&](uint64_t k) { return workspace.path("after" + std::to_string(k)); };
  std::filesystem::copy(folder, snapshot(0));
  for (uint64_t k = 1; k <= steps; ++k) {
    recorder.begun(0, k);
    need(change(folder, k));
    recorder.durable(0, k);
    std::filesystem::copy(folder, snapshot(k));
  }
  Work work{.name = name, .recording = recorder.stop(), .judge = judge};
  CHECK(files_of(folder) == files_of(work.recording));
  // What opens them is hashed here once, not in each process that opens disks (kdf_memo.cc).
  for (uint64_t k = 0; k <= steps; ++k) CHECK(fits(snapshot(k)) == std::vector<uint64_t>{k});
  return work;
}

Work password_changes(uint64_t) {
  return header_changes(
      "password changes", kPasswords, std::make_shared<PasswordJudge>(),
      [](const std::string& folder, uint64_t k) {
        return Vault::change_password(folder, password(k - 1), password(k), store::kKdfFloor);
      },
      [](const std::string& folder) { return PasswordJudge().look(folder, false).fits.at(0); });
}

Work key_changes(uint64_t) {
  return header_changes(
      "key changes", kKeySteps, std::make_shared<KeysJudge>(),
      [](const std::string& folder, uint64_t k) { return change_keys(folder, static_cast<KeyStep>(k)); },
      [](const std::string& folder) { return KeysJudge().look(folder, false).fits.at(0); });
}

Work master_key_change(uint64_t) {
  return header_changes(
      "master key change", 2, std::make_shared<RotationJudge>(), change_master_key,
      [](const std::string& folder) { return RotationJudge().look(folder, false).fits.at(0); });
}

}  // namespace tain::crash
