// SPDX-License-Identifier: Apache-2.0
#include "sync/known_writers.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"

namespace tain::sync {

namespace {

Error contradiction(Contradiction what, Contradiction* out) {
  if (out != nullptr) *out = what;
  const char* text = "";
  switch (what) {
    case Contradiction::another_key: text = "a device signs with another key than the one it was first seen with"; break;
    case Contradiction::broken_chain: text = "a segment does not come after the one before it"; break;
    case Contradiction::took_back: text = "a writer takes back what it had seen"; break;
    case Contradiction::other_history: text = "a writer saw another history than this device"; break;
  }
  return Error(Code::not_permitted, text)
      .hint("the device was copied or set back while it ran, or somebody tampers; nothing of it is applied from there on");
}

/// The chain value of segment n, if it is remembered.
const Id32* chain_at(const KnownWriter& writer, uint64_t n) {
  if (n == 0 || n > writer.applied.n || writer.applied.n - n >= writer.chains.size()) return nullptr;
  return &writer.chains[writer.chains.size() - 1 - (writer.applied.n - n)];
}

}  // namespace

Result<bool> KnownWriters::add(const Announcement& announcement) {
  if (const auto known = writers_.find(announcement.writer); known != writers_.end()) {
    if (!(known->second.announcement == announcement)) return Error(Code::corrupt, "a writer has two announcements");
    return false;
  }
  bool known_device = false;
  for (const auto& [id, writer] : writers_) {
    if (writer.announcement.device != announcement.device) continue;
    known_device = true;
    if (writer.announcement.key != announcement.key) return contradiction(Contradiction::another_key, nullptr);
  }
  if ((!known_device && device_count() >= kDevicesMax) || writers_.size() >= kWritersMax)
    return Error(Code::too_big, "there are too many devices").hint("retire those that are not used any more");
  writers_[announcement.writer] = {.announcement = announcement, .applied = {.writer = announcement.writer, .n = 0, .chain = {}}, .vector = {}, .chains = {}, .followed = true};
  return true;
}

const KnownWriter* KnownWriters::find(WriterId writer) const {
  const auto at = writers_.find(writer);
  return at == writers_.end() ? nullptr : &at->second;
}

std::vector<Reached> KnownWriters::wanted() const {
  std::vector<Reached> out;
  for (const auto& [id, writer] : writers_)
    if (writer.followed) out.push_back({.writer = id, .n = writer.applied.n + 1, .chain = writer.applied.chain});
  return out;
}

Result<> KnownWriters::check(const Segment& segment, Contradiction* what) const {
  const KnownWriter* writer = find(segment.writer);
  CHECK(writer != nullptr && segment.n == writer->applied.n + 1);
  if (segment.chain_before != writer->applied.chain) return contradiction(Contradiction::broken_chain, what);
  for (const Reached& tip : writer->vector)
    if (!covers(segment.vector, tip)) return contradiction(Contradiction::took_back, what);
  const auto differs = [&](const Reached& tip) {
    const KnownWriter* other = find(tip.writer);
    const Id32* known = other == nullptr ? nullptr : chain_at(*other, tip.n);
    return known != nullptr && *known != tip.chain;
  };
  const Reached& before = writer->announcement.before;
  if ((segment.n == 1 && before.writer != 0 && differs(before)) || std::any_of(segment.vector.begin(), segment.vector.end(), differs))
    return contradiction(Contradiction::other_history, what);
  return {};
}

std::vector<Reached> KnownWriters::missing(const Segment& segment) const {
  std::vector<Reached> out;
  const auto look = [&](const Reached& tip) {
    if (tip.n != 0 && !has_applied(tip.writer, tip.n)) out.push_back(tip);
  };
  for (const Reached& tip : segment.vector) look(tip);
  if (const KnownWriter* writer = find(segment.writer); segment.n == 1 && writer != nullptr) look(writer->announcement.before);
  return out;
}

KnownWriter KnownWriters::after(const Segment& segment, const Id32& chain) const {
  KnownWriter writer = writers_.at(segment.writer);
  CHECK(segment.n == writer.applied.n + 1);
  writer.applied = {.writer = segment.writer, .n = segment.n, .chain = chain};
  writer.vector = segment.vector;
  writer.chains.push_back(chain);
  if (writer.chains.size() > kChainsKept) writer.chains.pop_front();
  return writer;
}

void KnownWriters::stop_following(WriterId writer) {
  if (const auto at = writers_.find(writer); at != writers_.end()) at->second.followed = false;
}

bool KnownWriters::has_applied(WriterId writer, uint64_t n) const {
  const KnownWriter* known = find(writer);
  return known != nullptr && known->applied.n >= n;
}

std::vector<Reached> KnownWriters::vector(WriterId own) const {
  std::set<WriterId> followed_by_another;
  for (const auto& [id, writer] : writers_) {
    const Reached& before = writer.announcement.before;
    const KnownWriter* earlier = find(before.writer);
    // Only if nothing of the earlier one came after what this one knew of it: then it says all.
    const bool says_all = earlier != nullptr && earlier->applied.n <= before.n;
    if ((writer.applied.n != 0 || id == own) && says_all) followed_by_another.insert(before.writer);
  }
  std::vector<Reached> out;
  for (const auto& [id, writer] : writers_)
    if (id != own && writer.applied.n != 0 && !followed_by_another.contains(id)) out.push_back(writer.applied);
  return out;
}

std::vector<WriterId> KnownWriters::forks_of(WriterId writer) const {
  const KnownWriter* known = find(writer);
  std::vector<WriterId> out;
  if (known == nullptr) return out;
  for (const auto& [id, other] : writers_) {
    const bool same_place = other.announcement.device == known->announcement.device &&
                            other.announcement.before.writer == known->announcement.before.writer;
    if (id != writer && same_place) out.push_back(id);
  }
  return out;
}

size_t KnownWriters::device_count() const {
  std::set<DeviceId> devices;
  for (const auto& [id, writer] : writers_) devices.insert(writer.announcement.device);
  return devices.size();
}

bool KnownWriters::covers(const std::vector<Reached>& vector, const Reached& tip) const {
  for (const Reached& has : vector) {
    // Back through the chain of its device. Announcements that form a ring are made up: each is looked at once.
    std::set<WriterId> seen;
    Reached at = has;
    while (at.writer != 0 && seen.insert(at.writer).second) {
      if (at.writer == tip.writer) {
        if (at.n >= tip.n) return true;
        break;
      }
      const KnownWriter* writer = find(at.writer);
      if (writer == nullptr) break;
      at = writer->announcement.before;
    }
  }
  return false;
}

Bytes KnownWriters::encode(const KnownWriter& writer) {
  Bytes bytes;
  Writer out(bytes);
  put_announcement(out, writer.announcement);
  out.u8(writer.followed ? 1 : 0);
  put_reached(out, writer.applied);
  out.u16(static_cast<uint16_t>(writer.vector.size()));
  for (const Reached& tip : writer.vector) put_reached(out, tip);
  out.u16(static_cast<uint16_t>(writer.chains.size()));
  for (const Id32& chain : writer.chains) out.raw(chain);
  return bytes;
}

Result<KnownWriter> KnownWriters::decode(ByteView bytes) {
  Reader in(bytes);
  KnownWriter writer;
  writer.announcement = get_announcement(in);
  const uint8_t followed = in.u8();
  writer.followed = followed == 1;
  writer.applied = get_reached(in);
  const size_t tips = in.u16();
  for (size_t i = 0; i < tips && !in.failed(); ++i) writer.vector.push_back(get_reached(in));
  const size_t chains = in.u16();
  for (size_t i = 0; i < chains && !in.failed(); ++i) writer.chains.push_back(in.array<32>());
  const bool fits = in.done() && followed <= 1 && tips <= kVectorMax && chains <= kChainsKept &&
                    chains == std::min<uint64_t>(writer.applied.n, kChainsKept) && writer.applied.writer == writer.announcement.writer;
  if (!fits) return Error(Code::corrupt, "malformed note of a writer");
  return writer;
}

void KnownWriters::restore(KnownWriter writer) {
  const WriterId id = writer.announcement.writer;
  writers_[id] = std::move(writer);
}

}  // namespace tain::sync
