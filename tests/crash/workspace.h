// SPDX-License-Identifier: Apache-2.0
// A directory for thousands of short-lived vaults, in memory where there is such a file system.
#pragma once

#include <sys/statvfs.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/check.h"

namespace tain::crash {

class Workspace {
 public:
  Workspace() {
    constexpr uint64_t kWanted = uint64_t{256} << 20;  // bytes
    const std::string memory = "/dev/shm";
    struct statvfs room {};
    const bool fits = ::statvfs(memory.c_str(), &room) == 0 && uint64_t{room.f_bavail} * room.f_frsize >= kWanted;
    std::string pattern = (fits ? memory : std::filesystem::temp_directory_path().string()) + "/tain-crash-XXXXXX";
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = std::filesystem::canonical(pattern).string();
  }
  ~Workspace() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace tain::crash
