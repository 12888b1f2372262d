// SPDX-License-Identifier: Apache-2.0
// The two copies of the header in a vault directory: `header` and `header.bak` (docs/format.md §2).
//
// `header` is replaced first and `header.bak` after it, each atomically. So at any moment at least one is
// intact, and after a crash between the two the one with the higher sequence number is the new one.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "store/header.h"

namespace tain::store {

inline constexpr char kHeaderName[] = "header";
inline constexpr char kHeaderCopyName[] = "header.bak";

struct LoadedHeader {
  Header header;
  Bytes bytes;                 // what `header` was decoded from: unlock() wants them
  bool copy_used = false;      // `header` was damaged or missing; `header.bak` served
  bool copies_differ = false;  // the files are not both intact and equal: repair_header() mends that
  std::string complaint;       // one line for the user about the copy that was not used; empty when all is well
};

/// Reads both copies and chooses. Structure and hash only: what it says is authentic after unlock().
/// Errors: not_a_vault (neither file exists), header_damaged (no intact copy), format_too_new, format_too_old, access_denied, io.
Result<LoadedHeader> load_header(const std::string& directory);

/// The vault's directory in canonical form. What does not exist, or is no directory, is not a vault.
/// Errors: not_a_vault, access_denied, io.
Result<std::string> vault_path(const std::string& directory);

/// Serialises changes of the header between processes, until it is closed; the vault's own lock is a mount's for its
/// whole life. Errors: io, …
Result<UniqueFd> lock_header(const std::string& directory);

/// Makes `bytes` (of encode_header) durable as the header of the vault, copy included.
/// The caller holds lock_header(). Errors: partial (the new header is in place, but not surely for good, or not its copy:
/// what it changed counts); after all others the old one is: io, no_space, access_denied, …
Result<> save_header(const std::string& directory, ByteView bytes);
/// Of a vault that is being made, which is nothing unless all of it is there. Errors: io, no_space, access_denied, …
Result<> save_first_header(const std::string& directory, ByteView bytes);

/// Rewrites the copies that differ from `loaded.bytes`. Only after unlock() or verify_header() accepted them:
/// before that a forged header could push out a good one. The caller holds lock_header(). Errors as save_header.
Result<> repair_header(const std::string& directory, const LoadedHeader& loaded);

}  // namespace tain::store
