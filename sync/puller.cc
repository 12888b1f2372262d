// SPDX-License-Identifier: Apache-2.0
#include "sync/puller.h"

#include <algorithm>
#include <utility>

namespace tain::sync {

namespace {

/// What befalls one object, and says nothing of the remote.
bool is_of_the_object(Code code) {
  return code == Code::not_found || code == Code::corrupt || code == Code::too_large || code == Code::format_too_new ||
         code == Code::not_permitted || code == Code::too_big;
}

Trouble trouble(Trouble::Kind kind, const ObjectName& name, WriterId writer, uint64_t n, const Error& error) {
  return {.kind = kind, .name = name, .writer = writer, .n = n, .text = error.message(), .evidence = {}};
}

Trouble::Kind kind_of(const Error& error) {
  if (error.code() == Code::format_too_new) return Trouble::Kind::too_new;
  return error.code() == Code::not_permitted || error.code() == Code::too_big ? Trouble::Kind::contradicts : Trouble::Kind::damaged;
}

}  // namespace

Result<Pulled> Puller::pull(const ApplySegment& apply, const KeepWriter& keep, uint64_t most) {
  Pulled pulled;
  blocked_.clear();
  asked_.clear();
  TRY(find_writers(pulled, keep));
  std::map<WriterId, uint64_t> applied;
  for (bool moved = true; moved;) {
    moved = false;
    for (const Reached& next : known_.wanted()) {
      if (next.writer == own_) continue;
      while (applied[next.writer] < most && TRY(advance(next.writer, pulled, apply, keep))) {
        ++applied[next.writer];
        moved = true;
      }
    }
  }
  for (const auto& [writer, held] : held_) {
    ++pulled.waiting;
    for (const Reached& tip : known_.missing(held.segment)) {
      // Somebody read it, so it was there. What only waits itself is not missed.
      if (held_.contains(tip.writer)) continue;
      pulled.troubles.push_back({.kind = Trouble::Kind::vanished,
                                 .name = segment_name(cipher_, tip.writer, tip.n),
                                 .writer = tip.writer,
                                 .n = tip.n,
                                 .text = "a segment that another device has read is not there",
                                 .evidence = {}});
    }
  }
  return pulled;
}

Result<> Puller::find_writers(Pulled& pulled, const KeepWriter& keep) {
  std::set<ObjectName> names;
  for (const auto& [id, writer] : known_.all()) names.insert(announcement_name(cipher_, id));
  std::string from;
  for (size_t page = 0; page < kListPagesMax; ++page) {
    RemoteListing listing = TRY(remote_.list(ObjectFolder::announcements, from));
    for (const RemoteListing::Object& object : listing.objects)
      if (names.insert(object.name).second) TRY(learn(object.name, pulled, keep));
    // A server that says the same page again would keep us for ever.
    if (listing.next.empty() || listing.next == from) return {};
    from = std::move(listing.next);
  }
  return {};
}

Result<> Puller::learn(const ObjectName& name, Pulled& pulled, const KeepWriter& keep) {
  const auto object = remote_.get(name, kAnnouncementObjectMax);
  if (!object.ok()) {
    if (!is_of_the_object(object.code())) return object.error();
    if (object.code() != Code::not_found) pulled.troubles.push_back(trouble(Trouble::Kind::damaged, name, 0, 0, object.error()));
    return {};
  }
  const auto announcement = open_announcement(cipher_, name, *object);
  auto added = announcement.ok() ? known_.add(*announcement) : Result<bool>(announcement.error());
  if (!added.ok()) {
    Trouble what = trouble(kind_of(added.error()), name, announcement.ok() ? announcement->writer : 0, 0, added.error());
    if (what.kind == Trouble::Kind::contradicts) what.evidence = *object;
    pulled.troubles.push_back(std::move(what));
    return {};
  }
  if (!*added) return {};
  pulled.found.push_back(announcement->writer);
  return keep(*known_.find(announcement->writer));
}

Result<bool> Puller::advance(WriterId id, Pulled& pulled, const ApplySegment& apply, const KeepWriter& keep) {
  const KnownWriter* writer = known_.find(id);
  if (writer == nullptr || !writer->followed) return false;
  if (!held_.contains(id)) {
    if (blocked_.contains(id)) return false;
    const Reached next{.writer = id, .n = writer->applied.n + 1, .chain = {}};
    if (!TRY(fetch(next, pulled, keep))) {
      blocked_.insert(id);
      return false;
    }
  }
  const Held& held = held_.at(id);
  // What others know is asked for by name, whether a listing shows it or not.
  for (const Reached& tip : known_.missing(held.segment))
    if (known_.find(tip.writer) == nullptr && asked_.insert(tip.writer).second)
      TRY(learn(announcement_name(cipher_, tip.writer), pulled, keep));
  if (!known_.missing(held.segment).empty()) return false;

  // Only now: whether a vector takes something back depends on who comes after whom, which is known of all that is in it.
  if (const auto checked = known_.check(held.segment); !checked.ok()) {
    Trouble what = trouble(kind_of(checked.error()), segment_name(cipher_, id, held.segment.n), id, held.segment.n, checked.error());
    what.evidence = held.object;
    drop(id);
    TRY(give_up(id, std::move(what), pulled, keep));
    return false;
  }
  const KnownWriter after = known_.after(held.segment, held.chain);
  if (!TRY(apply(held.segment, after))) {
    blocked_.insert(id);
    drop(id);
    return false;
  }
  known_.restore(after);
  drop(id);
  ++pulled.segments;
  return true;
}

void Puller::drop(WriterId writer) {
  held_bytes_ -= held_.at(writer).object.size();
  held_.erase(writer);
}

Result<bool> Puller::fetch(const Reached& next, Pulled& pulled, const KeepWriter& keep) {
  if (held_bytes_ >= kHeldMax) return false;
  const ObjectName name = segment_name(cipher_, next.writer, next.n);
  const auto object = remote_.get(name, kSegmentObjectMax);
  if (!object.ok()) {
    if (!is_of_the_object(object.code())) return object.error();
    if (object.code() != Code::not_found)
      pulled.troubles.push_back(trouble(Trouble::Kind::damaged, name, next.writer, next.n, object.error()));
    return false;
  }
  const KnownWriter& writer = *known_.find(next.writer);
  auto segment = open_segment(cipher_, writer.announcement.key, next.writer, next.n, *object);
  if (!segment.ok()) {
    Trouble what = trouble(kind_of(segment.error()), name, next.writer, next.n, segment.error());
    if (what.kind == Trouble::Kind::contradicts) {
      what.evidence = *object;
      TRY(give_up(next.writer, std::move(what), pulled, keep));
    } else {
      pulled.troubles.push_back(std::move(what));
    }
    return false;
  }
  held_bytes_ += object->size();
  held_.emplace(next.writer, Held{.segment = std::move(*segment), .chain = chain_value(*object), .object = *object});
  return true;
}

Result<> Puller::give_up(WriterId writer, Trouble what, Pulled& pulled, const KeepWriter& keep) {
  known_.stop_following(writer);
  pulled.troubles.push_back(std::move(what));
  return keep(*known_.find(writer));
}

}  // namespace tain::sync
