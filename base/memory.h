// SPDX-License-Identifier: Apache-2.0
// The process's heap as a whole.
#pragma once

namespace tain {

/// Gives what was freed back to the system, as far as the C library can; it keeps it otherwise. Takes milliseconds.
/// Threads: any. Source: malloc_trim(3).
void return_freed_memory();

}  // namespace tain
