// SPDX-License-Identifier: Apache-2.0
#include "store/resident.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>

namespace tain::store {
namespace {

constexpr uint64_t kCallsPerLook = 16;

}  // namespace

ResidentBound::ResidentBound()
    : statm_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
      page_size_(static_cast<uint64_t>(::sysconf(_SC_PAGESIZE))) {}

void ResidentBound::look() {
  if (calls_.fetch_add(1, std::memory_order_relaxed) % kCallsPerLook != 0 || !statm_.valid()) return;
  std::array<char, 128> text{};
  uint64_t resident = 0, of_files = 0;  // pages
  if (::pread(statm_.get(), text.data(), text.size() - 1, 0) <= 0 ||
      std::sscanf(text.data(), "%*u %" SCNu64 " %" SCNu64, &resident, &of_files) != 2 ||
      of_files * page_size_ <= kResidentMax)
    return;
  drop();
}

void ResidentBound::drop() {
  for (const Map& map : maps_) static_cast<void>(::madvise(const_cast<void*>(map.start), map.size, MADV_DONTNEED));
}

const void* find_map(int fd, size_t size) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return nullptr;
  uintptr_t found = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t start = 0, end = 0;
    uint64_t inode = 0;
    std::array<char, 5> access{};
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*x:%*x %" SCNu64, &start, &end, access.data(),
                    &inode) != 4)
      continue;
    if (end - start != size || inode != st.st_ino || std::string_view(access.data()) != "r--s") continue;
    if (found != 0) return nullptr;
    found = start;
  }
  return reinterpret_cast<const void*>(found);
}

}  // namespace tain::store
