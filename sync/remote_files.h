// SPDX-License-Identifier: Apache-2.0
// Files and folders of a remote in a directory: no symlink is followed, what is no regular file is not opened, and
// errors of the system are errors of a remote (sync/remote.h).
//
// `what` and `path` are for messages: relative to the remote's directory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace tain::sync {

/// An errno as an error of a remote, with what the user can do about it.
Error remote_error(int errno_value, const std::string& what);
/// Whether this errno of opening something says that nothing of ours is there.
bool is_absent(int errno_value);

/// A folder of `parent`. Invalid on failure, and errno tells why.
UniqueFd open_folder(int parent, const std::string& name);
bool is_folder(int parent, const std::string& name);
/// Makes the folder, mode 0700; that it is there already is fine. Not durable.
Result<> make_folder(int parent, const std::string& name);
/// Durable names of the folder's entries, as far as the file system can.
Result<> flush_folder(int folder, const std::string& what);
/// Calls `visit` with each name in the folder, but for `.` and `..`, until it says false.
Result<> for_each_name(int folder, const std::string& what, const std::function<bool(const std::string&)>& visit);

struct OpenFile {
  UniqueFd fd;
  uint64_t size = 0;  // bytes
};
/// A regular file for reading; nothing if there is none of that name.
Result<std::optional<OpenFile>> open_regular(int folder, const std::string& name, const std::string& path);
/// Its size without opening it; nothing if no regular file has that name, and then `*is_other` tells whether something
/// else has.
Result<std::optional<uint64_t>> size_of_regular(int folder, const std::string& name, const std::string& path, bool* is_other = nullptr);
/// Reads all of `out`; io if the file ends before.
Result<> read_fully(const OpenFile& file, ByteSpan out, uint64_t offset);
/// Makes a file, mode 0600, that must be new, and flushes its bytes. The time of its last change in Unix seconds, by the
/// clock of whoever stores it. After an error there is no such file.
Result<int64_t> write_new_file(int folder, const std::string& name, ByteView bytes);

}  // namespace tain::sync
