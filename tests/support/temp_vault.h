// SPDX-License-Identifier: Apache-2.0
// A vault in a temporary directory that goes away with the test, and a clock that the test moves.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "store/content.h"
#include "store/tree.h"
#include "store/vault.h"
#include "tests/support/fake_clock.h"

namespace tain::test {

/// A directory below the system's temporary one, removed with everything in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The cheapest cost that the format allows.
inline constexpr store::KdfCost kTestCost = store::kKdfFloor;

/// A vault with the password "correct horse". EXPECTs inside: use it from a test's body.
class TempVault {
 public:
  explicit TempVault(store::OpenOptions options = {}, store::CreateOptions create = {.suite = {}, .kdf = kTestCost});

  store::Vault& vault() { return *vault_; }
  store::Tree& tree() { return vault_->tree(); }
  store::Content& content() { return vault_->content(); }
  const std::string& directory() const { return directory_; }
  FakeClock& clock() { return clock_; }

  /// Closes (unless close() did) and opens again.
  void reopen();
  /// As after kill -9: the open vault is abandoned without a commit, and a copy of its files as they are
  /// on the disk is opened in its place.
  void crash();
  /// The same, but nobody has the copy open.
  void leave_crashed();
  void close() { vault_.reset(); }

  /// Shorthands that fail the test on an error.
  Ino make_file(Ino directory, const std::string& name);
  Ino make_directory(Ino directory, const std::string& name);
  void write(Ino ino, uint64_t offset, const std::string& text);
  std::string read(Ino ino, uint64_t offset = 0, size_t size = 1 << 24);

  static Secret password() { return Secret::copy_of(as_bytes("correct horse")); }

 private:
  void open();

  TempDir root_;
  int generation_ = 0;
  std::string directory_;
  store::OpenOptions options_;
  FakeClock clock_;
  std::unique_ptr<store::Vault> vault_;
};

}  // namespace tain::test
