// SPDX-License-Identifier: Apache-2.0
#include "store/early_writeback.h"

#include <fcntl.h>

#include <chrono>
#include <exception>

namespace tain::store {
namespace {

constexpr std::chrono::milliseconds kInterval{2};  // a fast disk writes a megabyte or two meanwhile

}  // namespace

EarlyWriteback::EarlyWriteback(int fd) {
  try {
    thread_ = std::thread([this, fd] { run(fd); });
  } catch (const std::exception&) {
    // Threads enough already, or no memory: then the flush does it all.
  }
}

EarlyWriteback::~EarlyWriteback() {
  {
    std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void EarlyWriteback::run(int fd) {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kInterval, [&] { return done_; })) {
    lock.unlock();
    // An error of the disk stays with the file for the flush to report.
    static_cast<void>(::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    lock.lock();
  }
}

}  // namespace tain::store
