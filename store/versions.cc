// SPDX-License-Identifier: Apache-2.0
#include "store/versions.h"

#include <lmdb.h>
#include <sodium.h>
#include <xxhash.h>

namespace tain::store {

std::vector<std::pair<std::string, std::string>> library_versions() {
  int major = 0, minor = 0, patch = 0;
  mdb_version(&major, &minor, &patch);
  const unsigned xxhash = XXH_versionNumber();
  const auto dotted = [](auto a, auto b, auto c) { return std::to_string(a) + "." + std::to_string(b) + "." + std::to_string(c); };
  return {{"libsodium", sodium_version_string()},
          {"LMDB", dotted(major, minor, patch)},
          {"xxHash", dotted(xxhash / 10000, xxhash / 100 % 100, xxhash % 100)}};
}

}  // namespace tain::store
