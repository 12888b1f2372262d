// SPDX-License-Identifier: Apache-2.0
// Pictures of a whole tree as text, so that a vault and an oracle can be compared.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "store/vault.h"
#include "tests/model/oracle.h"

namespace tain::test {

/// From each path ("" is the root) to everything about it but times and owners: mode, link count, the first path of
/// the same file (so that hard links are seen), size, a digest and the beginning of the content, attributes.
using Picture = std::map<std::string, std::string>;

Picture picture_of(const Oracle& oracle);
/// Without links: what history knows of it.
Picture plain_picture_of(const Oracle& oracle);
/// The same of the vault as it was at `hlc`.
Result<Picture> picture_at(store::Vault& vault, uint64_t hlc);
/// Of the tree below `root`. Errors: whatever reading it gives.
Result<Picture> picture_of(store::Vault& vault, Ino root = kRootIno);

/// Where two pictures differ, a line each; nothing when they are equal.
std::string difference(const Picture& expected, const Picture& found);

}  // namespace tain::test
