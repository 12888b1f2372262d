// SPDX-License-Identifier: Apache-2.0
#include "tests/sync/memory_remote.h"

#include <algorithm>
#include <utility>

namespace tain::sync {

namespace {

Error failure(Code code) { return Error(code, "the remote in memory says no").hint("it was told to"); }
Error lost_reply() { return failure(Code::remote_unreachable); }

}  // namespace

void MemoryBucket::set_faults(const RemoteFaults& faults) {
  std::lock_guard lock(mutex_);
  chances_ = faults;
}

void MemoryBucket::set_capacity(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

void MemoryBucket::set_page_size(size_t names) {
  std::lock_guard lock(mutex_);
  page_size_ = names;
}

void MemoryBucket::plant(const ObjectName& name, Bytes bytes) {
  std::lock_guard lock(mutex_);
  happen({name, std::move(bytes)}, catch_up());
}

void MemoryBucket::lose(const ObjectName& name) {
  std::lock_guard lock(mutex_);
  happen({name, std::nullopt}, catch_up());
}

void MemoryBucket::flip_bit(const ObjectName& name) {
  std::lock_guard lock(mutex_);
  if (Version* version = present(name, catch_up())) flip_bit_of(version->bytes);
}

void MemoryBucket::swap(const ObjectName& one, const ObjectName& other) {
  std::lock_guard lock(mutex_);
  const int64_t now = catch_up();
  Version* first = present(one, now);
  Version* second = present(other, now);
  if (first != nullptr && second != nullptr) std::swap(first->bytes, second->bytes);
}

void MemoryBucket::replay(const ObjectName& name) {
  std::lock_guard lock(mutex_);
  const int64_t now = catch_up();
  const auto versions = versions_.find(name);
  if (versions != versions_.end()) happen({name, Bytes(versions->second.back().bytes)}, now);
}

void MemoryBucket::empty() {
  std::lock_guard lock(mutex_);
  const int64_t now = catch_up();
  for (const ObjectName& name : present_names(now)) happen({name, std::nullopt}, now);
  under_way_.clear();
}

void MemoryBucket::add_clutter(ObjectFolder folder, uint64_t names) {
  std::lock_guard lock(mutex_);
  clutter_[folder] += names;
}

std::map<ObjectName, Bytes> MemoryBucket::objects() {
  std::lock_guard lock(mutex_);
  const int64_t now = catch_up();
  std::map<ObjectName, Bytes> out;
  for (const ObjectName& name : present_names(now)) out[name] = version_at(name, now)->bytes;
  return out;
}

RemoteRequests MemoryBucket::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

std::map<std::string, uint64_t> MemoryBucket::faults() const {
  std::lock_guard lock(mutex_);
  return happened_;
}

int64_t MemoryBucket::begin_request() {
  const int64_t now = catch_up();
  decay(now);
  return now;
}

/// Lets happen what is due by now, in order. The present.
int64_t MemoryBucket::catch_up() {
  const int64_t now = clock_.monotonic_ns();
  while (!under_way_.empty() && under_way_.begin()->first <= now) {
    const auto next = under_way_.begin();
    happen(next->second, next->first);
    under_way_.erase(next);
  }
  return now;
}

void MemoryBucket::happen(const Effect& effect, int64_t now) {
  Version* version = present(effect.name, now);
  if (version != nullptr && effect.bytes == version->bytes) return;
  if (version != nullptr) version->until = now;
  if (effect.bytes.has_value()) versions_[effect.name].push_back({*effect.bytes, now});
}

/// What happens to stored objects by itself.
void MemoryBucket::decay(int64_t now) {
  if (chances_.lost + chances_.flipped + chances_.swapped == 0) return;
  const std::vector<ObjectName> names = present_names(now);
  if (names.empty()) return;
  const auto any = [&]() -> const ObjectName& { return names[below(names.size())]; };
  if (chance(chances_.swapped, "swapped")) {
    Bytes& one = present(any(), now)->bytes;
    Bytes& other = present(any(), now)->bytes;
    std::swap(one, other);
  }
  if (chance(chances_.flipped, "flipped")) flip_bit_of(present(any(), now)->bytes);
  if (chance(chances_.lost, "lost")) happen({any(), std::nullopt}, now);
}

bool MemoryBucket::chance(uint32_t per_mille, const char* fault) {
  if (per_mille == 0 || below(1000) >= per_mille) return false;
  ++happened_[fault];
  return true;
}

MemoryBucket::Fate MemoryBucket::draw(std::initializer_list<Fate> possible) {
  const std::pair<Fate, std::pair<uint32_t, const char*>> all[] = {
      {Fate::error_before, {chances_.error_before, "error_before"}},
      {Fate::reply_lost, {chances_.reply_lost, "reply_lost"}},
      {Fate::late_landing, {chances_.late_landing, "late_landing"}},
      {Fate::delayed, {chances_.delayed, "delayed"}},
      {Fate::duplicated, {chances_.duplicated, "duplicated"}},
      {Fate::torn, {chances_.torn, "torn"}},
      {Fate::stale_listing, {chances_.stale_listing, "stale_listing"}},
      {Fate::cut_listing, {chances_.cut_listing, "cut_listing"}},
      {Fate::flipped_reply, {chances_.flipped_reply, "flipped_reply"}},
  };
  for (const auto& [fate, how] : all)
    if (std::find(possible.begin(), possible.end(), fate) != possible.end() && chance(how.first, how.second)) return fate;
  return Fate::good;
}

int64_t MemoryBucket::some_time() {
  return 1 + static_cast<int64_t>(below(static_cast<uint64_t>(chances_.delay_max_ns)));
}

const MemoryBucket::Version* MemoryBucket::version_at(const ObjectName& name, int64_t time) const {
  const auto versions = versions_.find(name);
  if (versions == versions_.end()) return nullptr;
  for (auto version = versions->second.rbegin(); version != versions->second.rend(); ++version)
    if (version->from <= time) return time < version->until ? &*version : nullptr;
  return nullptr;
}

MemoryBucket::Version* MemoryBucket::present(const ObjectName& name, int64_t now) {
  const auto versions = versions_.find(name);
  if (versions == versions_.end() || version_at(name, now) == nullptr) return nullptr;
  return &versions->second.back();
}

std::vector<ObjectName> MemoryBucket::present_names(int64_t now) const {
  std::vector<ObjectName> out;
  for (const auto& [name, versions] : versions_)
    if (version_at(name, now) != nullptr) out.push_back(name);
  return out;
}

void MemoryBucket::flip_bit_of(Bytes& bytes) {
  if (bytes.empty()) return;
  const uint64_t bit = below(bytes.size() * 8);
  bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (1u << (bit % 8)));
}

/// A put or a remove, with what may befall it.
Result<> MemoryBucket::change(Effect effect) {
  const int64_t now = begin_request();
  if (effect.bytes.has_value() && capacity_ != UINT64_MAX) {
    uint64_t used = effect.bytes->size();
    for (const ObjectName& name : present_names(now))
      if (name != effect.name) used += version_at(name, now)->bytes.size();
    if (used > capacity_) return failure(Code::no_space);
  }
  Fate fate = draw({Fate::error_before, Fate::reply_lost, Fate::late_landing, Fate::delayed, Fate::duplicated});
  if (fate == Fate::good && effect.bytes.has_value()) fate = draw({Fate::torn});
  switch (fate) {
    case Fate::error_before: return lost_reply();
    case Fate::late_landing:
    case Fate::delayed:
      under_way_.emplace(now + some_time(), std::move(effect));
      if (fate == Fate::late_landing) return lost_reply();
      return {};
    case Fate::torn: {
      effect.bytes->resize(below(effect.bytes->size()));
      happen(effect, now);
      if (below(2) == 0) return lost_reply();
      return {};
    }
    case Fate::duplicated: under_way_.emplace(now + some_time(), effect); break;
    default: break;
  }
  happen(effect, now);
  if (fate == Fate::reply_lost) return lost_reply();
  return {};
}

Result<> MemoryRemote::put(const ObjectName& name, ByteView bytes) {
  std::lock_guard lock(bucket_->mutex_);
  ++bucket_->requests_.puts;
  bucket_->requests_.bytes_put += bytes.size();
  if (refused_with_.has_value()) return failure(*refused_with_);
  return bucket_->change({name, Bytes(bytes.begin(), bytes.end())});
}

Result<> MemoryRemote::remove(const ObjectName& name) {
  std::lock_guard lock(bucket_->mutex_);
  ++bucket_->requests_.removes;
  if (refused_with_.has_value()) return failure(*refused_with_);
  return bucket_->change({name, std::nullopt});
}

Result<Bytes> MemoryRemote::get(const ObjectName& name, uint64_t size_max) { return read(name, 0, UINT64_MAX, size_max); }

Result<Bytes> MemoryRemote::get_range(const ObjectName& name, uint64_t offset, uint64_t length) {
  return read(name, offset, length, UINT64_MAX);
}

Result<Bytes> MemoryRemote::read(const ObjectName& name, uint64_t offset, uint64_t length, uint64_t size_max) {
  using Fate = MemoryBucket::Fate;
  std::lock_guard lock(bucket_->mutex_);
  ++bucket_->requests_.gets;
  if (refused_with_.has_value()) return failure(*refused_with_);
  const int64_t now = bucket_->begin_request();
  const Fate fate = bucket_->draw({Fate::error_before, Fate::reply_lost, Fate::flipped_reply});
  if (fate == Fate::error_before || fate == Fate::reply_lost) return lost_reply();
  const auto* version = bucket_->version_at(name, shown(now));
  if (version == nullptr) return Error(Code::not_found, name.path() + " is not on the remote");
  const uint64_t size = version->bytes.size();
  if (size > size_max) return Error(Code::too_large, name.path() + " is larger than it may be");
  const uint64_t first = std::min(offset, size);
  const auto begin = version->bytes.begin() + static_cast<ptrdiff_t>(first);
  Bytes out(begin, begin + static_cast<ptrdiff_t>(std::min(length, size - first)));
  if (fate == Fate::flipped_reply) bucket_->flip_bit_of(out);
  bucket_->requests_.bytes_got += out.size();
  return out;
}

Result<std::optional<uint64_t>> MemoryRemote::stat(const ObjectName& name) {
  using Fate = MemoryBucket::Fate;
  std::lock_guard lock(bucket_->mutex_);
  ++bucket_->requests_.stats;
  if (refused_with_.has_value()) return failure(*refused_with_);
  const int64_t now = bucket_->begin_request();
  if (bucket_->draw({Fate::error_before, Fate::reply_lost}) != Fate::good) return lost_reply();
  const auto* version = bucket_->version_at(name, shown(now));
  return version == nullptr ? std::optional<uint64_t>() : std::optional<uint64_t>(version->bytes.size());
}

Result<RemoteListing> MemoryRemote::list(ObjectFolder folder, const std::string& from) {
  using Fate = MemoryBucket::Fate;
  const auto after = ObjectName::parse(from);
  if (!from.empty() && (!after.has_value() || after->folder != folder)) return Error(Code::invalid_argument, "no page of a listing ended there");
  std::lock_guard lock(bucket_->mutex_);
  ++bucket_->requests_.lists;
  if (refused_with_.has_value()) return failure(*refused_with_);
  const int64_t now = bucket_->begin_request();
  const Fate fate = bucket_->draw({Fate::error_before, Fate::reply_lost, Fate::stale_listing, Fate::cut_listing});
  if (fate == Fate::error_before || fate == Fate::reply_lost) return lost_reply();
  const int64_t time = std::min(shown(now), fate == Fate::stale_listing ? now - bucket_->some_time() : now);

  RemoteListing out;
  if (!after.has_value() && bucket_->clutter_.contains(folder)) out.ignored = bucket_->clutter_.at(folder);
  for (auto at = after.has_value() ? bucket_->versions_.upper_bound(*after) : bucket_->versions_.begin(); at != bucket_->versions_.end(); ++at) {
    if (at->first.folder != folder) continue;
    const auto* version = bucket_->version_at(at->first, time);
    if (version == nullptr) continue;
    if (out.objects.size() == bucket_->page_size_) {
      out.next = out.objects.back().name.path();
      break;
    }
    out.objects.push_back({at->first, version->bytes.size()});
  }
  if (fate == Fate::cut_listing) {
    out.objects.resize(bucket_->below(out.objects.size() + 1));
    out.next.clear();
  }
  return out;
}

}  // namespace tain::sync
