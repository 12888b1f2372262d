// SPDX-License-Identifier: Apache-2.0
// The name that an entry gets when another one keeps its own: `notes (conflict laptop 2026-11-29).md`.
//
// A function of its arguments alone, so that two devices that see the same clash find the same name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tain::sync {

/// At most kNameMax bytes, never cut inside a character, with the extension of `name`. `device` is a label that a
/// device announced; `seconds` (Unix) become a date in UTC; `tag`, hexadecimal digits or nothing, tells
/// those apart that would be equal.
/// Of a name that is one of these already, the old parenthesis goes: names do not grow from one conflict to the next.
std::string conflict_name(std::string_view name, std::string_view device, int64_t seconds, std::string_view tag);

}  // namespace tain::sync
