// SPDX-License-Identifier: Apache-2.0
// What a program that uses the mount sees of an Error: its errno.
#pragma once

#include "base/result.h"

namespace tain::fs {

/// The errno for `code`; never 0. Codes that no file operation yields become EIO.
int to_errno(Code code);

}  // namespace tain::fs
