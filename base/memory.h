// SPDX-License-Identifier: Apache-2.0
// The process's heap as a whole.
#pragma once

namespace tain {

/// Lets all threads share one heap, which keeps what is freed until return_freed_memory(). Blocks of content are made by
/// the threads that serve requests and freed by the committer; with a heap for each thread every one of them grows as
/// large as the most that was ever pending, and each page that a heap grows by is a page fault. Call it before the
/// first thread. Source: mallopt(3).
void share_one_heap();

/// Gives what was freed back to the system, as far as the C library can; it keeps it otherwise. Takes milliseconds.
/// Threads: any. Source: malloc_trim(3).
void return_freed_memory();

}  // namespace tain
