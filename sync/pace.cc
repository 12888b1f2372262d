// SPDX-License-Identifier: Apache-2.0
#include "sync/pace.h"

#include <algorithm>

namespace tain::sync {

void Pace::changed(int64_t now) {
  if (!first_change_.has_value()) first_change_ = now;
  // While the remote does not answer a change is no reason to ask it more often.
  if (failures_ != 0) return;
  due_ = std::min(now + settings_.settle_ns, *first_change_ + settings_.settle_max_ns);
}

void Pace::succeeded(int64_t now, bool busy, bool more) {
  failures_ = 0;
  first_change_.reset();
  poll_ = busy ? settings_.poll_ns : std::min(poll_ * 2, settings_.poll_max_ns);
  due_ = more ? now : now + jittered(poll_);
}

void Pace::failed(int64_t now, Code code, std::optional<int64_t> told_ns) {
  const bool needs_a_person = code == Code::remote_refused || code == Code::remote_foreign || code == Code::no_space;
  // Beyond this many the wait is the longest in any case.
  constexpr uint32_t kDoublings = 20;
  const uint32_t doublings = std::min(failures_, kDoublings);
  ++failures_;
  const int64_t wait = needs_a_person ? settings_.retry_max_ns : std::min(settings_.retry_ns << doublings, settings_.retry_max_ns);
  due_ = now + std::max(jittered(wait), std::clamp<int64_t>(told_ns.value_or(0), 0, settings_.told_max_ns));
}

void Pace::hurry(int64_t now) {
  failures_ = 0;
  poll_ = settings_.poll_ns;
  due_ = now;
}

void Pace::resume(int64_t now) {
  paused_ = false;
  hurry(now);
}

std::optional<int64_t> Pace::due() const {
  if (paused_) return std::nullopt;
  return due_;
}

int64_t Pace::jittered(int64_t duration) {
  // xorshift64 (Marsaglia, 2003): it only has to differ from one device to the next.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  const int64_t spread = duration / 2;
  return duration - duration / 4 + (spread == 0 ? 0 : static_cast<int64_t>(random_ % static_cast<uint64_t>(spread)));
}

}  // namespace tain::sync
