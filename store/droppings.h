// SPDX-License-Identifier: Apache-2.0
// Names of the files that editors and desktop programs leave beside the one being edited.
#pragma once

#include <string_view>

namespace tain::store {

/// Whether a file of this name is an editor's dropping: a swap, backup, lock or safe-save file. Such files are stored like
/// all others, but nothing of them is kept once they are gone, and they are not synchronized.
bool is_dropping(std::string_view name);
/// Editors leave files: a directory that is called so is somebody's own.
inline bool is_dropping(std::string_view name, bool is_directory) { return !is_directory && is_dropping(name); }

}  // namespace tain::store
