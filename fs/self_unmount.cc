// SPDX-License-Identifier: Apache-2.0
#include "fs/self_unmount.h"

#include <thread>

namespace tain::fs {
namespace {

constexpr std::chrono::milliseconds kRetry{100};

}  // namespace

Result<> unmount_if_unused(const SelfUnmount& own) {
  TRY(own.sync());
  TRY(own.mounter->detach(Detach::plainly));
  return {};
}

Result<Locked> unmount_anyway(Session& session, const SelfUnmount& own, std::chrono::milliseconds grace) {
  const auto deadline = std::chrono::steady_clock::now() + grace;
  TRY(own.sync());
  auto detached = own.mounter->detach(Detach::plainly);
  while (detached.is(Code::busy) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kRetry);
    TRY(own.sync());
    detached = own.mounter->detach(Detach::plainly);
  }
  if (detached.is(Code::busy)) detached = own.mounter->detach(Detach::lazily);
  // Whatever came of it: a lazy detach keeps serving those who have files open, another mount namespace may have a copy of
  // the mount, and one that cannot be taken away must not stay readable.
  session.cut_off();
  if (!detached.ok()) return Locked{.warning = "locked, but it answers with errors until it is unmounted: " + detached.error().message()};
  return Locked{.cut_off = std::move(detached).value()};
}

}  // namespace tain::fs
