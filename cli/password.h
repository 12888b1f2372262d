// SPDX-License-Identifier: Apache-2.0
// Where passwords come from. Never from an argument or the value of an environment variable.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "cli/arguments.h"
#include "cli/world.h"

namespace tain::cli {

/// --passfile, --passcmd, --pass-fd.
const std::vector<Option>& password_options();
/// --new-passfile, --new-passcmd, --new-pass-fd.
const std::vector<Option>& new_password_options();

/// The password that opens a vault, from the first source that is there: exactly one of the options;
/// TAIN_PASSFILE or TAIN_PASSCMD; the systemd credential tain.password; the terminal if stdin is one; a line of
/// stdin. One trailing newline is not part of it.
/// Errors: usage (two sources), empty_password, invalid_argument (a NUL, not UTF-8), too_large, interrupted, …
Result<Secret> read_password(World& world, const Arguments& arguments, const std::string& prompt);

/// The password of a vault that is being made: as read_password, but a terminal asks twice.
Result<Secret> read_first_password(World& world, const Arguments& arguments);

/// The new password of `passwd`: one of the --new-… options, else the terminal (twice) or the next line of stdin.
Result<Secret> read_new_password(World& world, const Arguments& arguments);

/// The PIN of a token that opens the vault, or that a new key slot is for: from one of the options (those that begin with
/// --new- for a new slot; not the environment, which holds the password: a token counts a wrong PIN and locks itself),
/// else from the terminal, once, with `prompt`, else from a line of stdin. Errors: those of read_password.
enum class PinOf { slot, new_slot };
Result<Secret> read_pin(World& world, const Arguments& arguments, PinOf of, const std::string& prompt);

/// Recovery words, as store::Credential::from_recovery() wants them: from one of the options (not the environment, which
/// holds the password), else from the terminal, line by line until there are 15, else from a line of stdin. At the
/// terminal a wrong word is asked for again.
/// Errors: those of read_password and of store::decode_recovery_words.
Result<Secret> read_recovery_words(World& world, const Arguments& arguments);

/// Splits a command line into words as a shell would, without expanding anything: blanks separate, '…' and
/// "…" group, a backslash takes the next character literally (not within '…'). Errors: usage (an open quote).
Result<std::vector<std::string>> split_words(std::string_view line);

}  // namespace tain::cli
