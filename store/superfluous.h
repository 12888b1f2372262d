// SPDX-License-Identifier: Apache-2.0
// What of an entry a policy does not keep. Pure functions; store/trash.cc has them.
#pragma once

#include <vector>

#include "store/past.h"
#include "store/retention.h"

namespace tain::store {

/// It was removed, and can come back; it is not a former state of another inode.
bool is_trash(const Inode& record);
/// Whether it is nobody's but one entry's past: else dropping it for that entry would take it from another. With its states.
bool is_only_past(const Inode& record);
/// The same policy, where what is kept for no time goes at once, whatever the clock says about when it ended.
RetentionPolicy with_nothing_for_zero(RetentionPolicy policy);
/// Indexes into an entry's states, as PastView::log() yields them, of those that `retention` does not keep, newest first.
/// Never the entry's last state.
std::vector<size_t> superfluous(const std::vector<PastState>& states, const Retention& retention, int64_t now_s);

}  // namespace tain::store
