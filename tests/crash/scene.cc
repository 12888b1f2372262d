// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/scene.h"

#include <algorithm>

#include "base/check.h"
#include "tests/support/audit.h"

namespace tain::crash {
namespace {

using store::OpenOptions;
using store::Vault;
using store::XattrMode;
using test::Oracle;
using test::Picture;
using test::picture_of;

constexpr uint64_t kMapSize = uint64_t{256} << 20;  // bytes; address space only

std::string lane_name(uint32_t number) {
  return "lane" + std::to_string(number);
}

}  // namespace

Secret password(uint64_t number) {
  return Secret::copy_of(as_bytes("correct horse " + std::to_string(number)));
}

Lane::Lane(Vault& vault, Recorder& recorder, uint32_t number, std::string path, Ino root, const Oracle& start)
    : vault_(vault), recorder_(recorder), number_(number), oracle_(start) {
  next_ = oracle_.nodes().rbegin()->first + 1;
  history_ = {.root = std::move(path), .pictures = {picture_of(oracle_)}};
  attach(kRoot, root);
}

void Lane::attach(uint64_t number, Ino ino) {
  inos_[number] = ino;
  for (const auto& [name, node] : oracle_.find(number)->children)
    attach(node, need(vault_.tree().lookup(ino, name)).ino);
}

uint64_t Lane::child(uint64_t directory, const std::string& name) const {
  const auto& children = oracle_.find(directory)->children;
  auto it = children.find(name);
  return it == children.end() ? 0 : it->second;
}

void Lane::begin() {
  recorder_.begun(number_, done() + 1);
}

void Lane::end(std::initializer_list<uint64_t> changed) {
  history_.pictures.push_back(picture_of(oracle_));
  if (!oracles_.empty()) oracles_.push_back(oracle_);
  for (uint64_t number : changed) changed_[number] = done();
}

uint64_t Lane::make(uint64_t directory, const std::string& name, uint32_t mode, const std::string& symlink) {
  begin();
  inos_[next_] = need(vault_.tree().make(real(directory), name, {.mode = mode, .symlink = symlink})).ino;
  oracle_.make(directory, name, next_, mode, symlink);
  end({directory, next_});
  return next_++;
}

void Lane::write(uint64_t file, uint64_t offset, const std::string& data) {
  begin();
  need(vault_.content().write(real(file), offset, as_bytes(data)));
  oracle_.write(file, offset, data);
  end({file});
  if (file != beacon_) return;
  std::lock_guard lock(beacon_mutex_);
  beacon_operation_ = done();
}

void Lane::resize(uint64_t file, uint64_t size) {
  begin();
  need(vault_.tree().setattr(real(file), {.mode = {}, .size = size}));
  oracle_.resize(file, size);
  end({file});
}

void Lane::zero(uint64_t file, uint64_t offset, uint64_t length) {
  begin();
  need(vault_.content().zero(real(file), offset, length, false));
  oracle_.zero(file, offset, length, false);
  end({file});
}

void Lane::set_mode(uint64_t file, uint32_t mode) {
  begin();
  need(vault_.tree().setattr(real(file), {.mode = mode}));
  oracle_.set_mode(file, mode);
  end({file});
}

void Lane::set_xattr(uint64_t file, const std::string& name, const std::string& value) {
  begin();
  need(vault_.tree().set_xattr(real(file), name, as_bytes(value), XattrMode::any));
  oracle_.set_xattr(file, name, value, XattrMode::any);
  end({file});
}

void Lane::link(uint64_t file, uint64_t directory, const std::string& name) {
  begin();
  need(vault_.tree().link(real(file), real(directory), name));
  CHECK(!oracle_.link(file, directory, name).has_value());
  end({directory});
}

void Lane::reap(uint64_t number) {
  if (oracle_.find(number)->nlink != 0) return;
  need(vault_.tree().reap(real(number)));
  oracle_.reap(number);
}

void Lane::remove(uint64_t directory, const std::string& name) {
  const uint64_t number = child(directory, name);
  begin();
  if (oracle_.find(number)->is_directory()) {
    need(vault_.tree().rmdir(real(directory), name));
    CHECK(!oracle_.rmdir(directory, name).has_value());
  } else {
    need(vault_.tree().unlink(real(directory), name));
    CHECK(!oracle_.unlink(directory, name).has_value());
  }
  reap(number);
  end({directory});
}

void Lane::rename(uint64_t from, const std::string& name, uint64_t to, const std::string& new_name,
                  store::RenameMode mode) {
  const uint64_t replaced = child(to, new_name);
  begin();
  need(vault_.tree().rename(real(from), name, real(to), new_name, mode));
  CHECK(!oracle_.rename(from, name, to, new_name, mode).has_value());
  if (replaced != 0) reap(replaced);
  end({from, to});
}

void Lane::fsync(uint64_t number) {
  need(vault_.fsync(real(number)));
  auto it = changed_.find(number);
  if (it != changed_.end()) recorder_.durable(number_, it->second);
}

void Lane::sync() {
  const uint64_t covered = done();
  need(vault_.sync());
  recorder_.durable(number_, covered);
}

void Lane::fsync_beacon() {
  uint64_t covered = 0;
  {
    std::lock_guard lock(beacon_mutex_);
    covered = beacon_operation_;
  }
  if (covered == beacon_durable_) return;
  need(vault_.fsync(real(beacon_)));
  recorder_.durable(number_, covered);
  beacon_durable_ = covered;
}

Visible HistoryJudge::look(const std::string& folder, bool thorough) const {
  Visible out;
  std::string warnings;
  const OpenOptions options{.warn = [&](const std::string& text) { warnings += text + "; "; },
                            .map_size_bytes = kMapSize,
                            .committer_thread = false};
  std::vector<Picture> pictures(histories_.size());
  const auto take = [&]() -> Result<> {
    auto vault = TRY(Vault::open(folder, options, password()));
    for (size_t i = 0; i < histories_.size(); ++i) {
      Ino root = kRootIno;
      if (!histories_[i].root.empty()) root = TRY(vault->tree().lookup(kRootIno, histories_[i].root)).ino;
      pictures[i] = TRY(picture_of(*vault, root));
    }
    return vault->close();
  };
  auto taken = take();
  if (!taken.ok()) out.complaint = "opening and reading: " + taken.error().message();
  // What a crash leaves is no damage, and to be told so would frighten.
  if (out.complaint.empty() && !warnings.empty() && !may_warn_) out.complaint = "a warning: " + warnings;
  if (!out.complaint.empty()) return out;

  for (size_t i = 0; i < histories_.size(); ++i) {
    const std::vector<Picture>& known = histories_[i].pictures;
    std::vector<uint64_t> fits;
    for (uint64_t k = 0; k < known.size(); ++k)
      if (known[k] == pictures[i]) fits.push_back(k);
    if (fits.empty()) {
      size_t shortest = SIZE_MAX;
      for (uint64_t k = 0; k < known.size(); ++k) {
        const std::string text = test::difference(known[k], pictures[i]);
        if (text.size() >= shortest) continue;
        shortest = text.size();
        out.nearest = "compared with the state after operation " + std::to_string(k) + ":\n" + text;
      }
    }
    out.fits.push_back(std::move(fits));
  }
  if (!thorough) return out;

  for (const std::string& line : test::audit_store(folder, password())) out.complaint += "audit: " + line + "; ";
  const std::vector<Picture> first = pictures;
  warnings.clear();
  taken = take();
  if (!taken.ok())
    out.complaint += "opening again: " + taken.error().message();
  else if (!warnings.empty())
    out.complaint += "a warning when opened again: " + warnings;
  else if (pictures != first)
    out.complaint += "another state when opened again: " + test::difference(first[0], pictures[0]);
  return out;
}

Scene::Scene(const Options& options) : folder_(workspace_.path("vault")) {
  recorder_ = std::make_unique<Recorder>(folder_, Disk());
  need(Vault::create(folder_, {.suite = {}, .kdf = store::kKdfFloor}, password()));
  open(options);
  for (uint32_t i = 0; i < options.lanes; ++i) {
    Ino root = kRootIno;
    std::string path;
    if (options.lanes > 1) {
      path = lane_name(i);
      root = need(vault_->tree().make(kRootIno, path, {.mode = S_IFDIR | 0700, .symlink = {}})).ino;
    }
    lanes_.push_back(std::make_unique<Lane>(*vault_, *recorder_, i, path, root, Oracle()));
  }
}

Scene::Scene(const Disk& disk, const Oracle& oracle) : folder_(workspace_.path("vault")) {
  CHECK(disk.save(folder_));
  recorder_ = std::make_unique<Recorder>(folder_, disk);
  open({});
  lanes_.push_back(std::make_unique<Lane>(*vault_, *recorder_, 0, "", kRootIno, oracle));
}

void Scene::open(const Options& options) {
  OpenOptions open_options;
  open_options.map_size_bytes = kMapSize;
  open_options.pending_max_bytes = options.pending_max_bytes;
  open_options.committer_thread = options.committer_thread;
  vault_ = need(Vault::open(folder_, open_options, password()));
}

void Scene::begin() {
  for (auto& lane : lanes_) lane->sync();
  recorder_->start_here();
}

void Scene::commit_with(std::function<void()> work) {
  recorder_->during_next_flush("data.mdb", std::move(work));
  lanes_[0]->sync();
}

Work Scene::finish(std::string name) {
  CHECK(writable_mappings(folder_).empty());
  need(vault_->close());
  for (uint32_t i = 0; i < lanes_.size(); ++i) recorder_->durable(i, lanes_[i]->done());
  vault_.reset();
  Work work{.name = std::move(name), .recording = recorder_->stop(), .judge = nullptr};
  CHECK(files_of(folder_) == files_of(work.recording));
  std::vector<History> histories;
  for (auto& lane : lanes_) histories.push_back(lane->history());
  work.judge = std::make_shared<HistoryJudge>(std::move(histories));
  return work;
}

}  // namespace tain::crash
