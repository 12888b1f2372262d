// SPDX-License-Identifier: Apache-2.0
// The vault that the damage trials harm copies of, what a reader sees of it, and which page holds what of which entry.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "store/check.h"
#include "store/vault.h"
#include "tests/support/temp_vault.h"

namespace tain::test {

inline constexpr size_t kPage = 4096;
inline constexpr uint64_t kJournalPage = ~uint64_t{0};  // stands for the journal among the pages of the database

/// Not for secrets: which page to damage. The same seeds in every run.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}
  uint64_t below(uint64_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % bound;
  }

 private:
  uint64_t state_;
};

/// Letters only.
std::string random_text(Dice& dice, uint64_t size);

/// A tree as a reader sees it: path to content and attributes; directories end in '/'.
using Entries = std::map<std::string, std::string>;

/// What a walk through a vault yields.
struct Walked {
  Entries entries;
  std::set<std::string> refused;  // entries that are there but could not be read whole
  bool incomplete_listing = false;
};
void walk(store::Vault& vault, Ino directory, const std::string& path, Walked& out);

/// An undamaged vault, closed.
struct Stand {
  std::string vault;  // its directory
  Entries entries;
  std::string tail;  // content of the file "tail", where that is not among the entries
  uint64_t page_count = 0;
  std::multimap<uint64_t, std::string> owners;  // of each page; "name*": all that begin so

  /// Entries of which some record or block lies on one of `pages`.
  std::set<std::string> entries_on(const std::set<uint64_t>& pages) const;
};

/// Some 700 entries in 12 folders, hard links, attributes, large and sparse files, changes in place, deletions.
class DamageScene {
 public:
  DamageScene();
  /// With frames in the journal that the database does not have. The last of them, "tail", is not among the entries:
  /// damage to it is like a crash before it.
  const Stand& journaled() const { return journaled_; }
  /// With everything in the database: opening it changes nothing.
  const Stand& settled() const { return settled_; }
  const store::MasterKey& master() const { return *master_; }

  static void copy(const std::string& from, const std::string& to);
  static store::OpenOptions options(bool read_only);
  /// Reads a sound vault.
  Walked read(const std::string& directory) const;
  Result<store::CheckReport> check(const std::string& directory) const;

 private:
  void build(TempVault& temp);
  void find_owners(Stand& stand) const;
  TempDir place_;
  std::unique_ptr<store::MasterKey> master_;
  Stand journaled_, settled_;
};

}  // namespace tain::test
