// SPDX-License-Identifier: Apache-2.0
// Recovery words on their way to paper: shown once, partly typed again, or printed.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "cli/arguments.h"
#include "cli/world.h"
#include "store/key_slot.h"

namespace tain::cli {

/// --sheet.
const Option& sheet_option();

/// That the words would reach a person and nothing else: with --json they must go to a --sheet, which must be a new file.
/// Errors: usage, exists.
Result<> check_sheet(const Arguments& arguments);

/// New recovery words for the vault `directory`, once the person has them: in the file of --sheet; or shown on a
/// terminal, which then asks for some of them; or, where there is no terminal, on standard output.
/// Errors: those of check_sheet(), invalid_argument (the wrong words were typed), interrupted, io.
Result<store::Credential> hand_out_recovery_words(World& world, const Arguments& arguments, const std::string& directory);

}  // namespace tain::cli
